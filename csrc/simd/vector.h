// vector.h: the vector names that kernels are written in, for the target being compiled.
//
// vec holds LN_WIDTH reals, mask as many integers of the same size (all ones = true), as the
// comparison operators of vector types give. + - * / and unary minus are the language's own
// operators. Every operation is exactly rounded, so all targets give the same bits.

#ifndef LN_UNROLL
#define LN_UNROLL _Pragma("clang loop unroll(full)")
#endif

#define vec LN_NAME(vec)
#define mask LN_NAME(mask)
#if LN_VECTOR_BYTES > 64 // two registers: aligned like one
typedef real vec __attribute__((ext_vector_type(LN_WIDTH), aligned(64)));
typedef LN__BITS mask __attribute__((ext_vector_type(LN_WIDTH), aligned(64)));
#else
typedef real vec __attribute__((ext_vector_type(LN_WIDTH)));
typedef LN__BITS mask __attribute__((ext_vector_type(LN_WIDTH)));
#endif

#define LN_INLINE static inline __attribute__((always_inline, unused))

#define v_set LN_NAME(v_set)
LN_INLINE vec v_set(real x) { return (vec)x; }

#define v_load LN_NAME(v_load)
LN_INLINE vec v_load(const real *p) {
  vec x;
  memcpy(&x, p, sizeof x);
  return x;
}

#define v_store LN_NAME(v_store)
LN_INLINE void v_store(real *p, vec x) { memcpy(p, &x, sizeof x); }

// The first n reals (0 < n < LN_WIDTH) of an array whose end may be near; the others read as zero.
#define v_load_first LN_NAME(v_load_first)
#define v_store_first LN_NAME(v_store_first)
#if LN_VECTOR_BYTES == 128 && LN_SINGLE
LN_INLINE vec v_load_first(const real *p, size_t n) {
  const uint32_t first = (1u << n) - 1;
  typedef real half __attribute__((ext_vector_type(16)));
  const half low = (half)_mm512_maskz_loadu_ps((__mmask16)first, p);
  const half high = (half)_mm512_maskz_loadu_ps((__mmask16)(first >> 16), p + 16);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
                                 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
}
LN_INLINE void v_store_first(real *p, vec x, size_t n) {
  const uint32_t first = (1u << n) - 1;
  _mm512_mask_storeu_ps(p, (__mmask16)first, (__m512)x.lo);
  _mm512_mask_storeu_ps(p + 16, (__mmask16)(first >> 16), (__m512)x.hi);
}
#elif LN_VECTOR_BYTES == 128
LN_INLINE vec v_load_first(const real *p, size_t n) {
  const uint32_t first = (1u << n) - 1;
  typedef real half __attribute__((ext_vector_type(8)));
  const half low = (half)_mm512_maskz_loadu_pd((__mmask8)first, p);
  const half high = (half)_mm512_maskz_loadu_pd((__mmask8)(first >> 8), p + 8);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
LN_INLINE void v_store_first(real *p, vec x, size_t n) {
  const uint32_t first = (1u << n) - 1;
  _mm512_mask_storeu_pd(p, (__mmask8)first, (__m512d)x.lo);
  _mm512_mask_storeu_pd(p + 8, (__mmask8)(first >> 8), (__m512d)x.hi);
}
#elif LN_VECTOR_BYTES == 64 && LN_SINGLE
LN_INLINE vec v_load_first(const real *p, size_t n) {
  return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
LN_INLINE void v_store_first(real *p, vec x, size_t n) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
}
#elif LN_VECTOR_BYTES == 64
LN_INLINE vec v_load_first(const real *p, size_t n) {
  return (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
}
LN_INLINE void v_store_first(real *p, vec x, size_t n) {
  _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)x);
}
#elif LN_VECTOR_BYTES == 32 && LN_SINGLE
LN_INLINE __m256i LN_NAME(first)(size_t n) {
  return (__m256i)((mask){0, 1, 2, 3, 4, 5, 6, 7} < (mask)(int32_t)n);
}
LN_INLINE vec v_load_first(const real *p, size_t n) {
  return (vec)_mm256_maskload_ps(p, LN_NAME(first)(n));
}
LN_INLINE void v_store_first(real *p, vec x, size_t n) {
  _mm256_maskstore_ps(p, LN_NAME(first)(n), (__m256)x);
}
#elif LN_VECTOR_BYTES == 32
LN_INLINE __m256i LN_NAME(first)(size_t n) {
  return (__m256i)((mask){0, 1, 2, 3} < (mask)(int64_t)n);
}
LN_INLINE vec v_load_first(const real *p, size_t n) {
  return (vec)_mm256_maskload_pd(p, LN_NAME(first)(n));
}
LN_INLINE void v_store_first(real *p, vec x, size_t n) {
  _mm256_maskstore_pd(p, LN_NAME(first)(n), (__m256d)x);
}
#else
LN_INLINE vec v_load_first(const real *p, size_t n) {
  real buffer[LN_WIDTH] = {0};
  for (size_t i = 0; i < n; i++) buffer[i] = p[i];
  return v_load(buffer);
}
LN_INLINE void v_store_first(real *p, vec x, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] = x[i];
}
#endif

// a * b + c with one rounding.
#define v_fma LN_NAME(v_fma)
LN_INLINE vec v_fma(vec a, vec b, vec c) { return __builtin_elementwise_fma(a, b, c); }

// Lane by lane: where ? a : b.
#define v_select LN_NAME(v_select)
LN_INLINE vec v_select(mask where, vec a, vec b) { return where ? a : b; }

// The larger one; a NaN in b stays.
#define v_max LN_NAME(v_max)
LN_INLINE vec v_max(vec a, vec b) { return v_select(a > b, a, b); }

// The smaller one; a NaN in b stays.
#define v_min LN_NAME(v_min)
LN_INLINE vec v_min(vec a, vec b) { return v_select(a < b, a, b); }

// The larger one, of equal ones `m`; a NaN on either side stays: a tap x joins the maximum m so
// far.
#define v_pool_max LN_NAME(v_pool_max)
LN_INLINE vec v_pool_max(vec m, vec x) { return v_select(x == x, v_max(x, m), x); }

#define v_abs LN_NAME(v_abs)
LN_INLINE vec v_abs(vec a) { return __builtin_elementwise_abs(a); }
