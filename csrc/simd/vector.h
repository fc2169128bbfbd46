// vector.h: the vector names that kernels are written in, for the target being compiled.
//
// vec holds LN_WIDTH reals, mask as many integers of the same size (all ones = true), as the comparison
// operators of vector types give. + - * / and unary minus are the language's own operators. Every
// operation is exactly rounded, so all targets give the same bits.

#define vec LN_NAME(vec)
#define mask LN_NAME(mask)
typedef real vec __attribute__((ext_vector_type(LN_WIDTH)));
typedef LN__BITS mask __attribute__((ext_vector_type(LN_WIDTH)));

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
LN_INLINE vec v_load_first(const real *p, size_t n) {
  real buffer[LN_WIDTH] = {0};
  memcpy(buffer, p, n * sizeof(real));
  return v_load(buffer);
}

#define v_store_first LN_NAME(v_store_first)
LN_INLINE void v_store_first(real *p, vec x, size_t n) {
  real buffer[LN_WIDTH];
  v_store(buffer, x);
  memcpy(p, buffer, n * sizeof(real));
}

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

#define v_abs LN_NAME(v_abs)
LN_INLINE vec v_abs(vec a) { return __builtin_elementwise_abs(a); }
