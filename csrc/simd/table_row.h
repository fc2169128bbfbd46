// table_row.h: the row of a table that an index of a lane stands for. Negative indices count from
// the end, what lies outside is clamped to the table (a NaN to its first row).

LN_INLINE int64_t LN_NAME(table_row)(real index, int64_t rows) {
  const double wanted = index < 0 ? (double)index + (double)rows : (double)index;
  if (!(wanted > 0)) return 0;
  return wanted < (double)rows ? (int64_t)wanted : rows - 1;
}
