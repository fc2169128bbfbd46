// moment_values.h: means, rests and factors in memory.

// Up to a vector of elements of an array, n of them if that is less.
#define v_load_part LN_NAME(v_load_part)
LN_INLINE vec v_load_part(const real *p, size_t n) {
  return n >= LN_WIDTH ? v_load(p) : v_load_first(p, n);
}
#define v_store_part LN_NAME(v_store_part)
LN_INLINE void v_store_part(real *p, vec x, size_t n) {
  if (n >= LN_WIDTH)
    v_store(p, x);
  else
    v_store_first(p, x, n);
}

// Absent parts are NULL; factor a of element i is factors[a * step + i].
#define moment_values LN_NAME(moment_values)
typedef struct moment_values {
  real *mean, *rest, *factors;
  ptrdiff_t step;
  int rank;
} moment_values;

LN_INLINE moment_values LN_NAME(moment_values_of)(const ln__frame *frame, ln_ref mean, ln_ref rest,
                                                  ln_ref factors, int rank, size_t step) {
  return (moment_values){
      mean.block == LN_ABSENT ? NULL : arena_values(frame, mean),
      rest.block == LN_ABSENT ? NULL : arena_values(frame, rest),
      factors.block == LN_ABSENT ? NULL : arena_values(frame, factors),
      (ptrdiff_t)step,
      rank,
  };
}

// The sum of the squares of the factors of elements i .. i + n - 1, in the order of the factors.
#define v_factor_squares LN_NAME(v_factor_squares)
LN_INLINE vec v_factor_squares(const moment_values *v, size_t i, size_t n) {
  vec sum = v_set(0);
  for (int a = 0; a < v->rank; a++) {
    const vec factor = v_load_part(v->factors + a * v->step + i, n);
    sum = v_fma(factor, factor, sum);
  }
  return sum;
}

// A state is 2 + rank vectors: mean, rest, factors, of up to n elements from `at` on; absent parts
// are zeros.
LN_INLINE void LN_NAME(load_state)(vec *state, const moment_values *v, ptrdiff_t at, size_t n) {
  state[0] = v->mean ? v_load_part(v->mean + at, n) : v_set(0);
  state[1] = v->rest ? v_load_part(v->rest + at, n) : v_set(0);
  for (int a = 0; a < v->rank; a++)
    state[2 + a] = v->factors ? v_load_part(v->factors + a * v->step + at, n) : v_set(0);
}

LN_INLINE void LN_NAME(store_state)(const moment_values *v, ptrdiff_t at, size_t n,
                                    const vec *state, int adds) {
  for (int i = 0; i < 2 + v->rank; i++) {
    real *to = (i == 0 ? v->mean : i == 1 ? v->rest : v->factors + (i - 2) * v->step) + at;
    v_store_part(to, adds ? v_load_part(to, n) + state[i] : state[i], n);
  }
}
