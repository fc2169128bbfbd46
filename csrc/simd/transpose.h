// transpose.h: rows of examples to positions of lanes and back, in blocks of LN_WIDTH x LN_WIDTH
// held in registers.

// The lower (upper) halves of a and b, element by element in turns.
#define v_zip_low LN_NAME(v_zip_low)
#define v_zip_high LN_NAME(v_zip_high)
LN_INLINE vec v_zip_low(vec a, vec b) {
#if LN_VECTOR_BYTES == 16 && !LN_SINGLE
  return __builtin_shufflevector(a, b, 0, 2);
#elif (LN_VECTOR_BYTES == 16 && LN_SINGLE) || (LN_VECTOR_BYTES == 32 && !LN_SINGLE)
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#elif (LN_VECTOR_BYTES == 32 && LN_SINGLE) || (LN_VECTOR_BYTES == 64 && !LN_SINGLE)
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#endif
}
LN_INLINE vec v_zip_high(vec a, vec b) {
#if LN_VECTOR_BYTES == 16 && !LN_SINGLE
  return __builtin_shufflevector(a, b, 1, 3);
#elif (LN_VECTOR_BYTES == 16 && LN_SINGLE) || (LN_VECTOR_BYTES == 32 && !LN_SINGLE)
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#elif (LN_VECTOR_BYTES == 32 && LN_SINGLE) || (LN_VECTOR_BYTES == 64 && !LN_SINGLE)
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
#endif
}

// block[i][j] becomes block[j][i]: each round zips row i with row i + LN_WIDTH / 2, and
// log2(LN_WIDTH) rounds rotate the bits of (row, column) by half their number.
LN_INLINE void LN_NAME(transpose_block)(vec *block) {
  vec next[LN_WIDTH];
#pragma clang loop unroll(full)
  for (int round = 1; round < LN_WIDTH; round *= 2) {
#pragma clang loop unroll(full)
    for (int i = 0; i < LN_WIDTH / 2; i++) {
      next[2 * i] = v_zip_low(block[i], block[i + LN_WIDTH / 2]);
      next[2 * i + 1] = v_zip_high(block[i], block[i + LN_WIDTH / 2]);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < LN_WIDTH; i++) block[i] = next[i];
  }
}

// out[i * out_step + l] = rows[l][at + i] for i < count, l < lanes; lanes is a multiple of
// LN_WIDTH.
static __attribute__((unused)) void LN_NAME(rows_to_lanes)(real *out, ptrdiff_t out_step,
                                                           const real *const *rows, int64_t at,
                                                           int64_t count, int lanes) {
  for (int first = 0; first < lanes; first += LN_WIDTH) {
    const real *const *group = rows + first;
    real *to = out + first;
    // Coalitions of one example read one and the same row.
    int is_one = 1;
    for (int l = 1; l < LN_WIDTH; l++) is_one &= group[l] == group[0];
    if (is_one) {
      for (int64_t i = 0; i < count; i++) v_store(to + i * out_step, v_set(group[0][at + i]));
      continue;
    }
    int64_t i = 0;
    for (; i + LN_WIDTH <= count; i += LN_WIDTH) {
      vec block[LN_WIDTH];
#pragma clang loop unroll(full)
      for (int l = 0; l < LN_WIDTH; l++) block[l] = v_load(group[l] + at + i);
      LN_NAME(transpose_block)(block);
#pragma clang loop unroll(full)
      for (int k = 0; k < LN_WIDTH; k++) v_store(to + (i + k) * out_step, block[k]);
    }
    for (; i < count; i++)
      for (int l = 0; l < LN_WIDTH; l++) to[i * out_step + l] = group[l][at + i];
  }
}

// rows[l][at + i] = in[i * in_step + l] for i < count, l < used. Whole blocks are read: `in` has
// used rounded up to a multiple of LN_WIDTH lanes.
static __attribute__((unused)) void LN_NAME(lanes_to_rows)(real *const *rows, int64_t at,
                                                           const real *in, ptrdiff_t in_step,
                                                           int64_t count, int used) {
  for (int first = 0; first < used; first += LN_WIDTH) {
    real *const *group = rows + first;
    const real *from = in + first;
    const int wanted = used - first < LN_WIDTH ? used - first : LN_WIDTH;
    int64_t i = 0;
    for (; i + LN_WIDTH <= count; i += LN_WIDTH) {
      vec block[LN_WIDTH];
#pragma clang loop unroll(full)
      for (int k = 0; k < LN_WIDTH; k++) block[k] = v_load(from + (i + k) * in_step);
      LN_NAME(transpose_block)(block);
#pragma clang loop unroll(full)
      for (int l = 0; l < LN_WIDTH; l++)
        if (l < wanted) v_store(group[l] + at + i, block[l]);
    }
    for (; i < count; i++)
      for (int l = 0; l < wanted; l++) group[l][at + i] = from[i * in_step + l];
  }
}
