// winograd_maps.h: between maps and the points of minimal filtering, for a group of items: inputs
// to all points, and products at all points to bias, function, maxima and the output.
//
// A vector of elements goes through a whole tile at a time; the elements of an item are (channel,
// lane) pairs side by side, so one lane needs nothing of its own but the ends of its vectors.

// The step on one tile of lanes, and the scratch.
#define filtering LN_NAME(filtering)
typedef struct filtering {
  const layer *l;
  ln__winograd_units units;
  int points;     // of a plane
  int chain;      // products of one chain
  real *in, *out; // V and M
  int64_t items;  // of the group in hand
  int64_t first;  // item
  int g;          // group of channels in hand
} filtering;

// A tile in the map: where it reads and writes, and which part of it is on the map.
#define spot LN_NAME(spot)
typedef struct spot {
  const real *in;         // input 0, 0 of the tile, which may lie outside the map
  ln__taps rows, columns; // inputs on the map
  ptrdiff_t image;
  int oy, ox; // first output
} spot;

LN_INLINE spot LN_NAME(spot_of)(const filtering *f, const ln__form form, int64_t item) {
  const layer *l = f->l;
  const ln_conv *s = l->shape;
  const ln__winograd_units *u = &f->units;
  const int m = ln__form_outputs(form), n = ln__form_inputs(form);
  const int64_t tile = item / u->blocks;
  const int64_t row = tile / u->tiles_x;
  spot p = {.image = (ptrdiff_t)(row / u->tiles_y),
            .oy = (int)(row % u->tiles_y) * m,
            .ox = (int)(tile % u->tiles_x) * m};
  const int y = form == LN__PAIR ? 0 : p.oy - s->pad_top;
  const int x = form == LN__PAIR ? 0 : p.ox - s->pad_left;
  p.rows = (ln__taps){ln__max(0, -y), ln__min(n, s->height - y)};
  p.columns = (ln__taps){ln__max(0, -x), ln__min(n, s->width - x)};
  p.in = l->in + ((p.image * s->height + y) * s->width + x) * l->in_channels * l->lanes +
         (ptrdiff_t)f->g * s->in_channels * l->lanes + item % u->blocks * u->block;
  return p;
}

// The inputs of one vector of elements at all points.
LN_INLINE void LN_NAME(to_points)(const ln__form form, const spot *p, const real *in, ptrdiff_t row,
                                  ptrdiff_t column, int held, const int whole, real *to,
                                  ptrdiff_t point) {
  enum { N = 8 };
  const int n = ln__form_inputs(form), points = ln__form_points(form);
  vec half[N][N]; // [point][x]
  LN_UNROLL for (int x = 0; x < n; x++) {
    vec d[N], v[N];
    if (whole || (x >= p->columns.begin && x < p->columns.end)) {
      LN_UNROLL for (int y = 0; y < n; y++) d[y] =
          whole || (y >= p->rows.begin && y < p->rows.end)
              ? LN_NAME(load_channels)(in + y * row + x * column, held)
              : v_set(0);
      v_points(form, v, d);
    } else {
      LN_UNROLL for (int i = 0; i < points; i++) v[i] = v_set(0);
    }
    LN_UNROLL for (int i = 0; i < points; i++) half[i][x] = v[i];
  }
  LN_UNROLL for (int i = 0; i < points; i++) {
    vec v[N];
    v_points(form, v, half[i]);
    LN_UNROLL for (int j = 0; j < points; j++) v_store(to + (i * points + j) * point, v[j]);
  }
}

