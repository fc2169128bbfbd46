// mask.c: coalitions of players, out[p][lane] = player[p] is in the lane's coalition ? present[p] :
// absent[p].
//
// The coalitions of a tile are first turned to [word][lane] in scratch, one element per word, so
// that the test of a player's bit is one load, one and, one comparison for a vector of lanes. A
// selection copies bits: what is absent never reaches the result, not even as 0 * NaN.

#ifndef LN_TARGET
#include "../engine/family.h"

// Positions of one unit of work.
enum { UNIT = 32, WORD_BITS = 32 };

static size_t units(const ln_step *step, int lanes) {
  (void)lanes;
  return ((size_t)step->mask.count + UNIT - 1) / UNIT;
}

static size_t scratch(const ln_step *step, ln_type type, int lanes) {
  return (size_t)step->mask.words * (size_t)lanes * (type == LN_FLOAT32 ? 4 : 8);
}

// In kernels `mask` names a vector type.
static const ln_mask *mask_of(const ln_step *step) { return &step->mask; }

// Whether a coalition holds a player; players below 0 are in every one.
static int holds(const uint32_t *coalition, int64_t player) {
  return player < 0 || ln__holds(coalition, (int32_t)player);
}

#define LN_TEMPLATE "../ops/mask.c"
#include "../simd/each_target.h"

const ln__family ln__family_mask = {"mask", units, scratch, LN_TABLE(run_mask)};

#else

// One vector of lanes at a position: a constant is one number for all of them.
LN_INLINE vec LN_NAME(at)(const real *values, int is_constant, int64_t p, int l, int lanes) {
  return is_constant ? v_set(values[p]) : v_load(values + p * lanes + l);
}

// Positions first .. last - 1 where all lanes share their players. words: [word][lane].
LN_INLINE void LN_NAME(mask_shared)(const LN__BITS *words, const real *players, const real *present,
                                    int present_constant, const real *absent, int absent_constant,
                                    real *out, int64_t first, int64_t last, int lanes) {
  for (int64_t p = first; p < last; p++) {
    const int64_t player = (int64_t)players[p];
    const LN__BITS *word = words + (player < 0 ? 0 : player / WORD_BITS * lanes);
    const mask bit = (mask)(LN__BITS)((uint32_t)1 << (player < 0 ? 0 : player % WORD_BITS));
    for (int l = 0; l < lanes; l += LN_WIDTH) {
      const vec value = LN_NAME(at)(present, present_constant, p, l, lanes);
      if (player < 0) {
        v_store(out + p * lanes + l, value);
        continue;
      }
      mask held;
      memcpy(&held, word + l, sizeof held);
      const vec other = LN_NAME(at)(absent, absent_constant, p, l, lanes);
      v_store(out + p * lanes + l, v_select((held & bit) != 0, value, other));
    }
  }
}

static void LN_NAME(run_mask)(const ln_step *step, const ln__frame *frame, size_t begin,
                              size_t end) {
  const ln_mask *s = mask_of(step);
  const int lanes = frame->lanes;
  const int64_t first = (int64_t)begin * UNIT;
  const int64_t last = (int64_t)end * UNIT < s->count ? (int64_t)end * UNIT : s->count;
  const real *present = operand_values(frame, s->present);
  const real *absent = operand_values(frame, s->absent);
  const real *players = operand_values(frame, s->players);
  const int present_constant = s->present.block != LN_ARENA;
  const int absent_constant = s->absent.block != LN_ARENA;
  const int players_constant = s->players.block != LN_ARENA;
  real *out = arena_values(frame, s->out);
  const uint32_t *coalitions[LN_LANE_LIMIT];
  for (int l = 0; l < lanes; l++)
    coalitions[l] = ln__coalition(frame, s->slot, s->words, (size_t)l);
  if (lanes == 1 || !players_constant) {
    const int present_step = present_constant ? 1 : lanes,
              absent_step = absent_constant ? 1 : lanes;
    for (int64_t p = first; p < last; p++)
      for (int l = 0; l < lanes; l++) {
        const int64_t player = (int64_t)players[players_constant ? p : p * lanes + l];
        out[p * lanes + l] = holds(coalitions[l], player)
                                 ? present[p * present_step + (present_constant ? 0 : l)]
                                 : absent[p * absent_step + (absent_constant ? 0 : l)];
      }
    return;
  }
  LN__BITS *words = (LN__BITS *)frame->scratch;
  for (int l = 0; l < lanes; l++)
    for (int64_t w = 0; w < s->words; w++) words[w * lanes + l] = (LN__BITS)coalitions[l][w];
  if (present_constant && absent_constant)
    LN_NAME(mask_shared)(words, players, present, 1, absent, 1, out, first, last, lanes);
  else if (present_constant)
    LN_NAME(mask_shared)(words, players, present, 1, absent, 0, out, first, last, lanes);
  else if (absent_constant)
    LN_NAME(mask_shared)(words, players, present, 0, absent, 1, out, first, last, lanes);
  else
    LN_NAME(mask_shared)(words, players, present, 0, absent, 0, out, first, last, lanes);
}
#endif
