// math.h: exp, expm1, log, log1p, tanh, erf and the normal tail on vectors, for the target being
// compiled.
//
// Each is written once over vec: range reduction, a polynomial by v_fma, bit patterns put together
// with integers. No table, no branch, no other precision, so every target gives the same bits, and
// a tail that is run through v_load_first gives those too. Polynomials are minimax in the sense of
// the relative error of the result (Remez exchange at 60 digits), coefficients from the lowest
// power up.
//
// Largest errors that MathAccuracyTests found, in units of the last place (ulp) of the exact
// result; single precision over every 257th of all bit patterns, double precision over random ones:
//
//                    float32   float64
//     v_exp           1.00      0.97     1.03 where the result is subnormal
//     v_expm1         0.85      1.11
//     v_log           0.90      0.76
//     v_tanh          1.31      1.25
//     v_erf           1.27      1.22
//     v_sigmoid       2.01      2.20
//     v_log1p         1.6       1.6      (softplus)
//     v_normal_tail   3.6       5.8      for t <= 5 (gelu), 8 and 21 to where it vanishes

#ifndef LN__MATH_H
#define LN__MATH_H

// Coefficients of both precisions side by side.
#define LN__CHOOSE_1(single, twice) single
#define LN__CHOOSE_0(single, twice) twice
#define LN__CHOOSE_JOIN(which) LN__CHOOSE_##which
#define LN__CHOOSE_BY(which) LN__CHOOSE_JOIN(which)
#define LN_PRECISION(single, twice) LN__CHOOSE_BY(LN_SINGLE)(single, twice)

// c0 + c1 x + c2 x^2 + ...
#define v_polynomial(x, ...)                                                                       \
  LN_NAME(v_horner)                                                                                \
  (x, (const real[]){__VA_ARGS__}, sizeof((const real[]){__VA_ARGS__}) / sizeof(real))

#endif

// The bit patterns of a vec, unsigned so that shifts are logical ones.
#define word LN_NAME(word)
#if LN_SINGLE
typedef uint32_t word __attribute__((ext_vector_type(LN_WIDTH)));
#else
typedef uint64_t word __attribute__((ext_vector_type(LN_WIDTH)));
#endif
#define LN_WORD(x) ((word)(LN_PRECISION(uint32_t, uint64_t))(x))

// Layout of a real: exponent bias, bits of the fraction, patterns of 1 and of the sign.
#define LN_BIAS LN_PRECISION(127, 1023)
#define LN_FRACTION LN_PRECISION(23, 52)
#define LN_ONE_BITS LN_PRECISION(0x3f800000u, 0x3ff0000000000000u)
#define LN_SIGN_BITS LN_PRECISION(0x80000000u, 0x8000000000000000u)
#define LN_FRACTION_BITS LN_PRECISION(0x007fffffu, 0x000fffffffffffffu)
// The pattern of sqrt(1/2): a significand is taken from [sqrt(1/2), sqrt(2)).
#define LN_HALF_ROOT_BITS LN_PRECISION(0x3f3504f3u, 0x3fe6a09e667f3bcdu)
// 1.5 * 2^LN_FRACTION: adding it leaves the nearest whole number in the low bits.
#define LN_ROUNDER LN_PRECISION(0x1.8p23f, 0x1.8p52)
// 2^LN_FRACTION: its pattern with a small whole number in the low bits is a real larger by that
// number.
#define LN_WHOLE LN_PRECISION(0x1p23f, 0x1p52)
#define LN_SMALLEST_NORMAL LN_PRECISION(0x1p-126f, 0x1p-1022)
#define LN_INFINITY ((real)__builtin_inf())
// ln 2 in two parts; a whole number of up to 11 bits times the first one is exact.
#define LN_LN2_HIGH LN_PRECISION(0x1.62e4p-1f, 0x1.62e42feep-1)
#define LN_LN2_LOW LN_PRECISION(0x1.7f7d1cp-20f, 0x1.a39ef35793c76p-33)

