// pool.c: max and average pooling, in [N][H][W][C] to out [N][OH][OW][C].
//
// Channels and lanes of a pixel are one array, so the narrow form is the same code. Taps go in the
// order ky, kx; an average is their sum divided by the count. A NaN among the taps is the result of
// either kind. A window without any tap on the map gives -infinity, or 0 for the average. Winners
// are the indices of the maxima.

#ifndef LN_TARGET
#include "../engine/family.h"
#include "pool_taps.h"

// A unit is one pixel of the output.
static size_t units(const ln_step *step, int lanes) {
  (void)lanes;
  return (size_t)step->pool.images * (size_t)step->pool.out_height * (size_t)step->pool.out_width;
}

#define LN_TEMPLATE "../ops/pool.c"
#include "../simd/each_target.h"

const ln__family ln__family_pool = {"pool", units, NULL, LN_TABLE(run_pool)};

#else

// Vectors of a pixel that go through the taps together.
#ifndef LN_POOL_BLOCK
#define LN_POOL_BLOCK 4
#endif

LN_INLINE vec LN_NAME(pool_tap)(int kind, vec sum, vec x) {
  return kind == LN_POOL_MAX ? v_pool_max(sum, x) : sum + x;
}

// `vectors` vectors of one output pixel; `in` points at the first tap on the map.
LN_INLINE void LN_NAME(pool_block)(int kind, int vectors, real *out, const real *in, taps rows,
                                   taps columns, ptrdiff_t row_step, ptrdiff_t column_step,
                                   vec divisor) {
  vec sum[LN_POOL_BLOCK];
  for (int v = 0; v < vectors; v++)
    sum[v] = v_set(kind == LN_POOL_MAX ? -(real)__builtin_inf() : 0);
  for (int ky = rows.first; ky < rows.last; ky++, in += row_step) {
    const real *tap = in;
    for (int kx = columns.first; kx < columns.last; kx++, tap += column_step)
      for (int v = 0; v < vectors; v++)
        sum[v] = LN_NAME(pool_tap)(kind, sum[v], v_load(tap + v * LN_WIDTH));
  }
  for (int v = 0; v < vectors; v++)
    v_store(out + v * LN_WIDTH, kind == LN_POOL_AVERAGE ? sum[v] / divisor : sum[v]);
}

// The last `count` elements of a pixel, fewer than a vector.
static void LN_NAME(pool_rest)(int kind, real *out, const real *in, taps rows, taps columns,
                               ptrdiff_t row_step, ptrdiff_t column_step, vec divisor,
                               size_t count) {
  vec sum = v_set(kind == LN_POOL_MAX ? -(real)__builtin_inf() : 0);
  for (int ky = rows.first; ky < rows.last; ky++, in += row_step) {
    const real *tap = in;
    for (int kx = columns.first; kx < columns.last; kx++, tap += column_step)
      sum = LN_NAME(pool_tap)(kind, sum, v_load_first(tap, count));
  }
  v_store_first(out, kind == LN_POOL_AVERAGE ? sum / divisor : sum, count);
}

// The indices of the maxima of one pixel; in[y][x] of the map's origin, element by element.
static void LN_NAME(pool_winners)(const ln_pool *s, real *out, const real *in, taps rows,
                                  taps columns, int y, int x, ptrdiff_t image, ptrdiff_t lanes) {
  const ptrdiff_t pixel = (ptrdiff_t)s->channels * lanes, size = (ptrdiff_t)s->height * s->width;
  const ptrdiff_t row_index = s->swapped ? 1 : s->width, column_index = s->swapped ? s->height : 1;
  for (ptrdiff_t i = 0; i < pixel; i++) {
    real best = -(real)__builtin_inf();
    ptrdiff_t winner = -1;
    for (int ky = rows.first; ky < rows.last; ky++)
      for (int kx = columns.first; kx < columns.last; kx++) {
        const ptrdiff_t row = y + ky * s->dilation_h, column = x + kx * s->dilation_w;
        const real value = in[(row * s->width + column) * pixel + i];
        // A NaN wins over numbers, and the first of several over the others.
        if (winner >= 0 && !(value > best) && !(value != value && best == best)) continue;
        best = value;
        winner = row * row_index + column * column_index;
      }
    out[i] = (real)((image * s->channels + i / lanes) * size + winner);
  }
}

LN_INLINE void LN_NAME(pool_pixels)(int kind, const ln_pool *s, const ln__frame *frame,
                                    size_t begin, size_t end) {
  const ptrdiff_t pixel = (ptrdiff_t)s->channels * frame->lanes;
  const ptrdiff_t row_step = pixel * s->width * s->dilation_h, column_step = pixel * s->dilation_w;
  const real *values = operand_values(frame, s->in);
  real *out = arena_values(frame, s->out) + (ptrdiff_t)begin * pixel;
  int ox = (int)(begin % (size_t)s->out_width);
  int oy = (int)(begin / (size_t)s->out_width % (size_t)s->out_height);
  ptrdiff_t image = (ptrdiff_t)(begin / (size_t)s->out_width / (size_t)s->out_height);
  for (size_t unit = begin; unit < end; unit++, out += pixel) {
    const int y = oy * s->stride_h - s->pad_top, x = ox * s->stride_w - s->pad_left;
    const taps rows = taps_of(y, s->kernel_h, s->dilation_h, s->height, s->height + s->pad_bottom,
                              s->count_padding);
    const taps columns =
        taps_of(x, s->kernel_w, s->dilation_w, s->width, s->width + s->pad_right, s->count_padding);
    const real *in = values + ((image * s->height + y + rows.first * s->dilation_h) * s->width + x +
                               columns.first * s->dilation_w) *
                                  pixel;
    if (kind == LN_POOL_WINNER) {
      LN_NAME(pool_winners)
      (s, out, values + image * s->height * s->width * pixel, rows, columns, y, x, image,
       frame->lanes);
    }
    const int count = rows.counted * columns.counted;
    const vec divisor = v_set(count > 0 ? (real)count : 1);
    ptrdiff_t i = kind == LN_POOL_WINNER ? pixel : 0;
    for (; i + LN_POOL_BLOCK * LN_WIDTH <= pixel; i += LN_POOL_BLOCK * LN_WIDTH) LN_NAME(pool_block)
    (kind, LN_POOL_BLOCK, out + i, in + i, rows, columns, row_step, column_step, divisor);
    for (; i + LN_WIDTH <= pixel; i += LN_WIDTH)
      LN_NAME(pool_block)(kind, 1, out + i, in + i, rows, columns, row_step, column_step, divisor);
    if (i < pixel) LN_NAME(pool_rest)
    (kind, out + i, in + i, rows, columns, row_step, column_step, divisor, (size_t)(pixel - i));
    if (++ox == s->out_width) {
      ox = 0;
      if (++oy == s->out_height) {
        oy = 0;
        image++;
      }
    }
  }
}

static void LN_NAME(run_pool)(const ln_step *step, const ln__frame *frame, size_t begin,
                              size_t end) {
  switch (step->pool.kind) {
  case LN_POOL_MAX: LN_NAME(pool_pixels)(LN_POOL_MAX, &step->pool, frame, begin, end); break;
  case LN_POOL_AVERAGE:
    LN_NAME(pool_pixels)(LN_POOL_AVERAGE, &step->pool, frame, begin, end);
    break;
  case LN_POOL_WINNER: LN_NAME(pool_pixels)(LN_POOL_WINNER, &step->pool, frame, begin, end); break;
  case LN_POOL_SUM: LN_NAME(pool_pixels)(LN_POOL_SUM, &step->pool, frame, begin, end); break;
  }
}
#endif
