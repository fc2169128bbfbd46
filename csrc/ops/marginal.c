// marginal.c: marginal contributions of a player, summed over the lanes of a segment in double.
//
// The chain of a number is that of sum.c: fused multiply-adds over the lanes in order, from +0. The
// sign goes into the weight, which is exact.

#ifndef LN_TARGET
#include "../engine/family.h"

static size_t units(const ln_step *step, int lanes) {
  (void)lanes;
  return (size_t)step->marginal.count;
}

#define LN_TEMPLATE "../ops/marginal.c"
#include "../simd/each_target.h"

const ln__family ln__family_marginal = {"marginal", units, NULL, LN_TABLE(run_marginal)};

#else

static void LN_NAME(run_marginal)(const ln_step *step, const ln__frame *frame, size_t begin,
                                  size_t end) {
  const ln_marginal *s = &step->marginal;
  const int32_t *segments = frame->call->segments + frame->first;
  const double *weights = frame->call->weights + frame->first;
  const size_t count = frame->count;
  double *rows = frame->call->outputs[s->slot];
  const real *before = operand_values(frame, s->before), *after = operand_values(frame, s->after);
  double signed_weights[LN_LANE_LIMIT];
  for (size_t l = 0; l < count; l++) {
    const uint32_t *coalition = ln__coalition(frame, s->coalitions, s->words, l);
    const int held = ln__holds(coalition, ln__player(&s->players, l));
    signed_weights[l] = held ? -weights[l] : weights[l];
  }
  for (size_t i = begin; i < end; i++) {
    const real *was = before + (ptrdiff_t)i * frame->lanes;
    const real *is = after + (ptrdiff_t)i * frame->lanes;
    double sum = 0;
    for (size_t l = 0; l < count; l++) {
      sum = __builtin_fma(signed_weights[l], (double)is[l] - (double)was[l], sum);
      if (l + 1 < count && segments[l + 1] == segments[l]) continue;
      rows[segments[l] * s->row_count + s->first + (int64_t)i] = sum;
      sum = 0;
    }
  }
}
#endif