LN_INLINE vec LN_NAME(v_horner)(vec x, const real *coefficients, size_t count) {
  vec sum = v_set(coefficients[count - 1]);
#pragma clang loop unroll(full)
  for (size_t i = count - 1; i-- > 0;) sum = v_fma(sum, x, v_set(coefficients[i]));
  return sum;
}

// magnitude >= 0 with the sign of `sign`.
#define v_with_sign LN_NAME(v_with_sign)
LN_INLINE vec v_with_sign(vec magnitude, vec sign) {
  return (vec)((word)magnitude | ((word)sign & LN_WORD(LN_SIGN_BITS)));
}

// ------------------------------------------------------------------------------------------------
// Exponentials. x = n ln 2 + r with |r| <= ln 2 / 2, exp(x) = 2^n exp(r).

// The sum of LN_ROUNDER and n; r goes to *rest.
#define v_exp_reduce LN_NAME(v_exp_reduce)
LN_INLINE vec v_exp_reduce(vec x, vec *rest) {
  const vec shifted = v_fma(x, v_set((real)0x1.71547652b82fep+0), v_set(LN_ROUNDER));
  const vec n = shifted - v_set(LN_ROUNDER);
  *rest = v_fma(n, v_set(-LN_LN2_LOW), v_fma(n, v_set(-LN_LN2_HIGH), x));
  return shifted;
}

// exp(r) - 1 for |r| <= ln 2 / 2.
#define v_exp_rest LN_NAME(v_exp_rest)
LN_INLINE vec v_exp_rest(vec r) {
#if LN_SINGLE
  const vec q = v_polynomial(r, 0x1.000000p-1f, 0x1.5554b0p-3f, 0x1.555486p-5f, 0x1.1227eep-7f,
                             0x1.6d9924p-10f);
#else
  const vec q = v_polynomial(r, 0x1.0000000000005p-1, 0x1.555555555555cp-3, 0x1.555555555212dp-5,
                             0x1.111111110e796p-7, 0x1.6c16c17f2c96fp-10, 0x1.a01a01b596322p-13,
                             0x1.a019a69f5fec7p-16, 0x1.71ddea9773df3p-19, 0x1.28a2970260cafp-22,
                             0x1.af75c8ad47231p-26);
#endif
  return v_fma(r * r, q, r);
}

// 2^(n + shift) for a normal result; `shifted` as v_exp_reduce gives it.
#define v_power_of_two LN_NAME(v_power_of_two)
LN_INLINE vec v_power_of_two(vec shifted, int shift) {
  const word rounder = (word)v_set(LN_ROUNDER);
  return (vec)(((word)shifted - rounder + LN_WORD(LN_BIAS + shift)) << LN_WORD(LN_FRACTION));
}

// 2^n exp(r): the scale is split in two, so that the product overflows to infinity and underflows
// gradually by the second multiplication alone.
#define v_exp_scale LN_NAME(v_exp_scale)
LN_INLINE vec v_exp_scale(vec shifted, vec r) {
  const vec p = v_exp_rest(r) + v_set(1);
  const word n = (word)shifted - (word)v_set(LN_ROUNDER) + LN_WORD(2 * LN_BIAS);
  const word half = n >> LN_WORD(1);
  return p * (vec)(half << LN_WORD(LN_FRACTION)) * (vec)((n - half) << LN_WORD(LN_FRACTION));
}

// x, or where exp(x) is 0 or infinity a number for which that can be computed.
#define v_exp_bounded LN_NAME(v_exp_bounded)
LN_INLINE vec v_exp_bounded(vec x) {
  return v_min(v_set(LN_PRECISION(89.0f, 710.0)), v_max(v_set(LN_PRECISION(-104.0f, -746.0)), x));
}

#define v_exp LN_NAME(v_exp)
LN_INLINE vec v_exp(vec x) {
  vec r;
  const vec shifted = v_exp_reduce(v_exp_bounded(x), &r);
  return v_exp_scale(shifted, r);
}

