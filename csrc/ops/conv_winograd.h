// conv_winograd.h: convolution by minimal filtering. For a group of items (winograd_geometry.h):
//
//   inputs    V[point][item][c][lane]  = B' d B           simd/winograd.h, elementwise
//   products  M[point][item][o][lane]  = sum over c of U[point][o][c] * V[point][item][c][lane]
//   outputs   y = A' M A + bias, function, maxima         elementwise again (winograd_maps.h)
//
// The sum over c is cut into chains of ln__form_chain products. A chain is one of v_fma in order of
// c, started at +0, by the kernels of dense_kernel.h; chains are added in order. With one lane,
// vectors hold channels, and nothing changes but which of the two kernels makes the products.

#include "../ops/winograd_maps.h"

// Products of `channels` output channels from `first` on, in blocks; lanes in the vectors.
static void LN_NAME(wide_products)(const filtering *f, int first, int channels) {
  const layer *l = f->l;
  const ln_conv *s = l->shape;
  const ln__winograd_units *u = &f->units;
  enum { MOST = LN__WINOGRAD_ITEMS * LN_LANE_UNIT / LN_WIDTH };
  ptrdiff_t in[MOST], out[MOST];
  int vectors = 0;
  for (int64_t i = 0; i < f->items; i++)
    for (int lane = 0; lane < u->block; lane += LN_WIDTH) {
      in[vectors] = i * u->in_item + lane;
      out[vectors++] = i * u->out_item + lane;
    }
  const finish none = {.kind = LN_NAME(FINISH_NONE)};
  vec waiting[LN__CONV_BLOCK * LN_WIDE_WAITING];
  wide_tile t = {
      .walk = {.a_step = u->block, .rows = 1, .hops = 1},
      .in = in,
      .out = out,
      .channel_step = u->block,
      .finish = &none,
      .waiting = waiting,
  };
  for (int o = first; o < first + channels; o += LN__CONV_BLOCK)
    for (int point = 0; point < f->points; point++) {
      const int width = ln__min(LN__CONV_BLOCK, s->out_channels - o);
      const real *weights = l->weights +
                            ((ptrdiff_t)f->g * s->out_channels + o) * f->points * s->in_channels +
                            (ptrdiff_t)point * s->in_channels * width;
      t.walk.b_step = width;
      t.result = f->out + point * u->out_point + (o - first) * u->block;
      for (int c = 0; c < s->in_channels; c += f->chain) {
        t.walk.run = ln__min(f->chain, s->in_channels - c);
        t.walk.a = f->in + point * u->in_point + c * u->block;
        t.walk.b = weights + (ptrdiff_t)c * width;
        t.add = c > 0;
        LN_NAME(wide_run)(&t, 0, vectors, width);
      }
    }
}

