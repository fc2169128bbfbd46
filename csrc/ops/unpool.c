// unpool.c: the reverse of max, average and sum pooling, out [N][H][W][C] from gradient
// [N][OH][OW][C].
//
// Windows hand their gradients out one after the other in row-major order, each adding to the
// elements of its taps, so shared elements have one order of addition. Channels and lanes of a
// pixel are one array here, so the narrow form is the same code but for the numbers of a constant
// reference, which hold for all lanes.

#ifndef LN_TARGET
#include "../engine/family.h"
#include "unpool_parts.h"

static size_t units(const ln_step *step, int lanes) {
  return parts_count(&step->unpool.pool, lanes);
}

#define LN_TEMPLATE "../ops/unpool.c"
#include "../simd/each_target.h"

const ln__family ln__family_unpool = {"unpool", units, NULL, LN_TABLE(run_unpool)};

#else

// One window: `rows` x `columns` taps on the map, their steps in elements, pointers to the first
// one's pixel.
#define window LN_NAME(window)
typedef struct window {
  const real *gradient, *map, *reference;
  real *out;
  int rows, columns;
  ptrdiff_t row_step, column_step;
  int shared; // the reference holds one number for this many elements: the lanes of a constant
  real divisor;
} window;

// Elements e .. e + n - 1 of a pixel, n up to a vector.
LN_INLINE vec LN_NAME(pixel_load)(const real *pixel, ptrdiff_t e, ptrdiff_t n) {
  return n >= LN_WIDTH ? v_load(pixel + e) : v_load_first(pixel + e, (size_t)n);
}
LN_INLINE vec LN_NAME(reference_load)(const window *w, ptrdiff_t tap, ptrdiff_t e, ptrdiff_t n) {
  if (w->shared > 1) return v_set(w->reference[(tap + e) / w->shared]);
  return LN_NAME(pixel_load)(w->reference + tap, e, n);
}

// Whether x takes the maximum from `best`: of equal ones the first stays, a NaN wins over numbers.
LN_INLINE mask LN_NAME(takes)(vec x, vec best) { return (x > best) | ((x != x) & (best == best)); }

// The number of the winning tap, row-major, as an integer in every lane.
LN_INLINE mask LN_NAME(winner_of)(const window *w, int rows, int columns, ptrdiff_t e,
                                  ptrdiff_t n) {
  vec best = LN_NAME(pixel_load)(w->map, e, n);
  mask winner = 0;
  for (int ky = 0, tap = 0; ky < rows; ky++)
    for (int kx = 0; kx < columns; kx++, tap++) {
      const vec x = LN_NAME(pixel_load)(w->map + ky * w->row_step + kx * w->column_step, e, n);
      const mask better = LN_NAME(takes)(x, best);
      best = v_select(better, x, best);
      winner = better ? (mask)(LN__BITS)tap : winner;
    }
  return winner;
}

// The winners of map and reference, and the factors of the gradient there.
#define pair LN_NAME(pair)
typedef struct pair {
  mask i, j;
  vec factor_i, factor_j;
} pair;

LN_INLINE vec LN_NAME(share_factor)(vec twice_share, vec difference) {
  const vec half = v_set((real)0.5) * twice_share;
  return v_select(difference == v_set(0), v_set(0), half / difference);
}

// Whether x ties for the maximum `best`, but for rounding: 128 roundings of it. Minimal filtering
// gives equal sums at different places of a tile different last digits.
LN_INLINE mask LN_NAME(ties)(vec x, vec best) {
  const real share = sizeof(real) == 4 ? (real)0x1p-16 : (real)0x1p-45;
  return (x == best) | (best - x < v_set(share) * v_abs(best));
}

