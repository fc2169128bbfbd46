// conv.c: convolution and dense layers, with bias, function and max pooling fused in.
//
// A step is cut into units (conv_geometry.h): a slice of output channels on a band of rows. Units
// of one thread run in the order that reads less memory: slices outer where weights are the larger
// part, bands outer where maps are. Three forms of the same sums: wide (lanes in the vectors),
// narrow (one lane, output channels in the vectors) and depthwise.

#ifndef LN_TARGET
#define LN_TEMPLATE "../ops/conv.c"
#include "conv_geometry.h"
#include "winograd_geometry.h"
#include "../simd/each_target.h"

static size_t units(const ln_step *step, int lanes) {
  if (ln__conv_form(&step->conv) != LN__DIRECT) {
    const ln__winograd_units w = ln__winograd_units_of(&step->conv, lanes);
    return (size_t)((w.items + w.group - 1) / w.group) * (size_t)step->conv.groups *
           (size_t)w.slices;
  }
  const ln__conv_units u = ln__conv_units_of(&step->conv, lanes);
  return (size_t)u.groups * (size_t)u.slices * (size_t)u.bands;
}

// Only pooling behind a function that is applied by itself needs room: the outputs of a unit.
static size_t scratch(const ln_step *step, ln_type type, int lanes) {
  const ln_conv *s = &step->conv;
  if (ln__conv_form(s) != LN__DIRECT)
    return ln__winograd_scratch(s, lanes) * (type == LN_FLOAT32 ? 4 : 8);
  switch (s->function.id) {
  case LN_FUNCTION_identity:
  case LN_FUNCTION_relu:
  case LN_FUNCTION_clip:
  case LN_FUNCTION_leaky_relu: return 0;
  default: break;
  }
  if (s->pool_h == 0) return 0;
  const size_t window = (size_t)s->pool_h * (size_t)s->pool_w;
  const size_t columns = (size_t)(s->out_width / s->pool_w);
  const size_t channels = (size_t)ln__conv_slice_channels(s, lanes);
  return window * columns * channels * (size_t)lanes * (type == LN_FLOAT32 ? 4 : 8);
}

const ln__family ln__family_conv = {"conv", units, scratch, LN_TABLE(run_conv)};

#else
#include "../simd/dense_kernel.h"

// A step on one tile: pointers and element strides that every form needs.
#define layer LN_NAME(layer)
typedef struct layer {
  const ln_conv *shape;
  ln__conv_units units;
  const real *in, *weights, *bias; // bias may be NULL
  real *out;
  ptrdiff_t lanes, in_channels, out_channels; // channels of all groups
  ptrdiff_t depth;                            // KH * KW * C
  int applied; // the function is applied by itself, after the sums (conv_function.h)
  int merged;  // maxima are taken at the write-out
  ptrdiff_t place_channels, first_channel; // of a position of `out`
  ln__taps inner_y, inner_x; // rows and columns of outputs whose taps are all on the map
  finish finish;
} layer;

static layer LN_NAME(layer_of)(const ln_step *step, const ln__frame *frame) {
  const ln_conv *s = &step->conv;
  layer y = {
      .shape = s,
      .units = ln__conv_units_of(s, frame->lanes),
      .in = operand_values(frame, s->in),
      .weights = operand_values(frame, s->weights),
      .bias = s->bias.block == LN_ABSENT ? NULL : operand_values(frame, s->bias),
      .out = arena_values(frame, s->out),
      .lanes = frame->lanes,
      .in_channels = (ptrdiff_t)s->groups * s->in_channels,
      .out_channels = (ptrdiff_t)s->groups * s->out_channels,
      .depth = (ptrdiff_t)ln__conv_depth(s),
      .place_channels = (ptrdiff_t)s->groups * s->out_channels,
  };
  y.finish = LN_NAME(finish_of)(&s->function, &y.applied);
  y.merged = s->pool_h > 0 && !y.applied;
  y.inner_y =
      ln__inner(s->stride_h, s->dilation_h, s->pad_top, s->kernel_h, s->height, s->out_height);
  y.inner_x =
      ln__inner(s->stride_w, s->dilation_w, s->pad_left, s->kernel_w, s->width, s->out_width);
  return y;
}

// Walks the outputs of a band: row by row, or, pooled, window by window. The outputs of a window
// have one place when maxima are merged; else they are numbered from 0 on.
#define cursor LN_NAME(cursor)
typedef struct cursor {
  int image, oy, ox;
  int rows;        // left after this one, when not pooled
  int dy, dx;      // inside the pooling window
  ptrdiff_t place; // position in `out`
  int merge;       // joins the maximum of the window, which lies at `place`
  int more;
} cursor;

LN_INLINE cursor LN_NAME(start_of)(const layer *l, int band) {
  const ln_conv *s = l->shape;
  if (s->pool_h > 0) {
    const int per_image = l->units.image_bands, columns = s->out_width / s->pool_w;
    return (cursor){.image = band / per_image,
                    .oy = band % per_image * s->pool_h,
                    .place = l->merged ? (ptrdiff_t)band * columns : 0,
                    .more = columns > 0};
  }
  const int row = band * l->units.rows;
  const int image = s->images == 1 ? 0 : row / s->out_height;
  return (cursor){.image = image,
                  .oy = row - image * s->out_height,
                  .rows = ln__min(l->units.rows, s->images * s->out_height - row) - 1,
                  .place = (ptrdiff_t)row * s->out_width,
                  .more = 1};
}

