// secants.h: difference quotients (f(x) - f(y)) / (x - y) of the functions of one number
// (LN_FUNCTIONS) on vectors, the derivative where x = y.
//
// v_secant_x(x, y, p) is that of row x. Where the two values of a smooth function lie close, their
// difference would be nothing but rounding errors; so each row has a form without that subtraction:
// identities of exponentials (sigmoid, tanh, softplus, elu), the product rule
//     secant(u v) = (u v(x) + ...) = (v(x) + v(y)) / 2 + (x + y) / 2 * secant(v)    for u = x
// (swish, mish, gelu), a series about the midpoint (the normal distribution). Plain quotients stay
// where values are exact (pieces of lines) or far apart.

#include "slopes.h"

#define LN__SECANT(name) LN_INLINE vec LN_NAME(v_secant_##name)(vec x, vec y, const parameters *p)

// |x - y|; 0 for equal infinities.
#define v_distance LN_NAME(v_distance)
LN_INLINE vec v_distance(vec x, vec y) { return v_select(x == y, v_set(0), v_abs(x - y)); }

// The quotient of differences, `slope` where x = y.
#define v_quotient LN_NAME(v_quotient)
LN_INLINE vec v_quotient(vec fx, vec fy, vec x, vec y, vec slope) {
  return v_select(x == y, slope, (fx - fy) / (x - y));
}

// (x + y) / 2 without overflow.
#define v_middle LN_NAME(v_middle)
LN_INLINE vec v_middle(vec x, vec y) { return v_fma(v_set((real)0.5), x, v_set((real)0.5) * y); }

// 1 - exp(-d) over d, for d >= 0.
#define v_decay LN_NAME(v_decay)
LN_INLINE vec v_decay(vec d) { return v_select(d == v_set(0), v_set(1), -v_expm1(-d) / d); }

// Rows that are straight on both sides of 0 and go through it: `right` where both numbers are > 0,
// `left` where neither is, else the quotient, whose values have different signs or are 0.
#define v_hinge LN_NAME(v_hinge)
LN_INLINE vec v_hinge(vec fx, vec fy, vec x, vec y, vec left, vec right) {
  const mask x_right = x > v_set(0), y_right = y > v_set(0);
  return v_select(x_right & y_right, right, v_select(x_right | y_right, (fx - fy) / (x - y), left));
}

LN__SECANT(identity) {
  (void)x, (void)y, (void)p;
  return v_set(1);
}

LN__SECANT(relu) {
  return v_hinge(LN_NAME(v_function_relu)(x, p), LN_NAME(v_function_relu)(y, p), x, y, v_set(0),
                 v_set(1));
}

LN__SECANT(leaky_relu) {
  return v_hinge(LN_NAME(v_function_leaky_relu)(x, p), LN_NAME(v_function_leaky_relu)(y, p), x, y,
                 p->a, v_set(1));
}

LN__SECANT(clip) {
  return v_quotient(LN_NAME(v_function_clip)(x, p), LN_NAME(v_function_clip)(y, p), x, y,
                    LN_NAME(v_slope_clip)(x, p));
}

// exp(larger) (1 - exp(-d)) / d.
LN__SECANT(exp) {
  (void)p;
  return v_exp(v_max(x, y)) * v_decay(v_distance(x, y));
}

LN__SECANT(elu) {
  return v_hinge(LN_NAME(v_function_elu)(x, p), LN_NAME(v_function_elu)(y, p), x, y,
                 p->product * LN_NAME(v_secant_exp)(x, y, p), p->b);
}

LN__SECANT(celu) {
  return v_hinge(LN_NAME(v_function_celu)(x, p), LN_NAME(v_function_celu)(y, p), x, y,
                 LN_NAME(v_secant_exp)(x / p->a, y / p->a, p), v_set(1));
}

// sigmoid(larger) - sigmoid(smaller) = sigmoid(larger) sigmoid(-smaller) (1 - exp(-d)).
LN__SECANT(sigmoid) {
  (void)p;
  return v_sigmoid(v_max(x, y)) * v_sigmoid(-v_min(x, y)) * v_decay(v_distance(x, y));
}

