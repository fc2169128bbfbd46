// quadrature.h: the rules by which moments of curves are integrated, and the sums that they make.
//
// For z = m + sd x with a standard normal x and d = f(z) - f(m),
//     E f = f(m) + E d,   E f' = E x d / sd (Stein),   Var f = E d^2 - (E d)^2.
// Derivatives of these by m and s = sd^2 need the slope f' at the nodes besides.
//
// close: sd is 1/32 of the scale on which f changes, or less. d = sd x secant(z, m), which does not
//   cancel however small sd is, and Gauss-Hermite with 9 nodes.
// near: sd is not large against that scale. The trapezoidal rule, 13 pairs of nodes 1/2 apart: for
//   smooth f it is exact up to exp(-4 pi y / sd), y the distance of poles from the real line.
// far: f is a straight line left of A and right of B, whose parts of the normal distribution are
//   known; between A and B, as far as 6 standard deviations reach, Gauss-Legendre with 32 nodes.
//   Corners at A and B cost no accuracy, so functions with corners are done by this rule alone.

#include "secants.h"
#include "tails.h"

static const real LN_NAME(pair_weights)[] = { // of x = j / 2, j = 0 .. 13: phi(x) / 2
    (real)0x1.9884533d43651p-3, (real)0x1.6883d022086acp-3, (real)0x1.ef8e58e331737p-4,
    (real)0x1.0940856d21e84p-4, (real)0x1.ba4b436e83ad4p-6, (real)0x1.1f2f0557f5256p-7,
    (real)0x1.227213fd77689p-9, (real)0x1.c9897d147e61fp-12, (real)0x1.18a98e2c0b4b4p-14,
    (real)0x1.0c29a533d0bc5p-17, (real)0x1.8f16964c8fd3fp-21, (real)0x1.ce8ec39250975p-25,
    (real)0x1.a1880fbd087fcp-29, (real)0x1.258556ae47e79p-33};
// Gauss-Hermite: pairs of nodes +-x, the middle one at 0 first.
static const real LN_NAME(hermite_nodes)[] = {
    (real)0, (real)0x1.05f4154b6bccfp+0, (real)0x1.09d6279197adap+1,
    (real)0x1.9a4b7f60758f1p+1, (real)0x1.20d0d4069d86cp+2};
static const real LN_NAME(hermite_weights)[] = {
    (real)0x1.a01a01a01a01ap-2, (real)0x1.f3e9643fc0932p-3,
    (real)0x1.98ea4ad2e4ea3p-5, (real)0x1.6d940d8468e19p-9, (real)0x1.76e6ab51a911dp-16};
static const real LN_NAME(gauss_nodes)[] = {
    (real)0x1.8bbc8488cc49ap-5, (real)0x1.27e0ea717f237p-3, (real)0x1.ea0f7e19c094bp-3,
    (real)0x1.53d55ce57bdf6p-2, (real)0x1.af76b57c6f8f1p-2, (real)0x1.038862866b29dp-1,
    (real)0x1.2ce9146962ca4p-1, (real)0x1.537a89c487f8ap-1, (real)0x1.76e0931d693bap-1,
    (real)0x1.96c69481c4bc5p-1, (real)0x1.b2e04fd686a13p-1, (real)0x1.caea9b4574cb9p-1,
    (real)0x1.deac0259f7f42p-1, (real)0x1.edf5518053baap-1, (real)0x1.f8a212714bcdcp-1,
    (real)0x1.fe995e70409b6p-1};
static const real LN_NAME(gauss_weights)[] = {
    (real)0x1.8b6d9eaec77a3p-4, (real)0x1.87bc776f8c6ccp-4, (real)0x1.8062fc0f6fef5p-4,
    (real)0x1.7572bdb3f6e49p-4, (real)0x1.6705e18e13ecfp-4, (real)0x1.553ee25ebebc3p-4,
    (real)0x1.40483e126fd0ep-4, (real)0x1.2854103b35e00p-4, (real)0x1.0d9b9a62cac04p-4,
    (real)0x1.e0bd76c924984p-5, (real)0x1.a1c6ae961fbeep-5, (real)0x1.5ee963a3354abp-5,
    (real)0x1.18c5800a35609p-5, (real)0x1.a0060a8531ff0p-6, (real)0x1.0aa3c248696dep-6,
    (real)0x1.cbf8bc743ce34p-8};
