// nest.h: walking a loop nest in spans: pieces of the innermost axis, short enough to share among
// threads.
//
// Axes of size 1 are dropped and neighbours that all operands walk as one axis are merged, so that
// a contiguous array is one axis however many it was written with.

#ifndef LN__NEST_H
#define LN__NEST_H

#include "../include/lanes.h"

enum { LN__OPERANDS = 3 };

typedef struct ln__loops {
  int axes, operands; // axes >= 1
  int64_t size[LN_AXIS_LIMIT];
  int64_t stride[LN__OPERANDS][LN_AXIS_LIMIT];
} ln__loops;

// The merged loops of a nest over `operands` operands.
static inline ln__loops ln__loops_of(const ln_nest *nest, const ln_strides *const *strides,
                                     int operands) {
  ln__loops loops = {.axes = 0, .operands = operands};
  for (int a = 0; a < nest->axes; a++) {
    const int64_t size = nest->size[a];
    if (size == 1) continue;
    int merge = loops.axes > 0;
    for (int o = 0; o < operands && merge; o++)
      merge = loops.stride[o][loops.axes - 1] == strides[o]->stride[a] * size;
    if (!merge) loops.size[loops.axes++] = 1;
    loops.size[loops.axes - 1] *= size;
    for (int o = 0; o < operands; o++) loops.stride[o][loops.axes - 1] = strides[o]->stride[a];
  }
  if (loops.axes == 0) {
    loops.axes = 1;
    loops.size[0] = 1;
    for (int o = 0; o < operands; o++) loops.stride[o][0] = 1;
  }
  return loops;
}

// The strides of an operand that is contiguous in the order of the nest.
static inline ln_strides ln__contiguous(const ln_nest *nest) {
  ln_strides strides;
  int64_t stride = 1;
  for (int a = nest->axes - 1; a >= 0; a--) {
    strides.stride[a] = stride;
    stride *= nest->size[a];
  }
  return strides;
}

// The loops of a nest whose operand 0 is a row, contiguous in the order of the nest, and operand 1
// a view with the given strides.
static inline ln__loops ln__loops_to_row(const ln_nest *nest, const ln_strides *view) {
  const ln_strides row = ln__contiguous(nest);
  return ln__loops_of(nest, (const ln_strides *const[]){&row, view}, 2);
}

// The axis along which an operand has stride 1: the longest of them, or the last axis when there is
// none.
static inline int ln__loops_contiguous_axis(const ln__loops *loops, int operand) {
  int axis = loops->axes - 1;
  for (int a = axis; a >= 0; a--) {
    const int better = loops->stride[operand][axis] != 1 || loops->size[a] > loops->size[axis];
    if (loops->stride[operand][a] == 1 && better) axis = a;
  }
  return axis;
}

// Makes an axis the innermost one; the others keep their order.
static inline void ln__loops_put_last(ln__loops *loops, int axis) {
  const int last = loops->axes - 1;
  for (int a = axis; a < last; a++) {
    const int64_t size = loops->size[a];
    loops->size[a] = loops->size[a + 1];
    loops->size[a + 1] = size;
    for (int o = 0; o < loops->operands; o++) {
      const int64_t stride = loops->stride[o][a];
      loops->stride[o][a] = loops->stride[o][a + 1];
      loops->stride[o][a + 1] = stride;
    }
  }
}

// Positions of one span at most: a few thousand elements, whatever the lanes.
static inline int64_t ln__span_limit(int lanes) { return 2048 / lanes; }

// Spans of the whole nest.
static inline size_t ln__span_count(const ln__loops *loops, int lanes) {
  const int64_t limit = ln__span_limit(lanes);
  int64_t count = (loops->size[loops->axes - 1] + limit - 1) / limit;
  for (int a = 0; a + 1 < loops->axes; a++) count *= loops->size[a];
  return (size_t)count;
}

// A place in the nest: `count` positions of the innermost axis, `offset` positions from each
// operand's start.
typedef struct ln__span {
  int64_t count;
  int64_t offset[LN__OPERANDS];
  int64_t start;                // on the innermost axis
  int64_t index[LN_AXIS_LIMIT]; // on the others
} ln__span;

static inline void ln__span_measure(ln__span *span, const ln__loops *loops, int lanes) {
  const int64_t left = loops->size[loops->axes - 1] - span->start, limit = ln__span_limit(lanes);
  span->count = left < limit ? left : limit;
}

// The span with number `number`, counted row-major.
static inline ln__span ln__span_at(const ln__loops *loops, int lanes, size_t number) {
  ln__span span = {0};
  const int last = loops->axes - 1;
  const int64_t limit = ln__span_limit(lanes), pieces = (loops->size[last] + limit - 1) / limit;
  int64_t row = (int64_t)number / pieces;
  span.start = (int64_t)number % pieces * limit;
  for (int a = last - 1; a >= 0; a--) {
    span.index[a] = row % loops->size[a];
    row /= loops->size[a];
  }
  for (int o = 0; o < loops->operands; o++) {
    span.offset[o] = span.start * loops->stride[o][last];
    for (int a = 0; a < last; a++) span.offset[o] += span.index[a] * loops->stride[o][a];
  }
  ln__span_measure(&span, loops, lanes);
  return span;
}

// The span after this one; past the last one the result is not to be used.
static inline void ln__span_next(ln__span *span, const ln__loops *loops, int lanes) {
  const int last = loops->axes - 1;
  if (span->start + span->count < loops->size[last]) {
    for (int o = 0; o < loops->operands; o++)
      span->offset[o] += span->count * loops->stride[o][last];
    span->start += span->count;
  } else {
    for (int o = 0; o < loops->operands; o++)
      span->offset[o] -= span->start * loops->stride[o][last];
    span->start = 0;
    for (int a = last - 1; a >= 0; a--) {
      for (int o = 0; o < loops->operands; o++) span->offset[o] += loops->stride[o][a];
      if (++span->index[a] < loops->size[a]) break;
      for (int o = 0; o < loops->operands; o++)
        span->offset[o] -= loops->size[a] * loops->stride[o][a];
      span->index[a] = 0;
    }
  }
  ln__span_measure(span, loops, lanes);
}

#endif
