// binary.c: out[...] = f(a[...], b[...]) over a loop nest; either operand may be a constant.
//
// A span of positions is one of three things: a flat array (operands contiguous or one number for
// all of it), positions of whole lanes with steps between them, or, in the narrow form with steps,
// single numbers that are brought together a vector at a time. What happens to each number is the
// same in all of them.

#ifndef LN_TARGET
#include "nest.h"

static ln__loops loops_of(const ln_binary *s) {
  return ln__loops_of(&s->nest,
                      (const ln_strides *const[]){&s->a_stride, &s->b_stride, &s->out_stride}, 3);
}

static size_t units(const ln_step *step, int lanes) {
  const ln__loops loops = loops_of(&step->binary);
  return ln__span_count(&loops, lanes);
}

// An operand of a span: where it starts, elements from one position to the next, and whether a
// position holds one number for all lanes.
typedef struct operand {
  const void *start;
  ptrdiff_t step;
  int single;
} operand;

#define LN_TEMPLATE "../ops/binary.c"
#include "../simd/each_target.h"

const ln__family ln__family_binary = {"binary", units, NULL, LN_TABLE(run_binary)};

const char *ln_binary_name(ln_binary_id function) {
  static const char *const names[LN_BINARY_COUNT] = {
#define X(name) [LN_BINARY_##name] = #name,
      LN_BINARY_FUNCTIONS(X)
#undef X
  };
  return names[function];
}

#else

#define LN__BINARY(name) LN_INLINE vec LN_NAME(v_binary_##name)(vec a, vec b)

LN__BINARY(add) { return a + b; }
LN__BINARY(subtract) { return a - b; }
LN__BINARY(multiply) { return a * b; }
LN__BINARY(divide) { return a / b; }
// A NaN on either side is the result.
LN__BINARY(maximum) { return v_select((a > b) | (a != a), a, b); }
LN__BINARY(minimum) { return v_select((a < b) | (a != a), a, b); }
LN__BINARY(prelu) { return v_select(a < v_set(0), b * a, a); }
// A NaN compares as false.
LN__BINARY(at_least) { return v_select(a >= b, v_set(1), v_set(0)); }
LN__BINARY(greater) { return v_select(a > b, v_set(1), v_set(0)); }

