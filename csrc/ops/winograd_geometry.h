// winograd_geometry.h: which layers convolve by minimal filtering (Winograd), in which form, and
// how their work is cut.
//
// A form computes a tile of m x m outputs from n x n inputs by p x p products per pair of channels,
// where the direct sum takes m^2 K^2:
//
//   form    tile m  inputs n  kernel K  points p   products, of the direct ones
//   PAIR    2       2         3         3          9 of 16   a 2x2 map padded by 1: the whole map
//   TILE2   2       4         3         4          16 of 36  F(2x2, 3x3), points +-1
//   TILE4   4       6         3         6          36 of 144 F(4x4, 3x3), points +-5/8, +-3/2
//   TILE4K5 4       8         5         8          64 of 400 F(4x4, 5x5), points +-1/2, +-1, +-2
//
// Besides the points that are named all F have 0 and infinity.
//
// The form depends on the geometry of the layer alone, never on lanes, threads or the instruction
// set, and not on the function or the pool either, which packed weights do not know.
//
// Errors measured against double precision, float32, uniform random inputs (positive and signed)
// and weights, 8 to 512 channels: largest error over largest output / relative RMS error
//   direct   1.7e-7 to 2.7e-6  /  0.8e-7 to 1.1e-6      (grows with the length of its chain)
//   PAIR     2.0e-7 to 4.6e-7  /  1.7e-7 to 3.5e-7
//   TILE2    1.4e-7 to 5.2e-7  /  1.1e-7 to 3.3e-7
//   TILE4    4.9e-7 to 1.9e-6  /  3.1e-7 to 9.1e-7
//   TILE4K5  2.1e-6 to 3.7e-6  /  1.1e-6 to 1.9e-6
// Intermediate numbers reach 4e3 C |w| |x| with 3x3 kernels and 2e5 C |w| |x| with 5x5, where the
// direct sum reaches K^2 C |w| |x|: inputs closer to overflow than that may overflow. One that is
// not finite spoils all outputs of the tiles that read it, in its own example; a weight, all
// outputs of its output channel.

#ifndef LN__WINOGRAD_GEOMETRY_H
#define LN__WINOGRAD_GEOMETRY_H

#include "conv_geometry.h"

enum { LN__WINOGRAD_ITEMS = 16 }; // of a group, at most

typedef enum ln__form { LN__DIRECT, LN__PAIR, LN__TILE2, LN__TILE4, LN__TILE4K5 } ln__form;

static inline int ln__form_outputs(ln__form f) { return f >= LN__TILE4 ? 4 : 2; }
static inline int ln__form_points(ln__form f) {
  return f == LN__PAIR ? 3 : f == LN__TILE2 ? 4 : f == LN__TILE4 ? 6 : 8;
}
static inline int ln__form_inputs(ln__form f) { return f == LN__PAIR ? 2 : ln__form_points(f); }

// Products that are summed in one chain; chains are added in order. Short chains keep the rounding
// of the sums below that of the transforms, which is what makes the larger tiles exact enough.
static inline int ln__form_chain(ln__form f) { return f == LN__TILE4K5 ? 16 : 64; }

// Taps of all outputs along an axis that lie on the map.
static inline int64_t ln__taps_on_map(int outputs, int pad, int kernel, int size) {
  int64_t taps = 0;
  for (int k = 0; k < kernel; k++)
    taps += ln__max(0, ln__min(outputs, size + pad - k) - ln__max(0, pad - k));
  return taps;
}

// What a form costs in multiply-adds of the direct sum. Measured: the products lose a tenth to
// shorter sums, and the transforms cost 7 to 10 per point and channel.
static inline double ln__form_cost(const ln_conv *s, ln__form f) {
#pragma STDC FP_CONTRACT OFF
  const double C = s->in_channels, O = s->out_channels;
  if (f == LN__DIRECT)
    return C * O * (double)ln__taps_on_map(s->out_height, s->pad_top, s->kernel_h, s->height) *
           (double)ln__taps_on_map(s->out_width, s->pad_left, s->kernel_w, s->width);
  const int m = ln__form_outputs(f), p = ln__form_points(f);
  const double tiles =
      (double)ln__ceil_div(s->out_height, m) * (double)ln__ceil_div(s->out_width, m);
  return tiles * (p * p) * (1.1 * C * O + 9 * (C + O));
}