enum { LN_NAME(PAIRS) = 13, LN_NAME(HERMITE) = 4, LN_NAME(GAUSS) = 16 };
#define LN_REACH ((real)6)

#define sums LN_NAME(sums)
typedef struct sums {
  vec d, dd, xd;           // E d, E d^2, E x d
  vec f, xf, xxf, df, xdf; // E f', E x f', E x^2 f', E d f', E x d f'
} sums;

// One node of weight w; `turns`: with the sums of slopes.
LN_INLINE void LN_NAME(add_node)(sums *n, int turns, vec w, vec x, vec d, vec slope) {
  const vec wd = w * d, wx = w * x;
  n->d += wd;
  n->dd = v_fma(wd, d, n->dd);
  n->xd = v_fma(wx, d, n->xd);
  if (!turns) return;
  const vec ws = w * slope, wxs = wx * slope;
  n->f += ws;
  n->xf += wxs;
  n->xxf = v_fma(wxs, x, n->xxf);
  n->df = v_fma(ws, d, n->df);
  n->xdf = v_fma(wxs, d, n->xdf);
}

// The part of the distribution on which f is the line of slope `slope` through f(end): x < edge, or
// for sign = -1 x > edge, edge = (end - m) / sd. With d = a + b x there, from the moments I0, I1,
// I2 of the part. `secant` is that of f between end and m.
LN_INLINE void LN_NAME(add_line)(sums *n, int turns, vec sign, vec edge, vec sd, vec distance,
                                 vec secant, vec slope) {
  const vec bounded = v_with_sign(v_bell_bounded(edge), edge);
  const vec i0 = v_normal_below(sign * bounded), density = v_normal_density(bounded);
  const vec i1 = -sign * density, i2 = v_fma(-sign * bounded, density, i0);
  // An end that is infinitely far leaves nothing beyond it.
  const vec offset = distance * (secant - slope), b = sd * slope;
  const vec a = v_select(v_abs(distance) == v_set(LN_INFINITY), v_set(0), offset);
  const vec d0 = v_fma(a, i0, b * i1), d1 = v_fma(a, i1, b * i2);
  n->d += d0;
  n->dd += v_fma(a, d0, b * d1);
  n->xd += d1;
  if (!turns) return;
  n->f = v_fma(slope, i0, n->f);
  n->xf = v_fma(slope, i1, n->xf);
  n->xxf = v_fma(slope, i2, n->xxf);
  n->df = v_fma(slope, d0, n->df);
  n->xdf = v_fma(slope, d1, n->xdf);
}

// A function as the rules see it.
#define curve LN_NAME(curve)
typedef struct curve {
  vec (*function)(vec x, const parameters *p);
  vec (*secant)(vec x, vec y, const parameters *p);
  vec (*slope)(vec x, const parameters *p);
  vec close, limit; // sd below which the rules close and near hold
  vec low, high;    // A and B
  vec left, right;  // slopes beyond them
} curve;
// SPLIT: curved on both sides of a corner at 0.
enum { LN_NAME(SMOOTH), LN_NAME(BENT), LN_NAME(SPLIT) };

// The node x. `close`: sd is so small that the difference of two values would be rounding errors.
LN_INLINE void LN_NAME(add_value)(sums *n, const curve *c, int close, int turns, vec w, vec x,
                                  vec m, vec sd, vec value, const parameters *p) {
  const vec z = v_fma(sd, x, m);
  const vec d = close ? sd * (x * c->secant(z, m, p)) : c->function(z, p) - value;
  LN_NAME(add_node)(n, turns, w, x, d, turns ? c->slope(z, p) : d);
}

LN_INLINE sums LN_NAME(near_sums)(const curve *c, int close, int turns, vec m, vec sd, vec value,
                                  const parameters *p) {
  sums n = {.d = v_set(0)};
  const real *weights = close ? LN_NAME(hermite_weights) : LN_NAME(pair_weights);
  if (turns) n.f = v_set(weights[0]) * c->slope(m, p);
#pragma clang loop unroll(disable)
  for (int i = 1; i <= (close ? LN_NAME(HERMITE) : LN_NAME(PAIRS)); i++) {
    const vec w = v_set(weights[i]);
    const vec x = v_set(close ? LN_NAME(hermite_nodes)[i] : (real)0.5 * (real)i);
    LN_NAME(add_value)(&n, c, close, turns, w, x, m, sd, value, p);
    LN_NAME(add_value)(&n, c, close, turns, w, -x, m, sd, value, p);
  }
  return n;
}