// That of the line between its bends at `low` and `high`, flat beyond them.
#define v_secant_between LN_NAME(v_secant_between)
LN_INLINE vec v_secant_between(vec x, vec y, vec low, vec high) {
  return v_quotient(v_min(high, v_max(low, x)), v_min(high, v_max(low, y)), x, y,
                    v_one_where((x > low) & (x < high)));
}

LN__SECANT(hard_sigmoid) {
  const vec zero = -p->b / p->a, one = (v_set(1) - p->b) / p->a;
  return p->a * v_secant_between(x, y, v_min(zero, one), v_max(zero, one));
}

// That of x v(x) from v and its secant. Far apart the product rule would cancel, and the quotient
// does not.
#define v_secant_gated LN_NAME(v_secant_gated)
LN_INLINE vec v_secant_gated(vec x, vec y, vec vx, vec vy, vec secant, mask far) {
  const vec near = v_damped(v_middle(x, y), secant) + v_middle(vx, vy);
  return v_select(far, (v_damped(x, vx) - v_damped(y, vy)) / (x - y), near);
}

LN__SECANT(hard_swish) {
  (void)p;
  const vec sixth = v_set((real)(1.0 / 6.0)), half = v_set((real)0.5);
  return v_secant_gated(
      x, y, v_unit_clip(v_fma(x, sixth, half)), v_unit_clip(v_fma(y, sixth, half)),
      sixth * v_secant_between(x, y, v_set(-3), v_set(3)), v_distance(x, y) > v_set(1));
}

LN__SECANT(tanh) { return v_set(4) * LN_NAME(v_secant_sigmoid)(x + x, y + y, p); }

// log1p(g) / d with g = (exp(larger) - exp(smaller)) / (1 + exp(smaller)); where g > 1 the values
// are far apart.
LN__SECANT(softplus) {
  const vec high = v_max(x, y), low = v_min(x, y), d = v_distance(x, y);
  const vec g = v_sigmoid(v_abs(low)) * v_exp(v_select(low < v_set(0), high, d)) * -v_expm1(-d);
  const vec rise =
      v_select(g <= v_set(1), v_log1p(g),
               LN_NAME(v_function_softplus)(high, p) - LN_NAME(v_function_softplus)(low, p));
  return v_select(d == v_set(0), v_sigmoid(x), rise / d);
}

// On one side of 0 it is the product of the roots of both slopes.
LN__SECANT(softsign) {
  const vec fx = LN_NAME(v_function_softsign)(x, p), fy = LN_NAME(v_function_softsign)(y, p);
  const vec same = v_set(1) / (v_set(1) + v_abs(x)) / (v_set(1) + v_abs(y));
  return v_select((x < v_set(0)) == (y < v_set(0)), same, (fx - fy) / (x - y));
}

// The normal distribution function: close by, the mean of the density over the way from x to y by
// its series about the middle m, sum of He_2k(m) d^2k / (2^2k (2k + 1)!) with Hermite polynomials;
// else by tails.
#define v_secant_normal LN_NAME(v_secant_normal)
LN_INLINE vec v_secant_normal(vec x, vec y) {
  const vec d = v_distance(x, y), m = v_bell_bounded(v_middle(x, y)), q = m * m, h = d * d;
  const vec he2 = (q - v_set(1)) * v_set((real)(1.0 / 24));
  const vec he4 = v_polynomial(q, 3, -6, 1) * v_set((real)(1.0 / 1920));
  const vec he6 = v_polynomial(q, -15, 45, -15, 1) * v_set((real)(1.0 / 322560));
  const vec he8 = v_polynomial(q, 105, -420, 210, -28, 1) * v_set((real)(1.0 / 92897280));
  const vec series = v_fma(h, v_fma(h, v_fma(h, v_fma(h, he8, he6), he4), he2), v_set(1));
  const vec left = v_normal_tail(v_abs(x)), right = v_normal_tail(v_abs(y));
  const mask same = (x < v_set(0)) == (y < v_set(0));
  const vec apart = v_select(same, v_abs(left - right), v_set(1) - (left + right)) / d;
  const mask near = d * v_max(v_set(1), m) < v_set(LN_PRECISION(0.5f, 0.125));
  return v_select(near, v_normal_density(m) * series, apart);
}

