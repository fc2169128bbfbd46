// conv_wide.h: the wide form of a unit. Vectors hold lanes; a tile is some adjacent output channels
// x one or more vectors, which may belong to different positions as long as these have the same
// taps.
//
// A tile larger than the registers takes several kernels. They share what they read, so the walk
// over the taps is cut into parts that stay in the first-level cache, and all kernels go over one
// part before the next.

enum { LN_NAME(WIDE_VECTORS_HELD) = 128, LN_NAME(WIDE_RUNS) = 32 };

// The outputs of a band, vector by vector, in runs that have the same taps. Slices of the same band
// share them.
#define wide_band LN_NAME(wide_band)
typedef struct wide_band {
  int band;                 // whose outputs are held, all of them; -1: none
  ptrdiff_t place_channels; // for which `out` was made
  int runs, vectors;
  int end[LN_NAME(WIDE_RUNS)]; // of each run's vectors
  window at[LN_NAME(WIDE_RUNS)];
  ptrdiff_t in[LN_NAME(WIDE_VECTORS_HELD)], out[LN_NAME(WIDE_VECTORS_HELD)];
  unsigned char merge[LN_NAME(WIDE_VECTORS_HELD)];
} wide_band;

// `count` vectors, `channels` channels of the tile from `from` on.
LN_INLINE void LN_NAME(wide_tiles)(const wide_tile *base, int first, int count, int from,
                                   int channels) {
  wide_tile t = *base;
  t.walk.b += from;
  t.result += from * t.channel_step;
  t.waiting += from * LN_WIDE_WAITING;
  if (t.bias) t.bias += from;
  const int limit = LN_WIDE_VECTORS(channels), whole = count / limit * limit;
  t.in += first, t.out += first;
  if (t.merge) t.merge += first;
  t.tiles = count / limit;
  if (whole > 0) LN_NAME(wide_kernels)[limit][channels](&t);
  if (whole == count) return;
  t.in += whole, t.out += whole;
  if (t.merge) t.merge += whole;
  t.waiting += whole;
  t.tiles = 1;
  LN_NAME(wide_kernels)[count - whole][channels](&t);
}

// All channels of `count` vectors that start at `first`.
LN_INLINE void LN_NAME(wide_channels)(const wide_tile *t, int first, int count, int channels) {
  const int parts = ln__ceil_div(channels, LN_WIDE_CHANNELS);
  for (int p = 0; p < parts; p++) {
    const int from = channels * p / parts, end = channels * (p + 1) / parts;
    LN_NAME(wide_tiles)(t, first, count, from, end - from);
  }
}

// The same, the walk cut into parts that fit the first-level cache, `fit` steps at most: some rows,
// or some hops of a row, or some steps of a hop.
static void LN_NAME(wide_cut)(const wide_tile *whole, int first, int count, int channels, int fit) {
  const walk w = whole->walk;
  const int64_t row = (int64_t)w.hops * w.run;
  const int rows = (int)(row <= fit ? fit / row : 1);
  const int hops = row <= fit ? w.hops : w.run <= fit ? fit / w.run : 1;
  const int run = w.run <= fit ? w.run : ln__ceil_div(w.run, ln__ceil_div(w.run, fit));
  wide_tile t = *whole;
  walk *part = &t.walk;
  for (int r = 0; r < w.rows; r += rows)
    for (int h = 0; h < w.hops; h += hops)
      for (int k = 0; k < w.run; k += run) {
        part->a = w.a + r * w.a_row + h * w.a_hop + k * w.a_step;
        part->b = w.b + r * w.b_row + h * w.b_hop + k * w.b_step;
        part->rows = ln__min(rows, w.rows - r);
        part->hops = ln__min(hops, w.hops - h);
        part->run = ln__min(run, w.run - k);
        t.resume = r + h + k > 0;
        t.suspend = r + rows < w.rows || h + hops < w.hops || k + run < w.run;
        LN_NAME(wide_channels)(&t, first, count, channels);
      }
}

