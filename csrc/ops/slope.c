// slope.c: out[p] = gradient[p] * slope(in[p], reference[p]), the reverse of functions of one
// number, and the slopes by themselves (ln_apply_slope).
//
// Positions and lanes are one array here, so the narrow form is the same code. The numbers of a
// constant reference are first repeated for the lanes.

#ifndef LN_TARGET
#include "../engine/family.h"
#include "array_units.h"

static size_t units(const ln_step *step, int lanes) {
  return ln__array_units(step->slope.count, lanes);
}

#define LN_TEMPLATE "../ops/slope.c"
#include "../simd/each_target.h"

const ln__family ln__family_slope = {"slope", units, NULL, LN_TABLE(run_slope)};

typedef void (*apply)(const ln_function *f, ln_slope_kind kind, double parameter,
                      const void *gradient, const void *in, const void *reference, void *out,
                      size_t count);
static const apply appliers[LN_ISA_COUNT][LN_TYPE_COUNT] = LN_TABLE(slope_array);

void ln_apply_slope(ln_function function, ln_slope_kind kind, double parameter, ln_type type,
                    ln_isa isa, const void *in, const void *reference, void *out, size_t count) {
  appliers[isa][type](&function, kind, parameter, out, in, reference, out, count);
}

#else
#include "../simd/secants.h"

// gradient * slope. A factor of 0 wins over all but a NaN of the gradient.
#define v_reversed LN_NAME(v_reversed)
LN_INLINE vec v_reversed(vec gradient, vec slope) {
  const mask none =
      (gradient == v_set(0)) | ((slope == v_set(0)) & (v_abs(gradient) == v_set(LN_INFINITY)));
  return v_select(none, v_set(0), gradient * slope);
}

// What a loop knows besides the function's parameters.
#define slope_settings LN_NAME(slope_settings)
typedef struct slope_settings {
  vec floor;   // gradients below it count as it
  vec epsilon; // of the ratio
} slope_settings;

// out[i] = the reverse of `slope`, an expression of z, y (the reference), p and s.
#define LN__SLOPE_LOOP(name, wants_reference, slope)                                               \
  LN_INLINE void LN_NAME(name)(const parameters *given, const slope_settings *settings,            \
                               const real *gradient, const real *in, const real *reference,        \
                               real *out, size_t count) {                                          \
    const parameters held = *given, *const p = &held;                                              \
    const slope_settings s = *settings;                                                            \
    for (size_t i = 0; i < count; i += LN_WIDTH) {                                                 \
      const size_t n = count - i;                                                                  \
      const int whole = n >= LN_WIDTH;                                                             \
      const vec g = whole ? v_load(gradient + i) : v_load_first(gradient + i, n);                  \
      const vec z = whole ? v_load(in + i) : v_load_first(in + i, n);                              \
      vec y = z;                                                                                   \
      if (wants_reference) y = whole ? v_load(reference + i) : v_load_first(reference + i, n);     \
      const vec known = v_select((z == z) & (y == y), slope, z + y);                               \
      const vec result = v_reversed(v_max(s.floor, g), known);                                     \
      if (whole)                                                                                   \
        v_store(out + i, result);                                                                  \
      else                                                                                         \
        v_store_first(out + i, result, n);                                                         \
    }                                                                                              \
  }