// exp(x + low) for |low| below an ulp of x.
#define v_exp_sum LN_NAME(v_exp_sum)
LN_INLINE vec v_exp_sum(vec x, vec low) {
  vec r;
  const vec shifted = v_exp_reduce(v_exp_bounded(x), &r);
  return v_exp_scale(shifted, r + low);
}

// exp(x) for 0 <= x <= 40: the scale needs no care.
#define v_exp_moderate LN_NAME(v_exp_moderate)
LN_INLINE vec v_exp_moderate(vec x) {
  vec r;
  const vec shifted = v_exp_reduce(x, &r);
  return (v_exp_rest(r) + v_set(1)) * v_power_of_two(shifted, 0);
}

// exp(x) - 1 = 2 (2^(n-1) (exp(r) - 1) + (2^(n-1) - 1/2)); the smallest numbers, and -0, are their
// own result.
#define v_expm1 LN_NAME(v_expm1)
LN_INLINE vec v_expm1(vec x) {
  vec r;
  const vec bounded =
      v_min(v_set(LN_PRECISION(89.0f, 710.0)), v_max(v_set(LN_PRECISION(-30.0f, -60.0)), x));
  const vec shifted = v_exp_reduce(bounded, &r);
  const vec scale = v_power_of_two(shifted, -1);
  const vec half = v_fma(scale, v_exp_rest(r), scale - v_set((real)0.5));
  return v_select(v_abs(x) < v_set((real)0x1p-60), x, half + half);
}

// ------------------------------------------------------------------------------------------------
// Logarithms. y = 2^e (1 + m) with 1 + m in [sqrt(1/2), sqrt(2)).

// The exponent and the fraction of a normal y > 0, e shifted up by one above the bias where the
// significand is past sqrt(2).
#define v_log_split LN_NAME(v_log_split)
LN_INLINE word v_log_split(vec y) { return (word)y + LN_WORD(LN_ONE_BITS - LN_HALF_ROOT_BITS); }

// e + LN_BIAS - bias.
#define v_log_exponent LN_NAME(v_log_exponent)
LN_INLINE vec v_log_exponent(word split, vec bias) {
  return (vec)((split >> LN_WORD(LN_FRACTION)) | (word)v_set(LN_WHOLE)) - (v_set(LN_WHOLE) + bias);
}

// e ln 2 + log(1 + m).
#define v_log_sum LN_NAME(v_log_sum)
LN_INLINE vec v_log_sum(vec e, vec m) {
#if LN_SINGLE
  const vec p = v_polynomial(m, -0x1.fffff8p-2f, 0x1.555544p-2f, -0x1.0003fap-2f, 0x1.99a964p-3f,
                             -0x1.5432f0p-3f, 0x1.221200p-3f, -0x1.0e7fcap-3f, 0x1.0a520cp-3f,
                             -0x1.407b06p-4f);
  return v_fma(e, v_set(0x1.62e430p-1f), v_fma(m * m, p, m));
#else
  // With s = m / (2 + m): log(1 + m) = 2 atanh(s) = m - (m^2 / 2 - s (m^2 / 2 + R)), R = 2 atanh(s)
  // / s - 2.
  const vec s = m / (v_set(2) + m), z = s * s, half_square = v_set(0.5) * m * m;
  const vec rest =
      z * v_polynomial(z, 0x1.555555555558fp-1, 0x1.9999999980d23p-2, 0x1.249249413af7dp-2,
                       0x1.c71c528a3b3a6p-3, 0x1.746627452b472p-3, 0x1.39a3e619e03cfp-3,
                       0x1.2ef13798663e8p-3);
  const vec correction = v_fma(s, half_square + rest, e * v_set(LN_LN2_LOW));
  return v_fma(e, v_set(LN_LN2_HIGH), m - (half_square - correction));
#endif
}