// The nodes of x between `from` and `to`, which reach no further than LN_REACH.
LN_INLINE void LN_NAME(add_between)(sums *n, const curve *c, int close, int turns, vec from, vec to,
                                    vec m, vec sd, vec value, const parameters *p) {
  const vec low = v_min(v_set(LN_REACH), v_max(v_set(-LN_REACH), from));
  const vec high = v_min(v_set(LN_REACH), v_max(v_set(-LN_REACH), to));
  const vec half = v_set((real)0.5) * (high - low), middle = v_set((real)0.5) * (high + low);
#pragma clang loop unroll(disable)
  for (int i = 0; i < LN_NAME(GAUSS); i++) {
    const vec w = half * v_set(LN_NAME(gauss_weights)[i]);
    const vec step = half * v_set(LN_NAME(gauss_nodes)[i]), x = middle + step, y = middle - step;
    LN_NAME(add_value)(n, c, close, turns, w * v_normal_density(x), x, m, sd, value, p);
    LN_NAME(add_value)(n, c, close, turns, w * v_normal_density(y), y, m, sd, value, p);
  }
}

LN_INLINE sums LN_NAME(far_sums)(const curve *c, int kind, int close, int turns, vec m, vec sd,
                                 vec value, const parameters *p) {
  sums n = {.d = v_set(0)};
  if (kind == LN_NAME(SPLIT)) {
    const vec corner = -m / sd, end = v_set(LN_REACH);
    LN_NAME(add_between)(&n, c, close, turns, -end, corner, m, sd, value, p);
    LN_NAME(add_between)(&n, c, close, turns, corner, end, m, sd, value, p);
    return n;
  }
  const vec below = c->low - m, above = c->high - m, from = below / sd, to = above / sd;
  LN_NAME(add_between)(&n, c, close, turns, from, to, m, sd, value, p);
  LN_NAME(add_line)(&n, turns, v_set(1), from, sd, below, c->secant(c->low, m, p), c->left);
  LN_NAME(add_line)(&n, turns, v_set(-1), to, sd, above, c->secant(c->high, m, p), c->right);
  return n;
}

LN_INLINE void LN_NAME(choose_sums)(sums *n, mask where, const sums *other) {
  n->d = v_select(where, other->d, n->d);
  n->dd = v_select(where, other->dd, n->dd);
  n->xd = v_select(where, other->xd, n->xd);
  n->f = v_select(where, other->f, n->f);
  n->xf = v_select(where, other->xf, n->xf);
  n->xxf = v_select(where, other->xxf, n->xxf);
  n->df = v_select(where, other->df, n->df);
  n->xdf = v_select(where, other->xdf, n->xdf);
}

// By the rule of each lane; those that no lane wants are left out.
LN_INLINE sums LN_NAME(sums_of)(const curve *c, int kind, int turns, vec m, vec sd, vec value,
                                const parameters *p) {
  const mask close = sd < c->close;
  const mask near = kind == LN_NAME(SMOOTH) ? ~close & (sd < c->limit) : (mask)0;
  const mask far = ~(close | near);
  sums n = {.d = v_set(0)};
  if (__builtin_reduce_or(close) != 0)
    n = kind == LN_NAME(SMOOTH) ? LN_NAME(near_sums)(c, 1, turns, m, sd, value, p)
                                : LN_NAME(far_sums)(c, kind, 1, turns, m, sd, value, p);
  if (kind == LN_NAME(SMOOTH) && __builtin_reduce_or(near) != 0) {
    const sums other = LN_NAME(near_sums)(c, 0, turns, m, sd, value, p);
    LN_NAME(choose_sums)(&n, near, &other);
  }
  if (__builtin_reduce_or(far) != 0) {
    const sums other = LN_NAME(far_sums)(c, kind, 0, turns, m, sd, value, p);
    LN_NAME(choose_sums)(&n, far, &other);
  }
  return n;
}
