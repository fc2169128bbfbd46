// conv_wide.h: the wide form of a unit. Vectors hold lanes; a tile is some adjacent output channels x one or
// more vectors, which may belong to different positions as long as these have the same taps.

LN_INLINE void LN_NAME(wide_flush)(wide_tile *t, int channels) {
  if (t->count == 0) return;
  LN_NAME(wide_kernels)[t->count][channels](t);
  t->count = 0;
}

// Output channels first .. first + count - 1 of group g on a band; they lie in one block.
static void LN_NAME(wide_channels)(const layer *l, int g, int first, int count, int band) {
  const ln_conv *s = l->shape;
  const int block = first / LN__CONV_BLOCK * LN__CONV_BLOCK;
  const ptrdiff_t width = ln__min(LN__CONV_BLOCK, s->out_channels - block);
  const real *weights =
      l->weights + ((ptrdiff_t)g * s->out_channels + block) * l->depth + (first - block);
  const ptrdiff_t column = l->in_channels * l->lanes; // elements of one input position
  const int adjacent = s->groups == 1 && s->dilation_w == 1; // (kx, c) is one run
  const int channel = g * s->out_channels + first;
  wide_tile t = {
      .walk =
          {
              .a_step = l->lanes,
              .a_hop = s->dilation_w * column,
              .a_row = (ptrdiff_t)s->dilation_h * s->width * column,
              .b_step = width,
              .b_hop = s->in_channels * width,
              .b_row = (ptrdiff_t)s->kernel_w * s->in_channels * width,
          },
      .result = l->out + channel * l->lanes,
      .channel_step = l->lanes,
      .bias = l->bias ? l->bias + channel : NULL,
      .finish = &l->finish,
      .pooled = s->pool_h > 0,
  };
  const int vectors = (int)(l->lanes / LN_WIDTH), limit = LN_WIDE_VECTORS(count);
  const ptrdiff_t group = (ptrdiff_t)g * s->in_channels * l->lanes;
  window current = {0};
  for (cursor c = LN_NAME(start_of)(l, band); c.more; LN_NAME(advance)(l, &c)) {
    const window w = LN_NAME(window_at)(l, &c);
    if (t.count == 0 || !LN_NAME(same_taps)(&w, &current)) {
      LN_NAME(wide_flush)(&t, count);
      current = w;
      const int columns = w.x.end - w.x.begin;
      t.walk.a = l->in + group;
      t.walk.b = weights + w.y.begin * t.walk.b_row + w.x.begin * t.walk.b_hop;
      t.walk.rows = w.y.end - w.y.begin;
      t.walk.hops = adjacent ? 1 : columns;
      t.walk.run = adjacent ? columns * s->in_channels : s->in_channels;
    }
    const ptrdiff_t to = c.place * l->out_channels * l->lanes;
    for (int v = 0; v < vectors; v++) {
      t.in[t.count] = w.in + v * LN_WIDTH;
      t.out[t.count] = to + v * LN_WIDTH;
      t.merge[t.count] = c.dy + c.dx > 0;
      if (++t.count == limit) LN_NAME(wide_flush)(&t, count);
    }
  }
  LN_NAME(wide_flush)(&t, count);
}

static void LN_NAME(wide_unit)(const layer *l, int slice, int band) {
  const int g = slice / l->units.slices, first = slice % l->units.slices * l->units.slice;
  const int end = ln__min(first + l->units.slice, l->shape->out_channels);
  const int parts = ln__ceil_div(end - first, LN_WIDE_CHANNELS);
  for (int p = 0; p < parts; p++) {
    const int from = first + (end - first) * p / parts, to = first + (end - first) * (p + 1) / parts;
    LN_NAME(wide_channels)(l, g, from, to - from, band);
  }
}
