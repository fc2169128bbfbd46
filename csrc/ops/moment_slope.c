// moment_slope.c: the reverse of moments.c, signals of the outputs to signals of the inputs.
//
// With s = rest + sum L_a^2 and out_rest = g^2 rest + bend (simd/moments.h), A the signals of the
// outputs:
//   G    = sum A_a L_a + 2 g rest A_rest                         the signal of g
//   mean <- A_mean g + A_rest bend_m + G g_m
//   S    = A_mean mean_s + A_rest bend_s + G g_s                 the signal of s
//   rest <- S + A_rest g^2
//   L_a  <- A_a g + 2 L_a S
// Where z is certain, g is f'(mean), 0 for an infinite one, and nothing depends on s but by g^2.

#ifndef LN_TARGET
#include "../engine/family.h"
#include "array_units.h"

static size_t units(const ln_step *step, int lanes) {
  return ln__array_units(step->moment_slope.count, lanes);
}

#define LN_WIDER
#define LN_TEMPLATE "../ops/moment_slope.c"
#include "../simd/each_target.h"

const ln__family ln__family_moment_slope = {"moment_slope", units, NULL,
                                            LN_TABLE(run_moment_slope)};

#else
#include "../simd/moment_values.h"
#include "../simd/moments.h"

// A signal, 0 where there is none.
LN_INLINE vec LN_NAME(signal)(const real *p, ptrdiff_t i, size_t n) {
  return p ? v_load_part(p + i, n) : v_set(0);
}

LN_INLINE vec LN_NAME(where_known)(mask certain, vec turn) {
  return v_select(certain, v_set(0), turn);
}

#define X(name)                                                                                    \
  static void LN_NAME(slopes_##name)(const parameters *given, const moment_values *v,              \
                                     const moment_values *signal, const moment_values *out,        \
                                     size_t first, size_t last) {                                  \
    const parameters p = *given;                                                                   \
    for (size_t i = first; i < last; i += LN_WIDTH) {                                              \
      const size_t n = last - i;                                                                   \
      const vec m = v_load_part(v->mean + i, n), rest = v_load_part(v->rest + i, n);               \
      const vec s = rest + v_factor_squares(v, i, n);                                              \
      const mask certain = s < v_set(LN_SMALLEST_NORMAL);                                          \
      const vec safe = v_select(certain, v_set(1), s);                                             \
      const moment_turns t =                                                                       \
          LN_NAME(v_turns_##name)(m, safe, __builtin_elementwise_sqrt(safe), &p);                  \
      const vec g =                                                                                \
          v_select(certain, v_certain_slope(LN_NAME(v_slope_##name)(m, &p)), t.slope);             \
      const vec by_mean = LN_NAME(signal)(signal->mean, (ptrdiff_t)i, n);                          \
      const vec by_rest = LN_NAME(signal)(signal->rest, (ptrdiff_t)i, n);                          \
      vec by_slope = v_set(2) * g * rest * by_rest;                                                \
      if (signal->factors)                                                                         \
        for (int a = 0; a < v->rank; a++) {                                                        \
          const ptrdiff_t at = a * v->step + (ptrdiff_t)i;                                         \
          by_slope = v_fma(v_load_part(signal->factors + at, n),                                   \
                           v_load_part(v->factors + at, n), by_slope);                             \
        }                                                                                          \
      /* Products of two small numbers by themselves would be no normal numbers. */                \
      const vec mean = LN_NAME(where_known)(                                                       \
          certain, v_fma(by_slope, t.slope_m, by_rest * t.bend_m));                                \
      const vec spread = LN_NAME(where_known)(                                                     \
          certain, v_fma(by_slope, t.slope_s, v_fma(by_rest, t.bend_s, by_mean * t.mean_s)));      \
      const vec known = v_select(m + s == m + s, v_set(0), m + s);                                 \
      v_store_part(out->mean + i, v_fma(by_mean, g, mean) + known, n);                             \
      v_store_part(out->rest + i, v_fma(g, g * by_rest, spread) + known, n);                       \
      for (int a = 0; a < v->rank; a++) {                                                          \
        const ptrdiff_t at = a * v->step + (ptrdiff_t)i;                                           \
        const vec twice = v_set(2) * spread * v_load_part(v->factors + at, n);                     \
        v_store_part(out->factors + at,                                                            \
                     v_fma(LN_NAME(signal)(signal->factors, at, n), g, twice) + known, n);         \
      }                                                                                            \
    }                                                                                              \
  }
LN_FUNCTIONS(X)
#undef X

static void LN_NAME(run_moment_slope)(const ln_step *step, const ln__frame *frame, size_t begin,
                                      size_t end) {
  const ln_moment_slope *s = &step->moment_slope;
  const parameters p = LN_NAME(parameters_of)(&s->function);
  const size_t total = (size_t)s->count * (size_t)frame->lanes;
  const size_t first = begin * LN__UNIT, last = end * LN__UNIT < total ? end * LN__UNIT : total;
  const moment_values v =
      LN_NAME(moment_values_of)(frame, s->mean, s->rest, s->factors, s->rank, total);
  const moment_values signal = LN_NAME(moment_values_of)(frame, s->signal_mean, s->signal_rest,
                                                         s->signal_factors, s->rank, total);
  const moment_values out =
      LN_NAME(moment_values_of)(frame, s->out_mean, s->out_rest, s->out_factors, s->rank, total);
  switch ((ln_function_id)s->function.id) {
#define X(name)                                                                                    \
  case LN_FUNCTION_##name: LN_NAME(slopes_##name)(&p, &v, &signal, &out, first, last); return;
    LN_FUNCTIONS(X)
#undef X
  case LN_FUNCTION_COUNT: return;
  }
}
#endif
