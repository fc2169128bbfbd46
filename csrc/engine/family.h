// family.h: what a family of steps supplies to the interpreter.
//
// A family is one file in ops/. It is compiled once per instruction set and element type
// (simd/each_target.h) and publishes one `ln__family` row, listed in LN_FAMILIES of lanes.h.

#ifndef LN__FAMILY_H
#define LN__FAMILY_H

#include "../include/lanes.h"

// What one thread has at hand while it runs a step on a tile.
typedef struct ln__frame {
  char *arena;                  // values of the tile
  char *scratch;                // this thread's own, ln_step_scratch bytes at least
  const void *const *constants; // blocks
  const ln_call *call;
  size_t first, count; // examples of this tile: first .. first + count - 1, 1 <= count <= lanes
  int lanes;
} ln__frame;

// Bytes of a vector of any target, at most.
enum { LN_VECTOR_LIMIT = 128 };

// Does work units begin .. end - 1 of a step.
typedef void (*ln__run)(const ln_step *step, const ln__frame *frame, size_t begin, size_t end);

typedef struct ln__family {
  const char *name;
  // Independent units that the step's work splits into. The split changes no result.
  size_t (*units)(const ln_step *step, int lanes);
  // Bytes of scratch that one thread needs; NULL for none.
  size_t (*scratch)(const ln_step *step, ln_type type, int lanes);
  ln__run run[LN_ISA_COUNT][LN_TYPE_COUNT];
} ln__family;

// How many steps after a guard are passed over on this tile: the guard's count, or none.
size_t ln__guarded(const ln_step *step, const ln__frame *frame);

// The coalition of a lane's example in an input slot; lanes past the last example repeat it.
static inline const uint32_t *ln__coalition(const ln__frame *frame, int slot, int64_t words,
                                            size_t lane) {
  const ln_call *call = frame->call;
  const size_t example = frame->first + (lane < frame->count ? lane : frame->count - 1);
  const int32_t *row_of = call->row_of ? call->row_of[slot] : NULL;
  const size_t row = row_of ? (size_t)row_of[example] : example;
  return (const uint32_t *)call->inputs[slot] + row * (size_t)words;
}

// Whether a coalition holds a player.
static inline int ln__holds(const uint32_t *coalition, int32_t player) {
  return coalition[player / 32] >> (player % 32) & 1;
}

// The player of a lane.
static inline int32_t ln__player(const ln_turn *turn, size_t lane) {
  return turn->of[lane % LN_LANE_UNIT];
}

#define X(name) extern const ln__family ln__family_##name;
LN_FAMILIES(X)
#undef X

#endif