// log(0) = -infinity, NaN below 0.
#define v_log LN_NAME(v_log)
LN_INLINE vec v_log(vec x) {
  const mask tiny = x < v_set(LN_SMALLEST_NORMAL);
  const vec normal = v_select(tiny, x * v_set(LN_WHOLE), x);
  const word split = v_log_split(normal);
  const vec bias = v_select(tiny, v_set(LN_BIAS + LN_FRACTION), v_set(LN_BIAS));
  const word fraction = (split & LN_WORD(LN_FRACTION_BITS)) + LN_WORD(LN_HALF_ROOT_BITS);
  const vec y = v_log_sum(v_log_exponent(split, bias), (vec)fraction - v_set(1));
  const vec finite = v_select(x < v_set(LN_INFINITY), y, x);
  const vec edge = v_select(x == v_set(0), v_set(-LN_INFINITY), v_set((real)__builtin_nan("")));
  return v_select(x <= v_set(0), edge, finite);
}

// log(1 + x) for 0 <= x <= 1. m = x 2^-e + (2^-e - 1) keeps what 1 + x rounds away.
#define v_log1p LN_NAME(v_log1p)
LN_INLINE vec v_log1p(vec x) {
  const word split = v_log_split(v_set(1) + x);
  const word exponent = split & LN_WORD(~LN_FRACTION_BITS);
  const vec scale = (vec)(LN_WORD(2 * LN_ONE_BITS) - exponent);
  return v_log_sum(v_log_exponent(split, v_set(LN_BIAS)), v_fma(x, scale, scale - v_set(1)));
}

// ------------------------------------------------------------------------------------------------
// Sigmoid curves

// Near 0 an odd polynomial, else 1 - 2 / (exp(2 |x|) + 1), which is 1 from 20 on.
#define v_tanh LN_NAME(v_tanh)
LN_INLINE vec v_tanh(vec x) {
  const vec t = v_abs(x), z = t * t;
#if LN_SINGLE
  const vec p = v_polynomial(z, -0x1.55553cp-2f, 0x1.1108a2p-3f, -0x1.b8666cp-5f, 0x1.53186cp-6f,
                             -0x1.79af00p-8f);
#else
  const vec p = v_polynomial(z, -0x1.555555555553ep-2, 0x1.111111110e220p-3, -0x1.ba1ba1b70ca6dp-5,
                             0x1.664f47cab9e3fp-6, -0x1.226e1d5b7a95ap-7, 0x1.d6cff7174663dp-9,
                             -0x1.7d7025992ff2ap-10, 0x1.339304518fefep-11, -0x1.e0a47e9fadefcp-13,
                             0x1.46548c636b643p-14, -0x1.12b40a34907d3p-16);
#endif
  const vec near = v_fma(t * z, p, t);
  const vec grown = v_exp_moderate(v_min(v_set(40), t + t));
  const vec far = v_set(1) - v_set(2) / (grown + v_set(1));
  return v_with_sign(v_select(t < v_set((real)0.625), near, far), x);
}

// 1 / (1 + exp(-x)), relatively exact in both tails.
#define v_sigmoid LN_NAME(v_sigmoid)
LN_INLINE vec v_sigmoid(vec x) {
  const vec e = v_exp(-v_abs(x));
  return v_select(x < v_set(0), e, v_set(1)) / (v_set(1) + e);
}

// |x|, or where exp(-x^2 / 2) is 0 a number for which that can be computed.
#define v_bell_bounded LN_NAME(v_bell_bounded)
LN_INLINE vec v_bell_bounded(vec t) { return v_min(v_set(LN_PRECISION(15.0f, 39.0)), v_abs(t)); }

// exp(-t^2 / 2) for bounded t, the rounding error of the square carried along.
#define v_bell LN_NAME(v_bell)
LN_INLINE vec v_bell(vec t) {
  const vec half = v_set((real)0.5) * t, square = half * t;
  return v_exp_sum(-square, -v_fma(half, t, -square));
}

