// copy.c: out[...] = in[...] over a loop nest.
//
// in and out are strided views: transposition, concatenation, slices, padding (a constant with strides 0
// first, then the interior), broadcasting. A constant holds one scalar a position and fills all lanes.

#ifndef LN_TARGET
#define LN_TEMPLATE "../ops/copy.c"
#include "../simd/each_target.h"
#include "nest.h"

static size_t units(const ln_step *step, int lanes) {
  (void)lanes;
  return ln__nest_rows(&step->copy.nest);
}

const ln__family ln__family_copy = {"copy", units, NULL, LN_TABLE(run_copy)};

#else
#include "nest.h"

// One row of the nest: `count` positions of `lanes` lanes. A vector at a time where rows are contiguous.
LN_INLINE void LN_NAME(copy_row)(real *out, int64_t out_stride, const real *in, int64_t in_stride,
                                 int64_t count, size_t lanes, int from_constant) {
  if (from_constant) {
    for (int64_t i = 0; i < count; i++)
      for (size_t l = 0; l < lanes; l++) out[(size_t)(i * out_stride) * lanes + l] = in[i * in_stride];
  } else if (in_stride == 1 && out_stride == 1) {
    memcpy(out, in, (size_t)count * lanes * sizeof(real));
  } else {
    const ptrdiff_t out_step = (ptrdiff_t)(out_stride * (int64_t)lanes);
    const ptrdiff_t in_step = (ptrdiff_t)(in_stride * (int64_t)lanes);
    for (int64_t i = 0; i < count; i++)
      memcpy(out + i * out_step, in + i * in_step, lanes * sizeof(real));
  }
}

static void LN_NAME(run_copy)(const ln_step *step, const ln__frame *frame, size_t begin, size_t end) {
  const ln_copy *s = &step->copy;
  const int from_constant = s->in.block >= 0;
  const ptrdiff_t lanes = frame->lanes;
  const real *in = operand_values(frame, s->in);
  real *out = arena_values(frame, s->out);
  const int last = s->nest.axes - 1;
  for (size_t row = begin; row < end; row++) {
    const int64_t from = ln__nest_offset(&s->nest, &s->in_stride, row);
    const int64_t to = ln__nest_offset(&s->nest, &s->out_stride, row);
    LN_NAME(copy_row)
    (out + to * lanes, last < 0 ? 1 : s->out_stride.stride[last], in + from * (from_constant ? 1 : lanes),
     last < 0 ? 1 : s->in_stride.stride[last], last < 0 ? 1 : s->nest.size[last], (size_t)lanes,
     from_constant);
  }
}
#endif
