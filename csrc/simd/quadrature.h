// quadrature.h: the rules by which moments of curves are integrated, and the sums that they make.
//
// For z = m + sd x with a standard normal x. d = f(z) - f(m) is sd x secant(z, m), which does not
// cancel however small sd is; with it
//     E f = f(m) + E d,   E f' = E x d / sd (Stein),   Var f = E d^2 - (E d)^2.
// Derivatives of these by m and s = sd^2 need the slope f' at the nodes besides.
//
// near: sd is small against the scale on which f changes. The trapezoidal rule, 13 pairs of nodes
//   1/2 apart: for smooth f it is exact up to exp(-4 pi d / sd), d the distance of poles from the
//   real line.
// far: f is a straight line left of A and right of B, whose parts of the normal distribution are
//   known; between A and B, as far as 6 standard deviations reach, Gauss-Legendre with 24 nodes.
//   Corners at A and B cost no accuracy.

#include "secants.h"
#include "tails.h"

static const real LN_NAME(pair_weights)[] = { // of x = j / 2, j = 0 .. 13: phi(x) / 2
    (real)0x1.9884533d43651p-3, (real)0x1.6883d022086acp-3, (real)0x1.ef8e58e331737p-4,
    (real)0x1.0940856d21e84p-4, (real)0x1.ba4b436e83ad4p-6, (real)0x1.1f2f0557f5256p-7,
    (real)0x1.227213fd77689p-9, (real)0x1.c9897d147e61fp-12, (real)0x1.18a98e2c0b4b4p-14,
    (real)0x1.0c29a533d0bc5p-17, (real)0x1.8f16964c8fd3fp-21, (real)0x1.ce8ec39250975p-25,
    (real)0x1.a1880fbd087fcp-29, (real)0x1.258556ae47e79p-33};
static const real LN_NAME(gauss_nodes)[] = {
    (real)0x1.0660853eda2e8p-4, (real)0x1.8769542b94f8dp-3, (real)0x1.429a8c588e910p-2,
    (real)0x1.bc345d81e24b5p-2, (real)0x1.17417bac4d72bp-1, (real)0x1.4bd2ee5fa1086p-1,
    (real)0x1.7af18edb9ddd6p-1, (real)0x1.a3d74ce0d3700p-1, (real)0x1.c5d841864d0f5p-1,
    (real)0x1.e06585a70aa4dp-1, (real)0x1.f30f9f0cbf876p-1, (real)0x1.fd892de691982p-1};
static const real LN_NAME(gauss_weights)[] = {
    (real)0x1.060475e763731p-3, (real)0x1.01b7117cf8bd6p-3, (real)0x1.f25cbce1d1fefp-4,
    (real)0x1.d91c78acb1b27p-4, (real)0x1.b8177ba4a68d7p-4, (real)0x1.8fd8936444b19p-4,
    (real)0x1.6108ef5044635p-4, (real)0x1.2c6d5c2eff05ap-4, (real)0x1.e5c6255d25e9dp-5,
    (real)0x1.6ab884f57c940p-5, (real)0x1.d375514486effp-6, (real)0x1.9465bd311255dp-7};
enum { LN_NAME(PAIRS) = 13, LN_NAME(GAUSS) = 12 };
#define LN_REACH ((real)6)