LN_INLINE void LN_NAME(item_to_points)(const filtering *f, const ln__form form, const spot *p,
                                       real *to, const int whole) {
  const layer *l = f->l;
  const ptrdiff_t column = l->in_channels * l->lanes, row = l->shape->width * column;
  const ptrdiff_t point = (ptrdiff_t)f->units.in_point;
  const int block = f->units.block;
  // Runs of elements side by side: all of them, unless other lanes lie between.
  const int apart = f->units.blocks > 1;
  const int runs = apart ? l->shape->in_channels : 1;
  const int run = apart ? block : l->shape->in_channels * block;
  for (int r = 0; r < runs; r++) {
    const real *in = p->in + r * l->lanes;
    for (int e = 0; e < run; e += LN_WIDTH, to += LN_WIDTH) {
      // More places are read at a time than the processor follows by itself.
      const real *soon = in + e + (apart ? 2 * l->lanes : 4 * LN_WIDTH);
      for (int y = p->rows.begin; y < p->rows.end; y++)
        for (int x = p->columns.begin; x < p->columns.end; x++)
          __builtin_prefetch(soon + y * row + x * column);
      LN_NAME(to_points)
      (form, p, in + e, row, column, ln__min(LN_WIDTH, run - e), whole, to, point);
    }
  }
}

LN_INLINE void LN_NAME(inputs)(const filtering *f, const ln__form form) {
  const int n = ln__form_inputs(form);
  for (int64_t i = 0; i < f->items; i++) {
    const spot p = LN_NAME(spot_of)(f, form, f->first + i);
    real *to = f->in + i * f->units.in_item;
    if (p.rows.begin == 0 && p.rows.end == n && p.columns.begin == 0 && p.columns.end == n)
      LN_NAME(item_to_points)(f, form, &p, to, 1);
    else
      LN_NAME(item_to_points)(f, form, &p, to, 0);
  }
}

// Where the outputs of an item go: places of the map, or of the pooled one, that are on it.
#define landing LN_NAME(landing)
typedef struct landing {
  real *out; // first place, first channel of the slice
  ptrdiff_t row, column;
  int rows, columns;
} landing;

// The finished outputs y[m][m] of one vector of elements, `held` of them, to their places.
LN_INLINE void LN_NAME(land)(const vec *y, const int m, const landing *to, real *out, int held,
                             const int pool_h, const int pool_w) {
  for (int py = 0; py < to->rows; py++)
    for (int px = 0; px < to->columns; px++) {
      const vec *corner = y + py * pool_h * m + px * pool_w;
      vec best = corner[0];
      for (int dy = 0; dy < pool_h; dy++)
        for (int dx = dy == 0; dx < pool_w; dx++) best = v_pool_max(best, corner[dy * m + dx]);
      real *place = out + py * to->row + px * to->column;
      if (held == LN_WIDTH)
        v_store(place, best);
      else
        v_store_first(place, best, (size_t)held);
    }
}

LN_INLINE void LN_NAME(land_any)(const ln_conv *s, const vec *y, const int m, const landing *to,
                                 real *out, int held) {
  if (s->pool_h == 0)
    LN_NAME(land)(y, m, to, out, held, 1, 1);
  else if (s->pool_h == 2 && s->pool_w == 2)
    LN_NAME(land)(y, m, to, out, held, 2, 2);
  else
    LN_NAME(land)(y, m, to, out, held, s->pool_h, s->pool_w);
}

// y = A' M A + bias of one vector of elements.
LN_INLINE void LN_NAME(from_points)(const ln__form form, const real *from, ptrdiff_t point,
                                    const vec bias, const int biased, vec *y) {
  enum { N = 8 };
  const int m = ln__form_outputs(form), points = ln__form_points(form);
  vec half[N][N]; // [y][point]
  LN_UNROLL for (int j = 0; j < points; j++) {
    vec v[N], column[N];
    LN_UNROLL for (int i = 0; i < points; i++) v[i] = v_load(from + (i * points + j) * point);
    v_outputs(form, column, v);
    LN_UNROLL for (int i = 0; i < m; i++) half[i][j] = column[i];
  }
  LN_UNROLL for (int i = 0; i < m; i++) v_outputs(form, y + i * m, half[i]);
  if (biased) LN_UNROLL for (int i = 0; i < m * m; i++) y[i] = y[i] + bias;
}

