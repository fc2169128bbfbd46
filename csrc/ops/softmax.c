// softmax.c: softmax over the middle axis of in [outer][axis][inner], or its logarithm.
//
//     exp(x - max) / sum          x - max - log(sum)          sum of exp(x - max) in the order of
//     the axis
//
// inner and lanes are one array of `span` elements; a unit is one outer index and a piece of the
// span. With a span of 1 the narrow form takes the exponentials along the axis and adds them one by
// one: same bytes.

#ifndef LN_TARGET
#include "../engine/family.h"

// Elements of a piece: whole vectors for all targets.
enum { PIECE = LN_LANE_UNIT };

static size_t units(const ln_step *step, int lanes) {
  const size_t span = (size_t)step->softmax.inner * (size_t)lanes;
  return (size_t)step->softmax.outer * ((span + PIECE - 1) / PIECE);
}

#define LN_TEMPLATE "../ops/softmax.c"
#include "../simd/each_target.h"

const ln__family ln__family_softmax = {"softmax", units, NULL, LN_TABLE(run_softmax)};

#else
#include "../simd/math.h"

// `count` elements (at most a vector) of each of `axis` rows, `step` elements apart.
LN_INLINE void LN_NAME(softmax_column)(real *out, const real *in, int64_t axis, int64_t step,
                                       size_t count, int logarithm) {
#define LN__LOAD(p) (count == LN_WIDTH ? v_load(p) : v_load_first(p, count))
#define LN__STORE(p, x) (count == LN_WIDTH ? v_store(p, x) : v_store_first(p, x, count))
  vec largest = v_set(-LN_INFINITY), sum = v_set(0);
  for (int64_t k = 0; k < axis; k++) largest = v_max(LN__LOAD(in + k * step), largest);
  if (logarithm) {
    for (int64_t k = 0; k < axis; k++) sum = sum + v_exp(LN__LOAD(in + k * step) - largest);
    const vec log_sum = v_log(sum);
    for (int64_t k = 0; k < axis; k++)
      LN__STORE(out + k * step, LN__LOAD(in + k * step) - largest - log_sum);
  } else {
    for (int64_t k = 0; k < axis; k++) {
      const vec e = v_exp(LN__LOAD(in + k * step) - largest);
      LN__STORE(out + k * step, e);
      sum = sum + e;
    }
    for (int64_t k = 0; k < axis; k++) LN__STORE(out + k * step, LN__LOAD(out + k * step) / sum);
  }
#undef LN__LOAD
#undef LN__STORE
}

static void LN_NAME(softmax_piece)(real *out, const real *in, int64_t axis, int64_t step,
                                   size_t count, int logarithm) {
  size_t i = 0;
  for (; i + LN_WIDTH <= count; i += LN_WIDTH)
    LN_NAME(softmax_column)(out + i, in + i, axis, step, LN_WIDTH, logarithm);
  if (i < count) LN_NAME(softmax_column)(out + i, in + i, axis, step, count - i, logarithm);
}

// One contiguous row.
static void LN_NAME(softmax_row)(real *out, const real *in, size_t axis, int logarithm) {
  real largest = -LN_INFINITY, sum = 0;
  for (size_t k = 0; k < axis; k++) largest = in[k] > largest ? in[k] : largest;
  for (size_t k = 0; k < axis; k += LN_WIDTH) {
    const size_t count = axis - k < LN_WIDTH ? axis - k : LN_WIDTH;
    const vec x = count == LN_WIDTH ? v_load(in + k) : v_load_first(in + k, count);
    real e[LN_WIDTH];
    v_store(e, v_exp(x - v_set(largest)));
    for (size_t i = 0; i < count; i++) sum += e[i];
    if (!logarithm) memcpy(out + k, e, count * sizeof(real));
  }
  if (logarithm) {
    real log_sum[LN_WIDTH];
    v_store(log_sum, v_log(v_set(sum)));
    for (size_t k = 0; k < axis; k++) out[k] = in[k] - largest - log_sum[0];
  } else {
    for (size_t k = 0; k < axis; k++) out[k] /= sum;
  }
}

static void LN_NAME(run_softmax)(const ln_step *step, const ln__frame *frame, size_t begin,
                                 size_t end) {
  const ln_softmax *s = &step->softmax;
  const int64_t span = s->inner * frame->lanes, pieces = (span + PIECE - 1) / PIECE;
  const real *in = operand_values(frame, s->in);
  real *out = arena_values(frame, s->out);
  for (int64_t unit = (int64_t)begin; unit < (int64_t)end; unit++) {
    const int64_t from = unit % pieces * PIECE;
    const int64_t offset = unit / pieces * s->axis * span + from;
    if (span == 1)
      LN_NAME(softmax_row)(out + offset, in + offset, (size_t)s->axis, s->logarithm);
    else
      LN_NAME(softmax_piece)
    (out + offset, in + offset, s->axis, span, (size_t)(span - from < PIECE ? span - from : PIECE),
     s->logarithm);
  }
}
#endif
