// lane_rows.h: the caller's rows that the lanes of a tile read.

// rows[l] = the row of lane l in input slot `slot`; lanes past the last example repeat its row.
LN_INLINE void LN_NAME(lane_rows)(const real **rows, const ln__frame *frame, int slot,
                                  int64_t row_count) {
  const ln_call *call = frame->call;
  const int32_t *row_of = call->row_of ? call->row_of[slot] : NULL;
  for (int l = 0; l < frame->lanes; l++) {
    const size_t used = (size_t)l < frame->count ? (size_t)l : frame->count - 1;
    const size_t example = frame->first + used;
    const size_t row = row_of ? (size_t)row_of[example] : example;
    rows[l] = (const real *)call->inputs[slot] + row * (size_t)row_count;
  }
}

// Whether all numbers of the rows are finite: x * 0 is 0 for them and NaN for all others, and a sum
// with a NaN in it is one. A row that follows itself is looked at once.
static int LN_NAME(rows_are_finite)(const real *const *rows, int count, int64_t row_count) {
  vec sums[2] = {v_set(0), v_set(0)};
  real rest = 0;
  for (int l = 0; l < count; l++) {
    if (l > 0 && rows[l] == rows[l - 1]) continue;
    int64_t i = 0;
    for (; i + 2 * LN_WIDTH <= row_count; i += 2 * LN_WIDTH) {
      sums[0] = v_fma(v_load(rows[l] + i), v_set(0), sums[0]);
      sums[1] = v_fma(v_load(rows[l] + i + LN_WIDTH), v_set(0), sums[1]);
    }
    for (; i < row_count; i++) rest += rows[l][i] * 0;
  }
  real all[2 * LN_WIDTH];
  v_store(all, sums[0]);
  v_store(all + LN_WIDTH, sums[1]);
  for (int i = 0; i < 2 * LN_WIDTH; i++) rest += all[i];
  return rest == 0;
}
