// slopes.h: the derivatives of the functions of one number (LN_FUNCTIONS) on vectors.
//
// v_slope_x(x, p) is the derivative of row x. At a kink it is the subgradient that PyTorch takes,
// at a pole infinity, at infinities the limit. Tails are relatively exact: no 1 - y for a y near 1.
// What a NaN gives is left open: ops/slope.c sees to it.

#include "functions.h"

#define LN__SLOPE(name) LN_INLINE vec LN_NAME(v_slope_##name)(vec x, const parameters *p)

// where ? 1 : 0.
#define v_one_where LN_NAME(v_one_where)
LN_INLINE vec v_one_where(mask where) { return v_select(where, v_set(1), v_set(0)); }

LN__SLOPE(identity) {
  (void)x, (void)p;
  return v_set(1);
}

LN__SLOPE(relu) {
  (void)p;
  return v_one_where(x > v_set(0));
}

LN__SLOPE(leaky_relu) { return v_select(x > v_set(0), v_set(1), p->a); }

LN__SLOPE(clip) { return v_one_where((x >= p->a) & (x <= p->b)); }

LN__SLOPE(elu) { return v_select(x > v_set(0), p->b, p->product * v_exp(x)); }

LN__SLOPE(celu) { return v_select(x > v_set(0), v_set(1), v_exp(x / p->a)); }

// sigmoid(x) sigmoid(-x).
LN__SLOPE(sigmoid) {
  (void)p;
  const vec e = v_exp(-v_abs(x)), sum = v_set(1) + e;
  return e / (sum * sum);
}

LN__SLOPE(hard_sigmoid) {
  const vec y = v_fma(p->a, x, p->b);
  return v_select((y > v_set(0)) & (y < v_set(1)), p->a, v_set(0));
}

LN__SLOPE(hard_swish) {
  (void)p;
  const vec inside = v_fma(x, v_set((real)(1.0 / 3.0)), v_set((real)0.5));
  return v_select(x >= v_set(3), v_set(1), v_select(x > v_set(-3), inside, v_set(0)));
}

// With tanh(x) = 2 sigmoid(2 x) - 1.
LN__SLOPE(tanh) { return v_set(4) * LN_NAME(v_slope_sigmoid)(x + x, p); }

LN__SLOPE(softplus) {
  (void)p;
  return v_sigmoid(x);
}

LN__SLOPE(softsign) {
  (void)p;
  const vec y = v_set(1) / (v_set(1) + v_abs(x));
  return y * y;
}

// The density of the standard normal distribution.
#define v_normal_density LN_NAME(v_normal_density)
LN_INLINE vec v_normal_density(vec x) {
  return v_set((real)0x1.9884533d43651p-2) * v_bell(v_bell_bounded(x));
}

// The standard normal distribution function, relatively exact in its left tail.
#define v_normal_below LN_NAME(v_normal_below)
LN_INLINE vec v_normal_below(vec x) {
  const vec tail = v_normal_tail(v_abs(x));
  return v_select(x < v_set(0), tail, v_set(1) - tail);
}

LN__SLOPE(gelu) {
  (void)p;
  const vec finite = v_with_sign(v_bell_bounded(x), x);
  return v_fma(finite, v_normal_density(x), v_normal_below(x));
}

// x + 0.044715 x^3, times 2 sqrt(2 / pi): gelu_tanh(x) = x sigmoid of it.
#define v_gelu_tanh_inner LN_NAME(v_gelu_tanh_inner)
LN_INLINE vec v_gelu_tanh_inner(vec x) {
  const vec cubic = v_fma(v_set((real)0.044715) * x * x, x, x);
  return v_set((real)1.5957691216057307) * cubic;
}

// The derivative of x v(x), v = sigmoid(w(x)), given w and x w'(x): v (1 + x w' (1 - v)).
#define v_gated_slope LN_NAME(v_gated_slope)
LN_INLINE vec v_gated_slope(vec w, vec steep) {
  return v_damped(v_set(1) + v_damped(steep, v_sigmoid(-w)), v_sigmoid(w));
}

LN__SLOPE(gelu_tanh) {
  (void)p;
  const vec steep = v_fma(v_set((real)(3 * 0.044715)) * x * x, x, x);
  return v_gated_slope(v_gelu_tanh_inner(x), v_set((real)1.5957691216057307) * steep);
}

LN__SLOPE(swish) {
  const vec w = p->a * x;
  return v_gated_slope(w, w);
}

// x, or where tanh(softplus(x)) is 1 to rounding a number for which that can be computed.
#define v_mish_bounded LN_NAME(v_mish_bounded)
LN_INLINE vec v_mish_bounded(vec x) { return v_min(v_set(LN_PRECISION(20, 25)), x); }

// With e = exp(x) and n = e (e + 2): the derivative of x n / (n + 2).
LN__SLOPE(mish) {
  (void)p;
  const vec bounded = v_mish_bounded(x), e = v_exp(bounded), n = v_fma(e, e, e + e);
  const vec sum = n + v_set(2), steep = v_set(4) * v_fma(e, e, e) / (sum * sum);
  return v_damped(bounded, steep) + n / sum;
}

// exp(-x^2) times 2 / sqrt(pi), the rounding error of the square carried along.
LN__SLOPE(erf) {
  (void)p;
  const vec t = v_min(v_set(LN_PRECISION(11, 28)), v_abs(x)), square = t * t;
  return v_set((real)0x1.20dd750429b6dp+0) * v_exp_sum(-square, -v_fma(t, t, -square));
}

LN__SLOPE(exp) {
  (void)p;
  return v_exp(x);
}

LN__SLOPE(log) {
  (void)p;
  return v_select(x < v_set(0), v_set((real)__builtin_nan("")), v_set(1) / v_abs(x));
}

LN__SLOPE(sqrt) {
  (void)p;
  return v_set((real)0.5) / v_abs(__builtin_elementwise_sqrt(x));
}

LN__SLOPE(absolute) {
  (void)p;
  return v_one_where(x > v_set(0)) - v_one_where(x < v_set(0));
}

LN__SLOPE(negative) {
  (void)x, (void)p;
  return v_set(-1);
}

LN__SLOPE(truncate) {
  (void)x, (void)p;
  return v_set(0);
}

LN__SLOPE(stabilize) {
  (void)x, (void)p;
  return v_set(1);
}

LN__SLOPE(reciprocal) {
  (void)p;
  const vec y = v_set(1) / x;
  return -(y * y);
}

LN__SLOPE(square) {
  (void)p;
  return x + x;
}

#undef LN__SLOPE