// A run: vectors first .. end - 1, all with the taps of the tile's walk.
static void LN_NAME(wide_run)(const wide_tile *t, int first, int end, int channels) {
  if (channels <= LN_WIDE_CHANNELS) {
    LN_NAME(wide_tiles)(t, first, end - first, 0, channels);
    return;
  }
  // Several kernels per vector: what they share stays in the first-level cache.
  const int limit = LN_WIDE_VECTORS(LN_WIDE_CHANNELS);
  const int fit = 24576 / (int)sizeof(real) / (LN__CONV_BLOCK + limit * LN_WIDTH);
  const int64_t depth = (int64_t)t->walk.rows * t->walk.hops * t->walk.run;
  // A walk much shorter than the cache leaves room for several tiles.
  const int tiles = depth < fit ? (int)(fit / ln__max(1, (int)depth)) : 1;
  for (int v = first, next; v < end; v = next) {
    next = ln__min(end, v + tiles * limit);
    if (depth <= fit)
      LN_NAME(wide_channels)(t, v, next - v, channels);
    else
      LN_NAME(wide_cut)(t, v, next - v, channels, fit);
  }
}

// One slice of output channels on the outputs held.
static void LN_NAME(wide_slice)(const layer *l, int slice, const wide_band *b) {
  const ln_conv *s = l->shape;
  const int g = s->groups == 1 ? 0 : slice / l->units.slices;
  const int first = (slice - g * l->units.slices) * l->units.slice;
  const int block = first / LN__CONV_BLOCK * LN__CONV_BLOCK;
  const ptrdiff_t width = ln__min(LN__CONV_BLOCK, s->out_channels - block);
  const real *weights =
      l->weights + ((ptrdiff_t)g * s->out_channels + block) * l->depth + (first - block);
  const ptrdiff_t column = l->in_channels * l->lanes;        // elements of one input position
  const int adjacent = s->groups == 1 && s->dilation_w == 1; // (kx, c) is one run
  const int channel = g * s->out_channels + first;
  vec waiting[LN__CONV_BLOCK * LN_WIDE_WAITING];
  wide_tile t = {
      .walk =
          {
              .a = l->in + (ptrdiff_t)g * s->in_channels * l->lanes,
              .a_step = l->lanes,
              .a_hop = s->dilation_w * column,
              .a_row = (ptrdiff_t)s->dilation_h * s->width * column,
              .b_step = width,
              .b_hop = s->in_channels * width,
              .b_row = (ptrdiff_t)s->kernel_w * s->in_channels * width,
          },
      .in = b->in,
      .out = b->out,
      .merge = l->merged ? b->merge : NULL,
      .result = l->out + (channel - l->first_channel) * l->lanes,
      .channel_step = l->lanes,
      .bias = l->bias ? l->bias + channel : NULL,
      .finish = &l->finish,
      .waiting = waiting,
  };
  const int channels = ln__min(l->units.slice, s->out_channels - first);
  for (int r = 0, from = 0; r < b->runs; from = b->end[r++]) {
    const window *w = &b->at[r];
    const int columns = w->x.end - w->x.begin;
    t.walk.b = weights + w->y.begin * t.walk.b_row + w->x.begin * t.walk.b_hop;
    t.walk.rows = w->y.end - w->y.begin;
    t.walk.hops = adjacent ? 1 : columns;
    t.walk.run = adjacent ? columns * s->in_channels : s->in_channels;
    LN_NAME(wide_run)(&t, from, b->end[r], channels);
  }
}

static void LN_NAME(wide_unit)(const layer *l, wide_band *b, int slice, int band) {
  if (b->band == band && b->place_channels == l->place_channels) {
    LN_NAME(wide_slice)(l, slice, b);
    return;
  }
  const int vectors = (int)(l->lanes / LN_WIDTH);
  b->band = band, b->place_channels = l->place_channels;
  b->runs = b->vectors = 0;
  for (cursor c = LN_NAME(start_of)(l, band); c.more; LN_NAME(advance)(l, &c)) {
    const window w = LN_NAME(window_at)(l, &c);
    int joins = b->runs > 0 && LN_NAME(same_taps)(&w, &b->at[b->runs - 1]);
    if (b->vectors + vectors > LN_NAME(WIDE_VECTORS_HELD) ||
        (!joins && b->runs == LN_NAME(WIDE_RUNS))) {
      // A band too long to be held whole.
      LN_NAME(wide_slice)(l, slice, b);
      b->band = -1;
      b->runs = b->vectors = joins = 0;
    }
    if (!joins) b->at[b->runs++] = w;
    const ptrdiff_t to = c.place * l->place_channels * l->lanes;
    for (int v = 0; v < vectors; v++) {
      b->in[b->vectors] = w.in + v * LN_WIDTH;
      b->out[b->vectors] = to + v * LN_WIDTH;
      b->merge[b->vectors++] = (unsigned char)c.merge;
    }
    b->end[b->runs - 1] = b->vectors;
  }
  LN_NAME(wide_slice)(l, slice, b);
}
