// update.c: parameters after a batch: gradients added up, one step of the rule, constants packed
// anew. Element by element, so threads may split it anywhere.

#ifndef LN_TARGET
#include "../engine/threads.h"
#include "../include/lanes.h"

// Elements of one unit of work.
enum { ELEMENTS = 4096 };

typedef struct update_job update_job;
#define LN_TEMPLATE "../training/update.c"
#include "../simd/each_target.h"

// Updates elements begin .. end - 1 of a parameter.
typedef void (*advance)(const ln_step_size *size, const ln_parameter *p, int64_t begin,
                        int64_t end);
static const advance advances[LN_ISA_COUNT][LN_TYPE_COUNT] = LN_TABLE(advance_parameter);

// Adds up, in p->gradient, the sources whose numbers do not go element by element.
static void scatter(const ln_parameter *p, ln_type type) {
  for (int64_t i = 0; i < p->count; i++)
    if (type == LN_FLOAT32)
      ((float *)p->gradient)[i] = 0;
    else
      ((double *)p->gradient)[i] = 0;
  for (int32_t k = 0; k < p->source_count; k++) {
    const ln_gradient_rows *s = &p->sources[k];
    if (!s->of) continue;
    const int is_double = s->is_wide || type == LN_FLOAT64;
    for (int64_t i = 0; i < s->count; i++) {
      double sum = 0;
      for (int64_t row = 0; row < s->rows; row++) {
        const int64_t at = row * s->count + i;
        sum += is_double ? ((const double *)s->values)[at]
                         : (double)((const float *)s->values)[at];
      }
      if (type == LN_FLOAT32)
        ((float *)p->gradient)[s->of[i]] += (float)sum;
      else
        ((double *)p->gradient)[s->of[i]] += sum;
    }
  }
}

static void repack(const ln_repacking *b, ln_type type) {
  if (type == LN_FLOAT32) {
    const float *value = b->value;
    float *numbers = b->shape ? b->numbers : b->packed;
    for (int64_t i = 0; i < b->count; i++) numbers[i] = value[b->of[i]];
    if (b->shape) ln_conv_pack_float32(b->shape, numbers, b->packed);
  } else {
    const double *value = b->value;
    double *numbers = b->shape ? b->numbers : b->packed;
    for (int64_t i = 0; i < b->count; i++) numbers[i] = value[b->of[i]];
    if (b->shape) ln_conv_pack_float64(b->shape, numbers, b->packed);
  }
}

struct update_job {
  const ln_update *update;
  advance advance;
  size_t next_unit, next_block; // taken atomically
};

static void advance_all(update_job *j) {
  const ln_update *u = j->update;
  size_t first = 0, unit = __atomic_fetch_add(&j->next_unit, 1, __ATOMIC_RELAXED);
  for (size_t i = 0; i < u->parameter_count; i++) {
    const ln_parameter *p = &u->parameters[i];
    const size_t units = ((size_t)p->count + ELEMENTS - 1) / ELEMENTS;
    for (; unit < first + units; unit = __atomic_fetch_add(&j->next_unit, 1, __ATOMIC_RELAXED)) {
      const int64_t begin = (int64_t)(unit - first) * ELEMENTS;
      j->advance(u->size, p, begin, begin + ELEMENTS < p->count ? begin + ELEMENTS : p->count);
    }
    first += units;
  }
}

static void work(void *context) {
  update_job *j = context;
  const ln_update *u = j->update;
  if (u->size) {
    advance_all(j);
    ln__barrier();
  }
  for (size_t i; (i = __atomic_fetch_add(&j->next_block, 1, __ATOMIC_RELAXED)) < u->block_count;)
    repack(&u->blocks[i], u->type);
}

void ln_train(const ln_update *update, ln_isa isa, int threads) {
  update_job j = {update, advances[isa][update->type], 0, 0};
  if (update->size)
    for (size_t i = 0; i < update->parameter_count; i++)
      if (update->parameters[i].gradient) scatter(&update->parameters[i], update->type);
  ln__team(threads, work, &j);
}

#else