// The same for 0 <= t <= 36 (in single precision 12): the scale needs no care.
#define v_bell_moderate LN_NAME(v_bell_moderate)
LN_INLINE vec v_bell_moderate(vec t) {
  const vec half = v_set((real)0.5) * t, square = half * t;
  vec r;
  const vec shifted = v_exp_reduce(-square, &r);
  const vec lost = v_fma(half, t, -square);
  return (v_exp_rest(r - lost) + v_set(1)) * v_power_of_two(shifted, 0);
}

// The upper tail of the standard normal distribution, erfc(t / sqrt(2)) / 2, for t >= 0: the bell
// times a rational function.
#define v_normal_tail LN_NAME(v_normal_tail)
LN_INLINE vec v_normal_tail(vec t) {
  t = v_bell_bounded(t);
  const vec e = v_bell(t);
#if LN_SINGLE
  const vec p = v_polynomial(t, 0x1.000000p-1f, 0x1.c1d268p-2f, 0x1.78c31ep-3f, 0x1.4ee398p-5f,
                             0x1.102cbap-8f);
  const vec q = v_polynomial(t, 1.0f, 0x1.ad2b66p+0f, 0x1.349df2p+0f, 0x1.e2b6b8p-2f,
                             0x1.a3bf0ap-4f, 0x1.551de2p-7f);
#else
  const vec p = v_polynomial(t, 0.5, 0x1.a7e8123d1ce08p-1, 0x1.5bf9759e1eef6p-1,
                             0x1.6df1c90ea27c2p-2, 0x1.0e7441e79c8a9p-3, 0x1.243938bde1778p-5,
                             0x1.d2debf58163b8p-8, 0x1.1099eb972a065p-10, 0x1.bf167f2e58714p-14,
                             0x1.d4426813cc953p-18, 0x1.e190131b1155cp-23);
  const vec q = v_polynomial(t, 1.0, 0x1.3a151deddf499p+1, 0x1.6896bb2a55eeap+1,
                             0x1.003238de10d00p+1, 0x1.f5d8456d28bafp-1, 0x1.64b53ee87b9e4p-2,
                             0x1.78c80401fd87bp-4, 0x1.28ed3c5b442fap-6, 0x1.57f28e7d59b55p-9,
                             0x1.18c29b58bcc05p-12, 0x1.257024eb6a782p-16, 0x1.2dc65487812e8p-21);
#endif
  return e * (p / q);
}

// Near 0 an odd polynomial, else 1 - 2 tail(sqrt(2) |x|).
#define v_erf LN_NAME(v_erf)
LN_INLINE vec v_erf(vec x) {
  const vec t = v_abs(x), z = t * t;
#if LN_SINGLE
  const vec p = v_polynomial(z, 0x1.06eba8p-3f, -0x1.81273ep-2f, 0x1.ce2d20p-4f, -0x1.b7fbb4p-6f,
                             0x1.5419fap-8f, -0x1.a48616p-11f, 0x1.4ae544p-14f);
#else
  const vec p = v_polynomial(z, 0x1.06eba8214db69p-3, -0x1.812746b0379e6p-2, 0x1.ce2f21a042b34p-4,
                             -0x1.b82ce31284f34p-6, 0x1.565bcd0dbd887p-8, -0x1.c02db3db47c61p-11,
                             0x1.f9a321e488981p-14, -0x1.f4d1e4314708ap-17, 0x1.b9df3031ffa9ep-20,
                             -0x1.5f1f3f9f719bbp-23, 0x1.f7b98f7bc68e0p-27, -0x1.38abf91a22f4fp-30,
                             0x1.0626ee64a842ap-34);
#endif
  const vec near = v_fma(t, p, t);
  const vec tail = v_normal_tail(v_set((real)0x1.6a09e667f3bcdp+0) * t);
  return v_with_sign(v_select(t < v_set(1), near, v_set(1) - (tail + tail)), x);
}
