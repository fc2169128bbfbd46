// tails.h: functions of the normal distribution that moments of straight pieces are made of.
//
// With phi(t) the density, Q(t) the upper tail and R(t) = Q(t) / phi(t) Mills' ratio, for t >= 0:
//     E relu(x - t)   = phi - t Q           = phi (1 - t R)          = -phi R'
//     E relu(x - t)^2 = (t^2 + 1) Q - t phi = phi ((t^2 + 1) R - t)  =  phi R''
// for a standard normal x. The differences vanish like t^-2 and t^-3 and would be rounding errors
// alone far out, so R, -R' and R'' are rational functions of one denominator with numerators of
// their own (least squares of the relative errors at 60 digits): all coefficients are positive and
// nothing cancels. Relative errors, rounding aside: float32 1e-8, float64 1.2e-14. For files that
// have included math.h.

// Of t >= 0.
#define tails LN_NAME(tails)
typedef struct tails {
  vec density; // phi
  vec above;   // Q
  vec mean;    // E relu(x - t)
  vec spread;  // Var relu(x - t) - Q^2: what is left of it beside the part linear in x
} tails;

// Beyond this distance all of them are 0: there they would leave the normal numbers, which takes a
// processor a hundred times as long. Before it none does.
#define LN_TAILS_END LN_PRECISION(12.125f, 36.0)

#define v_tails LN_NAME(v_tails)
LN_INLINE tails v_tails(vec distance) {
  const vec size = v_abs(distance), t = v_min(v_set(LN_TAILS_END), size);
  const mask far = size > v_set(LN_TAILS_END);
#if LN_SINGLE
  const vec r = v_polynomial(t, 0x1.40d932p+0f, 0x1.af9b7cp+0f, 0x1.179a62p+0f, 0x1.b710bep-2f,
                             0x1.b92da0p-4f, 0x1.11588ep-6f, 0x1.5cb0f6p-10f);
  const vec r1 = v_polynomial(t, 0x1.000000p+0f, 0x1.c790e0p-1f, 0x1.94e8a6p-2f, 0x1.ae47e8p-4f,
                              0x1.11588cp-6f, 0x1.5cb0f8p-10f);
  const vec r2 = v_polynomial(t, 0x1.40d932p+0f, 0x1.5f36fap-1f, 0x1.9e8f7cp-3f, 0x1.1140e0p-5f,
                              0x1.5cb714p-9f);
  const vec q = v_polynomial(t, 0x1.000000p+0f, 0x1.1250d0p+1f, 0x1.0a6ad6p+1f, 0x1.327edap+0f,
                             0x1.c82656p-2f, 0x1.bea05ap-4f, 0x1.115890p-6f, 0x1.5cb0f6p-10f);
#else
  const vec r = v_polynomial(t, 0x1.40d931ff62726p+0, 0x1.22477cc8b22b6p+1, 0x1.02931e1ab48a0p+1,
                             0x1.26f68b28da968p+0, 0x1.da3ba4a8648dep-2, 0x1.1818d318aeddap-3,
                             0x1.ecd3024893341p-6, 0x1.401632b885982p-8, 0x1.280a74c50bf6fp-11,
                             0x1.64d4f1f1b0ec7p-15, 0x1.b56d821d2d6fap-20);
  const vec r1 = v_polynomial(t, 0x1.0000000000001p+0, 0x1.5aa0f1be187d0p+0, 0x1.d945f9a91f36ep-1,
                              0x1.a249d92bfa55dp-2, 0x1.04f675307e615p-3, 0x1.da96b411ececbp-6,
                              0x1.3a82def10befep-8, 0x1.26550742eb8dfp-11, 0x1.64d4f1f1b0fc9p-15,
                              0x1.b56d821d2d69ep-20);
  const vec r2 = v_polynomial(t, 0x1.40d931ff62725p+0, 0x1.448ef99164581p+0, 0x1.550a94eea11b3p-1,
                              0x1.d29c72a2587b4p-3, 0x1.bf8e5be34f5ebp-5, 0x1.3225de830c1fbp-7,
                              0x1.23c4e36a5c3adp-10, 0x1.64d4f1de7a6a1p-14, 0x1.b56d8220479b2p-19);
  const vec q = v_polynomial(t, 0x1.0000000000000p+0, 0x1.4dbd11debd79ap+1, 0x1.9898fb32f9eadp+1,
                             0x1.36dc594033f77p+1, 0x1.479559ceea188p+0, 0x1.f7e50fe983fa7p-2,
                             0x1.21ecea1036e44p-3, 0x1.f605aa82aafd7p-6, 0x1.42dfdc9c68d5ep-8,
                             0x1.28e52b861a9a5p-11, 0x1.64d4f1f1b0e83p-15, 0x1.b56d821d2d70bp-20);
#endif
  tails n;
  const vec density = v_set((real)0x1.9884533d43651p-2) * v_bell_moderate(t);
  n.density = v_select(far, v_set(0), density);
  const vec scale = v_select(far, v_set(0), density / q);
  n.above = scale * r;
  n.mean = scale * r1;
  // scale r2 - mean^2 - above^2
  n.spread = scale * v_fma(-scale, v_fma(r1, r1, r * r), r2);
  return n;
}

// 1 / sqrt(s) for normal numbers s, to 2 ulp: a guess by halving the exponent, within 3.5 %, steps
// of third order and one of Newton's, which take a fraction of the time of a square root and a
// division.
#define v_inverse_root LN_NAME(v_inverse_root)
LN_INLINE vec v_inverse_root(vec s) {
  const word guess = LN_WORD(LN_PRECISION(0x5f3759dfu, 0x5fe6eb50c7b537a9u));
  vec y = (vec)(guess - ((word)s >> LN_WORD(1)));
  // With h = s y^2: y (15 - 10 h + 3 h^2) / 8.
#pragma clang loop unroll(full)
  for (int i = 0; i < LN_PRECISION(1, 2); i++) {
    const vec h = s * y * y;
    y = y * v_fma(h, v_fma(h, v_set((real)0.375), v_set((real)-1.25)), v_set((real)1.875));
  }
  const vec half = v_set((real)0.5) * s;
  return v_fma(y, v_fma(-half * y, y, v_set((real)0.5)), y);
}
