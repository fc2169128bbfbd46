// conv_narrow.h: the narrow form of a unit. One lane; vectors hold output channels, a tile is some vectors x
// some positions. Where a tile's positions do not have the same taps (at the edges of a map), each tap is
// summed over the positions that have it, so no product with padding is ever made.

// Sums of a tile whose positions differ in their taps, left in t->waiting.
static void LN_NAME(narrow_mixed)(const layer *l, const narrow_tile *whole, int vectors, int count,
                                  const window *at) {
  const ln_conv *s = l->shape;
  const int adjacent = s->groups == 1 && s->dilation_w == 1;
  const walk *base = &whole->walk;
  for (int i = 0; i < count * 8; i++) whole->waiting[i] = v_set(0);
  narrow_tile t = *whole;
  t.resume = t.suspend = 1;
  t.walk.rows = t.walk.hops = 1;
  for (int ky = 0; ky < s->kernel_h; ky++)
    for (int kx = 0, next; kx < s->kernel_w; kx = next) {
      // Positions that have tap (ky, kx), and how many columns of taps on they all are the same.
      int n = 0;
      next = adjacent ? s->kernel_w : kx + 1;
      for (int i = 0; i < count; i++) {
        const window *w = &at[i];
        if (ky < w->y.begin || ky >= w->y.end) continue;
        if (kx < w->x.begin) {
          next = ln__min(next, w->x.begin);
        } else if (kx < w->x.end) {
          next = ln__min(next, w->x.end);
          t.sum[n] = (unsigned char)i;
          t.in[n++] = whole->in[i] + (ky - w->y.begin) * base->b_row + (kx - w->x.begin) * base->b_hop;
        }
      }
      if (n == 0) continue;
      t.walk.a = base->a + ky * base->a_row + kx * base->a_hop;
      t.walk.run = (next - kx) * s->in_channels;
      LN_NAME(narrow_kernels)[vectors][n](&t);
    }
}

LN_INLINE void LN_NAME(narrow_flush)(const layer *l, narrow_tile *t, int vectors, int count,
                                     const window *at) {
  if (count == 0) return;
  const ln_conv *s = l->shape;
  const real *weights = t->walk.a;
  int same = 1;
  for (int i = 1; i < count; i++) same &= LN_NAME(same_taps)(&at[0], &at[i]);
  if (same) {
    const int adjacent = s->groups == 1 && s->dilation_w == 1;
    const int columns = at->x.end - at->x.begin;
    t->walk.a = weights + at->y.begin * t->walk.a_row + at->x.begin * t->walk.a_hop;
    t->walk.rows = at->y.end - at->y.begin;
    t->walk.hops = adjacent ? 1 : columns;
    t->walk.run = adjacent ? columns * s->in_channels : s->in_channels;
  } else {
    LN_NAME(narrow_mixed)(l, t, vectors, count, at);
    t->walk.rows = 0;
  }
  t->resume = !same;
  LN_NAME(narrow_kernels)[vectors][count](t);
  t->walk.a = weights;
}

// `vectors` vectors of output channels of group g, starting at `first`, on a band of
// `positions` outputs.
static void LN_NAME(narrow_channels)(const layer *l, int g, int first, int vectors, int band,
                                     int positions) {
  const ln_conv *s = l->shape;
  const int block = first / LN__CONV_BLOCK * LN__CONV_BLOCK;
  const ptrdiff_t width = ln__min(LN__CONV_BLOCK, s->out_channels - block);
  const ptrdiff_t column = l->in_channels;
  const int channel = g * s->out_channels + first;
  vec waiting[LN_SUMS][8];
  narrow_tile t = {
      .walk =
          {
              .a = l->weights + ((ptrdiff_t)g * s->out_channels + block) * l->depth,
              .b = l->in + (ptrdiff_t)g * s->in_channels,
              .a_step = width,
              .a_hop = s->in_channels * width,
              .a_row = (ptrdiff_t)s->kernel_w * s->in_channels * width,
              .b_step = 1,
              .b_hop = s->dilation_w * column,
              .b_row = (ptrdiff_t)s->dilation_h * s->width * column,
          },
      .waiting = waiting[0],
      .last = ln__min(LN_WIDTH, s->out_channels - first - (vectors - 1) * LN_WIDTH),
      .bias = l->bias ? l->bias + channel : NULL,
      .finish = &l->finish,
  };
  for (int v = 0; v < vectors; v++) {
    const int offset = first - block + v * LN_WIDTH;
    t.weights[v] =
        offset / LN__CONV_BLOCK * (LN__CONV_BLOCK * l->depth) + offset % LN__CONV_BLOCK;
  }
  window at[LN_SUMS];
  for (int i = 0; i < LN_SUMS; i++) t.sum[i] = (unsigned char)i;
  // Tiles of even sizes. With few input channels a mixed tile costs more than it saves.
  const int tiles = ln__ceil_div(positions, LN_NARROW_POSITIONS(vectors));
  const int mixing = s->in_channels >= 16;
  int count = 0, done = 0, tile = 0;
  for (cursor c = LN_NAME(start_of)(l, band); c.more; LN_NAME(advance)(l, &c)) {
    const window w = LN_NAME(window_at)(l, &c);
    if (count > 0 && (done == positions * tile / tiles || (!mixing && !LN_NAME(same_taps)(&w, &at[0])))) {
      LN_NAME(narrow_flush)(l, &t, vectors, count, at);
      count = 0;
    }
    if (done == positions * tile / tiles) tile++;
    at[count] = w;
    t.in[count] = w.in;
    t.out[count] = l->out + c.place * l->place_channels + channel - l->first_channel;
    t.merge[count] = (unsigned char)c.merge;
    count++, done++;
  }
  LN_NAME(narrow_flush)(l, &t, vectors, count, at);
}

static void LN_NAME(narrow_unit)(const layer *l, int slice, int band) {
  const ln_conv *s = l->shape;
  const int O = s->out_channels;
  const int g = slice / l->units.slices, first = slice % l->units.slices * l->units.slice;
  const int end = ln__min(first + l->units.slice, O);
  const int whole = ln__min(end, O / LN__CONV_BLOCK * LN__CONV_BLOCK); // end of the full blocks
  const int rows = ln__min(l->units.rows, s->images * s->out_height - band * l->units.rows);
  const int positions = s->pool_h > 0 ? s->pool_h * (s->out_width / s->pool_w * s->pool_w)
                                      : rows * s->out_width;
  const int most = positions == 1                          ? 8
                   : positions <= LN_NARROW_POSITIONS(4) ? 4
                                                           : 2;
  for (int from = first; from < end;) {
    // A tile's vectors have one row width: full blocks together, the last one on its own.
    const int left = ln__ceil_div((from < whole ? whole : end) - from, LN_WIDTH);
    const int vectors = ln__min(left, most);
    LN_NAME(narrow_channels)(l, g, from, vectors, band, positions);
    from += vectors * LN_WIDTH;
  }
}
