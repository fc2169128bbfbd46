// toggle.c: a box of the input when a player changes sides in every lane.
//
// As in mask.c a selection copies bits; which way it goes is one mask per lane for the whole step,
// and whether it is made one comparison of owner and player.

#ifndef LN_TARGET
#include "nest.h"

static size_t units(const ln_step *step, int lanes) {
  const ln__loops loops = ln__loops_to_row(&step->toggle.nest, &step->toggle.stride);
  return ln__span_count(&loops, lanes);
}

#define LN_TEMPLATE "../ops/toggle.c"
#include "../simd/each_target.h"

const ln__family ln__family_toggle = {"toggle", units, NULL, LN_TABLE(run_toggle)};

#else

static void LN_NAME(run_toggle)(const ln_step *step, const ln__frame *frame, size_t begin,
                                size_t end) {
  const ln_toggle *s = &step->toggle;
  const int lanes = frame->lanes;
  const real *present = operand_values(frame, s->present);
  const real *absent = operand_values(frame, s->absent), *now = operand_values(frame, s->now);
  const real *owners = s->owners.block == LN_ABSENT ? NULL : operand_values(frame, s->owners);
  real *values = arena_values(frame, s->out);
  LN__BITS bits[LN_LANE_LIMIT];
  real players[LN_LANE_LIMIT];
  for (int l = 0; l < lanes; l++) {
    const int32_t player = ln__player(&s->players, (size_t)l);
    bits[l] = -(LN__BITS)ln__holds(ln__coalition(frame, s->slot, s->words, (size_t)l), player);
    players[l] = (real)player;
  }
  const ln__loops loops = ln__loops_to_row(&s->nest, &s->stride);
  const int64_t in_step = loops.stride[1][loops.axes - 1];
  ln__span span = ln__span_at(&loops, lanes, begin);
  for (size_t unit = begin; unit < end; unit++, ln__span_next(&span, &loops, lanes)) {
    real *out = values + span.offset[0] * lanes;
    int64_t p = span.offset[1];
    for (int64_t i = 0; i < span.count; i++, out += lanes, p += in_step) {
      for (int l = 0; l < lanes; l += LN_WIDTH) {
        mask held;
        memcpy(&held, bits + l, sizeof held);
        const ptrdiff_t at = p * lanes + l;
        vec value = v_select(held, v_load(absent + at), v_load(present + at));
        if (owners)
          value = v_select(v_set(owners[p]) == v_load(players + l), value, v_load(now + at));
        v_store(out + l, value);
      }
    }
  }
}
#endif
