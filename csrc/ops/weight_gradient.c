// weight_gradient.c: gradients of the weights of convolutions and dense layers.
//
// Two forms of the same sums. In general a vector holds output channels, and the micro-kernel of
// layers (simd/accumulate.h) walks over rows, columns and lanes:
//
//     sum[c, ky, kx][o] += turned[oy][ox][lane][o] * in[..][c][lane]
//
// The gradient is turned from [position][channel][lane] for a band of rows that fits the
// second-level cache; sums wait in the tile's row from band to band, one chain all along. Where a
// group has few outputs (depthwise layers), vectors hold lanes, and lanes are added up at the end.
// Windows that reach over the edge read a copy of the map with zeros around it.

#ifndef LN_TARGET
#include "weight_gradient_walk.h"
#include "../engine/family.h"

// Outputs of one unit of work.
enum { OUTPUTS = 64 };

static size_t units(const ln_step *step, int lanes) {
  (void)lanes;
  const ln_conv *s = &step->weight_gradient.shape;
  return (size_t)s->groups * (size_t)ln__ceil_div(s->out_channels, OUTPUTS);
}

// Elements of the turned band, and behind it one vector that may be read past its end.
static size_t turned_count(const ln__gradient_walk *w, int lanes) {
  if (w->by_lanes) return 0;
  return (size_t)w->band * (size_t)w->columns * (size_t)lanes * (size_t)w->out_channels +
         LN_LANE_UNIT;
}

static size_t scratch(const ln_step *step, ln_type type, int lanes) {
  const ln__gradient_walk w = ln__gradient_walk_of(&step->weight_gradient.shape, lanes);
  const size_t map = (size_t)w.height * (size_t)w.width * (size_t)w.in_channels * (size_t)lanes;
  return (turned_count(&w, lanes) + (w.is_padded ? map : 0)) * (type == LN_FLOAT32 ? 4 : 8);
}

#define LN_TEMPLATE "../ops/weight_gradient.c"
#include "../simd/each_target.h"

const ln__family ln__family_weight_gradient = {"weight gradient", units, scratch,
                                               LN_TABLE(run_weight_gradient)};

#else
#include "../simd/accumulate.h"
#include "../simd/transpose.h"

// One tile: `na` vectors of outputs x `nb` taps, from and to the tile's row.
#define tap_tile LN_NAME(tap_tile)
typedef struct tap_tile {
  walk walk;
  ptrdiff_t outputs[4]; // of each vector in the turned gradient
  ptrdiff_t taps[8];    // of each tap in the map
  real *sums;           // [tap][output]
  ptrdiff_t sums_step;  // from tap to tap
  int last;             // outputs that the last vector holds
  int resume;           // sums start from what is there
} tap_tile;

LN_INLINE void LN_NAME(tap_sums)(const tap_tile *t, const int na, const int nb) {
  vec sum[LN_SUMS];
  LN_UNROLL for (int s = 0; s < na * nb; s++) {
    const real *from = t->sums + s / na * t->sums_step + s % na * LN_WIDTH;
    const int whole = s % na < na - 1 || t->last == LN_WIDTH;
    sum[s] = !t->resume ? v_set(0) : whole ? v_load(from) : v_load_first(from, (size_t)t->last);
  }
  LN_NAME(accumulate)(sum, &t->walk, t->outputs, t->taps, na, nb, 0);
  LN_UNROLL for (int s = 0; s < na * nb; s++) {
    real *to = t->sums + s / na * t->sums_step + s % na * LN_WIDTH;
    if (s % na < na - 1 || t->last == LN_WIDTH)
      v_store(to, sum[s]);
    else
      v_store_first(to, sum[s], (size_t)t->last);
  }
}

#undef LN_TAP_VECTORS
#undef LN_TAP_LIMIT
#undef LN_TAP_SHAPES
#undef LN_TAP_NARROW

// Shapes that exist: X(na, nb), nb up to LN_TAP_LIMIT(na).
#define LN_TAP_NARROW(X)                                                                           \
  X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8)                                  \
  X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) X(2, 6)
#if LN_REGISTERS == 32
#define LN_TAP_VECTORS 4
#define LN_TAP_LIMIT(na) ((na) == 4 ? 6 : 8)
#define LN_TAP_SHAPES(X)                                                                           \
  LN_TAP_NARROW(X) X(2, 7) X(2, 8) X(4, 1) X(4, 2) X(4, 3) X(4, 4) X(4, 5) X(4, 6)
#else
#define LN_TAP_VECTORS 2
#define LN_TAP_LIMIT(na) ((na) == 2 ? 6 : 8)
#define LN_TAP_SHAPES(X) LN_TAP_NARROW(X)
#endif