// What is done with the vectors of an item: sums finished and landed; or sums left in M, or landed
// from there, before and after a function that is applied by itself.
enum { LN_NAME(ALL), LN_NAME(SUM_ONLY), LN_NAME(LAND_ONLY) };

LN_INLINE void LN_NAME(item_outputs)(const filtering *f, const ln__form form, int64_t item,
                                     int channel, int channels, const int part) {
  const layer *l = f->l;
  const ln_conv *s = l->shape;
  const ln__winograd_units *u = &f->units;
  const int m = ln__form_outputs(form), block = u->block;
  const spot p = LN_NAME(spot_of)(f, form, f->first + item);
  const int ph = ln__max(1, s->pool_h), pw = ln__max(1, s->pool_w);
  const int height = s->out_height / ph, width = s->out_width / pw; // of the pooled map
  const ptrdiff_t column = l->out_channels * l->lanes, row = width * column;
  const landing to = {
      .out = l->out + (p.image * height + p.oy / ph) * row + p.ox / pw * column +
             ((ptrdiff_t)f->g * s->out_channels + channel) * l->lanes +
             (f->first + item) % u->blocks * block,
      .row = row,
      .column = column,
      .rows = ln__min(m / ph, height - p.oy / ph),
      .columns = ln__min(m / pw, width - p.ox / pw),
  };
  const real *bias = l->bias ? l->bias + (ptrdiff_t)f->g * s->out_channels + channel : NULL;
  const ptrdiff_t point = (ptrdiff_t)u->out_point;
  real *from = f->out + item * u->out_item;
  for (int e = 0; e < channels * block; e += LN_WIDTH, from += LN_WIDTH) {
    const int held = ln__min(LN_WIDTH, channels * block - e), o = e / block;
    if (part != LN_NAME(SUM_ONLY))
      for (int py = 0; py < to.rows; py++)
        for (int px = 0; px < to.columns; px++)
          __builtin_prefetch(to.out + (o + 1) * l->lanes + e % block + py * row + px * column, 1);
    vec y[16];
    if (part == LN_NAME(LAND_ONLY)) {
      LN_UNROLL for (int i = 0; i < m * m; i++) y[i] = v_load(from + i * point);
    } else {
      vec b = v_set(0);
      if (bias) b = block == 1 ? LN_NAME(load_channels)(bias + e, held) : v_set(bias[o]);
      if (bias)
        LN_NAME(from_points)(form, from, point, b, 1, y);
      else
        LN_NAME(from_points)(form, from, point, b, 0, y);
    }
    if (part == LN_NAME(SUM_ONLY)) {
      LN_UNROLL for (int i = 0; i < m * m; i++) v_store(from + i * point, y[i]);
      continue;
    }
    if (part == LN_NAME(ALL)) v_finish(y, m * m, &l->finish);
    LN_NAME(land_any)(s, y, m, &to, to.out + o * l->lanes + e % block, held);
  }
}

LN_INLINE void LN_NAME(outputs)(const filtering *f, const ln__frame *frame, const ln__form form,
                                int channel, int channels) {
  const layer *l = f->l;
  const int m = ln__form_outputs(form);
  if (!l->applied) {
    for (int64_t i = 0; i < f->items; i++)
      LN_NAME(item_outputs)(f, form, i, channel, channels, LN_NAME(ALL));
    return;
  }
  for (int64_t i = 0; i < f->items; i++)
    LN_NAME(item_outputs)(f, form, i, channel, channels, LN_NAME(SUM_ONLY));
  for (int i = 0; i < m * m; i++) LN_NAME(apply_to)
  (l, frame, f->out + i * f->units.out_point, (ptrdiff_t)(f->items * f->units.out_item));
  for (int64_t i = 0; i < f->items; i++)
    LN_NAME(item_outputs)(f, form, i, channel, channels, LN_NAME(LAND_ONLY));
}
