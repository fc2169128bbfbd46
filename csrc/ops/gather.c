// gather.c: rows of a constant table chosen by each lane, out[i][d] = table[index[i]][d].
//
// Negative indices count from the end, what lies outside is clamped to the table (a NaN to its
// first row).

#ifndef LN_TARGET
#include "../engine/family.h"

static size_t units(const ln_step *step, int lanes) {
  (void)lanes;
  return (size_t)step->gather.count;
}

#define LN_TEMPLATE "../ops/gather.c"
#include "../simd/each_target.h"

const ln__family ln__family_gather = {"gather", units, NULL, LN_TABLE(run_gather)};

#else
#include "../simd/transpose.h"

LN_INLINE int64_t LN_NAME(table_row)(real index, int64_t rows) {
  const double wanted = index < 0 ? (double)index + (double)rows : (double)index;
  if (!(wanted > 0)) return 0;
  return wanted < (double)rows ? (int64_t)wanted : rows - 1;
}

static void LN_NAME(run_gather)(const ln_step *step, const ln__frame *frame, size_t begin,
                                size_t end) {
  const ln_gather *s = &step->gather;
  const int lanes = frame->lanes;
  const real *table = operand_values(frame, s->table);
  const real *indices = operand_values(frame, s->index);
  real *values = arena_values(frame, s->out);
  for (size_t i = begin; i < end; i++) {
    const real *index = indices + i * (size_t)lanes;
    real *out = values + i * (size_t)s->width * (size_t)lanes;
    const real *rows[LN_LANE_LIMIT];
    for (int l = 0; l < lanes; l++)
      rows[l] = table + LN_NAME(table_row)(index[l], s->rows) * s->width;
    if (lanes == 1)
      memcpy(out, rows[0], (size_t)s->width * sizeof(real));
    else
      LN_NAME(rows_to_lanes)(out, lanes, rows, 0, s->width, lanes);
  }
}
#endif
