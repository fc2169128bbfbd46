// peak.c: how many multiply-adds per second the registers allow, the ceiling for kernels.

#ifndef LN_TARGET
#define _POSIX_C_SOURCE 199309L
#include <time.h>
#include "threads.h"
#define LN_TEMPLATE "../engine/peak.c"
#include "../simd/each_target.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Runs `rounds` rounds of independent chains; returns the multiply-adds done. `factor` and `sink`
// come from and go to the caller so that nothing can be computed in advance or left out.
typedef double (*chains)(int rounds, double factor, double *sink);
static const chains rows[LN_ISA_COUNT][LN_TYPE_COUNT] = LN_TABLE(chains);

enum { THREADS = 1024 };

typedef struct measurement {
  chains run;
  double seconds;
  double rate[THREADS]; // of each thread
} measurement;

// The best of short stretches: another process on the same core lowers single ones.
static void measure(void *context) {
  measurement *m = context;
  const double start = now();
  double best = 0, sink = 0;
  for (double before = start, after; before - start < m->seconds; before = after) {
    const double products = m->run(20000, 0.999, &sink);
    after = now();
    const double rate = 2 * products / (after - before);
    if (rate > best) best = rate;
  }
  m->rate[ln__thread_index()] = best;
}

double ln_measure_peak(ln_isa isa, ln_type type, int threads, double seconds) {
  measurement m = {.run = rows[isa][type], .seconds = seconds};
  ln__team(threads < THREADS ? threads : THREADS, measure, &m);
  double sum = 0;
  for (int i = 0; i < THREADS; i++) sum += m.rate[i];
  return sum;
}

#else

// 12 chains hide a latency of 4 cycles on machines that start up to three multiply-adds in a cycle.
static double LN_NAME(chains)(int rounds, double factor, double *sink) {
  enum { CHAINS = 12 };
  vec sum[CHAINS];
  const vec x = v_set((real)factor), y = v_set((real)(1 - factor));
  _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) sum[i] = v_set((real)i);
  for (int r = 0; r < rounds; r++)
    _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) sum[i] =
        v_fma(sum[i], x, y);
  vec total = v_set(0);
  _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) total = total + sum[i];
  for (int i = 0; i < LN_WIDTH; i++) *sink += (double)total[i];
  return (double)rounds * CHAINS * LN_WIDTH;
}
#endif
