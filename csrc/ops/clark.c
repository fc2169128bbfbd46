// clark.c: max pooling of moments, in [N][H][W][C] to out [N][OH][OW][C].
//
// Channels and lanes of a pixel are one array, so the narrow form is the same code. A window
// without any tap on the map gives -infinity for certain.

#ifndef LN_TARGET
#include "../engine/family.h"
#include "pool_taps.h"

// A unit is one pixel of the output.
static size_t units(const ln_step *step, int lanes) {
  (void)lanes;
  const ln_pool *s = &step->clark.pool;
  return (size_t)s->images * (size_t)s->out_height * (size_t)s->out_width;
}

// The states of a row of taps, of the rows so far, and of one tap.
static size_t scratch(const ln_step *step, ln_type type, int lanes) {
  (void)type, (void)lanes;
  return 3 * (size_t)(2 + step->clark.rank) * LN_VECTOR_LIMIT;
}

#define LN_WIDER
#define LN_TEMPLATE "../ops/clark.c"
#include "../simd/each_target.h"

const ln__family ln__family_clark = {"clark", units, scratch, LN_TABLE(run_clark)};

#else
#include "../simd/math.h"
#include "../simd/moment_values.h"
#include "../simd/tails.h"
#include "../simd/clark.h"

// `row` becomes the maximum of `count` taps, the first one at element `at`, `step` elements apart;
// of up to n elements each.
LN_INLINE void LN_NAME(fold_taps)(vec *row, vec *tap, const moment_values *in, ptrdiff_t at,
                                  int count, ptrdiff_t step, size_t n, const int rank) {
  LN_NAME(load_state)(row, in, at, n);
  for (int i = 1; i < count; i++) {
    LN_NAME(load_state)(tap, in, at + i * step, n);
    LN_NAME(clark_fold)(row, tap, rank);
  }
}

// `states`: room for three.
LN_INLINE void LN_NAME(pool_moments)(const ln_step *step, const ln__frame *frame, size_t begin,
                                     size_t end, vec *states, const int rank) {
  const ln_clark *c = &step->clark;
  const ln_pool *s = &c->pool;
  const ptrdiff_t pixel = (ptrdiff_t)s->channels * frame->lanes;
  const size_t places = (size_t)s->images * (size_t)s->height * (size_t)s->width;
  const size_t out_places = units(step, frame->lanes);
  const moment_values in = LN_NAME(moment_values_of)(frame, c->mean, c->rest, c->factors, rank,
                                                     places * (size_t)pixel);
  const moment_values out = LN_NAME(moment_values_of)(
      frame, c->out_mean, c->out_rest, c->out_factors, rank, out_places * (size_t)pixel);
  const int parts = 2 + rank;
  vec *whole = states, *line = whole + parts, *tap = line + parts;
  const ptrdiff_t column_step = s->dilation_w * pixel;
  const ptrdiff_t row_step = (ptrdiff_t)s->dilation_h * s->width * pixel;
  for (size_t unit = begin; unit < end; unit++) {
    const int ox = (int)(unit % (size_t)s->out_width);
    const int oy = (int)(unit / (size_t)s->out_width % (size_t)s->out_height);
    const ptrdiff_t image = (ptrdiff_t)(unit / (size_t)s->out_width / (size_t)s->out_height);
    const int y = oy * s->stride_h - s->pad_top, x = ox * s->stride_w - s->pad_left;
    const taps rows = taps_of(y, s->kernel_h, s->dilation_h, s->height, s->height, 0);
    const taps columns = taps_of(x, s->kernel_w, s->dilation_w, s->width, s->width, 0);
    const int width = columns.last - columns.first, height = width > 0 ? rows.last - rows.first : 0;
    const ptrdiff_t corner = ((image * s->height + y + rows.first * s->dilation_h) * s->width + x +
                              columns.first * s->dilation_w) *
                             pixel;
    for (ptrdiff_t e = 0; e < pixel; e += LN_WIDTH) {
      const size_t n = (size_t)(pixel - e);
      if (height <= 0)
        for (int i = 0; i < parts; i++) whole[i] = v_set(i == 0 ? -LN_INFINITY : 0);
      else
        LN_NAME(fold_taps)(whole, tap, &in, corner + e, width, column_step, n, rank);
      for (int ky = 1; ky < height; ky++) {
        LN_NAME(fold_taps)(line, tap, &in, corner + e + ky * row_step, width, column_step, n, rank);
        LN_NAME(clark_fold)(whole, line, rank);
      }
      LN_NAME(store_state)(&out, (ptrdiff_t)unit * pixel + e, n, whole, 0);
    }
  }
}

static void LN_NAME(run_clark)(const ln_step *step, const ln__frame *frame, size_t begin,
                               size_t end) {
  if (step->clark.rank == 0) {
    vec states[6]; // in registers
    LN_NAME(pool_moments)(step, frame, begin, end, states, 0);
  } else {
    LN_NAME(pool_moments)(step, frame, begin, end, (vec *)frame->scratch, step->clark.rank);
  }
}
#endif
