// functions.h: the functions of one number (LN_FUNCTIONS) on vectors, and on arrays.
//
// v_function_x(x, p) is row x of LN_FUNCTIONS; apply_function chooses a row once and runs it over
// an array. What a function does to each number depends on nothing but that number and the
// parameters. A NaN goes through all of them; the limits at both infinities are the right ones,
// gelu(-infinity) = 0 included.

#include "math.h"

// A function's parameters in all lanes; `product` is a * b rounded once.
#define parameters LN_NAME(parameters)
typedef struct parameters {
  vec a, b, product;
} parameters;

LN_INLINE parameters LN_NAME(parameters_of)(const ln_function *f) {
  return (parameters){v_set((real)f->a), v_set((real)f->b), v_set((real)(f->a * f->b))};
}

// x times a factor that vanishes faster than x grows: 0 where the factor is 0, for an infinite x
// too.
#define v_damped LN_NAME(v_damped)
LN_INLINE vec v_damped(vec x, vec factor) {
  return v_select(factor == v_set(0), factor, x * factor);
}

#define LN__FUNCTION(name) LN_INLINE vec LN_NAME(v_function_##name)(vec x, const parameters *p)

LN__FUNCTION(identity) {
  (void)p;
  return x;
}

LN__FUNCTION(relu) {
  (void)p;
  return v_max(v_set(0), x);
}

LN__FUNCTION(leaky_relu) { return v_select(x < v_set(0), p->a * x, x); }

LN__FUNCTION(clip) { return v_min(p->b, v_max(p->a, x)); }

LN__FUNCTION(elu) { return v_select(x < v_set(0), p->product * v_expm1(x), p->b * x); }

LN__FUNCTION(celu) { return v_max(v_set(0), x) + v_min(v_set(0), p->a * v_expm1(x / p->a)); }

LN__FUNCTION(sigmoid) {
  (void)p;
  return v_sigmoid(x);
}

// min(max(y, 0), 1).
#define v_unit_clip LN_NAME(v_unit_clip)
LN_INLINE vec v_unit_clip(vec y) { return v_min(v_set(1), v_max(v_set(0), y)); }

LN__FUNCTION(hard_sigmoid) { return v_unit_clip(v_fma(p->a, x, p->b)); }

LN__FUNCTION(hard_swish) {
  (void)p;
  return v_damped(x, v_unit_clip(v_fma(x, v_set((real)(1.0 / 6.0)), v_set((real)0.5))));
}

LN__FUNCTION(tanh) {
  (void)p;
  return v_tanh(x);
}

LN__FUNCTION(softplus) {
  (void)p;
  return v_max(v_set(0), x) + v_log1p(v_exp(-v_abs(x)));
}

LN__FUNCTION(softsign) {
  (void)p;
  const vec y = x / (v_set(1) + v_abs(x));
  return v_select(v_abs(x) == v_set(LN_INFINITY), v_with_sign(v_set(1), x), y);
}

// max(x, 0) - |x| tail(|x|): relatively exact in the left tail.
LN__FUNCTION(gelu) {
  (void)p;
  const vec t = v_abs(x);
  const vec finite = v_min(v_set(LN_PRECISION(15.0f, 39.0)), t);
  return v_fma(-finite, v_normal_tail(t), v_max(v_set(0), x));
}

// (1 + tanh(u)) / 2 = sigmoid(2 u). Far left the rounding of 2 u shows: relative error |2 u| ulp.
LN__FUNCTION(gelu_tanh) {
  (void)p;
  const vec cubic = v_fma(v_set((real)0.044715) * x * x, x, x);
  return v_damped(x, v_sigmoid(v_set((real)1.5957691216057307) * cubic));
}

LN__FUNCTION(swish) { return v_damped(x, v_sigmoid(p->a * x)); }

// With e = exp(x): tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), which is 1 from 20 on.
LN__FUNCTION(mish) {
  (void)p;
  const vec e = v_exp(v_min(v_set(20), x));
  const vec n = v_fma(e, e, e + e);
  return v_damped(x, n / (n + v_set(2)));
}

LN__FUNCTION(erf) {
  (void)p;
  return v_erf(x);
}

LN__FUNCTION(exp) {
  (void)p;
  return v_exp(x);
}

LN__FUNCTION(log) {
  (void)p;
  return v_log(x);
}

LN__FUNCTION(sqrt) {
  (void)p;
  return __builtin_elementwise_sqrt(x);
}

LN__FUNCTION(absolute) {
  (void)p;
  return v_abs(x);
}

LN__FUNCTION(negative) {
  (void)p;
  return -x;
}

LN__FUNCTION(truncate) {
  (void)p;
  return __builtin_elementwise_trunc(x);
}

LN__FUNCTION(stabilize) { return v_select(x < v_set(0), x - p->a, x + p->a); }

LN__FUNCTION(reciprocal) {
  (void)p;
  return v_set(1) / x;
}

LN__FUNCTION(square) {
  (void)p;
  return x * x;
}

// One loop per function; the number of a row is never looked at inside.
#define X(name)                                                                                    \
  LN_INLINE void LN_NAME(apply_##name)(const parameters *given, const real *in, real *out,         \
                                       size_t count) {                                             \
    const parameters p = *given;                                                                   \
    size_t i = 0;                                                                                  \
    for (; i + LN_WIDTH <= count; i += LN_WIDTH)                                                   \
      v_store(out + i, LN_NAME(v_function_##name)(v_load(in + i), &p));                            \
    if (i < count)                                                                                 \
      v_store_first(out + i, LN_NAME(v_function_##name)(v_load_first(in + i, count - i), &p),      \
                    count - i);                                                                    \
  }
LN_FUNCTIONS(X)
#undef X

// out[i] = f(in[i]) for `count` numbers; `in` may be `out`.
static __attribute__((unused)) void LN_NAME(apply_function)(const ln_function *f, const real *in,
                                                            real *out, size_t count) {
  const parameters p = LN_NAME(parameters_of)(f);
  switch ((ln_function_id)f->id) {
#define X(name)                                                                                    \
  case LN_FUNCTION_##name: LN_NAME(apply_##name)(&p, in, out, count); return;
    LN_FUNCTIONS(X)
#undef X
  case LN_FUNCTION_COUNT: return;
  }
}

#undef LN__FUNCTION