#define X(na, nb)                                                                                  \
  static void LN_NAME(taps_##na##x##nb)(const tap_tile *t) { LN_NAME(tap_sums)(t, na, nb); }
LN_TAP_SHAPES(X)
#undef X

static void (*const LN_NAME(tap_kernels)[5][9])(const tap_tile *) = {
#define X(na, nb) [na][nb] = LN_NAME(taps_##na##x##nb),
    LN_TAP_SHAPES(X)
#undef X
};

// What all units of a step on one tile of lanes share.
#define weight_layer LN_NAME(weight_layer)
typedef struct weight_layer {
  const ln_conv *shape;
  ln__gradient_walk walk;
  const real *map, *gradient; // of the image at hand
  real *turned, *row;
  ptrdiff_t lanes;
  int count;  // lanes that hold examples
  int taps;   // KH * KW * C
  int resume; // the row holds sums of other positions
} weight_layer;

// The place of tap j = (ky, kx, c) of group g in the map, from that of the window.
LN_INLINE ptrdiff_t LN_NAME(tap_place)(const weight_layer *l, int g, int j) {
  const ln_conv *s = l->shape;
  const int c = j % s->in_channels, kx = j / s->in_channels % s->kernel_w,
            ky = j / s->in_channels / s->kernel_w;
  const ptrdiff_t position =
      (ptrdiff_t)ky * s->dilation_h * l->walk.width + (ptrdiff_t)kx * s->dilation_w;
  return (position * l->walk.in_channels + g * s->in_channels + c) * l->lanes;
}

// The gradient of rows first .. first + rows - 1 as [position][lane][channel].
static void LN_NAME(turn)(const weight_layer *l, int first, int rows) {
  const ptrdiff_t channels = l->walk.out_channels, row = l->walk.out_row;
  for (int y = 0; y < rows; y++)
    for (int x = 0; x < l->walk.columns; x++) {
      const real *from = l->gradient + ((first + y) * row + x * channels) * l->lanes;
      real *to = l->turned + (ptrdiff_t)(y * l->walk.columns + x) * l->lanes * channels;
      if (l->lanes == 1) {
        memcpy(to, from, (size_t)channels * sizeof(real));
        continue;
      }
      real *lane[LN_LANE_LIMIT];
      for (int i = 0; i < l->count; i++) lane[i] = to + i * channels;
      LN_NAME(lanes_to_rows)(lane, 0, from, l->lanes, channels, l->count);
    }
}

// Sums of a unit over a band of rows that has been turned.
static void LN_NAME(sum_band)(const weight_layer *l, int unit, int first, int rows) {
  const ln_conv *s = l->shape;
  const int blocks = ln__ceil_div(s->out_channels, OUTPUTS), g = unit / blocks;
  const int begin = unit % blocks * OUTPUTS, end = ln__min(begin + OUTPUTS, s->out_channels);
  const ptrdiff_t step = l->walk.out_channels;
  tap_tile t;
  t.walk = (walk){
      .a = l->turned,
      .b = l->map + first * l->walk.in_row * l->lanes,
      .a_step = step,
      .a_hop = l->lanes * step,
      .a_row = l->walk.columns * l->lanes * step,
      .b_step = 1,
      .b_hop = l->walk.in_column * l->lanes,
      .b_row = l->walk.in_row * l->lanes,
      .rows = rows,
      .hops = l->walk.columns,
      .run = l->count,
  };
  t.sums_step = s->out_channels;
  t.resume = l->resume || first > 0;
  for (int o = begin; o < end;) {
    const int left = ln__ceil_div(end - o, LN_WIDTH);
    const int na = left >= LN_TAP_VECTORS ? LN_TAP_VECTORS : left >= 2 ? 2 : 1;
    for (int v = 0; v < na; v++) t.outputs[v] = (ptrdiff_t)g * s->out_channels + o + v * LN_WIDTH;
    t.last = ln__min(LN_WIDTH, end - o - (na - 1) * LN_WIDTH);
    for (int j = 0; j < l->taps;) {
      const int nb = ln__min(LN_TAP_LIMIT(na), l->taps - j);
      for (int i = 0; i < nb; i++) t.taps[i] = LN_NAME(tap_place)(l, g, j + i);
      t.sums = l->row + ((ptrdiff_t)g * l->taps + j) * s->out_channels + o;
      LN_NAME(tap_kernels)[na][nb](&t);
      j += nb;
    }
    o += na * LN_WIDTH;
  }
}

// The form with lanes in the vectors: all positions of an image, up to 8 taps at a time.
static void LN_NAME(sum_lanes)(const weight_layer *l, int unit) {
  enum { TAPS = 8 };
  const ln_conv *s = l->shape;
  const ln__gradient_walk *w = &l->walk;
  for (int o = 0; o < s->out_channels; o++)
    for (int j = 0; j < l->taps; j += TAPS) {
      const int nb = ln__min(TAPS, l->taps - j);
      const real *tap[TAPS];
      for (int i = 0; i < TAPS; i++)
        tap[i] = l->map + LN_NAME(tap_place)(l, unit, j + ln__min(i, nb - 1));
      const real *gradient = l->gradient + ((ptrdiff_t)unit * s->out_channels + o) * l->lanes;
      real sums[TAPS][LN_LANE_LIMIT];
      for (int lane = 0; lane < l->lanes; lane += LN_WIDTH) {
        vec sum[TAPS];
        LN_UNROLL for (int i = 0; i < TAPS; i++) sum[i] = v_set(0);
        for (int y = 0; y < w->rows; y++)
          for (int x = 0; x < w->columns; x++) {
            const ptrdiff_t out = (y * w->out_row + x * w->out_channels) * l->lanes + lane;
            const ptrdiff_t in = (y * w->in_row + x * w->in_column) * l->lanes + lane;
            const vec g = v_load(gradient + out);
            LN_UNROLL for (int i = 0; i < TAPS; i++) sum[i] =
                v_fma(v_load(tap[i] + in), g, sum[i]);
          }
        LN_UNROLL for (int i = 0; i < TAPS; i++) v_store(sums[i] + lane, sum[i]);
      }
      for (int i = 0; i < nb; i++) {
        real *to = l->row + ((ptrdiff_t)unit * l->taps + j + i) * s->out_channels + o;
        real total = l->resume ? *to : 0;
        for (int lane = 0; lane < l->count; lane++) total += sums[i][lane];
        *to = total;
      }
    }
}

// The map of an image with zeros around it, as far as windows reach.
static void LN_NAME(surround)(const weight_layer *l, const real *in, real *out) {
  const ln_conv *s = l->shape;
  const size_t position = (size_t)(l->walk.in_channels * l->lanes);
  const int begin = ln__min(s->pad_left, l->walk.width);
  const int end = ln__max(begin, ln__min(s->pad_left + s->width, l->walk.width));
  for (int y = 0; y < l->walk.height; y++, out += (size_t)l->walk.width * position) {
    const int from = y - s->pad_top;
    if (from < 0 || from >= s->height) {
      memset(out, 0, (size_t)l->walk.width * position * sizeof(real));
      continue;
    }
    memset(out, 0, (size_t)begin * position * sizeof(real));
    memcpy(out + (size_t)begin * position, in + (size_t)from * (size_t)s->width * position,
           (size_t)(end - begin) * position * sizeof(real));
    memset(out + (size_t)end * position, 0,
           (size_t)(l->walk.width - end) * position * sizeof(real));
  }
}

static void LN_NAME(run_weight_gradient)(const ln_step *step, const ln__frame *frame,
                                         size_t begin, size_t end) {
  const ln_weight_gradient *s = &step->weight_gradient;
  const ln_conv *shape = &s->shape;
  const ln__gradient_walk w = ln__gradient_walk_of(shape, frame->lanes);
  const int taps = (int)ln__conv_depth(shape);
  const int64_t row_count = (int64_t)taps * w.out_channels;
  real *scratch = (real *)frame->scratch, *padded = scratch + turned_count(&w, frame->lanes);
  const real *in = operand_values(frame, s->in), *gradient = operand_values(frame, s->gradient);
  weight_layer l = {
      .shape = shape,
      .walk = w,
      .turned = scratch,
      .row = (real *)frame->call->outputs[s->slot] +
             (int64_t)(frame->first / (size_t)frame->lanes) * row_count,
      .lanes = frame->lanes,
      .count = (int)frame->count,
      .taps = taps,
  };
  for (int image = 0; image < w.images; image++) {
    l.map = in + image * w.in_image * l.lanes;
    l.gradient = gradient + image * w.out_image * l.lanes;
    l.resume = image > 0;
    if (w.is_padded) {
      LN_NAME(surround)(&l, l.map, padded);
      l.map = padded;
    }
    if (w.by_lanes) {
      // With so few outputs a unit is a group.
      for (size_t unit = begin; unit < end; unit++) LN_NAME(sum_lanes)(&l, (int)unit);
      continue;
    }
    for (int first = 0; first < w.rows; first += w.band) {
      const int rows = ln__min(w.band, w.rows - first);
      LN_NAME(turn)(&l, first, rows);
      for (size_t unit = begin; unit < end; unit++)
        LN_NAME(sum_band)(&l, (int)unit, first, rows);
    }
  }
}
#endif