LN__SECANT(gelu) {
  (void)p;
  return v_secant_gated(x, y, v_normal_below(x), v_normal_below(y), v_secant_normal(x, y),
                        v_distance(x, y) > v_set(1));
}

// The inner cubic's quotient is c (1 + k (x^2 + x y + y^2)).
LN__SECANT(gelu_tanh) {
  const vec wx = v_gelu_tanh_inner(x), wy = v_gelu_tanh_inner(y);
  const vec squares = v_fma(x, x, v_fma(x, y, y * y));
  const vec inner =
      v_set((real)1.5957691216057307) * v_fma(v_set((real)0.044715), squares, v_set(1));
  return v_secant_gated(x, y, v_sigmoid(wx), v_sigmoid(wy),
                        v_damped(inner, LN_NAME(v_secant_sigmoid)(wx, wy, p)),
                        v_distance(x, y) > v_set(1));
}

LN__SECANT(swish) {
  const vec wx = p->a * x, wy = p->a * y;
  return v_secant_gated(x, y, v_sigmoid(wx), v_sigmoid(wy),
                        p->a * LN_NAME(v_secant_sigmoid)(wx, wy, p), v_distance(wx, wy) > v_set(1));
}

// n / (n + 2) for n = e (e + 2): its differences are 2 (n - n') / ((n + 2) (n' + 2)), and
// n - n' = (e - e') (e + e' + 2).
LN__SECANT(mish) {
  const vec bx = v_mish_bounded(x), by = v_mish_bounded(y), ex = v_exp(bx), ey = v_exp(by);
  const vec nx = v_fma(ex, ex, ex + ex), ny = v_fma(ey, ey, ey + ey);
  const vec sx = nx + v_set(2), sy = ny + v_set(2);
  const vec rise = LN_NAME(v_secant_exp)(bx, by, p) * (ex + ey + v_set(2));
  const vec secant = (rise + rise) / sx / sy;
  // Beyond the bound the factor is 1: the middle matters no more.
  const vec near = v_damped(v_middle(bx, by), secant) + v_middle(nx / sx, ny / sy);
  const vec far = (v_damped(x, nx / sx) - v_damped(y, ny / sy)) / (x - y);
  return v_select(v_distance(x, y) > v_set(1), far, near);
}

// On one side of 0 by erf(x) = 2 Phi(sqrt(2) x) - 1.
LN__SECANT(erf) {
  (void)p;
  const vec root = v_set((real)0x1.6a09e667f3bcdp+0);
  const vec same = v_set(2) * root * v_secant_normal(root * x, root * y);
  return v_select((x < v_set(0)) == (y < v_set(0)), same, (v_erf(x) - v_erf(y)) / (x - y));
}

// log1p(d / smaller) / d up to twice the smaller one.
LN__SECANT(log) {
  const vec d = v_distance(x, y), q = d / v_min(x, y);
  const vec rise =
      v_select((q >= v_set(0)) & (q <= v_set(1)), v_log1p(q), v_abs(v_log(x) - v_log(y)));
  return v_select(d == v_set(0), LN_NAME(v_slope_log)(x, p), rise / d);
}

LN__SECANT(sqrt) {
  (void)p;
  return v_set(1) / v_abs(__builtin_elementwise_sqrt(x) + __builtin_elementwise_sqrt(y));
}

LN__SECANT(absolute) {
  return v_quotient(v_abs(x), v_abs(y), x, y, LN_NAME(v_slope_absolute)(x, p));
}

LN__SECANT(negative) {
  (void)x, (void)y, (void)p;
  return v_set(-1);
}

LN__SECANT(truncate) {
  return v_quotient(LN_NAME(v_function_truncate)(x, p), LN_NAME(v_function_truncate)(y, p), x, y,
                    v_set(0));
}

LN__SECANT(stabilize) {
  return v_select((x < v_set(0)) == (y < v_set(0)), v_set(1),
                  (LN_NAME(v_function_stabilize)(x, p) - LN_NAME(v_function_stabilize)(y, p)) /
                      (x - y));
}

LN__SECANT(reciprocal) {
  (void)p;
  return -(v_set(1) / x * (v_set(1) / y));
}

LN__SECANT(square) {
  (void)p;
  return x + y;
}

#undef LN__SECANT
