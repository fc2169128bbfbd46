// input.c: rows of the caller to lanes, out[position][lane] = row[example][sum index * stride].
//
// The innermost loop is an axis along which rows are contiguous, wherever it stands in the nest, so
// that blocks can be transposed in registers: [C][H][W] rows are read along H W and written C
// positions apart. Lanes past the last example repeat it.

#ifndef LN_TARGET
#include "nest.h"

// Operand 0 is the row, operand 1 the positions.
static ln__loops loops_of(const ln_input *s) {
  const ln_strides out = ln__contiguous(&s->nest);
  ln__loops loops = ln__loops_of(&s->nest, (const ln_strides *const[]){&s->in, &out}, 2);
  ln__loops_put_last(&loops, ln__loops_contiguous_axis(&loops, 0));
  return loops;
}

static size_t units(const ln_step *step, int lanes) {
  const ln__loops loops = loops_of(&step->input);
  return ln__span_count(&loops, lanes);
}

#define LN_TEMPLATE "../ops/input.c"
#include "../simd/each_target.h"

const ln__family ln__family_input = {"input", units, NULL, LN_TABLE(run_input)};

#else
#include "../simd/lane_rows.h"
#include "../simd/transpose.h"

static void LN_NAME(run_input)(const ln_step *step, const ln__frame *frame, size_t begin,
                               size_t end) {
  const ln_input *s = &step->input;
  const ln_call *call = frame->call;
  const int lanes = frame->lanes;
  const real *rows[LN_LANE_LIMIT];
  LN_NAME(lane_rows)(rows, frame, s->slot, s->row_count);
  if (begin == 0 && call->not_finite &&
      !LN_NAME(rows_are_finite)(rows, (int)frame->count, s->row_count))
    ln_flag_raise(call->not_finite);
  real *values = arena_values(frame, s->out);
  const ln__loops loops = loops_of(s);
  const int64_t row_step = loops.stride[0][loops.axes - 1];
  const ptrdiff_t out_step = (ptrdiff_t)loops.stride[1][loops.axes - 1] * lanes;
  ln__span span = ln__span_at(&loops, lanes, begin);
  for (size_t unit = begin; unit < end; unit++, ln__span_next(&span, &loops, lanes)) {
    const int64_t at = span.offset[0];
    real *out = values + span.offset[1] * lanes;
    if (lanes > 1 && row_step == 1)
      LN_NAME(rows_to_lanes)(out, out_step, rows, at, span.count, lanes);
    else if (lanes == 1 && row_step == 1 && out_step == 1)
      memcpy(out, rows[0] + at, (size_t)span.count * sizeof(real));
    else
      for (int64_t i = 0; i < span.count; i++)
        for (int l = 0; l < lanes; l++) out[i * out_step + l] = rows[l][at + i * row_step];
  }
}
#endif
