// conv_depthwise.h: one input channel per group. A vector holds lanes of a channel, or, with one
// lane, channels; a tile is a few vectors of adjacent channels at one position, each with its own
// chain of sums.

enum { LN_NAME(DEPTHWISE_VECTORS) = 8 };

// Vectors v .. v + n - 1 of the position, counted over (input channel, lane), for multiple m.
LN_INLINE void LN_NAME(depthwise_tile)(const layer *l, const window *w, ptrdiff_t place, int merge,
                                       int m, int first, const int n, int held, const int narrow) {
  const ln_conv *s = l->shape;
  const ptrdiff_t lanes = l->lanes, column = l->in_channels * lanes;
  const ptrdiff_t row = (ptrdiff_t)s->dilation_h * s->width * column;
  const ptrdiff_t hop = s->dilation_w * column;
  const real *weights = l->weights + (ptrdiff_t)m * s->kernel_h * s->kernel_w * s->groups;
  const ptrdiff_t start = (ptrdiff_t)first * LN_WIDTH; // in elements of the position
  ptrdiff_t weight[8];                                 // of each vector
  vec sum[8];
  LN_UNROLL for (int i = 0; i < n; i++) {
    weight[i] = (start + i * LN_WIDTH) / lanes;
    sum[i] = v_set(0);
  }
  for (int ky = w->y.begin; ky < w->y.end; ky++)
    for (int kx = w->x.begin; kx < w->x.end; kx++) {
      const real *in = l->in + w->in + (ky - w->y.begin) * row + (kx - w->x.begin) * hop + start;
      const real *tap = weights + ((ptrdiff_t)ky * s->kernel_w + kx) * s->groups;
      LN_UNROLL for (int i = 0; i < n; i++) {
        const vec x = LN_NAME(load_channels)(in + i * LN_WIDTH, held);
        const vec y = narrow ? v_load(tap + weight[i]) : v_set(tap[weight[i]]);
        sum[i] = v_fma(x, y, sum[i]);
      }
    }
  const ptrdiff_t multiple = s->out_channels;
  real *out = l->out + (place * l->place_channels - l->first_channel) * lanes;
  LN_UNROLL for (int i = 0; i < n; i++) {
    const ptrdiff_t element = start + i * LN_WIDTH;
    if (!narrow) {
      const ptrdiff_t channel = element / lanes * multiple + m;
      vec x = l->bias ? sum[i] + v_set(l->bias[channel]) : sum[i];
      v_finish(&x, 1, &l->finish);
      real *to = out + channel * lanes + element % lanes;
      v_store(to, merge ? v_pool_max(v_load(to), x) : x);
    } else {
      // Channels element .. element + held - 1 go to every `multiple`th place.
      vec bias = v_set(0), old = v_set(0);
      real *to = out + element * multiple + m;
      for (int c = 0; c < held; c++) {
        if (l->bias) bias[c] = l->bias[(element + c) * multiple + m];
        if (merge) old[c] = to[c * multiple];
      }
      vec x = l->bias ? sum[i] + bias : sum[i];
      v_finish(&x, 1, &l->finish);
      if (merge) x = v_pool_max(old, x);
      for (int c = 0; c < held; c++) to[c * multiple] = x[c];
    }
  }
}

LN_INLINE void LN_NAME(depthwise_band)(const layer *l, int slice, int band, const int narrow) {
  const ln_conv *s = l->shape;
  const int channel = slice * l->units.slice;
  const int channels = ln__min(l->units.slice, s->groups - channel);
  const int elements = channels * (int)l->lanes, first = channel * (int)l->lanes / LN_WIDTH;
  const int whole = elements / LN_WIDTH, rest = elements % LN_WIDTH;
  enum { MANY = LN_NAME(DEPTHWISE_VECTORS) };
  for (cursor c = LN_NAME(start_of)(l, band); c.more; LN_NAME(advance)(l, &c)) {
    const window w = LN_NAME(window_at)(l, &c);
    for (int m = 0; m < s->out_channels; m++) {
      int v = first;
      for (; v + MANY <= first + whole; v += MANY)
        LN_NAME(depthwise_tile)(l, &w, c.place, c.merge, m, v, MANY, LN_WIDTH, narrow);
      for (; v < first + whole; v++)
        LN_NAME(depthwise_tile)(l, &w, c.place, c.merge, m, v, 1, LN_WIDTH, narrow);
      if (rest) LN_NAME(depthwise_tile)(l, &w, c.place, c.merge, m, v, 1, rest, narrow);
    }
  }
}

static void LN_NAME(depthwise_unit)(const layer *l, int slice, int band) {
  if (l->lanes == 1)
    LN_NAME(depthwise_band)(l, slice, band, 1);
  else
    LN_NAME(depthwise_band)(l, slice, band, 0);
}
