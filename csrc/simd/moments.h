// moments.h: the moments of the functions of one number (LN_FUNCTIONS) of a normal variable z, and
// how they turn with its mean m and variance s.
//
// v_moments_x(m, s, sd, p) are those of row x, sd = sqrt(s) > 0; v_turns_x their derivatives. The
// variance is split as Var f = g^2 s + bend, g = E f': what follows z linearly, which factors carry
// on, and the rest, which is >= 0.
//
//   hinges   relu, leaky_relu, absolute: exact, by tails.h; no differences of large numbers
//   exact    identity, negative, exp, square
//   curves   the others, by quadrature.h; lines with corners among them (clip, hard_sigmoid)
//   points   log, sqrt, reciprocal, truncate, stabilize, which have no moments or jump: their
//            tangents at m
//
// Largest errors that MomentTests found for sd from 1e-4 to 30 and m from -30 to 30, of the mean
// relative to the larger of it, the deviation of f and min(sd, 1), of g, and of the variance
// relative to itself (or to min(s, 1) / 100):
//
//                                                  mean     g      variance
//     hinges, float32                              3e-7    2e-7    1e-6
//     hinges, float64 (in the tails: relative)     2e-15   1e-11   1e-11
//     clip, hard_sigmoid, hard_swish, elu, celu    3e-7    9e-7    7e-6
//     gelu, gelu_tanh, erf                         2e-7    5e-6    9e-6
//     sigmoid, tanh, softplus, softsign, swish,
//     mish                                         1.2e-5  1.2e-5  8e-5

#include "quadrature.h"

#define moment_row LN_NAME(moment_row)
typedef struct moment_row {
  vec mean, slope, bend; // E f, g, Var f - g^2 s
} moment_row;

// Derivatives of mean, bend and slope by m and s; that of the mean by m is the slope.
#define moment_turns LN_NAME(moment_turns)
typedef struct moment_turns {
  vec slope, mean_s, bend_m, bend_s, slope_m, slope_s;
} moment_turns;

// A slope at a certain value: an infinite one (of sqrt and 1/x at 0) leads nowhere, as nothing
// varies there.
#define v_certain_slope LN_NAME(v_certain_slope)
LN_INLINE vec v_certain_slope(vec slope) {
  return v_select(v_abs(slope) == v_set(LN_INFINITY), v_set(0), slope);
}

