// pointwise.c: out[p] = f(in[p]), and the functions by themselves (ln_apply).
//
// Positions and lanes are one array here, so the narrow form is the same code.

#ifndef LN_TARGET
#include "../engine/family.h"
#include "array_units.h"

static size_t units(const ln_step *step, int lanes) {
  return ln__array_units(step->pointwise.count, lanes);
}

#define LN_TEMPLATE "../ops/pointwise.c"
#include "../simd/each_target.h"

const ln__family ln__family_pointwise = {"pointwise", units, NULL, LN_TABLE(run_pointwise)};

typedef void (*apply)(const ln_function *f, const void *in, void *out, size_t count);
static const apply appliers[LN_ISA_COUNT][LN_TYPE_COUNT] = LN_TABLE(apply_array);

void ln_apply(ln_function function, ln_type type, ln_isa isa, const void *in, void *out,
              size_t count) {
  appliers[isa][type](&function, in, out, count);
}

const char *ln_function_name(ln_function_id function) {
  static const char *const names[LN_FUNCTION_COUNT] = {
#define X(name) [LN_FUNCTION_##name] = #name,
      LN_FUNCTIONS(X)
#undef X
  };
  return names[function];
}

#else
#include "../simd/functions.h"

static void LN_NAME(apply_array)(const ln_function *f, const void *in, void *out, size_t count) {
  LN_NAME(apply_function)(f, in, out, count);
}

static void LN_NAME(run_pointwise)(const ln_step *step, const ln__frame *frame, size_t begin,
                                   size_t end) {
  const ln_pointwise *s = &step->pointwise;
  const real *in = operand_values(frame, s->in);
  real *out = arena_values(frame, s->out);
  const size_t total = (size_t)s->count * (size_t)frame->lanes;
  const size_t first = begin * LN__UNIT, last = end * LN__UNIT < total ? end * LN__UNIT : total;
  LN_NAME(apply_function)(&s->function, in + first, out + first, last - first);
}
#endif
