// moments.c: the moments of functions of one number, of values with factors of covariance.
//
// Positions and lanes are one array here, so the narrow form is the same code.

#ifndef LN_TARGET
#include "../engine/family.h"
#include "array_units.h"

static size_t units(const ln_step *step, int lanes) {
  return ln__array_units(step->moments.count, lanes);
}

#define LN_WIDER
#define LN_TEMPLATE "../ops/moments.c"
#include "../simd/each_target.h"

const ln__family ln__family_moments = {"moments", units, NULL, LN_TABLE(run_moments)};

#else
#include "../simd/moment_values.h"
#include "../simd/moments.h"

// Vectors of the elements `first` .. `last` - 1.
#define X(name)                                                                                    \
  static void LN_NAME(moments_##name)(const parameters *given, const moment_values *v,             \
                                      const moment_values *out, size_t first, size_t last) {       \
    const parameters p = *given;                                                                   \
    for (size_t i = first; i < last; i += LN_WIDTH) {                                              \
      const size_t n = last - i;                                                                   \
      const vec m = v_load_part(v->mean + i, n), rest = v_load_part(v->rest + i, n);               \
      const vec s = rest + v_factor_squares(v, i, n);                                              \
      const mask certain = s < v_set(LN_SMALLEST_NORMAL);                                          \
      const vec safe = v_select(certain, v_set(1), s);                                             \
      moment_row row =                                                                             \
          LN_NAME(v_moments_##name)(m, safe, __builtin_elementwise_sqrt(safe), &p);                \
      row.mean = v_select(certain, LN_NAME(v_function_##name)(m, &p), row.mean);                   \
      row.slope =                                                                                  \
          v_select(certain, v_certain_slope(LN_NAME(v_slope_##name)(m, &p)), row.slope);           \
      /* The square of a small slope by itself would be no normal number. */                       \
      const vec own =                                                                              \
          v_select(certain, v_set(0), v_fma(row.slope, row.slope * rest, row.bend));               \
      /* A NaN stays one in all that depends on it. */                                             \
      const vec known = v_select(m + s == m + s, v_set(0), m + s);                                 \
      v_store_part(out->mean + i, row.mean + known, n);                                            \
      v_store_part(out->rest + i, own + known, n);                                                 \
      for (int a = 0; a < v->rank; a++)                                                            \
        v_store_part(out->factors + a * v->step + i,                                               \
                     (row.slope + known) * v_load_part(v->factors + a * v->step + i, n), n);       \
    }                                                                                              \
  }
LN_FUNCTIONS(X)
#undef X

static void LN_NAME(run_moments)(const ln_step *step, const ln__frame *frame, size_t begin,
                                 size_t end) {
  const ln_moments *s = &step->moments;
  const parameters p = LN_NAME(parameters_of)(&s->function);
  const size_t total = (size_t)s->count * (size_t)frame->lanes;
  const size_t first = begin * LN__UNIT, last = end * LN__UNIT < total ? end * LN__UNIT : total;
  const moment_values v =
      LN_NAME(moment_values_of)(frame, s->mean, s->rest, s->factors, s->rank, total);
  const moment_values out =
      LN_NAME(moment_values_of)(frame, s->out_mean, s->out_rest, s->out_factors, s->rank, total);
  switch ((ln_function_id)s->function.id) {
#define X(name)                                                                                    \
  case LN_FUNCTION_##name: LN_NAME(moments_##name)(&p, &v, &out, first, last); return;
    LN_FUNCTIONS(X)
#undef X
  case LN_FUNCTION_COUNT: return;
  }
}
#endif