#define LN__MOMENTS(name)                                                                          \
  LN_INLINE moment_row LN_NAME(v_moments_##name)(vec m, vec s, vec sd, const parameters *p)
#define LN__TURNS(name)                                                                            \
  LN_INLINE moment_turns LN_NAME(v_turns_##name)(vec m, vec s, vec sd, const parameters *p)

// ------------------------------------------------------------------------------------------------
// Hinges: slope `left` below 0, `right` above.

// f is the line on the side of m and (right - left) relu(-+ z) beside it, far out a small thing.
LN_INLINE moment_row LN_NAME(hinge_moments)(vec m, vec s, vec sd, vec left, vec right) {
  (void)sd;
  const vec inverse = v_inverse_root(s);
  const tails n = v_tails(m * inverse);
  const mask is_left = m < v_set(0);
  const vec side = v_select(is_left, left, right), bend = right - left, twice = bend * bend;
  return (moment_row){
      v_fma(side, m, bend * (s * inverse * n.mean)),
      v_fma(v_select(is_left, bend, -bend), n.above, side),
      twice * (s * n.spread),
  };
}

// The derivatives of the tails by t: of `mean` -above, of `spread` 2 (above density - mean below).
LN_INLINE moment_turns LN_NAME(hinge_turns)(vec m, vec s, vec sd, vec left, vec right) {
  (void)sd;
  const vec inverse = v_inverse_root(s), ratio = m * inverse, t = v_bell_bounded(ratio);
  const tails n = v_tails(ratio);
  const mask is_left = m < v_set(0);
  const vec side = v_select(is_left, left, right), bend = right - left, twice = bend * bend;
  const vec density = bend * n.density * inverse, half = v_set((real)0.5);
  const vec turn = v_fma(n.above, n.density, -n.mean * (v_set(1) - n.above));
  return (moment_turns){
      .slope = v_fma(v_select(is_left, bend, -bend), n.above, side),
      .mean_s = half * density,
      .bend_m = twice * (s * inverse) * (turn + turn) * v_select(is_left, v_set(-1), v_set(1)),
      .bend_s = twice * v_fma(-t, turn, n.spread),
      .slope_m = density,
      .slope_s = -half * v_with_sign(t, m) * density * inverse,
  };
}

#define LN__HINGE(name, left, right)                                                               \
  LN__MOMENTS(name) {                                                                              \
    (void)p;                                                                                       \
    return LN_NAME(hinge_moments)(m, s, sd, left, right);                                          \
  }                                                                                                \
  LN__TURNS(name) {                                                                                \
    (void)p;                                                                                       \
    return LN_NAME(hinge_turns)(m, s, sd, left, right);                                            \
  }
LN__HINGE(relu, v_set(0), v_set(1))
LN__HINGE(leaky_relu, p->a, v_set(1))
LN__HINGE(absolute, v_set(-1), v_set(1))
#undef LN__HINGE

// ------------------------------------------------------------------------------------------------
// Exact

#define LN__STRAIGHT(name, line)                                                                   \
  LN__MOMENTS(name) {                                                                              \
    (void)s, (void)sd, (void)p;                                                                    \
    return (moment_row){(line) * m, v_set(line), v_set(0)};                                        \
  }                                                                                                \
  LN__TURNS(name) {                                                                                \
    (void)m, (void)s, (void)sd, (void)p;                                                           \
    return (moment_turns){.slope = v_set(line)};                                                   \
  }
LN__STRAIGHT(identity, 1)
LN__STRAIGHT(negative, -1)
#undef LN__STRAIGHT

// E = exp(m + s / 2) is mean and slope; Var f - E^2 s = E^2 (exp(s) - 1 - s), a series where s is
// small.
#define v_beyond_line LN_NAME(v_beyond_line)
LN_INLINE vec v_beyond_line(vec s) {
  const vec series = s * s * v_polynomial(s, (real)(1.0 / 2), (real)(1.0 / 6), (real)(1.0 / 24),
                                          (real)(1.0 / 120), (real)(1.0 / 720),
                                          (real)(1.0 / 5040), (real)(1.0 / 40320),
                                          (real)(1.0 / 362880), (real)(1.0 / 3628800));
  return v_select(s < v_set((real)0.5), series, v_expm1(s) - s);
}

LN__MOMENTS(exp) {
  (void)sd, (void)p;
  const vec mean = v_exp(v_fma(v_set((real)0.5), s, m));
  return (moment_row){mean, mean, mean * (mean * v_beyond_line(s))};
}

LN__TURNS(exp) {
  (void)sd, (void)p;
  const vec mean = v_exp(v_fma(v_set((real)0.5), s, m)), half = v_set((real)0.5) * mean;
  const vec bend = mean * (mean * v_beyond_line(s));
  return (moment_turns){
      .slope = mean,
      .mean_s = half,
      .bend_m = bend + bend,
      .bend_s = bend + mean * (mean * v_expm1(s)),
      .slope_m = mean,
      .slope_s = half,
  };
}

LN__MOMENTS(square) {
  (void)sd, (void)p;
  return (moment_row){v_fma(m, m, s), m + m, (s + s) * s};
}

LN__TURNS(square) {
  (void)sd, (void)p;
  return (moment_turns){
      .slope = m + m, .mean_s = v_set(1), .bend_s = v_set(4) * s, .slope_m = v_set(2)};
}

// ------------------------------------------------------------------------------------------------
// Points; `second` is the second derivative.

#define LN__POINT(name, second)                                                                    \
  LN__MOMENTS(name) {                                                                              \
    (void)s, (void)sd;                                                                             \
    return (moment_row){LN_NAME(v_function_##name)(m, p), LN_NAME(v_slope_##name)(m, p),           \
                        v_set(0)};                                                                 \
  }                                                                                                \
  LN__TURNS(name) {                                                                                \
    (void)s, (void)sd;                                                                             \
    const vec slope = LN_NAME(v_slope_##name)(m, p);                                               \
    return (moment_turns){.slope = slope, .slope_m = second};                                      \
  }
LN__POINT(log, -slope * slope)
LN__POINT(sqrt, v_set(-2) * slope * slope * slope)
LN__POINT(reciprocal, v_set(-2) * slope / m)
LN__POINT(truncate, v_set(0))
LN__POINT(stabilize, v_set(0))
#undef LN__POINT

// ------------------------------------------------------------------------------------------------
// Curves

LN_INLINE moment_row LN_NAME(row_of)(const sums *n, vec value, vec s, vec sd) {
  const vec slope = n->xd / sd, linear = slope * slope * s;
  const vec variance = v_fma(-n->d, n->d, n->dd);
  return (moment_row){value + n->d, slope, v_max(v_set(0), variance - linear)};
}

LN_INLINE moment_turns LN_NAME(turns_of)(const sums *n, vec s, vec sd) {
  const vec slope = n->xd / sd, slope_m = n->xf / sd;
  const vec slope_s = v_set((real)0.5) * (n->xxf - n->f) / s;
  const vec variance_m = v_set(2) * v_fma(-n->d, n->f, n->df);
  const vec variance_s = v_fma(-n->d, n->xf, n->xdf) / sd;
  const vec linear = v_set(-2) * slope * s;
  return (moment_turns){
      .slope = slope,
      .mean_s = v_set((real)0.5) * slope_m,
      .bend_m = v_fma(linear, slope_m, variance_m),
      .bend_s = v_fma(-slope, slope, v_fma(linear, slope_s, variance_s)),
      .slope_m = slope_m,
      .slope_s = slope_s,
  };
}

// `scale`: on which f changes, infinite where secants cost little; below `limit` the rule near
// holds; straight, of slopes `left` and `right`, beyond `low` and `high`.
// Rules ask for values at many places of their code: each function is compiled once for all of them.
#define LN_OUTLINE static __attribute__((noinline, unused))
#define LN__CURVE(name, kind, scale, limit, low, high, left, right)                                \
  LN_OUTLINE vec LN_NAME(node_function_##name)(vec z, const parameters *p) {                       \
    return LN_NAME(v_function_##name)(z, p);                                                       \
  }                                                                                                \
  LN_OUTLINE vec LN_NAME(node_secant_##name)(vec z, vec y, const parameters *p) {                  \
    return LN_NAME(v_secant_##name)(z, y, p);                                                      \
  }                                                                                                \
  LN_OUTLINE vec LN_NAME(node_slope_##name)(vec z, const parameters *p) {                          \
    return LN_NAME(v_slope_##name)(z, p);                                                          \
  }                                                                                                \
  LN_INLINE curve LN_NAME(curve_##name)(const parameters *p) {                                     \
    (void)p;                                                                                       \
    return (curve){LN_NAME(node_function_##name),                                                  \
                   LN_NAME(node_secant_##name),                                                    \
                   LN_NAME(node_slope_##name),                                                     \
                   v_set((real)(1.0 / 32)) * (scale),                                              \
                   limit,                                                                          \
                   low,                                                                            \
                   high,                                                                           \
                   left,                                                                           \
                   right};                                                                         \
  }                                                                                                \
  LN__MOMENTS(name) {                                                                              \
    const curve c = LN_NAME(curve_##name)(p);                                                      \
    const vec value = LN_NAME(v_function_##name)(m, p);                                            \
    const sums n = LN_NAME(sums_of)(&c, kind, 0, m, sd, value, p);                                 \
    return LN_NAME(row_of)(&n, value, s, sd);                                                      \
  }                                                                                                \
  LN__TURNS(name) {                                                                                \
    const curve c = LN_NAME(curve_##name)(p);                                                      \
    const vec value = LN_NAME(v_function_##name)(m, p);                                            \
    const sums n = LN_NAME(sums_of)(&c, kind, 1, m, sd, value, p);                                 \
    return LN_NAME(turns_of)(&n, s, sd);                                                           \
  }

// Straight to the last digit that matters beyond `low` and `high`.
#define LN__SMOOTH(name, limit, low, high, left, right)                                            \
  LN__CURVE(name, LN_NAME(SMOOTH), v_set(1), v_set((real)(limit)), v_set(low), v_set(high), left,  \
            right)
LN__SMOOTH(sigmoid, 2.5, -12, 12, v_set(0), v_set(0))
LN__SMOOTH(tanh, 1.25, -6, 6, v_set(0), v_set(0))
LN__SMOOTH(softplus, 2.5, -12, 12, v_set(0), v_set(1))
LN__SMOOTH(gelu, 1.5, (real)-5.5, (real)5.5, v_set(0), v_set(1))
LN__SMOOTH(gelu_tanh, 1, (real)-5.5, (real)5.5, v_set(0), v_set(1))
LN__SMOOTH(mish, 1.75, -14, 8, v_set(0), v_set(1))
LN__SMOOTH(erf, 1, -4, 4, v_set(0), v_set(0))
#undef LN__SMOOTH

// x sigmoid(a x): for a < 0 the other way round, for a = 0 never straight.
LN__CURVE(swish, LN_NAME(SMOOTH), v_set(1) / v_abs(p->a), v_set((real)2.5) / v_abs(p->a),
          v_set(-14) / v_abs(p->a), v_set(14) / v_abs(p->a), v_one_where(p->a < v_set(0)),
          v_one_where(p->a > v_set(0)))

// Straight exactly beyond their corners, or on one side.
#define LN__BENT(name, scale, low, high, left, right)                                              \
  LN__CURVE(name, LN_NAME(BENT), scale, v_set(0), low, high, left, right)
LN__BENT(clip, v_set(LN_INFINITY), p->a, p->b, v_set(0), v_set(0))
LN__BENT(hard_sigmoid, v_set(LN_INFINITY), v_min(-p->b / p->a, (v_set(1) - p->b) / p->a),
         v_max(-p->b / p->a, (v_set(1) - p->b) / p->a), v_set(0), v_set(0))
LN__BENT(hard_swish, v_set(2), v_set(-3), v_set(3), v_set(0), v_set(1))
LN__BENT(elu, v_set(1), v_set(-16), v_set(0), v_set(0), p->b)
LN__BENT(celu, v_abs(p->a), v_set(-16) * v_abs(p->a), v_set(0), v_set(0), v_set(1))
#undef LN__BENT

LN__CURVE(softsign, LN_NAME(SPLIT), v_set(1), v_set(0), v_set(0), v_set(0), v_set(0), v_set(0))

#undef LN__CURVE
#undef LN_OUTLINE
#undef LN__MOMENTS
#undef LN__TURNS
