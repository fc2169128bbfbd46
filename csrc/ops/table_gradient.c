// table_gradient.c: the gradient of a table of which each lane has read its own rows. One unit:
// rows may be chosen by several lanes and positions, which are added in order.

#ifndef LN_TARGET
#include "../engine/family.h"

static size_t units(const ln_step *step, int lanes) {
  (void)step, (void)lanes;
  return 1;
}

// The gradient of one position, [lane][width].
static size_t scratch(const ln_step *step, ln_type type, int lanes) {
  return (size_t)lanes * (size_t)step->table_gradient.width * (type == LN_FLOAT32 ? 4 : 8);
}

#define LN_TEMPLATE "../ops/table_gradient.c"
#include "../simd/each_target.h"

const ln__family ln__family_table_gradient = {"table gradient", units, scratch,
                                              LN_TABLE(run_table_gradient)};

#else
#include "../simd/table_row.h"
#include "../simd/transpose.h"

static void LN_NAME(run_table_gradient)(const ln_step *step, const ln__frame *frame,
                                        size_t begin, size_t end) {
  (void)begin, (void)end;
  const ln_table_gradient *s = &step->table_gradient;
  const int lanes = frame->lanes, count = (int)frame->count;
  const size_t width = (size_t)s->width, size = (size_t)s->rows * width;
  const real *indices = operand_values(frame, s->index);
  const real *gradient = operand_values(frame, s->gradient);
  real *table = (real *)frame->call->outputs[s->slot] + frame->first / (size_t)lanes * size;
  real *rows[LN_LANE_LIMIT];
  for (int l = 0; l < lanes; l++) rows[l] = (real *)frame->scratch + (size_t)l * width;
  memset(table, 0, size * sizeof(real));
  for (int64_t i = 0; i < s->count; i++) {
    const real *from = gradient + i * s->width * lanes;
    if (lanes == 1)
      memcpy(rows[0], from, width * sizeof(real));
    else
      LN_NAME(lanes_to_rows)(rows, 0, from, lanes, s->width, count);
    for (int l = 0; l < count; l++) {
      real *to = table + LN_NAME(table_row)(indices[i * lanes + l], s->rows) * s->width;
      for (size_t d = 0; d < width; d++) to[d] += rows[l][d];
    }
  }
}
#endif