LN_INLINE pair LN_NAME(pair_of)(const window *w, int rows, int columns, ptrdiff_t e, ptrdiff_t n) {
  vec xi = LN_NAME(pixel_load)(w->map, e, n), xj = xi;
  vec bi = LN_NAME(reference_load)(w, 0, e, n), bj = bi;
  pair p = {0};
  for (int ky = 0, tap = 0; ky < rows; ky++)
    for (int kx = 0; kx < columns; kx++, tap++) {
      const ptrdiff_t at = ky * w->row_step + kx * w->column_step;
      const vec x = LN_NAME(pixel_load)(w->map + at, e, n);
      const vec b = LN_NAME(reference_load)(w, at, e, n);
      const mask better_i = LN_NAME(takes)(x, xi), better_j = LN_NAME(takes)(b, bj);
      xi = v_select(better_i, x, xi), bi = v_select(better_i, b, bi);
      bj = v_select(better_j, b, bj), xj = v_select(better_j, x, xj);
      p.i = better_i ? (mask)(LN__BITS)tap : p.i;
      p.j = better_j ? (mask)(LN__BITS)tap : p.j;
    }
  // Where a winner's own pixel ties for the other map's maximum, the two are one: maps of equal
  // numbers, such as those of a constant baseline, have no winner of their own.
  p.j = LN_NAME(ties)(bi, bj) ? p.i : p.j;
  p.i = LN_NAME(ties)(xj, xi) ? p.j : p.i;
  const vec high = v_max(xi, bj), low = v_max(bi, xj);
  p.factor_i =
      v_select(p.i == p.j, v_set(1), LN_NAME(share_factor)((high - bj) + (xi - low), xi - bi));
  p.factor_j = LN_NAME(share_factor)((low - bj) + (xi - high), xj - bj);
  return p;
}

// Hands out the gradients of a window's elements e .. e + n - 1.
LN_INLINE void LN_NAME(hand_out)(int kind, int stores, int rows, int columns, const window *w,
                                 ptrdiff_t e, ptrdiff_t n) {
  const vec gradient = LN_NAME(pixel_load)(w->gradient, e, n);
  vec given = gradient, second = gradient;
  mask i = 0, j = 0;
  if (kind == LN_UNPOOL_AVERAGE) given = gradient / v_set(w->divisor);
  if (kind == LN_UNPOOL_WINNER) i = LN_NAME(winner_of)(w, rows, columns, e, n);
  if (kind == LN_UNPOOL_PAIR) {
    const pair p = LN_NAME(pair_of)(w, rows, columns, e, n);
    i = p.i, j = p.j;
    given = gradient * p.factor_i, second = gradient * p.factor_j;
  }
  for (int ky = 0, tap = 0; ky < rows; ky++)
    for (int kx = 0; kx < columns; kx++, tap++) {
      real *out = w->out + ky * w->row_step + kx * w->column_step;
      vec part = given;
      if (kind == LN_UNPOOL_PAIR) part = v_select(j == (LN__BITS)tap, second, v_set(0));
      if (kind == LN_UNPOOL_WINNER) part = v_set(0);
      if (kind == LN_UNPOOL_WINNER || kind == LN_UNPOOL_PAIR)
        part = v_select(i == (LN__BITS)tap, given, part);
      if (!stores) part = LN_NAME(pixel_load)(out, e, n) + part;
      if (n >= LN_WIDTH)
        v_store(out + e, part);
      else
        v_store_first(out + e, part, (size_t)n);
    }
}

LN_INLINE void LN_NAME(hand_out_all)(int kind, int stores, int rows, int columns, const window *w,
                                     ptrdiff_t first, ptrdiff_t last) {
  ptrdiff_t e = first;
  for (; e + LN_WIDTH <= last; e += LN_WIDTH)
    LN_NAME(hand_out)(kind, stores, rows, columns, w, e, LN_WIDTH);
  if (e < last) LN_NAME(hand_out)(kind, stores, rows, columns, w, e, last - e);
}