// The same with output channels in the vectors.
static void LN_NAME(narrow_products)(const filtering *f, int first, int channels) {
  const layer *l = f->l;
  const ln_conv *s = l->shape;
  const ln__winograd_units *u = &f->units;
  static const unsigned char none[LN_SUMS];
  const finish identity = {.kind = LN_NAME(FINISH_NONE)};
  ptrdiff_t in[LN__WINOGRAD_ITEMS], out[LN__WINOGRAD_ITEMS];
  const int items = (int)f->items;
  for (int i = 0; i < items; i++) in[i] = i * u->in_item, out[i] = i * u->out_item;
  const ptrdiff_t depth = (ptrdiff_t)f->points * s->in_channels;
  const int whole = s->out_channels / LN__CONV_BLOCK * LN__CONV_BLOCK; // end of the full blocks
  const int most = items == 1 ? 8 : items <= LN_NARROW_POSITIONS(4) ? 4 : 2;
  narrow_tile t = {
      .walk = {.rows = 1, .hops = 1, .run = s->in_channels}, .merge = none, .finish = &identity};
  for (int o = first, vectors; o < first + channels; o += vectors * LN_WIDTH) {
    const int end = ln__min(first + channels, o < whole ? whole : s->out_channels);
    vectors = ln__min(most, ln__ceil_div(end - o, LN_WIDTH));
    const int block = o / LN__CONV_BLOCK * LN__CONV_BLOCK;
    const ptrdiff_t width = ln__min(LN__CONV_BLOCK, s->out_channels - block);
    for (int v = 0; v < vectors; v++) {
      const int at = o - block + v * LN_WIDTH;
      t.weights[v] = at / LN__CONV_BLOCK * (LN__CONV_BLOCK * depth) + at % LN__CONV_BLOCK;
    }
    t.walk.a_step = width;
    t.last = ln__min(LN_WIDTH, end - o - (vectors - 1) * LN_WIDTH);
    const int tiles = ln__ceil_div(items, LN_NARROW_POSITIONS(vectors));
    for (int point = 0; point < f->points; point++) {
      const real *weights = l->weights + ((ptrdiff_t)f->g * s->out_channels + block) * depth +
                            (ptrdiff_t)point * s->in_channels * width;
      t.result = f->out + point * u->out_point + (o - first);
      for (int c = 0; c < s->in_channels; c += f->chain) {
        t.walk.run = ln__min(f->chain, s->in_channels - c);
        t.walk.a = weights + (ptrdiff_t)c * width;
        t.walk.b = f->in + point * u->in_point + c;
        t.add = c > 0;
        for (int tile = 0; tile < tiles; tile++) {
          const int from = items * tile / tiles, to = items * (tile + 1) / tiles;
          t.in = in + from, t.out_at = out + from;
          LN_NAME(narrow_kernels)[vectors][to - from](&t);
        }
      }
    }
  }
}

LN_INLINE void LN_NAME(filter)(const layer *l, const ln__frame *frame, const ln__form form,
                               size_t begin, size_t end) {
  const ln_conv *s = l->shape;
  filtering f = {.l = l, .units = ln__winograd_units_of(s, frame->lanes), .first = -1};
  const ln__winograd_units *u = &f.units;
  f.points = ln__form_points(form) * ln__form_points(form);
  f.chain = ln__form_chain(form);
  f.in = (real *)frame->scratch;
  f.out = f.in + f.points * u->in_point;
  const size_t slices = (size_t)u->slices, groups = (size_t)s->groups;
  for (size_t unit = begin; unit < end; unit++) {
    const int64_t first = (int64_t)(unit / (slices * groups)) * u->group;
    const int g = (int)(unit / slices % groups);
    if (first != f.first || g != f.g) {
      f.first = first, f.g = g;
      f.items = u->items - first < u->group ? u->items - first : u->group;
      LN_NAME(inputs)(&f, form);
    }
    const int channel = (int)(unit % slices) * u->slice;
    const int channels = ln__min(u->slice, s->out_channels - channel);
    if (u->block == 1)
      LN_NAME(narrow_products)(&f, channel, channels);
    else
      LN_NAME(wide_products)(&f, channel, channels);
    LN_NAME(outputs)(&f, frame, form, channel, channels);
  }
}

#define X(name, form)                                                                              \
  static void LN_NAME(filter_##name)(const layer *l, const ln__frame *frame, size_t begin,         \
                                     size_t end) {                                                 \
    LN_NAME(filter)(l, frame, form, begin, end);                                                   \
  }
X(pair, LN__PAIR)
X(tile2, LN__TILE2)
X(tile4, LN__TILE4)
X(tile4k5, LN__TILE4K5)
#undef X

static void LN_NAME(run_winograd)(const layer *l, const ln__frame *frame, ln__form form,
                                  size_t begin, size_t end) {
  switch (form) {
  case LN__PAIR: LN_NAME(filter_pair)(l, frame, begin, end); break;
  case LN__TILE2: LN_NAME(filter_tile2)(l, frame, begin, end); break;
  case LN__TILE4: LN_NAME(filter_tile4)(l, frame, begin, end); break;
  case LN__TILE4K5: LN_NAME(filter_tile4k5)(l, frame, begin, end); break;
  case LN__DIRECT: break;
  }
}
