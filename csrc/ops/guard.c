// guard.c: steps that need not be run on a tile, because no lane of it has what they work on.

#include "../engine/family.h"

size_t ln__guarded(const ln_step *step, const ln__frame *frame) {
  const ln_guard *s = &step->guard;
  for (size_t l = 0; l < frame->count; l++)
    if (ln__holds(ln__coalition(frame, s->slot, s->words, l), ln__player(&s->players, l))) return 0;
  return (size_t)s->count;
}

// The interpreter asks ln__guarded itself.
const ln__family ln__family_guard = {.name = "guard"};