// The windows of output row oy: elements first .. last - 1 of each pixel.
LN_INLINE void LN_NAME(unpool_row)(int kind, const ln_unpool *u, const ln__frame *frame,
                                   const parts *p, ptrdiff_t image, int oy, ptrdiff_t first,
                                   ptrdiff_t last) {
  const ln_pool *s = &u->pool;
  const ptrdiff_t lanes = frame->lanes, pixel = s->channels * lanes;
  const int y = oy * s->stride_h - s->pad_top;
  const taps rows = taps_of(y, s->kernel_h, s->dilation_h, s->height, s->height + s->pad_bottom,
                            s->count_padding);
  const int reads_map = kind == LN_UNPOOL_WINNER || kind == LN_UNPOOL_PAIR;
  const real *gradients =
      operand_values(frame, u->gradient) + (image * s->out_height + oy) * s->out_width * pixel;
  real *values = arena_values(frame, u->out);
  const real *map = reads_map ? operand_values(frame, s->in) : values;
  const real *reference = kind == LN_UNPOOL_PAIR ? operand_values(frame, u->reference) : map;
  window w = {.row_step = pixel * s->width * s->dilation_h, .column_step = pixel * s->dilation_w};
  w.shared = kind == LN_UNPOOL_PAIR && u->reference.block >= 0 ? (int)lanes : 1;
  w.rows = rows.last - rows.first;
  for (int ox = 0; ox < s->out_width; ox++) {
    const int x = ox * s->stride_w - s->pad_left;
    const taps columns =
        taps_of(x, s->kernel_w, s->dilation_w, s->width, s->width + s->pad_right, s->count_padding);
    w.columns = columns.last - columns.first;
    if (w.rows <= 0 || w.columns <= 0) continue;
    const ptrdiff_t at = ((image * s->height + y + rows.first * s->dilation_h) * s->width + x +
                          columns.first * s->dilation_w) *
                         pixel;
    w.gradient = gradients + ox * pixel;
    w.out = values + at;
    w.map = map + at;
    w.reference = reference + (w.shared > 1 ? at / lanes : at);
    w.divisor = (real)(rows.counted * columns.counted);
    if (!p->disjoint)
      LN_NAME(hand_out_all)(kind, 0, w.rows, w.columns, &w, first, last);
    else if (w.rows == 2 && w.columns == 2)
      LN_NAME(hand_out_all)(kind, 1, 2, 2, &w, first, last);
    else
      LN_NAME(hand_out_all)(kind, 1, w.rows, w.columns, &w, first, last);
  }
}

LN_INLINE void LN_NAME(unpool_units)(int kind, const ln_unpool *u, const ln__frame *frame,
                                     size_t begin, size_t end) {
  const ln_pool *s = &u->pool;
  const parts p = parts_of(s, frame->lanes);
  const ptrdiff_t pixel = (ptrdiff_t)s->channels * frame->lanes;
  real *values = arena_values(frame, u->out);
  for (size_t unit = begin; unit < end; unit++) {
    const size_t block = unit % p.blocks, band = unit / p.blocks % p.bands;
    const ptrdiff_t image = (ptrdiff_t)(unit / p.blocks / p.bands);
    const ptrdiff_t first = (ptrdiff_t)block * p.block;
    const ptrdiff_t last = first + p.block < pixel ? first + p.block : pixel;
    real *map = values + image * s->height * s->width * pixel;
    const int rows_begin = band_begin(s, &p, band), rows_end = band_begin(s, &p, band + 1);
    if (!p.tiled)
      clear_rows(map, sizeof(real), pixel, s->width, rows_begin, rows_end, first, last);
    const int oy = p.bands > 1 ? (int)band : 0, after = p.bands > 1 ? oy + 1 : s->out_height;
    for (int row = oy; row < after; row++)
      LN_NAME(unpool_row)(kind, u, frame, &p, image, row, first, last);
  }
}

static void LN_NAME(run_unpool)(const ln_step *step, const ln__frame *frame, size_t begin,
                                size_t end) {
  const ln_unpool *u = &step->unpool;
  switch ((ln_unpool_kind)u->kind) {
  case LN_UNPOOL_WINNER: LN_NAME(unpool_units)(LN_UNPOOL_WINNER, u, frame, begin, end); break;
  case LN_UNPOOL_AVERAGE: LN_NAME(unpool_units)(LN_UNPOOL_AVERAGE, u, frame, begin, end); break;
  case LN_UNPOOL_SUM: LN_NAME(unpool_units)(LN_UNPOOL_SUM, u, frame, begin, end); break;
  case LN_UNPOOL_PAIR: LN_NAME(unpool_units)(LN_UNPOOL_PAIR, u, frame, begin, end); break;
  }
}

#undef window
#undef pair
#endif
