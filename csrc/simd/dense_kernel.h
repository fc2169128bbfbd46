// dense_kernel.h: the one micro-kernel of convolution and dense layers, for the target being
// compiled.
//
//     sum[b][a] += A[a] * B[b]      A: na vectors, B: nb scalars, sums in registers
//
// walked over rows x hops x run steps of both operands. Wide form (many lanes): A is input (a
// vector of lanes each), B is weights. Narrow form (one lane): A is weights (a vector of output
// channels each), B is input, one scalar per position. Either way a sum is one chain of v_fma in
// order (ky, kx, c). Then the write-out: bias, function, and the running maximum of a pooling
// window, in registers.

#include "accumulate.h"
#include "finish.h"

// The wide form: na vectors of lanes (of one or several positions) x nb adjacent output channels,
// and `tiles` of them in a row. Sums that are not finished, because the walk is cut into parts that
// fit the cache, wait in memory; that is for one tile at a time.
#define wide_tile LN_NAME(wide_tile)
typedef struct wide_tile {
  walk walk;
  const ptrdiff_t *in, *out; // of each vector
  const unsigned char
      *merge;          // pooling: this vector joins a maximum that is already in `out`; else NULL
  int tiles;           // the next one has the next na vectors
  int resume, suspend; // sums start from `waiting`; sums go back there
  int add;             // finished sums are added to what is in `out`
  vec *waiting;        // [channel][LN_WIDE_WAITING]
  real *result;        // channel 0 of `out` offset 0
  ptrdiff_t channel_step; // from one channel to the next in `result`
  const real *bias;       // of the nb channels, or NULL
  const finish *finish;
} wide_tile;

enum { LN_NAME(WIDE_WAITING) = 4 };
#define LN_WIDE_WAITING LN_NAME(WIDE_WAITING)

LN_INLINE void LN_NAME(wide_finished)(const wide_tile *t, vec *sum, const ptrdiff_t *out,
                                      const unsigned char *merge, const int na, const int nb) {
  const real *bias = t->bias;
  if (t->add)
    LN_UNROLL for (int s = 0; s < na * nb; s++) sum[s] =
        v_load(t->result + out[s % na] + s / na * t->channel_step) + sum[s];
  if (bias) LN_UNROLL for (int s = 0; s < na * nb; s++) sum[s] = sum[s] + v_set(bias[s / na]);
  v_finish(sum, na * nb, t->finish);
  const ptrdiff_t step = t->channel_step;
  LN_UNROLL for (int i = 0; i < na; i++) {
    real *to = t->result + out[i];
    if (merge && merge[i])
      LN_UNROLL for (int j = 0; j < nb; j++) sum[j * na + i] =
          v_pool_max(v_load(to + j * step), sum[j * na + i]);
    LN_UNROLL for (int j = 0; j < nb; j++) v_store(to + j * step, sum[j * na + i]);
  }
}

LN_INLINE void LN_NAME(wide)(const wide_tile *t, const int na, const int nb) {
  const ptrdiff_t *in = t->in, *out = t->out;
  const unsigned char *merge = t->merge;
  for (int tile = 0; tile < t->tiles; tile++) {
    vec sum[LN_SUMS];
    // The outputs' cache lines come while the sums are made: a map is seldom in the cache when it
    // is written, and stores that miss wait for memory one by one.
    if (!t->suspend)
      LN_UNROLL for (int s = 0; s < na * nb; s++)
          __builtin_prefetch(t->result + out[s % na] + s / na * t->channel_step, 1, 3);
    if (t->resume)
      LN_UNROLL for (int s = 0; s < na * nb; s++) sum[s] =
          t->waiting[s / na * LN_WIDE_WAITING + s % na];
    else
      LN_UNROLL for (int s = 0; s < na * nb; s++) sum[s] = v_set(0);
    LN_NAME(accumulate)(sum, &t->walk, in, NULL, na, nb, 1);
    if (t->suspend)
      LN_UNROLL for (int s = 0; s < na * nb; s++) t->waiting[s / na * LN_WIDE_WAITING + s % na] =
          sum[s];
    else
      LN_NAME(wide_finished)(t, sum, out, merge, na, nb);
    in += na, out += na;
    if (merge) merge += na;
  }
}

