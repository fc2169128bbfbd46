// winograd.h: the transforms of minimal filtering along one axis, elementwise on vectors.
//
// A tile's outputs y[i] = sum over k of g[k] d[i + k] are the middle coefficients of a product of
// polynomials, found from p products at p points (Toom and Cook; Winograd):
//
//     y = A' ((G g) . (B' d))        (a plane takes this along its rows and its columns)
//
// With finite points x_i and, last, infinity:
//     row i of B' = coefficients of the product over j != i of (t - x_j); last: over all finite j
//     A'[k][i]    = x_i^k; last column: 1 in the last row
//     G           = ops/winograd_weights.h
// Points come in pairs +-x, whose rows differ in the signs of the odd powers only. TILE2 has 0,
// +-1; TILE4 0, +-5/8, +-3/2, which loses three times less than the usual +-1, +-2; TILE4K5 0,
// +-1/2,
// +-1, +-2.
//
// PAIR is the plane's own: with d zero outside a 2x2 map, y0 = g1 d0 + g2 d1, y1 = g0 d0 + g1 d1
// are g1 (d0 + d1) + (g2 - g1) d1 and g1 (d0 + d1) + (g0 - g1) d0.

// The rows of a pair +-x: even and odd powers, the latter divided by x.
#define v_pair LN_NAME(v_pair)
LN_INLINE void v_pair(vec *v, double x, vec even, vec odd) {
  v[0] = v_fma(v_set((real)x), odd, even);
  v[1] = v_fma(v_set((real)-x), odd, even);
}

// a x + b y and x + b y
#define v_scaled LN_NAME(v_scaled)
LN_INLINE vec v_scaled(double a, vec x, double b, vec y) {
  return v_fma(v_set((real)b), y, v_set((real)a) * x);
}
#define v_plus LN_NAME(v_plus)
LN_INLINE vec v_plus(vec x, double b, vec y) { return v_fma(v_set((real)b), y, x); }

// v[i] = B' d; d has n inputs, v takes p points.
#define v_points LN_NAME(v_points)
LN_INLINE void v_points(const ln__form form, vec *v, const vec *d) {
  switch (form) {
  case LN__PAIR:
    v[0] = d[0] + d[1];
    v[1] = d[1];
    v[2] = d[0];
    break;
  case LN__TILE2:
    v[0] = d[2] - d[0];
    v[1] = d[2] + d[1];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
    break;
  case LN__TILE4: {
    const double a = 0.625, b = 1.5, sum = a * a + b * b, product = a * a * b * b;
    v[0] = v_plus(v_plus(d[4], -sum, d[2]), product, d[0]);
    v_pair(v + 1, a, v_plus(d[4], -b * b, d[2]), v_plus(d[3], -b * b, d[1]));
    v_pair(v + 3, b, v_plus(d[4], -a * a, d[2]), v_plus(d[3], -a * a, d[1]));
    v[5] = v_plus(v_plus(d[5], -sum, d[3]), product, d[1]);
    break;
  }
  case LN__TILE4K5: {
    // (t^2 - 1/4)(t^2 - 1)(t^2 - 4) = t^6 - 21/4 t^4 + 21/4 t^2 - 1
    v[0] = v_plus(d[6] - d[0], 5.25, d[2] - d[4]);
    v_pair(v + 1, 0.5, v_plus(v_plus(d[6], -5, d[4]), 4, d[2]),
           v_plus(v_plus(d[5], -5, d[3]), 4, d[1]));
    v_pair(v + 3, 1, v_plus(d[6] + d[2], -4.25, d[4]), v_plus(d[5] + d[1], -4.25, d[3]));
    v_pair(v + 5, 2, v_plus(v_plus(d[6], -1.25, d[4]), 0.25, d[2]),
           v_plus(v_plus(d[5], -1.25, d[3]), 0.25, d[1]));
    v[7] = v_plus(d[7] - d[1], 5.25, d[3] - d[5]);
    break;
  }
  case LN__DIRECT: break;
  }
}

// y[i] = A' m; m has p products, y takes the outputs of a tile.
#define v_outputs LN_NAME(v_outputs)
LN_INLINE void v_outputs(const ln__form form, vec *y, const vec *m) {
  switch (form) {
  case LN__PAIR:
    y[0] = m[0] + m[1];
    y[1] = m[0] + m[2];
    break;
  case LN__TILE2:
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = m[3] + (m[1] - m[2]);
    break;
  case LN__TILE4: {
    const double a = 0.625, b = 1.5;
    const vec even1 = m[1] + m[2], odd1 = m[1] - m[2];
    const vec even2 = m[3] + m[4], odd2 = m[3] - m[4];
    y[0] = m[0] + (even1 + even2);
    y[1] = v_scaled(a, odd1, b, odd2);
    y[2] = v_scaled(a * a, even1, b * b, even2);
    y[3] = v_plus(v_plus(m[5], a * a * a, odd1), b * b * b, odd2);
    break;
  }
  case LN__TILE4K5: {
    const vec even1 = m[1] + m[2], odd1 = m[1] - m[2];
    const vec even2 = m[3] + m[4], odd2 = m[3] - m[4];
    const vec even3 = m[5] + m[6], odd3 = m[5] - m[6];
    y[0] = (m[0] + even1) + (even2 + even3);
    y[1] = v_plus(v_plus(odd2, 0.5, odd1), 2, odd3);
    y[2] = v_plus(v_plus(even2, 0.25, even1), 4, even3);
    y[3] = v_plus(v_plus(m[7] + odd2, 0.125, odd1), 8, odd3);
    break;
  }
  case LN__DIRECT: break;
  }
}
