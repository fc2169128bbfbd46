// conv_geometry.h: what the forms of convolution agree on: the layout of packed weights, which taps
// of a window lie on the map, and how the work is cut into units.
//
// Packed weights, one layout for all instruction sets and lane counts:
//   in general  [G][block of 16 output channels][ky][kx][c][channel of the block]; the last block
//   of a
//               group is as narrow as the channels that are left
//   depthwise   [m][ky][kx][g] (one input channel per group, m of O < 16 output channels)
// followed by one block row of zeros, so that whole vectors can be read from the last row.

#ifndef LN__CONV_GEOMETRY_H
#define LN__CONV_GEOMETRY_H

#include "../include/lanes.h"

enum { LN__CONV_BLOCK = 16 };

// With a block of outputs per channel the other forms are faster, whose vectors are stored as they
// are: the sums are the same.
static inline int ln__conv_is_depthwise(const ln_conv *s) {
  return s->in_channels == 1 && s->groups > 1 && s->out_channels < LN__CONV_BLOCK;
}

// Multiply-adds of one output: KH * KW * C.
static inline int64_t ln__conv_depth(const ln_conv *s) {
  return (int64_t)s->kernel_h * s->kernel_w * s->in_channels;
}

static inline int ln__min(int a, int b) { return a < b ? a : b; }
static inline int ln__max(int a, int b) { return a > b ? a : b; }
static inline int ln__ceil_div(int a, int b) { return (a + b - 1) / b; }

// A range begin .. end - 1, empty when begin == end: of taps that lie on the map, or of outputs.
typedef struct ln__taps {
  int begin, end;
} ln__taps;

// The taps of output coordinate `o` along an axis: 0 <= o * stride + k * dilation - pad < size.
static inline ln__taps ln__taps_at(int o, int stride, int dilation, int pad, int kernel, int size) {
  const int start = o * stride - pad;
  const int begin = start >= 0 ? 0 : ln__ceil_div(-start, dilation);
  const int end = start >= size ? 0 : ln__min(kernel, (size - 1 - start) / dilation + 1);
  return begin < end ? (ln__taps){begin, end} : (ln__taps){0, 0};
}

// The output coordinates whose taps are all on the map.
static inline ln__taps ln__inner(int stride, int dilation, int pad, int kernel, int size,
                                 int outputs) {
  const int reach = (kernel - 1) * dilation - pad; // last tap of output 0
  const int begin = ln__min(outputs, ln__ceil_div(ln__max(0, pad), stride));
  const int end = reach >= size ? 0 : ln__min(outputs, (size - 1 - reach) / stride + 1);
  return (ln__taps){begin, ln__max(begin, end)};
}

// How the work of a step is cut. A unit is one slice of output channels on one band of rows.
typedef struct ln__conv_units {
  int slice;       // output channels of a slice, at most
  int slices;      // of one group (depthwise: of all)
  int groups;      // 1 for depthwise
  int rows;        // output rows of a band, before pooling
  int bands;       // over all images
  int image_bands; // bands of one image, or 0 when bands run on from image to image
} ln__conv_units;

static inline ln__conv_units ln__conv_units_of(const ln_conv *s, int lanes) {
  ln__conv_units u = {.groups = s->groups};
  int channels = s->out_channels;
  if (ln__conv_is_depthwise(s)) {
    channels = s->groups; // every slice holds all multiples of its input channels
    u.groups = 1;
  }
  // The narrow form has vectors of channels: it wants several blocks and a few positions at a time.
  const int single = s->images * s->out_height * s->out_width == 1;
  u.slice = lanes > 1 ? LN__CONV_BLOCK : (single ? 8 : 4) * LN__CONV_BLOCK;
  if (s->pool_h > 0) {
    u.rows = s->pool_h;
    u.image_bands = s->out_height / s->pool_h;
    u.bands = s->images * u.image_bands;
  } else {
    const int all = s->images * s->out_height;
    u.rows = ln__min(all, lanes == 1 ? ln__max(1, 16 / s->out_width) : 1);
    u.bands = ln__ceil_div(all, u.rows);
  }
  // Little work still splits between threads.
  if (lanes > 1)
    while (u.slice > 4 && u.groups * ln__ceil_div(channels, u.slice) * u.bands < 8) u.slice /= 2;
  u.slices = ln__ceil_div(channels, u.slice);
  return u;
}

// Output channels of a slice, at most.
static inline int ln__conv_slice_channels(const ln_conv *s, int lanes) {
  return ln__conv_units_of(s, lanes).slice * (ln__conv_is_depthwise(s) ? s->out_channels : 1);
}

#endif
