// conv.c: convolution and dense layers, with bias, function and max pooling fused in.
//
// A step is cut into units (conv_geometry.h): a slice of output channels on a band of rows. Units of one
// thread run in the order that reads less memory: slices outer where weights are the larger part, bands
// outer where maps are. Three forms of the same sums: wide (lanes in the vectors), narrow (one lane, output
// channels in the vectors) and depthwise.

#ifndef LN_TARGET
#define LN_TEMPLATE "../ops/conv.c"
#include "conv_geometry.h"
#include <assert.h>
#include <math.h>
#include "../simd/each_target.h"

static size_t units(const ln_step *step, int lanes) {
  const ln__conv_units u = ln__conv_units_of(&step->conv, lanes);
  return (size_t)u.groups * (size_t)u.slices * (size_t)u.bands;
}

const ln__family ln__family_conv = {"conv", units, NULL, LN_TABLE(run_conv)};

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
  int inner_begin, inner_end;                 // columns ox whose taps are all on the map
  finish finish;
} layer;

// The function as a write-out of the kernel.
static finish LN_NAME(finish_of)(const ln_function *f) {
  finish e = {.low = (real)-INFINITY, .high = (real)INFINITY};
  switch (f->id) {
  case LN_FUNCTION_identity: break;
  case LN_FUNCTION_relu: e.low = 0; break;
  case LN_FUNCTION_clip: e.low = (real)f->a, e.high = (real)f->b; break;
  case LN_FUNCTION_leaky_relu: e.leaky = 1, e.slope = (real)f->a; break;
  default: assert(!"function");
  }
  return e;
}

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
      .finish = LN_NAME(finish_of)(&s->function),
  };
  const int reach = (s->kernel_w - 1) * s->dilation_w - s->pad_left; // last tap of column 0
  y.inner_begin = ln__min(s->out_width, ln__ceil_div(ln__max(0, s->pad_left), s->stride_w));
  y.inner_end = reach >= s->width ? 0 : (s->width - 1 - reach) / s->stride_w + 1;
  y.inner_end = ln__max(y.inner_begin, ln__min(s->out_width, y.inner_end));
  return y;
}

// Walks the outputs of a band: row by row, or, pooled, window by window.
#define cursor LN_NAME(cursor)
typedef struct cursor {
  int image, oy, ox;
  int rows;        // left after this one, when not pooled
  int dy, dx;      // inside the pooling window
  ptrdiff_t place; // position in `out`; later outputs of a window have that of the first
  int more;
} cursor;

LN_INLINE cursor LN_NAME(start_of)(const layer *l, int band) {
  const ln_conv *s = l->shape;
  if (s->pool_h > 0) {
    const int per_image = l->units.image_bands, columns = s->out_width / s->pool_w;
    return (cursor){.image = band / per_image, .oy = band % per_image * s->pool_h,
                    .place = (ptrdiff_t)band * columns, .more = columns > 0};
  }
  const int row = band * l->units.rows;
  return (cursor){.image = row / s->out_height, .oy = row % s->out_height,
                  .rows = ln__min(l->units.rows, s->images * s->out_height - row) - 1,
                  .place = (ptrdiff_t)row * s->out_width, .more = 1};
}

LN_INLINE void LN_NAME(advance)(const layer *l, cursor *c) {
  const ln_conv *s = l->shape;
  if (s->pool_h > 0) {
    c->ox++;
    if (++c->dx < s->pool_w) return;
    c->dx = 0, c->oy++;
    if (++c->dy < s->pool_h) {
      c->ox -= s->pool_w;
      return;
    }
    c->dy = 0, c->oy -= s->pool_h, c->place++;
    c->more = c->ox + s->pool_w <= s->out_width;
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
      ln__taps_at(oy, s->stride_h, s->dilation_h, s->pad_top, s->kernel_h, s->height);
  const int inner = ox >= l->inner_begin && ox < l->inner_end;
  const ln__taps x =
      inner ? (ln__taps){0, s->kernel_w}
            : ln__taps_at(ox, s->stride_w, s->dilation_w, s->pad_left, s->kernel_w, s->width);
  if (y.begin == y.end || x.begin == x.end) return (window){{0, 0}, {0, 0}, 0};
  const ptrdiff_t iy = (ptrdiff_t)oy * s->stride_h - s->pad_top + y.begin * s->dilation_h;
  const ptrdiff_t ix = (ptrdiff_t)ox * s->stride_w - s->pad_left + x.begin * s->dilation_w;
  return (window){y, x, (((c->image * (ptrdiff_t)s->height + iy) * s->width) + ix) * l->in_channels * l->lanes};
}

LN_INLINE int LN_NAME(same_taps)(const window *a, const window *b) {
  return a->y.begin == b->y.begin && a->y.end == b->y.end && a->x.begin == b->x.begin &&
         a->x.end == b->x.end;
}

#include "../ops/conv_wide.h"
#include "../ops/conv_narrow.h"
#include "../ops/conv_depthwise.h"

// Whether units go slice by slice. Bytes from beyond the cache, for either order: what does not fit is
// read again for each slice or band.
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

static void LN_NAME(run_conv)(const ln_step *step, const ln__frame *frame, size_t begin, size_t end) {
  const layer l = LN_NAME(layer_of)(step, frame);
  const size_t bands = (size_t)l.units.bands;
  const size_t slices = (size_t)l.units.groups * (size_t)l.units.slices;
  const int slices_outer = LN_NAME(slices_outer)(&l);
  for (size_t unit = begin; unit < end; unit++) {
    const int slice = (int)(slices_outer ? unit / bands : unit % slices);
    const int band = (int)(slices_outer ? unit % bands : unit / slices);
    if (ln__conv_is_depthwise(l.shape))
      LN_NAME(depthwise_unit)(&l, slice, band);
    else if (l.lanes > 1)
      LN_NAME(wide_unit)(&l, slice, band);
    else
      LN_NAME(narrow_unit)(&l, slice, band);
  }
}
#endif
