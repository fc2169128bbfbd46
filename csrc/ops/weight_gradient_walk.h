// weight_gradient_walk.h: how the gradients of a layer's weights walk over its positions.

#ifndef LN_WEIGHT_GRADIENT_WALK_H
#define LN_WEIGHT_GRADIENT_WALK_H

#include "conv_geometry.h"

// How a step walks: over `rows` x `columns` positions of each of `images` images.
typedef struct ln__gradient_walk {
  int images, rows, columns;
  int band;              // rows that are turned at a time
  int height, width;     // of the map that is read, with zeros around it when it is padded
  int is_padded, by_lanes;
  ptrdiff_t in_channels, out_channels; // of all groups
  ptrdiff_t in_row, in_column, in_image;       // from position to position, in positions * channels
  ptrdiff_t out_row, out_image;
} ln__gradient_walk;

static ln__gradient_walk ln__gradient_walk_of(const ln_conv *s, int lanes) {
  ln__gradient_walk w = {.images = s->images, .rows = s->out_height, .columns = s->out_width};
  const int reach_h = (s->out_height - 1) * s->stride_h + (s->kernel_h - 1) * s->dilation_h + 1;
  const int reach_w = (s->out_width - 1) * s->stride_w + (s->kernel_w - 1) * s->dilation_w + 1;
  w.is_padded = s->pad_top > 0 || s->pad_left > 0 || reach_h > s->height || reach_w > s->width;
  w.height = w.is_padded ? reach_h : s->height;
  w.width = w.is_padded ? reach_w : s->width;
  w.in_channels = (ptrdiff_t)s->groups * s->in_channels;
  w.out_channels = (ptrdiff_t)s->groups * s->out_channels;
  w.in_column = s->stride_w * w.in_channels;
  w.in_row = (ptrdiff_t)s->stride_h * w.width * w.in_channels;
  w.in_image = (ptrdiff_t)s->height * s->width * w.in_channels;
  w.out_row = w.columns * w.out_channels;
  w.out_image = w.rows * w.out_row;
  // The rows of a dense layer are images of one position each: one walk goes over all of them.
  if (s->out_height == 1 && s->out_width == 1 && !w.is_padded) {
    w.rows = w.images, w.images = 1;
    w.in_row = w.in_image;
    w.out_row = w.out_image;
  }
  w.by_lanes = lanes > 1 && s->out_channels < 8 && w.rows * w.columns >= 8;
  const int64_t row = (int64_t)w.columns * lanes * w.out_channels;
  w.band = (int)ln__max(1, ln__min(w.rows, (int)(32768 / (row < 32768 ? row : 32768))));
  return w;
}

#endif
