// accumulate.h: products of vectors and scalars that are summed in registers, the inner loop of
// every layer and of the gradients of its weights.

// Most sums that stay in registers beside the operands.
#define LN_SUMS (LN_REGISTERS == 32 ? 24 : 12)

#define walk LN_NAME(walk)
typedef struct walk {
  const real *a, *b;              // first step
  ptrdiff_t a_step, a_hop, a_row; // elements from one step, hop, row to the next
  ptrdiff_t b_step, b_hop, b_row;
  int32_t rows, hops, run;
} walk;

// a_at, b_at: offsets of the na vectors and nb scalars; b_at is NULL for `adjacent` scalars.
// Scalars that are not adjacent are a step of one element.
LN_INLINE void LN_NAME(accumulate)(vec *sum, const walk *w, const ptrdiff_t *a_at,
                                   const ptrdiff_t *b_at, const int na, const int nb,
                                   const int adjacent) {
  const real *scalar[LN_SUMS], *vector[8], *scalars = w->b;
  LN_UNROLL for (int i = 0; i < na; i++) vector[i] = w->a + a_at[i];
  if (!adjacent) LN_UNROLL for (int j = 0; j < nb; j++) scalar[j] = w->b + b_at[j];
  const ptrdiff_t a_step = w->a_step, b_step = adjacent ? w->b_step : 1;
  const int32_t hops = w->hops, run = w->run;
  // Weights that lie side by side may come from far away, once each.
  enum { AHEAD = 2048 / sizeof(real) };
  for (int32_t row = 0; row < w->rows; row++)
    for (int32_t hop = 0; hop < hops; hop++) {
      ptrdiff_t a = row * w->a_row + hop * w->a_hop, b = row * w->b_row + hop * w->b_hop;
      for (int32_t k = 0; k < run; k++) {
        vec x[8];
        if (adjacent) __builtin_prefetch(scalars + b + AHEAD);
        LN_UNROLL for (int i = 0; i < na; i++) x[i] = v_load(vector[i] + a);
        LN_UNROLL for (int j = 0; j < nb; j++) {
          const vec y = v_set(adjacent ? scalars[b + j] : scalar[j][b]);
          LN_UNROLL for (int i = 0; i < na; i++) sum[j * na + i] = v_fma(x[i], y, sum[j * na + i]);
        }
        a += a_step, b += b_step;
      }
    }
}
