// dropout.c: out[p][lane] = kept ? in[p][lane] * scale : 0, kept by a random number of the position
// and the lane's example.
//
// The number is the position, mixed with the two words of the example's key by two rounds of the
// finaliser of MurmurHash3 (Appleby, public domain), whose every input bit changes every output bit
// with a probability close to one half.

#ifndef LN_TARGET
#include "../engine/family.h"

// Positions of one unit of work.
enum { UNIT = 64 };

static size_t units(const ln_step *step, int lanes) {
  (void)lanes;
  return ((size_t)step->dropout.count + UNIT - 1) / UNIT;
}

static inline uint32_t ln__mixed(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

#define LN_TEMPLATE "../ops/dropout.c"
#include "../simd/each_target.h"

const ln__family ln__family_dropout = {"dropout", units, NULL, LN_TABLE(run_dropout)};

#else

static void LN_NAME(run_dropout)(const ln_step *step, const ln__frame *frame, size_t begin,
                                 size_t end) {
  const ln_dropout *s = &step->dropout;
  const size_t lanes = (size_t)frame->lanes;
  const real *in = operand_values(frame, s->in);
  real *out = arena_values(frame, s->out);
  uint32_t first[LN_LANE_LIMIT], second[LN_LANE_LIMIT];
  for (size_t l = 0; l < lanes; l++) {
    const uint32_t *key = ln__coalition(frame, s->slot, 2, l);
    first[l] = key[0], second[l] = key[1];
  }
  const real scale = (real)s->scale;
  const size_t stop = end * UNIT < (size_t)s->count ? end * UNIT : (size_t)s->count;
  for (size_t p = begin * UNIT; p < stop; p++) {
    const uint32_t place = ln__mixed((uint32_t)p + s->salt * 0x9e3779b9u);
    const real *from = in + p * lanes;
    real *to = out + p * lanes;
    for (size_t l = 0; l < lanes; l++) {
      const uint32_t number = ln__mixed(ln__mixed(place ^ first[l]) + second[l]);
      to[l] = number < s->limit ? from[l] * scale : 0;
    }
  }
}
#endif