#undef LN_WIDE_CHANNELS
#undef LN_WIDE_VECTORS
#undef LN_WIDE_SHAPES
#undef LN_NARROW_POSITIONS
#undef LN_NARROW_SHAPES

// Shapes that exist: X(na, nb). A tile of nb channels takes up to LN_WIDE_VECTORS(nb) vectors.
#if LN_REGISTERS == 32
#define LN_WIDE_CHANNELS 16
#define LN_WIDE_VECTORS(nb) ((nb) <= 4 ? 4 : (nb) <= 8 ? 2 : 1)
#define LN_WIDE_SHAPES(X)                                                                          \
  X(1, 1)                                                                                          \
  X(1, 2)                                                                                          \
  X(1, 3)                                                                                          \
  X(1, 4)                                                                                          \
  X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11) X(1, 12) X(1, 13) X(1, 14) X(1, 15)    \
      X(1, 16) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) X(2, 6) X(2, 7) X(2, 8) X(3, 1) X(3, 2)     \
          X(3, 3) X(3, 4) X(4, 1) X(4, 2) X(4, 3) X(4, 4)
#else
#define LN_WIDE_CHANNELS 6
#define LN_WIDE_VECTORS(nb) ((nb) <= 3 ? 4 : 2)
#define LN_WIDE_SHAPES(X) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) X(2, 6) X(4, 1) X(4, 2) X(4, 3)
#endif