// The gradient of n <= LN_WIDTH elements from `i` on, and decay.
LN_INLINE vec LN_NAME(gradient_at)(const ln_parameter *p, int64_t i, size_t n, vec weight,
                                   vec decay) {
  vec sum = v_set(0);
  if (p->gradient) {
    const real *own = (const real *)p->gradient + i;
    sum = n == LN_WIDTH ? v_load(own) : v_load_first(own, n);
  }
  for (int32_t k = 0; k < p->source_count; k++) {
    const ln_gradient_rows *s = &p->sources[k];
    if (s->of || i >= s->count) continue;
    const size_t left = (size_t)(s->count - i), m = left < n ? left : n;
    if (s->is_wide) {
      real narrow[LN_WIDTH] = {0};
      for (size_t e = 0; e < m; e++) {
        double wide = 0;
        for (int64_t row = 0; row < s->rows; row++)
          wide += ((const double *)s->values)[row * s->count + i + (int64_t)e];
        narrow[e] = (real)wide;
      }
      sum += v_load(narrow);
    } else {
      const real *from = (const real *)s->values + i;
      for (int64_t row = 0; row < s->rows; row++, from += s->count)
        sum += m == LN_WIDTH ? v_load(from) : v_load_first(from, m);
    }
  }
  return v_fma(decay, weight, sum);
}

#define v_sqrt LN_NAME(v_square_root)
LN_INLINE vec v_sqrt(vec x) { return __builtin_elementwise_sqrt(x); }

// What is taken from the weights for the gradient g; the memory of the rule moves on.
LN_INLINE vec LN_NAME(step_for)(const ln_step_size *size, vec g, vec *first, vec *second) {
  const vec rate = v_set((real)size->rate), epsilon = v_set((real)size->epsilon);
  const vec b1 = v_set((real)size->first), b2 = v_set((real)size->second);
  switch ((ln_rule)size->rule) {
  case LN_RULE_SGD: *first = v_fma(b1, *first, g); return rate * *first;
  case LN_RULE_NESTEROV: *first = v_fma(b1, *first, g); return rate * v_fma(b1, *first, g);
  case LN_RULE_ADAM: {
    *first = v_fma(b1, *first, v_set((real)(1 - size->first)) * g);
    *second = v_fma(b2, *second, v_set((real)(1 - size->second)) * (g * g));
    const vec mean = *first * v_set((real)size->first_correction);
    const vec square = *second * v_set((real)size->second_correction);
    return rate * mean / (v_sqrt(square) + epsilon);
  }
  case LN_RULE_ADADELTA: {
    const vec rest = v_set((real)(1 - size->first));
    *first = v_fma(b1, *first, rest * (g * g));
    const vec change = v_sqrt(*second + epsilon) / v_sqrt(*first + epsilon) * g;
    *second = v_fma(b1, *second, rest * (change * change));
    return rate * change;
  }
  }
  return v_set(0);
}

static void LN_NAME(advance_parameter)(const ln_step_size *size, const ln_parameter *p,
                                       int64_t begin, int64_t end) {
  const vec decay = v_set((real)size->decay);
  real *value = p->value, *first = p->first, *second = p->second;
  for (int64_t i = begin; i < end; i += LN_WIDTH) {
    const size_t n = (size_t)(end - i < LN_WIDTH ? end - i : LN_WIDTH);
    const int whole = n == LN_WIDTH;
    const vec w = whole ? v_load(value + i) : v_load_first(value + i, n);
    vec a = v_set(0), b = v_set(0);
    if (first) a = whole ? v_load(first + i) : v_load_first(first + i, n);
    if (second) b = whole ? v_load(second + i) : v_load_first(second + i, n);
    const vec g = LN_NAME(gradient_at)(p, i, n, w, decay);
    const vec result = w - LN_NAME(step_for)(size, g, &a, &b);
    if (whole) {
      v_store(value + i, result);
      if (first) v_store(first + i, a);
      if (second) v_store(second + i, b);
    } else {
      v_store_first(value + i, result, n);
      if (first) v_store_first(first + i, a, n);
      if (second) v_store_first(second + i, b, n);
    }
  }
}

#undef v_sqrt
#endif
