// conv_narrow.h: the narrow form of a unit. One lane; vectors hold output channels, a tile is some
// vectors x some positions. Where a tile's positions do not have the same taps (at the edges of a
// map), each tap is summed over the positions that have it, so no product with padding is ever
// made.

// Positions of a band, collected once for all channels of the slice.
#define narrow_batch LN_NAME(narrow_batch)
enum { LN_NAME(NARROW_BATCH) = 48 };
typedef struct narrow_batch {
  int count;
  ptrdiff_t in[LN_NAME(NARROW_BATCH)], out[LN_NAME(NARROW_BATCH)];
  unsigned char merge[LN_NAME(NARROW_BATCH)];
  window at[LN_NAME(NARROW_BATCH)];
} narrow_batch;

// Sums of a tile whose positions differ in their taps, left in t->waiting.
static void LN_NAME(narrow_mixed)(const layer *l, const narrow_tile *whole, int vectors, int count,
                                  const window *at) {
  const ln_conv *s = l->shape;
  const int adjacent = s->groups == 1 && s->dilation_w == 1;
  const walk *base = &whole->walk;
  for (int i = 0; i < count * 8; i++) whole->waiting[i] = v_set(0);
  ptrdiff_t in[LN_SUMS];
  unsigned char sum[LN_SUMS];
  narrow_tile t = *whole;
  t.in = in, t.sum = sum;
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
          sum[n] = (unsigned char)i;
          in[n++] =
              whole->in[i] + (ky - w->y.begin) * base->b_row + (kx - w->x.begin) * base->b_hop;
        }
      }
      if (n == 0) continue;
      t.walk.a = base->a + ky * base->a_row + kx * base->a_hop;
      t.walk.run = (next - kx) * s->in_channels;
      LN_NAME(narrow_kernels)[vectors][n](&t);
    }
}

// `count` positions of a batch from `first` on.
LN_INLINE void LN_NAME(narrow_positions)(const layer *l, const narrow_batch *b, narrow_tile *t,
                                         int vectors, int first, int count, int same) {
  // Up to the most sums of any target.
  static const unsigned char in_order[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                           12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};
  const ln_conv *s = l->shape;
  const window *at = &b->at[first];
  const real *weights = t->walk.a;
  t->in = b->in + first, t->out_at = b->out + first, t->merge = b->merge + first;
  t->sum = in_order;
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

// `vectors` vectors of output channels of group g, starting at `first`, on a batch.
static void LN_NAME(narrow_channels)(const layer *l, int g, int first, int vectors,
                                     const narrow_batch *b) {
  const ln_conv *s = l->shape;
  const int block = first / LN__CONV_BLOCK * LN__CONV_BLOCK;
  const ptrdiff_t width = ln__min(LN__CONV_BLOCK, s->out_channels - block);
  const ptrdiff_t column = l->in_channels;
  const int channel = g * s->out_channels + first;
  vec waiting[LN_SUMS][8];
  narrow_tile t;
  t.walk = (walk){
      .a = l->weights + ((ptrdiff_t)g * s->out_channels + block) * l->depth,
      .b = l->in + (ptrdiff_t)g * s->in_channels,
      .a_step = width,
      .a_hop = s->in_channels * width,
      .a_row = (ptrdiff_t)s->kernel_w * s->in_channels * width,
      .b_step = 1,
      .b_hop = s->dilation_w * column,
      .b_row = (ptrdiff_t)s->dilation_h * s->width * column,
  };
  t.suspend = t.add = 0;
  t.waiting = waiting[0];
  t.result = l->out + (channel - l->first_channel);
  t.last = ln__min(LN_WIDTH, s->out_channels - first - (vectors - 1) * LN_WIDTH);
  t.bias = l->bias ? l->bias + channel : NULL;
  t.finish = &l->finish;
  for (int v = 0; v < vectors; v++) {
    const int offset = first - block + v * LN_WIDTH;
    t.weights[v] = offset / LN__CONV_BLOCK * (LN__CONV_BLOCK * l->depth) + offset % LN__CONV_BLOCK;
  }
  // Tiles of even sizes. With few input channels a mixed tile costs more than it saves.
  const int limit = LN_NARROW_POSITIONS(vectors), tiles = ln__ceil_div(b->count, limit);
  const int mixing = s->in_channels >= 16;
  for (int i = 0, tile = 0; i < b->count;) {
    while (b->count * tile / tiles <= i) tile++;
    const int end = mixing ? b->count * tile / tiles : ln__min(b->count, i + limit);
    int n = 1, same = 1;
    for (; i + n < end; n++) {
      const int equal = LN_NAME(same_taps)(&b->at[i], &b->at[i + n]);
      if (!equal && !mixing) break;
      same &= equal;
    }
    LN_NAME(narrow_positions)(l, b, &t, vectors, i, n, same);
    i += n;
  }
}

// All channels of a slice on a batch.
static void LN_NAME(narrow_slice)(const layer *l, int slice, const narrow_batch *b) {
  const int O = l->shape->out_channels;
  const int g = slice / l->units.slices, first = slice % l->units.slices * l->units.slice;
  const int end = ln__min(first + l->units.slice, O);
  const int whole = ln__min(end, O / LN__CONV_BLOCK * LN__CONV_BLOCK); // end of the full blocks
  const int most = b->count == 1 ? 8 : b->count <= LN_NARROW_POSITIONS(4) ? 4 : 2;
  for (int from = first; from < end;) {
    // A tile's vectors have one row width: full blocks together, the last one on its own.
    const int left = ln__ceil_div((from < whole ? whole : end) - from, LN_WIDTH);
    const int vectors = ln__min(left, most);
    LN_NAME(narrow_channels)(l, g, from, vectors, b);
    from += vectors * LN_WIDTH;
  }
}

static void LN_NAME(narrow_unit)(const layer *l, int slice, int band) {
  narrow_batch b;
  b.count = 0;
  for (cursor c = LN_NAME(start_of)(l, band); c.more; LN_NAME(advance)(l, &c)) {
    b.at[b.count] = LN_NAME(window_at)(l, &c);
    b.in[b.count] = b.at[b.count].in;
    b.out[b.count] = c.place * l->place_channels;
    b.merge[b.count] = (unsigned char)c.merge;
    if (++b.count == LN_NAME(NARROW_BATCH)) {
      LN_NAME(narrow_slice)(l, slice, &b);
      b.count = 0;
    }
  }
  if (b.count > 0) LN_NAME(narrow_slice)(l, slice, &b);
}
