// nest.h: walking a loop nest row by row. A row is the innermost axis; the other axes count rows.

#ifndef LN__NEST_H
#define LN__NEST_H

#include "../include/lanes.h"

// Rows of a nest: the product of all sizes but the last. A nest without axes is one row of one position.
static inline size_t ln__nest_rows(const ln_nest *nest) {
  size_t rows = 1;
  for (int a = 0; a + 1 < nest->axes; a++) rows *= (size_t)nest->size[a];
  return rows;
}

// Positions from the start of an operand to the first position of a row.
static inline int64_t ln__nest_offset(const ln_nest *nest, const ln_strides *strides, size_t row) {
  int64_t offset = 0;
  for (int a = nest->axes - 2; a >= 0; a--) {
    offset += (int64_t)(row % (size_t)nest->size[a]) * strides->stride[a];
    row /= (size_t)nest->size[a];
  }
  return offset;
}

#endif
