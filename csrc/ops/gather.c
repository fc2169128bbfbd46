// gather.c: rows of a constant table chosen by each lane, out[i][d] = table[index[i]][d].
//
// Which row an index stands for: simd/table_row.h.

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
#include "../simd/table_row.h"
#include "../simd/transpose.h"

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
