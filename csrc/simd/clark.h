// clark.h: the larger one of two jointly normal variables A and B as a normal variable (Clark
// 1961), and the reverse. For files that have included tails.h.
//
// With D the one of the larger mean less the other one, d = E D, theta^2 = Var D = rest_A + rest_B
// + |L_A - L_B|^2, t = d / theta, and phi, Q, ... the tails at t: max(A, B) = larger + relu(-D), so
//   mean = mean_larger + theta E relu(x - t)
//   L    = (1 - Q) L_larger + Q L_smaller
//   rest = (1 - Q)^2 rest_larger + Q^2 rest_smaller + theta^2 (Var relu(x - t) - Q^2)
// where mean, the covariances L with the shared variables, and the variance |L|^2 + rest are those
// of the maximum. All terms of rest are >= 0. Where theta is 0 it is the larger one, A of equal
// ones.
//
// Two places that vary alike have a theta of rounding errors alone, and a rest that factors span
// has nothing but these: a maximum of the former is one of certain values, and the rest of the
// latter gets no signal. Both signals would go like the inverse of a rounding error.

// A state is 2 + rank vectors: mean, rest, factors.
#define clark_pair LN_NAME(clark_pair)
typedef struct clark_pair {
  vec a, b;    // the weights of A's and B's factors: 1 - Q and Q, or the other way round
  vec theta;   // 1 where certain
  vec inverse; // 1 / theta, 0 where certain
  vec t;
  tails n; // 0 where certain
  mask first; // where the mean of A is the larger one, or they are equal
} clark_pair;

// theta^2 of a tie, as a share of the variances, and a rest of nothing, as a share of its variance.
#define LN_TIE LN_PRECISION(0x1p-40f, 0x1p-96)
#define LN_NO_REST LN_PRECISION(0x1p-18f, 0x1p-46)

LN_INLINE clark_pair LN_NAME(clark_pair_of)(const vec *a, const vec *b, int rank) {
  clark_pair w;
  vec square = a[1] + b[1], variances = square;
  for (int i = 2; i < 2 + rank; i++) {
    const vec difference = a[i] - b[i];
    square = v_fma(difference, difference, square);
    variances = v_fma(a[i], a[i], v_fma(b[i], b[i], variances));
  }
  w.first = a[0] >= b[0];
  const vec least = v_max(v_set(LN_SMALLEST_NORMAL), v_set(LN_TIE) * variances);
  const mask certain = square < least;
  const vec safe = v_select(certain, v_set(1), square), inverse = v_inverse_root(safe);
  const vec zero = v_set(0), ratio = v_abs(a[0] - b[0]) * inverse;
  w.theta = safe * inverse;
  w.n = v_tails(ratio);
  w.t = v_bell_bounded(ratio);
  w.n.density = v_select(certain, zero, w.n.density);
  w.n.above = v_select(certain, zero, w.n.above);
  w.n.mean = v_select(certain, zero, w.n.mean);
  w.n.spread = v_select(certain, zero, w.n.spread);
  w.inverse = v_select(certain, zero, inverse);
  const vec below = v_set(1) - w.n.above;
  w.a = v_select(w.first, below, w.n.above);
  w.b = v_select(w.first, w.n.above, below);
  return w;
}

// a becomes the larger one of a and b. Returns what `clark_unfold` needs of both.
LN_INLINE clark_pair LN_NAME(clark_fold)(vec *a, const vec *b, int rank) {
  const clark_pair w = LN_NAME(clark_pair_of)(a, b, rank);
  // A NaN on either side stays.
  const vec sum = a[0] + b[0], known = v_select(sum == sum, v_set(0), sum);
  a[0] = v_fma(w.theta, w.n.mean, v_select(w.first, a[0], b[0])) + known;
  // The squares of small weights by themselves would be no normal numbers.
  const vec shared = v_fma(w.b, w.b * b[1], w.theta * w.theta * w.n.spread);
  a[1] = v_fma(w.a, w.a * a[1], shared);
  for (int i = 2; i < 2 + rank; i++) a[i] = v_fma(w.a, a[i], w.b * b[i]);
  return w;
}

// `signal`, that of the larger one of a and b, becomes that of a; that of b goes to `other`. The pair
// is what the fold returned.
//   G = signal_L . (L_smaller - L_larger) + 2 signal_rest (Q rest_smaller - (1 - Q) rest_larger)
//                                                                       the signal of Q
//   T = -phi G + signal_rest theta^2 spread'                            that of t
//   S = signal_mean phi / (2 theta) + signal_rest spread - T t / (2 theta^2)   that of theta^2
LN_INLINE void LN_NAME(clark_unfold)(vec *signal, vec *other, const vec *a, const vec *b,
                                     const clark_pair *pair, int rank) {
  const clark_pair w = *pair;
  const vec q = w.n.above, half = v_set((real)0.5);
  // By the larger one less the smaller one, then with the sign that it has for a.
  vec by_above = v_set(2) * signal[1] * (w.b * b[1] - w.a * a[1]);
  for (int i = 2; i < 2 + rank; i++) by_above = v_fma(signal[i], b[i] - a[i], by_above);
  by_above = v_select(w.first, by_above, -by_above);
  const vec turn = v_set(2) * v_fma(q, w.n.density, -w.n.mean * (v_set(1) - q));
  const vec by_t = v_fma(-w.n.density, by_above, signal[1] * (w.theta * w.theta) * turn);
  const vec by_distance = by_t * w.inverse;
  const vec by_square =
      v_fma(signal[0] * half * w.n.density, w.inverse,
            v_fma(signal[1], w.n.spread, -half * by_distance * w.t * w.inverse));
  const vec to_a = v_select(w.first, by_distance, -by_distance);
  other[0] = v_fma(signal[0], w.b, -to_a);
  signal[0] = v_fma(signal[0], w.a, to_a);
  // Where there is no rest its signal leads nowhere. It has no bound beside a small theta, and
  // convolutions would let its rounding errors out to the neighbours.
  vec of_a = a[1], of_b = b[1];
  for (int i = 2; i < 2 + rank; i++) of_a = v_fma(a[i], a[i], of_a), of_b = v_fma(b[i], b[i], of_b);
  const vec none = v_set(0), least = v_set(LN_SMALLEST_NORMAL), share = v_set(LN_NO_REST);
  other[1] = v_select(b[1] < v_max(least, share * of_b), none,
                      v_fma(w.b, w.b * signal[1], by_square));
  signal[1] = v_select(a[1] < v_max(least, share * of_a), none,
                       v_fma(w.a, w.a * signal[1], by_square));
  for (int i = 2; i < 2 + rank; i++) {
    const vec both = v_set(2) * by_square * (a[i] - b[i]);
    other[i] = v_fma(signal[i], w.b, -both);
    signal[i] = v_fma(signal[i], w.a, both);
  }
}