LN_INLINE void LN_NAME(advance)(const layer *l, cursor *c) {
  const ln_conv *s = l->shape;
  if (s->pool_h > 0) {
    c->ox++, c->dx++;
    if (c->dx == s->pool_w) {
      c->dx = 0, c->dy++;
      if (c->dy < s->pool_h) {
        c->ox -= s->pool_w, c->oy++;
      } else {
        c->dy = 0, c->oy -= s->pool_h - 1;
        c->more = c->ox + s->pool_w <= s->out_width;
      }
    }
    const int begins = c->dy == 0 && c->dx == 0;
    c->place += begins || !l->merged;
    c->merge = l->merged && !begins;
  } else {
    c->place++;
    if (++c->ox < s->out_width) return;
    c->ox = 0;
    c->more = c->rows-- > 0;
    if (++c->oy < s->out_height) return;
    c->oy = 0, c->image++;
  }
}

// The taps of an output position that lie on the map, and where the first of them reads.
#define window LN_NAME(window)
typedef struct window {
  ln__taps y, x;
  ptrdiff_t in; // first tap, channel 0, in elements
} window;

LN_INLINE window LN_NAME(window_at)(const layer *l, const cursor *c) {
  const ln_conv *s = l->shape;
  const int oy = c->oy, ox = c->ox;
  const ln__taps y =
      oy >= l->inner_y.begin && oy < l->inner_y.end
          ? (ln__taps){0, s->kernel_h}
          : ln__taps_at(oy, s->stride_h, s->dilation_h, s->pad_top, s->kernel_h, s->height);
  const ln__taps x =
      ox >= l->inner_x.begin && ox < l->inner_x.end
          ? (ln__taps){0, s->kernel_w}
          : ln__taps_at(ox, s->stride_w, s->dilation_w, s->pad_left, s->kernel_w, s->width);
  if (y.begin == y.end || x.begin == x.end) return (window){{0, 0}, {0, 0}, 0};
  const ptrdiff_t iy = (ptrdiff_t)oy * s->stride_h - s->pad_top + y.begin * s->dilation_h;
  const ptrdiff_t ix = (ptrdiff_t)ox * s->stride_w - s->pad_left + x.begin * s->dilation_w;
  return (window){
      y, x, (((c->image * (ptrdiff_t)s->height + iy) * s->width) + ix) * l->in_channels * l->lanes};
}

LN_INLINE int LN_NAME(same_taps)(const window *a, const window *b) {
  return a->y.begin == b->y.begin && a->y.end == b->y.end && a->x.begin == b->x.begin &&
         a->x.end == b->x.end;
}

#include "../ops/conv_wide.h"
#include "../ops/conv_narrow.h"
#include "../ops/conv_depthwise.h"

LN_INLINE void LN_NAME(any_unit)(const layer *l, wide_band *held, int slice, int band) {
  if (ln__conv_is_depthwise(l->shape))
    LN_NAME(depthwise_unit)(l, slice, band);
  else if (l->lanes > 1)
    LN_NAME(wide_unit)(l, held, slice, band);
  else
    LN_NAME(narrow_unit)(l, slice, band);
}

#include "../ops/conv_function.h"
#include "../simd/winograd.h"
#include "../ops/conv_winograd.h"

// Whether units go slice by slice. Bytes from beyond the cache, for either order: what does not fit
// is read again for each slice or band.
static int LN_NAME(slices_outer)(const layer *l) {
  const ln_conv *s = l->shape;
  const double cache = 512 * 1024, slices = (double)l->units.groups * l->units.slices;
  const double weights = (double)l->out_channels * (double)l->depth * sizeof(real);
  const double input =
      (double)s->images * s->height * s->width * (double)(l->in_channels * l->lanes) * sizeof(real);
  const double by_slice = weights + input * (input <= cache ? 1 : slices);
  const double by_band = input + weights * (weights <= cache ? 1 : l->units.bands);
  return by_slice < by_band;
}

static void LN_NAME(run_conv)(const ln_step *step, const ln__frame *frame, size_t begin,
                              size_t end) {
  const layer l = LN_NAME(layer_of)(step, frame);
  const ln__form form = ln__conv_form(l.shape);
  if (form != LN__DIRECT) {
    LN_NAME(run_winograd)(&l, frame, form, begin, end);
    return;
  }
  wide_band held;
  held.band = -1;
  const size_t bands = (size_t)l.units.bands;
  const size_t slices = (size_t)l.units.groups * (size_t)l.units.slices;
  const int slices_outer = LN_NAME(slices_outer)(&l);
  // The inner index runs fastest; only the first unit needs divisions.
  const size_t inner_count = slices_outer ? bands : slices;
  size_t outer = begin / inner_count, inner = begin % inner_count;
  for (size_t unit = begin; unit < end; unit++) {
    const int slice = (int)(slices_outer ? outer : inner),
              band = (int)(slices_outer ? inner : outer);
    if (l.applied)
      LN_NAME(applied_unit)(&l, frame, &held, slice, band);
    else
      LN_NAME(any_unit)(&l, &held, slice, band);
    if (++inner == inner_count) inner = 0, outer++;
  }
}
#endif
