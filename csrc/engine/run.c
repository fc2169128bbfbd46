// run.c: the interpreter. One team per call; a thread takes a tile and runs the whole program on it
// while the tile's values are still in its cache. Tiles that are too few to go round are shared
// instead: all threads run the same step on parts of its units and meet before the next step.

#include "../include/lanes.h"
#include "family.h"
#include "threads.h"
#include <assert.h>
#include <time.h> // clock_gettime

static const ln__family *const families[LN_FAMILY_COUNT] = {
#define X(name) [LN_##name] = &ln__family_##name,
    LN_FAMILIES(X)
#undef X
};

const char *ln_family_name(ln_family_id family) { return families[family]->name; }

size_t ln_step_scratch(const ln_step *step, ln_type type, int lanes) {
  const ln__family *family = families[step->family];
  return family->scratch ? family->scratch(step, type, lanes) : 0;
}

typedef struct job {
  const ln_program *program;
  const ln_call *call;
  size_t tiles;
  size_t private_tiles; // the first ones, taken whole by one thread each; the others are shared
  size_t next;          // next private tile, taken atomically
  int stop;             // set by thread 0 between shared tiles, read after the barrier
} job;

static int cancelled(const ln_call *call) {
  return call->cancel && __atomic_load_n(call->cancel, __ATOMIC_RELAXED) != 0;
}

// `arena`: the number of the arena with the scratch, and for private tiles with the values as well.
static ln__frame frame_for(const job *j, size_t tile, size_t arena, char *values) {
  const ln_program *p = j->program;
  const size_t first = tile * (size_t)p->lanes, left = j->call->examples - first;
  return (ln__frame){
      .arena = values,
      .scratch = (char *)j->call->arenas + arena * p->arena_bytes + p->scratch_offset,
      .constants = p->constants,
      .call = j->call,
      .first = first,
      .count = left < (size_t)p->lanes ? left : (size_t)p->lanes,
      .lanes = p->lanes,
  };
}

static void count_done(const job *j, size_t examples) {
  if (j->call->progress) __atomic_fetch_add(j->call->progress, examples, __ATOMIC_RELAXED);
}

static void run_private_tiles(job *j, int thread) {
  const ln_program *p = j->program;
  while (!cancelled(j->call)) {
    const size_t tile = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED);
    if (tile >= j->private_tiles) return;
    const size_t arena = p->arena_of_each_tile ? tile : (size_t)thread;
    const ln__frame frame =
        frame_for(j, tile, arena, (char *)j->call->arenas + arena * p->arena_bytes);
    for (size_t i = 0; i < p->step_count; i++) {
      const ln_step *step = &p->steps[i];
      if (step->family == LN_guard) {
        i += ln__guarded(step, &frame);
        continue;
      }
      const ln__family *family = families[step->family];
      family->run[j->call->isa][p->type](step, &frame, 0, family->units(step, p->lanes));
    }
    count_done(j, frame.count);
  }
}

static void run_shared_tiles(job *j, int thread, int threads) {
  const ln_program *p = j->program;
  for (size_t tile = j->private_tiles; tile < j->tiles; tile++) {
    // Every thread must leave at the same tile: the first one looks at the flag for all of them.
    if (thread == 0) j->stop = cancelled(j->call);
    ln__barrier();
    if (j->stop) return;
    const ln__frame frame = frame_for(j, tile, (size_t)thread, j->call->arenas);
    for (size_t i = 0; i < p->step_count; i++) {
      const ln_step *step = &p->steps[i];
      assert(step->family != LN_guard);
      const ln__family *family = families[step->family];
      const size_t units = family->units(step, p->lanes);
      const size_t begin = units * (size_t)thread / (size_t)threads;
      const size_t end = units * ((size_t)thread + 1) / (size_t)threads;
      if (begin < end) family->run[j->call->isa][p->type](step, &frame, begin, end);
      ln__barrier();
    }
    if (thread == 0) count_done(j, frame.count);
  }
}

static void work(void *context) {
  job *j = context;
  const int thread = ln__thread_index(), threads = ln__team_size();
  run_private_tiles(j, thread);
  // The shared tiles live in the arena of thread 0, so its private ones must be over.
  if (j->private_tiles < j->tiles) {
    ln__barrier();
    run_shared_tiles(j, thread, threads);
  }
}

int ln_run(const ln_program *program, const ln_call *call) {
  const size_t lanes = (size_t)program->lanes, threads = (size_t)call->threads;
  const size_t tiles = (call->examples + lanes - 1) / lanes;
  if (tiles == 0) return 1;
  job j = {program, call, tiles, tiles - tiles % threads, 0, 0};
  if (threads == 1 || program->whole_tiles || program->arena_of_each_tile) j.private_tiles = tiles;
  if (threads == 1) {
    run_private_tiles(&j, 0);
  } else {
    ln__team(call->threads, work, &j);
  }
  return !cancelled(call);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void ln_profile(const ln_program *p, const ln_call *call, double *seconds) {
  const size_t lanes = (size_t)p->lanes, tiles = (call->examples + lanes - 1) / lanes;
  const job j = {p, call, tiles, tiles, 0, 0};
  for (size_t tile = 0; tile < tiles && !cancelled(call); tile++) {
    const ln__frame frame = frame_for(&j, tile, 0, call->arenas);
    double before = now();
    for (size_t i = 0; i < p->step_count; i++) {
      const ln_step *step = &p->steps[i];
      if (step->family == LN_guard) {
        i += ln__guarded(step, &frame);
        continue;
      }
      const ln__family *family = families[step->family];
      family->run[call->isa][p->type](step, &frame, 0, family->units(step, p->lanes));
      const double after = now();
      seconds[i] += after - before;
      before = after;
    }
  }
}

void ln_flag_raise(int32_t *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELAXED); }
uint64_t ln_counter_read(const uint64_t *counter) {
  return __atomic_load_n(counter, __ATOMIC_RELAXED);
}