#define sums LN_NAME(sums)
typedef struct sums {
  vec d, dd, xd;              // E d, E d^2, E x d
  vec f, xf, xxf, df, xdf;    // E f', E x f', E x^2 f', E d f', E x d f'
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
// for sign = -1 x > edge, edge = (end - m) / sd. With d = a + b x there, from the moments I0, I1, I2
// of the part. `secant` is that of f between end and m.
LN_INLINE void LN_NAME(add_line)(sums *n, int turns, vec sign, vec edge, vec sd, vec distance,
                                 vec secant, vec slope) {
  const vec bounded = v_with_sign(v_bell_bounded(edge), edge);
  const vec i0 = v_normal_below(sign * bounded), density = v_normal_density(bounded);
  const vec i1 = -sign * density, i2 = v_fma(-sign * bounded, density, i0);
  const vec a = distance * (secant - slope), b = sd * slope;
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
  vec (*secant)(vec x, vec y, const parameters *p);
  vec (*slope)(vec x, const parameters *p);
  vec limit;       // sd below which the near rule holds (SMOOTH)
  vec low, high;   // A and B
  vec left, right; // slopes beyond them
} curve;
// SPLIT: curved on both sides of a corner at 0.
enum { LN_NAME(SMOOTH), LN_NAME(BENT), LN_NAME(SPLIT) };

LN_INLINE void LN_NAME(add_value)(sums *n, const curve *c, int turns, vec w, vec x, vec m, vec sd,
                                  const parameters *p) {
  const vec z = v_fma(sd, x, m), d = sd * (x * c->secant(z, m, p));
  LN_NAME(add_node)(n, turns, w, x, d, turns ? c->slope(z, p) : d);
}

LN_INLINE sums LN_NAME(near_sums)(const curve *c, int turns, vec m, vec sd, const parameters *p) {
  sums n = {.d = v_set(0)};
  if (turns) n.f = v_set(LN_NAME(pair_weights)[0]) * c->slope(m, p);
#pragma clang loop unroll(disable)
  for (int i = 1; i <= LN_NAME(PAIRS); i++) {
    const vec w = v_set(LN_NAME(pair_weights)[i]), x = v_set((real)0.5 * (real)i);
    LN_NAME(add_value)(&n, c, turns, w, x, m, sd, p);
    LN_NAME(add_value)(&n, c, turns, w, -x, m, sd, p);
  }
  return n;
}

// The nodes of x between `from` and `to`, which reach no further than LN_REACH.
LN_INLINE void LN_NAME(add_between)(sums *n, const curve *c, int turns, vec from, vec to, vec m,
                                    vec sd, const parameters *p) {
  const vec low = v_min(v_set(LN_REACH), v_max(v_set(-LN_REACH), from));
  const vec high = v_min(v_set(LN_REACH), v_max(v_set(-LN_REACH), to));
  const vec half = v_set((real)0.5) * (high - low), middle = v_set((real)0.5) * (high + low);
#pragma clang loop unroll(disable)
  for (int i = 0; i < LN_NAME(GAUSS); i++) {
    const vec w = half * v_set(LN_NAME(gauss_weights)[i]);
    const vec step = half * v_set(LN_NAME(gauss_nodes)[i]), x = middle + step, y = middle - step;
    LN_NAME(add_value)(n, c, turns, w * v_normal_density(x), x, m, sd, p);
    LN_NAME(add_value)(n, c, turns, w * v_normal_density(y), y, m, sd, p);
  }
}

LN_INLINE sums LN_NAME(far_sums)(const curve *c, int kind, int turns, vec m, vec sd,
                                 const parameters *p) {
  sums n = {.d = v_set(0)};
  if (kind == LN_NAME(SPLIT)) {
    const vec corner = -m / sd;
    LN_NAME(add_between)(&n, c, turns, v_set(-LN_REACH), corner, m, sd, p);
    LN_NAME(add_between)(&n, c, turns, corner, v_set(LN_REACH), m, sd, p);
    return n;
  }
  const vec below = c->low - m, above = c->high - m, from = below / sd, to = above / sd;
  LN_NAME(add_between)(&n, c, turns, from, to, m, sd, p);
  LN_NAME(add_line)(&n, turns, v_set(1), from, sd, below, c->secant(c->low, m, p), c->left);
  LN_NAME(add_line)(&n, turns, v_set(-1), to, sd, above, c->secant(c->high, m, p), c->right);
  return n;
}

// By the rule of each lane; one that no lane wants is left out.
LN_INLINE sums LN_NAME(sums_of)(const curve *c, int kind, int turns, vec m, vec sd,
                                const parameters *p) {
  if (kind != LN_NAME(SMOOTH)) return LN_NAME(far_sums)(c, kind, turns, m, sd, p);
  const mask near = sd < c->limit;
  if (__builtin_reduce_or(~near) == 0) return LN_NAME(near_sums)(c, turns, m, sd, p);
  sums n = LN_NAME(far_sums)(c, kind, turns, m, sd, p);
  if (__builtin_reduce_or(near) == 0) return n;
  const sums other = LN_NAME(near_sums)(c, turns, m, sd, p);
  n.d = v_select(near, other.d, n.d);
  n.dd = v_select(near, other.dd, n.dd);
  n.xd = v_select(near, other.xd, n.xd);
  if (!turns) return n;
  n.f = v_select(near, other.f, n.f);
  n.xf = v_select(near, other.xf, n.xf);
  n.xxf = v_select(near, other.xxf, n.xxf);
  n.df = v_select(near, other.df, n.df);
  n.xdf = v_select(near, other.xdf, n.xdf);
  return n;
}
