// output.c: lanes to rows of the caller, row[example][position] = in[sum index * stride][lane], for
// the lanes that hold an example.
//
// The innermost loop is an axis along which rows are contiguous (their last one, unless its size is
// 1).

#ifndef LN_TARGET
#include "nest.h"

static size_t units(const ln_step *step, int lanes) {
  const ln__loops loops = ln__loops_to_row(&step->output.nest, &step->output.stride);
  return ln__span_count(&loops, lanes);
}

#define LN_TEMPLATE "../ops/output.c"
#include "../simd/each_target.h"

const ln__family ln__family_output = {"output", units, NULL, LN_TABLE(run_output)};

#else
#include "../simd/transpose.h"

static void LN_NAME(run_output)(const ln_step *step, const ln__frame *frame, size_t begin,
                                size_t end) {
  const ln_output *s = &step->output;
  const int lanes = frame->lanes, used = (int)frame->count;
  real *rows[LN_LANE_LIMIT];
  for (int l = 0; l < used; l++)
    rows[l] =
        (real *)frame->call->outputs[s->slot] + (frame->first + (size_t)l) * (size_t)s->row_count;
  const real *values = operand_values(frame, s->in);
  const ln__loops loops = ln__loops_to_row(&s->nest, &s->stride);
  const ptrdiff_t in_step = (ptrdiff_t)loops.stride[1][loops.axes - 1] * lanes;
  ln__span span = ln__span_at(&loops, lanes, begin);
  for (size_t unit = begin; unit < end; unit++, ln__span_next(&span, &loops, lanes)) {
    const int64_t at = span.offset[0];
    const real *in = values + span.offset[1] * lanes;
    if (lanes > 1)
      LN_NAME(lanes_to_rows)(rows, at, in, in_step, span.count, used);
    else if (in_step == 1)
      memcpy(rows[0] + at, in, (size_t)span.count * sizeof(real));
    else
      for (int64_t i = 0; i < span.count; i++) rows[0][at + i] = in[i * in_step];
  }
}
#endif
