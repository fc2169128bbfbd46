// conv_wide.h: the wide form of a unit. Vectors hold lanes; a tile is some adjacent output channels
// x one or more vectors, which may belong to different positions as long as these have the same
// taps.
//
// A tile larger than the registers takes several kernels. They share what they read, so the walk
// over the taps is cut into parts that stay in the first-level cache, and all kernels go over one
// part before the next.

// Vectors and channels that are collected before kernels run.
#define wide_batch LN_NAME(wide_batch)
typedef struct wide_batch {
  wide_tile tile; // of channel 0
  ptrdiff_t in[LN_WIDE_WAITING], out[LN_WIDE_WAITING];
  unsigned char merge[LN_WIDE_WAITING];
  int count;    // vectors collected
  int channels; // at most a block
} wide_batch;

// Every kernel of the batch on one part of the walk.
LN_INLINE void LN_NAME(wide_part)(wide_batch *b, const walk *part, int resume, int suspend) {
  const int parts = ln__ceil_div(b->channels, LN_WIDE_CHANNELS);
  for (int p = 0; p < parts; p++) {
    const int from = b->channels * p / parts, count = b->channels * (p + 1) / parts - from;
    const int limit = LN_WIDE_VECTORS(count);
    wide_tile t = b->tile;
    t.walk = *part;
    t.walk.b += from;
    t.resume = resume, t.suspend = suspend;
    t.result += from * t.channel_step;
    if (t.bias) t.bias += from;
    for (int v = 0; v < b->count; v += limit) {
      t.in = b->in + v, t.out = b->out + v;
      if (b->tile.merge) t.merge = b->merge + v;
      t.waiting = b->tile.waiting + from * LN_WIDE_WAITING + v;
      LN_NAME(wide_kernels)[ln__min(limit, b->count - v)][count](&t);
    }
  }
}

static void LN_NAME(wide_flush)(wide_batch *b) {
  if (b->count == 0) return;
  if (b->channels <= LN_WIDE_CHANNELS && b->count <= LN_WIDE_VECTORS(b->channels)) {
    LN_NAME(wide_kernels)[b->count][b->channels](&b->tile);
    b->count = 0;
    return;
  }
  const walk w = b->tile.walk;
  // Steps whose input and weights take most of the first-level cache.
  const int fit = 24576 / (int)sizeof(real) / (LN__CONV_BLOCK + b->count * LN_WIDTH);
  const int64_t row = (int64_t)w.hops * w.run, all = row * w.rows;
  walk part = w;
  if (all <= fit) {
    LN_NAME(wide_part)(b, &part, 0, 0);
  } else {
    // A part is some rows, or some hops of a row, or some steps of a hop.
    const int rows = (int)(row <= fit ? fit / row : 1);
    const int hops = row <= fit ? w.hops : w.run <= fit ? fit / w.run : 1;
    const int run = w.run <= fit ? w.run : ln__ceil_div(w.run, ln__ceil_div(w.run, fit));
    for (int r = 0; r < w.rows; r += rows)
      for (int h = 0; h < w.hops; h += hops)
        for (int k = 0; k < w.run; k += run) {
          part.a = w.a + r * w.a_row + h * w.a_hop + k * w.a_step;
          part.b = w.b + r * w.b_row + h * w.b_hop + k * w.b_step;
          part.rows = ln__min(rows, w.rows - r);
          part.hops = ln__min(hops, w.hops - h);
          part.run = ln__min(run, w.run - k);
          const int last = r + rows >= w.rows && h + hops >= w.hops && k + run >= w.run;
          LN_NAME(wide_part)(b, &part, r + h + k > 0, !last);
        }
  }
  b->count = 0;
}

static void LN_NAME(wide_unit)(const layer *l, int slice, int band) {
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
  wide_batch b = {
      .tile =
          {
              .walk =
                  {
                      .a_step = l->lanes,
                      .a_hop = s->dilation_w * column,
                      .a_row = (ptrdiff_t)s->dilation_h * s->width * column,
                      .b_step = width,
                      .b_hop = s->in_channels * width,
                      .b_row = (ptrdiff_t)s->kernel_w * s->in_channels * width,
                  },
              .result = l->out + (channel - l->first_channel) * l->lanes,
              .channel_step = l->lanes,
              .bias = l->bias ? l->bias + channel : NULL,
              .finish = &l->finish,
              .waiting = waiting,
          },
      .channels = ln__min(l->units.slice, s->out_channels - first),
  };
  b.tile.in = b.in, b.tile.out = b.out;
  if (l->merged) b.tile.merge = b.merge;
  const int vectors = (int)(l->lanes / LN_WIDTH);
  const int limit = LN_WIDE_VECTORS(ln__min(b.channels, LN_WIDE_CHANNELS));
  const ptrdiff_t group = (ptrdiff_t)g * s->in_channels * l->lanes;
  window current = {0};
  for (cursor c = LN_NAME(start_of)(l, band); c.more; LN_NAME(advance)(l, &c)) {
    const window w = LN_NAME(window_at)(l, &c);
    if (b.count == 0 || !LN_NAME(same_taps)(&w, &current)) {
      LN_NAME(wide_flush)(&b);
      current = w;
      walk *walk = &b.tile.walk;
      const int columns = w.x.end - w.x.begin;
      walk->a = l->in + group;
      walk->b = weights + w.y.begin * walk->b_row + w.x.begin * walk->b_hop;
      walk->rows = w.y.end - w.y.begin;
      walk->hops = adjacent ? 1 : columns;
      walk->run = adjacent ? columns * s->in_channels : s->in_channels;
    }
    const ptrdiff_t to = c.place * l->place_channels * l->lanes;
    for (int v = 0; v < vectors; v++) {
      b.in[b.count] = w.in + v * LN_WIDTH;
      b.out[b.count] = to + v * LN_WIDTH;
      b.merge[b.count] = (unsigned char)c.merge;
      if (++b.count == limit) LN_NAME(wide_flush)(&b);
    }
  }
  LN_NAME(wide_flush)(&b);
}
