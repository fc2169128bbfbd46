// conv_function.h: functions that are not part of the kernels' write-out. The sums of a unit are
// finished first (bias included), then the function runs over them, then maxima are taken: the same
// as separate steps.

static void LN_NAME(apply_to)(const layer *l, const ln__frame *frame, real *x, ptrdiff_t count) {
  ln_apply(l->shape->function, LN_SINGLE ? LN_FLOAT32 : LN_FLOAT64, frame->call->isa, x, x,
           (size_t)count);
}

// out = maximum over the `window` rows of in [window][count].
static void LN_NAME(window_maximum)(const real *in, real *out, int window, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i += LN_WIDTH) {
    const int held = count - i < LN_WIDTH ? (int)(count - i) : LN_WIDTH;
    vec m = LN_NAME(load_channels)(in + i, held);
    for (int w = 1; w < window; w++)
      m = v_pool_max(m, LN_NAME(load_channels)(in + w * count + i, held));
    if (held == LN_WIDTH)
      v_store(out + i, m);
    else
      v_store_first(out + i, m, (size_t)held);
  }
}

static void LN_NAME(applied_unit)(const layer *l, const ln__frame *frame, wide_band *held,
                                  int slice, int band) {
  const ln_conv *s = l->shape;
  // Output channels of the slice: adjacent, in depthwise layers as well.
  const int in_group = slice % l->units.slices * l->units.slice;
  const int depthwise = ln__conv_is_depthwise(s);
  const int many = depthwise ? s->out_channels : 1;
  const int size = depthwise ? s->groups : s->out_channels;
  const ptrdiff_t first = (ptrdiff_t)(slice / l->units.slices) * s->out_channels + in_group * many;
  const ptrdiff_t channels = (ptrdiff_t)ln__min(l->units.slice, size - in_group) * many;
  const ptrdiff_t count = channels * l->lanes, place = l->out_channels * l->lanes;
  if (s->pool_h == 0) {
    LN_NAME(any_unit)(l, held, slice, band);
    const ptrdiff_t from = (ptrdiff_t)band * l->units.rows * s->out_width;
    const ptrdiff_t all = (ptrdiff_t)s->images * s->out_height * s->out_width;
    const ptrdiff_t end = from + (ptrdiff_t)l->units.rows * s->out_width;
    const ptrdiff_t places = (end < all ? end : all) - from;
    real *out = l->out + from * place + first * l->lanes;
    if (count == place)
      LN_NAME(apply_to)(l, frame, out, places * place);
    else
      for (ptrdiff_t p = 0; p < places; p++) LN_NAME(apply_to)(l, frame, out + p * place, count);
    return;
  }
  layer raw = *l;
  raw.out = (real *)frame->scratch;
  raw.place_channels = channels;
  raw.first_channel = first;
  LN_NAME(any_unit)(&raw, held, slice, band);
  const int window = s->pool_h * s->pool_w, columns = s->out_width / s->pool_w;
  LN_NAME(apply_to)(l, frame, raw.out, window * columns * count);
  for (int px = 0; px < columns; px++) LN_NAME(window_maximum)
  (raw.out + px * window * count,
   l->out + ((ptrdiff_t)band * columns + px) * place + first * l->lanes, window, count);
}