// The cheapest form, if it saves a sixth at least and the step may choose. 5x5 kernels on maps
// smaller than their tile keep to the direct sum, as do those of few channels: their outputs are
// small beside the rounding at the points.
static inline ln__form ln__conv_form(const ln_conv *s) {
  if (s->direct || s->stride_h != 1 || s->stride_w != 1 || s->dilation_h != 1 ||
      s->dilation_w != 1 || (s->kernel_h != 3 && s->kernel_h != 5) || s->kernel_h != s->kernel_w ||
      s->in_channels < 8 || s->out_channels < 8)
    return LN__DIRECT;
  const int smaller = ln__min(s->height, s->width);
  const int pair = s->height == 2 && s->width == 2 && s->out_height == 2 && s->out_width == 2 &&
                   s->pad_top == 1 && s->pad_left == 1;
  ln__form best = LN__DIRECT;
  double least = ln__form_cost(s, LN__DIRECT) / 1.2;
  for (ln__form f = LN__PAIR; f <= LN__TILE4K5; f++) {
    const int fits = f == LN__PAIR      ? s->kernel_h == 3 && pair
                     : f == LN__TILE4K5 ? s->kernel_h == 5 && smaller >= 6 && s->in_channels >= 16
                                        : s->kernel_h == 3;
    const double cost = fits ? ln__form_cost(s, f) : least;
    if (cost < least) best = f, least = cost;
  }
  return best;
}

// Whether max pooling can be fused: each window lies in one tile.
static inline int ln__form_takes_pool(ln__form f, int pool_h, int pool_w) {
  return f == LN__DIRECT ||
         (ln__form_outputs(f) % pool_h == 0 && ln__form_outputs(f) % pool_w == 0);
}

// How the work of a step is cut. An item is one tile in 16 lanes (or in the only one). A unit is a
// group of items and a slice of output channels of one of the layer's groups.
typedef struct ln__winograd_units {
  int tiles_y, tiles_x; // of one image
  int block;            // lanes of an item
  int blocks;           // items of a tile
  int64_t items;        // in all
  int group;            // items of a group, at most
  int slice, slices;    // output channels of a slice, at most; slices of one of the layer's groups
  int64_t in_item;      // elements of an item's inputs at one point: C * block, in whole vectors
  int64_t out_item;     // of its products: slice * block
  int64_t in_point, out_point; // from one point to the next
} ln__winograd_units;

static inline ln__winograd_units ln__winograd_units_of(const ln_conv *s, int lanes) {
  const ln__form form = ln__conv_form(s);
  const int m = ln__form_outputs(form), p = ln__form_points(form);
  ln__winograd_units u = {
      .tiles_y = ln__ceil_div(s->out_height, m),
      .tiles_x = ln__ceil_div(s->out_width, m),
      .block = lanes == 1 ? 1 : LN_LANE_UNIT,
  };
  u.blocks = lanes / u.block;
  u.items = (int64_t)s->images * u.tiles_y * u.tiles_x * u.blocks;
  u.in_item = ((int64_t)s->in_channels * u.block + 15) / 16 * 16;
  // Weights are read once per group, so it should be large, but its inputs fill half of the
  // second-level cache or little more.
  const int64_t room = 640 * 1024 / 4 / (p * p * u.in_item);
  const int64_t most = lanes == 1 ? LN__WINOGRAD_ITEMS : 4;
  u.group = (int)(room > most ? most : room > 1 ? room : 1);
  if (u.group > u.items) u.group = (int)u.items;
  const int64_t groups = (u.items + u.group - 1) / u.group * s->groups;
  u.slice = lanes == 1 ? 128 : 64;
  // Little work still splits between threads.
  while (u.slice > LN__CONV_BLOCK && groups * ln__ceil_div(s->out_channels, u.slice) < 8)
    u.slice /= 2;
  u.slice = ln__min(u.slice, s->out_channels);
  u.slices = ln__ceil_div(s->out_channels, u.slice);
  u.out_item = ((int64_t)u.slice * u.block + 15) / 16 * 16;
  // A line more, or all points of an element would lie in one set of the cache.
  u.in_point = u.group * u.in_item + 16;
  u.out_point = u.group * u.out_item + 16;
  return u;
}

// Elements of scratch: inputs and products of a group at all points.
static inline size_t ln__winograd_scratch(const ln_conv *s, int lanes) {
  const ln__winograd_units u = ln__winograd_units_of(s, lanes);
  const int p = ln__form_points(ln__conv_form(s));
  return (size_t)(p * p) * (size_t)(u.in_point + u.out_point);
}

#endif
