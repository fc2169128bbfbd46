// sum.c: weighted sums over the examples of a segment, in double, one row per segment.
//
// Every number of a row is one chain of fused multiply-adds over the lanes of its segment in order.
// Blocks of lanes are transposed in registers, so that a vector holds neighbours of a row. A
// segment lies within one tile, and positions are split among threads, so no number has two
// writers.

#ifndef LN_TARGET
#include "nest.h"

static size_t units(const ln_step *step, int lanes) {
  const ln__loops loops = ln__loops_to_row(&step->sum.nest, &step->sum.stride);
  return ln__span_count(&loops, lanes);
}

#define LN_TEMPLATE "../ops/sum.c"
#include "../simd/each_target.h"

const ln__family ln__family_sum = {"sum", units, NULL, LN_TABLE(run_sum)};

#else
#include "../simd/transpose.h"

// LN_WIDTH numbers in double.
#define wide LN_NAME(wide)
typedef double wide __attribute__((ext_vector_type(LN_WIDTH)));

// The examples of a tile, and the first number of every segment's row that a span writes.
#define examples LN_NAME(examples)
typedef struct examples {
  const int32_t *segments;
  const double *weights;
  int count;
  double *rows;
  int64_t row_count;
} examples;

// Sums of `count` <= LN_WIDTH positions; `in` points at the first one, `at` numbers into each row.
LN_INLINE void LN_NAME(sum_positions)(const examples *x, int64_t at, const real *in,
                                      ptrdiff_t in_step, int count) {
  wide sum = 0;
  for (int first = 0; first < x->count; first += LN_WIDTH) {
    vec block[LN_WIDTH];
    for (int i = 0; i < LN_WIDTH; i++)
      block[i] = i < count ? v_load(in + i * in_step + first) : v_set(0);
    LN_NAME(transpose_block)(block);
    const int left = x->count - first, lanes = left < LN_WIDTH ? left : LN_WIDTH;
    for (int l = 0; l < lanes; l++) {
      const int e = first + l;
      sum = __builtin_elementwise_fma((wide)x->weights[e], __builtin_convertvector(block[l], wide),
                                      sum);
      if (e + 1 < x->count && x->segments[e + 1] == x->segments[e]) continue;
      double *row = x->rows + x->segments[e] * x->row_count + at;
      if (count == LN_WIDTH)
        memcpy(row, &sum, sizeof sum);
      else
        for (int i = 0; i < count; i++) row[i] = sum[i];
      sum = 0;
    }
  }
}

// With one lane an example is a segment of its own.
static void LN_NAME(sum_narrow)(const examples *x, int64_t at, const real *in, ptrdiff_t in_step,
                                int64_t count) {
  double *row = x->rows + x->segments[0] * x->row_count + at;
  const double weight = x->weights[0];
  // As a chain of one: -0 becomes +0.
  for (int64_t i = 0; i < count; i++) row[i] = weight * (double)in[i * in_step] + 0.0;
}

static void LN_NAME(run_sum)(const ln_step *step, const ln__frame *frame, size_t begin,
                             size_t end) {
  const ln_sum *s = &step->sum;
  const int lanes = frame->lanes;
  const examples x = {frame->call->segments + frame->first, frame->call->weights + frame->first,
                      (int)frame->count, frame->call->outputs[s->slot], s->row_count};
  const real *values = operand_values(frame, s->in);
  const ln__loops loops = ln__loops_to_row(&s->nest, &s->stride);
  const ptrdiff_t in_step = (ptrdiff_t)loops.stride[1][loops.axes - 1] * lanes;
  ln__span span = ln__span_at(&loops, lanes, begin);
  for (size_t unit = begin; unit < end; unit++, ln__span_next(&span, &loops, lanes)) {
    const real *in = values + span.offset[1] * lanes;
    if (lanes == 1) {
      LN_NAME(sum_narrow)(&x, span.offset[0], in, in_step, span.count);
      continue;
    }
    int64_t i = 0;
    for (; i + LN_WIDTH <= span.count; i += LN_WIDTH)
      LN_NAME(sum_positions)(&x, span.offset[0] + i, in + i * in_step, in_step, LN_WIDTH);
    if (i < span.count) LN_NAME(sum_positions)
    (&x, span.offset[0] + i, in + i * in_step, in_step, (int)(span.count - i));
  }
}

#undef wide
#undef examples
#endif
