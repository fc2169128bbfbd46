// unclark.c: the reverse of clark.c, signals of out [N][OH][OW][C] to signals of [N][H][W][C].
//
// A window's folds are done once more with all their states and pairs kept, then taken back in
// reverse order. Windows go one after the other in row-major order, each adding to the elements of
// its taps. Channels and lanes of a pixel are one array here, so the narrow form is the same code.

#ifndef LN_TARGET
#include "../engine/family.h"
#include "unpool_parts.h"

static size_t units(const ln_step *step, int lanes) {
  return parts_count(&step->unclark.pool, lanes);
}

// A pair in vectors: simd/clark.h.
enum { PAIR_VECTORS = 10 };

// States: per tap that of its row up to it, per row that of the rows up to it, and one tap.
// Signals: of the rows so far, of a row, of a tap. Pairs: of every tap; at the first one of a row is
// that of the row.
static size_t scratch(const ln_step *step, ln_type type, int lanes) {
  (void)type, (void)lanes;
  const ln_pool *s = &step->unclark.pool;
  const size_t rows = (size_t)s->kernel_h, states = rows * ((size_t)s->kernel_w + 1) + 4;
  const size_t pairs = rows * (size_t)s->kernel_w;
  return (states * (size_t)(2 + step->unclark.rank) + pairs * PAIR_VECTORS) * LN_VECTOR_LIMIT;
}

#define LN_WIDER
#define LN_TEMPLATE "../ops/unclark.c"
#include "../simd/each_target.h"

const ln__family ln__family_unclark = {"unclark", units, scratch, LN_TABLE(run_unclark)};

#else
#include "../simd/math.h"
#include "../simd/moment_values.h"
#include "../simd/tails.h"
#include "../simd/clark.h"

// One window: `rows` x `columns` taps on the map, the first one at element `at`, the window's own
// elements at `out_at`, up to n of them; steps in elements.
#define moment_window LN_NAME(moment_window)
typedef struct moment_window {
  int rank, rows, columns;
  ptrdiff_t at, out_at, row_step, column_step;
  size_t n;
  int adds;
} moment_window;

static void LN_NAME(unfold_window)(const moment_window *w, const moment_values *in,
                                   const moment_values *signals, const moment_values *out,
                                   vec *scratch) {
  const int parts = 2 + w->rank;
  const ptrdiff_t count = (ptrdiff_t)w->rows * w->columns;
  vec *of_taps = scratch, *of_rows = of_taps + count * parts, *tap = of_rows + w->rows * parts;
  vec *signal = tap + parts, *row_signal = signal + parts, *tap_signal = row_signal + parts;
  _Static_assert(sizeof(clark_pair) <= PAIR_VECTORS * sizeof(vec) &&
                     _Alignof(clark_pair) == _Alignof(vec),
                 "a pair is so many vectors, and lies where vectors do");
  clark_pair *pairs = (clark_pair *)(tap_signal + parts);
  for (int ky = 0; ky < w->rows; ky++) {
    vec *state = of_taps + (ptrdiff_t)ky * w->columns * parts;
    LN_NAME(load_state)(state, in, w->at + ky * w->row_step, w->n);
    for (int kx = 1; kx < w->columns; kx++, state += parts) {
      memcpy(state + parts, state, (size_t)parts * sizeof(vec));
      LN_NAME(load_state)(tap, in, w->at + ky * w->row_step + kx * w->column_step, w->n);
      pairs[ky * w->columns + kx] = LN_NAME(clark_fold)(state + parts, tap, w->rank);
    }
    vec *whole = of_rows + ky * parts;
    memcpy(whole, ky ? whole - parts : state, (size_t)parts * sizeof(vec));
    if (ky) pairs[ky * w->columns] = LN_NAME(clark_fold)(whole, state, w->rank);
  }
  LN_NAME(load_state)(signal, signals, w->out_at, w->n);
  for (int ky = w->rows - 1; ky >= 0; ky--) {
    const vec *state = of_taps + ((ptrdiff_t)(ky + 1) * w->columns - 1) * parts;
    if (ky)
      LN_NAME(clark_unfold)(signal, row_signal, of_rows + (ky - 1) * parts, state,
                            pairs + ky * w->columns, w->rank);
    else
      memcpy(row_signal, signal, (size_t)parts * sizeof(vec));
    for (int kx = w->columns - 1; kx > 0; kx--) {
      const ptrdiff_t at = w->at + ky * w->row_step + kx * w->column_step;
      state -= parts;
      LN_NAME(load_state)(tap, in, at, w->n);
      LN_NAME(clark_unfold)(row_signal, tap_signal, state, tap, pairs + ky * w->columns + kx,
                            w->rank);
      LN_NAME(store_state)(out, at, w->n, tap_signal, w->adds);
    }
    LN_NAME(store_state)(out, w->at + ky * w->row_step, w->n, row_signal, w->adds);
  }
}

