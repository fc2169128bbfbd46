// copy.c: out[...] = in[...] over a loop nest.
//
// in and out are strided views: transposition, concatenation, slices, padding (a constant with
// strides 0 first, then the interior), broadcasting. A constant holds one scalar a position and
// fills all lanes.

#ifndef LN_TARGET
#include "nest.h"

static ln__loops loops_of(const ln_copy *s) {
  return ln__loops_of(&s->nest, (const ln_strides *const[]){&s->in_stride, &s->out_stride}, 2);
}

static size_t units(const ln_step *step, int lanes) {
  const ln__loops loops = loops_of(&step->copy);
  return ln__span_count(&loops, lanes);
}

#define LN_TEMPLATE "../ops/copy.c"
#include "../simd/each_target.h"

const ln__family ln__family_copy = {"copy", units, NULL, LN_TABLE(run_copy)};

#else

// `count` positions of L lanes, steps in elements. L is a number that the compiler knows wherever
// it matters.
LN_INLINE void LN_NAME(copy_positions)(real *out, ptrdiff_t out_step, const real *in,
                                       ptrdiff_t in_step, int64_t count, size_t lanes) {
  for (int64_t i = 0; i < count; i++, out += out_step, in += in_step)
    memcpy(out, in, lanes * sizeof(real));
}

// The same from one scalar a position.
LN_INLINE void LN_NAME(fill_positions)(real *out, ptrdiff_t out_step, const real *in,
                                       ptrdiff_t in_step, int64_t count, size_t lanes) {
  for (int64_t i = 0; i < count; i++, out += out_step, in += in_step) {
    const vec x = v_set(*in);
    for (size_t l = 0; l < lanes; l += LN_WIDTH) v_store(out + l, x);
  }
}

static void LN_NAME(copy_span)(real *out, int64_t out_stride, const real *in, int64_t in_stride,
                               int64_t count, int lanes, int from_constant) {
  const ptrdiff_t out_step = (ptrdiff_t)out_stride * lanes;
  if (from_constant && lanes > 1) {
    LN_NAME(fill_positions)(out, out_step, in, in_stride, count, (size_t)lanes);
  } else if (in_stride == 1 && out_stride == 1) {
    memcpy(out, in, (size_t)count * (size_t)lanes * sizeof(real));
  } else {
    const ptrdiff_t in_step = (ptrdiff_t)in_stride * lanes;
    switch (lanes) {
    case 1: LN_NAME(copy_positions)(out, out_step, in, in_step, count, 1); break;
    case 16: LN_NAME(copy_positions)(out, out_step, in, in_step, count, 16); break;
    case 32: LN_NAME(copy_positions)(out, out_step, in, in_step, count, 32); break;
    case 48: LN_NAME(copy_positions)(out, out_step, in, in_step, count, 48); break;
    default: LN_NAME(copy_positions)(out, out_step, in, in_step, count, (size_t)lanes);
    }
  }
}

static void LN_NAME(run_copy)(const ln_step *step, const ln__frame *frame, size_t begin,
                              size_t end) {
  const ln_copy *s = &step->copy;
  const int from_constant = s->in.block >= 0, lanes = frame->lanes;
  const real *in = operand_values(frame, s->in);
  real *out = arena_values(frame, s->out);
  const ln__loops loops = loops_of(s);
  const int64_t in_stride = loops.stride[0][loops.axes - 1];
  const int64_t out_stride = loops.stride[1][loops.axes - 1];
  ln__span span = ln__span_at(&loops, lanes, begin);
  for (size_t unit = begin; unit < end; unit++, ln__span_next(&span, &loops, lanes))
    LN_NAME(copy_span)
  (out + span.offset[1] * lanes, out_stride, in + span.offset[0] * (from_constant ? 1 : lanes),
   in_stride, span.count, lanes, from_constant);
}
#endif