LN_INLINE vec LN_NAME(v_binary)(ln_binary_id function, vec a, vec b) {
  switch (function) {
#define X(name)                                                                                    \
  case LN_BINARY_##name:                                                                           \
    return LN_NAME(v_binary_##name)(a, b);
    LN_BINARY_FUNCTIONS(X)
#undef X
  case LN_BINARY_COUNT: break;
  }
  return a;
}

// An array of `count` numbers; a single operand is one number for all of it.
LN_INLINE void LN_NAME(binary_flat)(ln_binary_id function, int a_single, int b_single, real *out,
                                    const real *a, const real *b, size_t count) {
  const vec a0 = v_set(*a), b0 = v_set(*b);
  size_t i = 0;
  for (; i + LN_WIDTH <= count; i += LN_WIDTH)
    v_store(out + i, LN_NAME(v_binary)(function, a_single ? a0 : v_load(a + i),
                                       b_single ? b0 : v_load(b + i)));
  if (i < count)
    v_store_first(out + i,
                  LN_NAME(v_binary)(function, a_single ? a0 : v_load_first(a + i, count - i),
                                    b_single ? b0 : v_load_first(b + i, count - i)),
                  count - i);
}

// `count` positions of whole lanes.
LN_INLINE void LN_NAME(binary_lanes)(ln_binary_id function, int a_single, int b_single, real *out,
                                     ptrdiff_t out_step, operand a, operand b, int64_t count,
                                     int lanes) {
  const real *pa = a.start, *pb = b.start;
  for (int64_t i = 0; i < count; i++, out += out_step, pa += a.step, pb += b.step) {
    const vec a0 = v_set(*pa), b0 = v_set(*pb);
    for (int l = 0; l < lanes; l += LN_WIDTH)
      v_store(out + l, LN_NAME(v_binary)(function, a_single ? a0 : v_load(pa + l),
                                         b_single ? b0 : v_load(pb + l)));
  }
}

// `count` numbers with steps between them.
LN_INLINE void LN_NAME(binary_strided)(ln_binary_id function, real *out, ptrdiff_t out_step,
                                       operand a, operand b, int64_t count) {
  const real *pa = a.start, *pb = b.start;
  real x[LN_WIDTH] = {0}, y[LN_WIDTH] = {0};
  for (int64_t i = 0; i < count; i += LN_WIDTH) {
    const int n = count - i < LN_WIDTH ? (int)(count - i) : LN_WIDTH;
    for (int k = 0; k < n; k++) x[k] = pa[(i + k) * a.step], y[k] = pb[(i + k) * b.step];
    v_store(x, LN_NAME(v_binary)(function, v_load(x), v_load(y)));
    for (int k = 0; k < n; k++) out[(i + k) * out_step] = x[k];
  }
}

LN_INLINE void LN_NAME(binary_span)(ln_binary_id function, real *out, ptrdiff_t out_step, operand a,
                                    operand b, int64_t count, int lanes) {
  // Flat: contiguous results of operands that are contiguous too or stay where they are.
  const int a_still = a.single && (a.step == 0 || count == 1);
  const int b_still = b.single && (b.step == 0 || count == 1);
  const int a_flat = a_still || (!a.single && a.step == lanes);
  const int b_flat = b_still || (!b.single && b.step == lanes);
  const size_t all = (size_t)count * (size_t)lanes;
  if (out_step == lanes && a_flat && b_flat) {
    if (!a_still && !b_still)
      LN_NAME(binary_flat)(function, 0, 0, out, a.start, b.start, all);
    else if (!a_still)
      LN_NAME(binary_flat)(function, 0, 1, out, a.start, b.start, all);
    else if (!b_still)
      LN_NAME(binary_flat)(function, 1, 0, out, a.start, b.start, all);
    else
      LN_NAME(binary_flat)(function, 1, 1, out, a.start, b.start, all);
  } else if (lanes == 1) {
    LN_NAME(binary_strided)(function, out, out_step, a, b, count);
  } else if (!a.single && !b.single) {
    LN_NAME(binary_lanes)(function, 0, 0, out, out_step, a, b, count, lanes);
  } else if (!a.single) {
    LN_NAME(binary_lanes)(function, 0, 1, out, out_step, a, b, count, lanes);
  } else if (!b.single) {
    LN_NAME(binary_lanes)(function, 1, 0, out, out_step, a, b, count, lanes);
  } else {
    LN_NAME(binary_lanes)(function, 1, 1, out, out_step, a, b, count, lanes);
  }
}

// In the narrow form a number that stays where it is counts as single, wherever it lies, and a
// number that moves as one lane.
LN_INLINE operand LN_NAME(operand_of)(const real *start, int64_t stride, int constant, int lanes) {
  if (lanes == 1) return (operand){start, (ptrdiff_t)stride, stride == 0};
  return (operand){start, (ptrdiff_t)stride * (constant ? 1 : lanes), constant};
}

static void LN_NAME(run_binary)(const ln_step *step, const ln__frame *frame, size_t begin,
                                size_t end) {
  const ln_binary *s = &step->binary;
  const int lanes = frame->lanes, a_constant = s->a.block >= 0, b_constant = s->b.block >= 0;
  const real *a = operand_values(frame, s->a);
  const real *b = operand_values(frame, s->b);
  real *out = arena_values(frame, s->out);
  const ln__loops loops = loops_of(s);
  const int last = loops.axes - 1;
  operand x = LN_NAME(operand_of)(a, loops.stride[0][last], a_constant, lanes);
  operand y = LN_NAME(operand_of)(b, loops.stride[1][last], b_constant, lanes);
  const ptrdiff_t out_step = (ptrdiff_t)loops.stride[2][last] * lanes;
  ln__span span = ln__span_at(&loops, lanes, begin);
  for (size_t unit = begin; unit < end; unit++, ln__span_next(&span, &loops, lanes)) {
    x.start = a + span.offset[0] * (a_constant ? 1 : lanes);
    y.start = b + span.offset[1] * (b_constant ? 1 : lanes);
    real *to = out + span.offset[2] * lanes;
    switch ((ln_binary_id)s->function) {
#define X(name)                                                                                    \
  case LN_BINARY_##name:                                                                           \
    LN_NAME(binary_span)(LN_BINARY_##name, to, out_step, x, y, span.count, lanes);                 \
    break;
      LN_BINARY_FUNCTIONS(X)
#undef X
    case LN_BINARY_COUNT: break;
    }
  }
}

#undef LN__BINARY
#endif