#define X(na, nb)                                                                                  \
  static void LN_NAME(wide_##na##x##nb)(const wide_tile *t) { LN_NAME(wide)(t, na, nb); }
LN_WIDE_SHAPES(X)
#undef X

static void (*const LN_NAME(wide_kernels)[5][LN_WIDE_CHANNELS + 1])(const wide_tile *) = {
#define X(na, nb) [na][nb] = LN_NAME(wide_##na##x##nb),
    LN_WIDE_SHAPES(X)
#undef X
};

// The narrow form: na vectors of output channels x nb positions. A tile whose positions do not have
// the same taps on the map is summed tap by tap over the positions that have it; its sums wait in
// `waiting`.
#define narrow_tile LN_NAME(narrow_tile)
typedef struct narrow_tile {
  walk walk;
  ptrdiff_t weights[8];       // of each vector of channels
  const ptrdiff_t *in;        // of each position
  const unsigned char *sum;   // which rows of `waiting` hold the positions
  int resume, suspend;        // sums start from `waiting`; sums go back there
  int add;                    // finished sums are added to what is in `out`
  vec *waiting;               // [position][8]
  real *result;               // first channel of the tile at `out` offset 0
  const ptrdiff_t *out_at;    // of each position
  const unsigned char *merge; // pooling: the position joins a maximum that is already in `out`
  int last;                   // channels that the last vector holds
  const real *bias;           // of the channels, or NULL
  const finish *finish;
} narrow_tile;

LN_INLINE vec LN_NAME(load_channels)(const real *p, int n) {
  return n == LN_WIDTH ? v_load(p) : v_load_first(p, (size_t)n);
}

// Finished sums of a vector of only `held` channels to `nb` positions.
static void LN_NAME(narrow_store)(const narrow_tile *t, const vec *sum, ptrdiff_t channel, int held,
                                  int nb) {
  for (int j = 0; j < nb; j++) {
    real *to = t->result + t->out_at[j] + channel;
    const vec x = t->merge[j] ? v_pool_max(v_load_first(to, (size_t)held), sum[j]) : sum[j];
    v_store_first(to, x, (size_t)held);
  }
}

LN_INLINE void LN_NAME(narrow)(const narrow_tile *t, const int na, const int nb) {
  vec sum[LN_SUMS];
  if (t->resume)
    LN_UNROLL for (int s = 0; s < na * nb; s++) sum[s] = t->waiting[t->sum[s / na] * 8 + s % na];
  else
    LN_UNROLL for (int s = 0; s < na * nb; s++) sum[s] = v_set(0);
  LN_NAME(accumulate)(sum, &t->walk, t->weights, t->in, na, nb, 0);
  if (t->suspend) {
    LN_UNROLL for (int s = 0; s < na * nb; s++) t->waiting[t->sum[s / na] * 8 + s % na] = sum[s];
    return;
  }
  LN_UNROLL for (int i = 0; i < na; i++) {
    const int held = i == na - 1 ? t->last : LN_WIDTH;
    if (t->add)
      LN_UNROLL for (int j = 0; j < nb; j++) sum[j * na + i] =
          LN_NAME(load_channels)(t->result + t->out_at[j] + i * LN_WIDTH, held) + sum[j * na + i];
    if (t->bias) {
      const vec bias = LN_NAME(load_channels)(t->bias + i * LN_WIDTH, held);
      LN_UNROLL for (int j = 0; j < nb; j++) sum[j * na + i] = sum[j * na + i] + bias;
    }
  }
  v_finish(sum, na * nb, t->finish);
  LN_UNROLL for (int i = 0; i < na; i++) {
    const int held = i == na - 1 ? t->last : LN_WIDTH;
    if (held == LN_WIDTH) {
      LN_UNROLL for (int j = 0; j < nb; j++) {
        real *to = t->result + t->out_at[j] + i * LN_WIDTH;
        v_store(to, t->merge[j] ? v_pool_max(v_load(to), sum[j * na + i]) : sum[j * na + i]);
      }
    } else {
      vec column[LN_SUMS];
      LN_UNROLL for (int j = 0; j < nb; j++) column[j] = sum[j * na + i];
      LN_NAME(narrow_store)(t, column, i * LN_WIDTH, held, nb);
    }
  }
}

// Shapes that exist: X(na, nb). A tile of na vectors takes up to LN_NARROW_POSITIONS(na) positions.
#if LN_REGISTERS == 32
#define LN_NARROW_POSITIONS(na) ((na) == 1 ? 16 : (na) == 2 ? 8 : (na) <= 4 ? 6 : 1)
#define LN_NARROW_SHAPES(X)                                                                        \
  X(1, 1)                                                                                          \
  X(1, 2)                                                                                          \
  X(1, 3)                                                                                          \
  X(1, 4)                                                                                          \
  X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11) X(1, 12) X(1, 13) X(1, 14) X(1, 15)    \
      X(1, 16) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) X(2, 6) X(2, 7) X(2, 8) X(3, 1) X(3, 2)     \
          X(3, 3) X(3, 4) X(3, 5) X(3, 6) X(4, 1) X(4, 2) X(4, 3) X(4, 4) X(4, 5) X(4, 6) X(5, 1)  \
              X(6, 1) X(7, 1) X(8, 1)
#else
#define LN_NARROW_POSITIONS(na) ((na) == 1 ? 8 : (na) == 2 ? 6 : (na) <= 4 ? 3 : 1)
#define LN_NARROW_SHAPES(X)                                                                        \
  X(1, 1)                                                                                          \
  X(1, 2)                                                                                          \
  X(1, 3)                                                                                          \
  X(1, 4)                                                                                          \
  X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) X(2, 6) X(3, 1) X(3, 2)  \
      X(3, 3) X(4, 1) X(4, 2) X(4, 3) X(5, 1) X(6, 1) X(7, 1) X(8, 1)
#endif

#define X(na, nb)                                                                                  \
  static void LN_NAME(narrow_##na##x##nb)(const narrow_tile *t) { LN_NAME(narrow)(t, na, nb); }
LN_NARROW_SHAPES(X)
#undef X

static void (*const LN_NAME(narrow_kernels)[9][17])(const narrow_tile *) = {
#define X(na, nb) [na][nb] = LN_NAME(narrow_##na##x##nb),
    LN_NARROW_SHAPES(X)
#undef X
};