#define X(name)                                                                                    \
  LN__SLOPE_LOOP(derivative_##name, 0, LN_NAME(v_slope_##name)(z, p))                              \
  LN__SLOPE_LOOP(ratio_##name, 0,                                                                  \
                 LN_NAME(v_function_##name)(z, p) /                                                \
                     v_select(z < v_set(0), z - s.epsilon, z + s.epsilon))                         \
  LN__SLOPE_LOOP(secant_##name, 1, LN_NAME(v_secant_##name)(z, y, p))
LN_FUNCTIONS(X)
#undef X
#undef LN__SLOPE_LOOP

// The positive part of the gradient.
static void LN_NAME(slope_deconvnet)(const real *gradient, real *out, size_t count) {
  size_t i = 0;
  for (; i + LN_WIDTH <= count; i += LN_WIDTH)
    v_store(out + i, v_max(v_set(0), v_load(gradient + i)));
  if (i < count)
    v_store_first(out + i, v_max(v_set(0), v_load_first(gradient + i, count - i)), count - i);
}

// One loop per function and kind; neither number is looked at inside.
static void LN_NAME(slope_array)(const ln_function *f, ln_slope_kind kind, double parameter,
                                 const void *gradient, const void *in, const void *reference,
                                 void *out, size_t count) {
  const parameters p = LN_NAME(parameters_of)(f);
  const slope_settings s = {v_set(kind == LN_SLOPE_GUIDED ? 0 : -LN_INFINITY),
                            v_set((real)parameter)};
  switch (kind) {
  case LN_SLOPE_DERIVATIVE:
  case LN_SLOPE_GUIDED:
    switch ((ln_function_id)f->id) {
#define X(name)                                                                                    \
  case LN_FUNCTION_##name:                                                                         \
    LN_NAME(derivative_##name)(&p, &s, gradient, in, in, out, count);                              \
    return;
      LN_FUNCTIONS(X)
#undef X
    case LN_FUNCTION_COUNT: return;
    }
    return;
  case LN_SLOPE_RATIO:
    switch ((ln_function_id)f->id) {
#define X(name)                                                                                    \
  case LN_FUNCTION_##name:                                                                         \
    LN_NAME(ratio_##name)(&p, &s, gradient, in, in, out, count);                                   \
    return;
      LN_FUNCTIONS(X)
#undef X
    case LN_FUNCTION_COUNT: return;
    }
    return;
  case LN_SLOPE_SECANT:
    switch ((ln_function_id)f->id) {
#define X(name)                                                                                    \
  case LN_FUNCTION_##name:                                                                         \
    LN_NAME(secant_##name)(&p, &s, gradient, in, reference, out, count);                           \
    return;
      LN_FUNCTIONS(X)
#undef X
    case LN_FUNCTION_COUNT: return;
    }
    return;
  case LN_SLOPE_DECONVNET: LN_NAME(slope_deconvnet)(gradient, out, count); return;
  }
}

// Elements first .. first + count - 1 of a constant, each number repeated for all lanes.
static void LN_NAME(repeat_for_lanes)(real *out, const real *numbers, size_t first, size_t count,
                                      size_t lanes) {
  size_t position = first / lanes, lane = first % lanes;
  for (size_t i = 0; i < count; position++, lane = 0) {
    const size_t left = lanes - lane, n = left < count - i ? left : count - i;
    for (size_t k = 0; k < n; k++) out[i + k] = numbers[position];
    i += n;
  }
}

static void LN_NAME(run_slope)(const ln_step *step, const ln__frame *frame, size_t begin,
                               size_t end) {
  const ln_slope *s = &step->slope;
  const size_t lanes = (size_t)frame->lanes, total = (size_t)s->count * lanes;
  const real *gradient = operand_values(frame, s->gradient);
  real *out = arena_values(frame, s->out);
  const int reads_in = s->kind != LN_SLOPE_DECONVNET, reads_reference = s->kind == LN_SLOPE_SECANT;
  const real *in = reads_in ? operand_values(frame, s->in) : gradient;
  const real *reference = reads_reference ? operand_values(frame, s->reference) : in;
  const int repeats = reads_reference && s->reference.block >= 0 && lanes > 1;
  for (size_t unit = begin; unit < end; unit++) {
    const size_t first = unit * LN__UNIT, left = total - first,
                 count = left < LN__UNIT ? left : LN__UNIT;
    const real *from = reference + (repeats ? 0 : first);
    real repeated[LN__UNIT];
    if (repeats) {
      LN_NAME(repeat_for_lanes)(repeated, reference, first, count, lanes);
      from = repeated;
    }
    LN_NAME(slope_array)
    (&s->function, (ln_slope_kind)s->kind, s->parameter, gradient + first, in + first, from,
     out + first, count);
  }
}
#endif
