// unpool_parts.h: how the reverse of a pool splits into units. Shared by the reverses of pools of
// values and of moments.

#ifndef LN__UNPOOL_PARTS_H
#define LN__UNPOOL_PARTS_H

#include "../include/lanes.h"
#include "pool_taps.h"
#include <string.h> // memset

// Elements of a pixel that make a unit where rows of windows overlap: whole vectors for all
// targets.
enum { LN__UNPOOL_UNIT = 64 };

// How the work splits so that no two units write one element. Where no two rows of windows share a
// row of the map, a unit is a band of the map, the rows from one row of windows to the next, with
// all channels; else it is a block of elements of every pixel of an image.
typedef struct parts {
  size_t bands, blocks; // of an image
  ptrdiff_t block;      // elements of a block
  int disjoint;         // no two windows share an element
  int tiled;            // and together they cover the map
} parts;

static inline int is_apart(int kernel, int stride, int dilation) {
  return (kernel - 1) * dilation < stride;
}

static inline int is_tiled(int kernel, int stride, int dilation, int outputs, int size, int pad) {
  return kernel == stride && (dilation == 1 || kernel == 1) && pad == 0 && outputs * kernel == size;
}

static inline parts parts_of(const ln_pool *s, int lanes) {
  const ptrdiff_t pixel = (ptrdiff_t)s->channels * lanes;
  const int rows_apart = is_apart(s->kernel_h, s->stride_h, s->dilation_h);
  parts p = {.bands = rows_apart ? (size_t)s->out_height : 1};
  p.block = p.bands > 1 ? pixel : LN__UNPOOL_UNIT;
  p.blocks = (size_t)((pixel + p.block - 1) / p.block);
  p.disjoint = (rows_apart || s->out_height == 1) &&
               (is_apart(s->kernel_w, s->stride_w, s->dilation_w) || s->out_width == 1);
  p.tiled =
      is_tiled(s->kernel_h, s->stride_h, s->dilation_h, s->out_height, s->height, s->pad_top) &&
      is_tiled(s->kernel_w, s->stride_w, s->dilation_w, s->out_width, s->width, s->pad_left);
  return p;
}

// Units of the whole step.
static inline size_t parts_count(const ln_pool *s, int lanes) {
  const parts p = parts_of(s, lanes);
  return (size_t)s->images * p.bands * p.blocks;
}

// Where band `band` of a map begins; the first one begins with the map, the last one ends with it.
static inline int band_begin(const ln_pool *s, const parts *p, size_t band) {
  if (band == 0) return 0;
  if (band == p->bands) return s->height;
  const int row = (int)band * s->stride_h - s->pad_top;
  return row < 0 ? 0 : row < s->height ? row : s->height;
}

// Rows begin .. end - 1 of an image's map become 0 in elements first .. last - 1 of each pixel.
static inline void clear_rows(void *map, size_t size, ptrdiff_t pixel, int width,
                              int begin, int end, ptrdiff_t first, ptrdiff_t last) {
  char *bytes = map;
  if (last - first == pixel) {
    memset(bytes + (size_t)begin * (size_t)width * (size_t)pixel * size, 0,
           (size_t)(end - begin) * (size_t)width * (size_t)pixel * size);
  } else {
    for (ptrdiff_t place = (ptrdiff_t)begin * width; place < (ptrdiff_t)end * width; place++)
      memset(bytes + (size_t)(place * pixel + first) * size, 0, (size_t)(last - first) * size);
  }
}

#endif