static void LN_NAME(run_unclark)(const ln_step *step, const ln__frame *frame, size_t begin,
                                 size_t end) {
  const ln_unclark *u = &step->unclark;
  const ln_pool *s = &u->pool;
  const parts p = parts_of(s, frame->lanes);
  const ptrdiff_t pixel = (ptrdiff_t)s->channels * frame->lanes;
  const size_t size = (size_t)s->images * (size_t)s->height * (size_t)s->width * (size_t)pixel;
  const size_t out_size =
      (size_t)s->images * (size_t)s->out_height * (size_t)s->out_width * (size_t)pixel;
  const moment_values in =
      LN_NAME(moment_values_of)(frame, u->mean, u->rest, u->factors, u->rank, size);
  const moment_values signals = LN_NAME(moment_values_of)(
      frame, u->signal_mean, u->signal_rest, u->signal_factors, u->rank, out_size);
  const moment_values out =
      LN_NAME(moment_values_of)(frame, u->out_mean, u->out_rest, u->out_factors, u->rank, size);
  moment_window w = {.rank = u->rank, .adds = !p.disjoint};
  w.row_step = pixel * s->width * s->dilation_h, w.column_step = pixel * s->dilation_w;
  for (size_t unit = begin; unit < end; unit++) {
    const size_t block = unit % p.blocks, band = unit / p.blocks % p.bands;
    const ptrdiff_t image = (ptrdiff_t)(unit / p.blocks / p.bands);
    const ptrdiff_t first = (ptrdiff_t)block * p.block;
    const ptrdiff_t last = first + p.block < pixel ? first + p.block : pixel;
    const ptrdiff_t map = image * s->height * s->width * pixel;
    const int rows_begin = band_begin(s, &p, band), rows_end = band_begin(s, &p, band + 1);
    for (int i = 0; !p.tiled && i < 2 + u->rank; i++) {
      real *part = i == 0 ? out.mean : i == 1 ? out.rest : out.factors + (i - 2) * out.step;
      clear_rows(part + map, sizeof(real), pixel, s->width, rows_begin, rows_end, first, last);
    }
    const int oy = p.bands > 1 ? (int)band : 0, after = p.bands > 1 ? oy + 1 : s->out_height;
    for (int row = oy; row < after; row++)
      for (int ox = 0; ox < s->out_width; ox++) {
        const int y = row * s->stride_h - s->pad_top, x = ox * s->stride_w - s->pad_left;
        const taps rows = taps_of(y, s->kernel_h, s->dilation_h, s->height, s->height, 0);
        const taps columns = taps_of(x, s->kernel_w, s->dilation_w, s->width, s->width, 0);
        w.rows = rows.last - rows.first, w.columns = columns.last - columns.first;
        if (w.rows <= 0 || w.columns <= 0) continue;
        const ptrdiff_t corner = (y + rows.first * s->dilation_h) * (ptrdiff_t)s->width + x +
                                 columns.first * s->dilation_w;
        for (ptrdiff_t e = first; e < last; e += LN_WIDTH) {
          w.n = (size_t)(last - e);
          w.at = map + corner * pixel + e;
          w.out_at = ((image * s->out_height + row) * s->out_width + ox) * pixel + e;
          LN_NAME(unfold_window)(&w, &in, &signals, &out, (vec *)frame->scratch);
        }
      }
  }
}
#endif
