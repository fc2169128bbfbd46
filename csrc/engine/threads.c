// threads.c: the only file that meets OpenMP.
//
// The team is started through the runtime's own entry point, the function that `#pragma omp
// parallel` compiles to (exported by LLVM's libomp and by GCC's libgomp). No -fopenmp: SwiftPM
// refuses unsafe flags in a package that others depend on by version, and clang drops target
// attributes inside outlined regions.

#include "threads.h"
#include "../include/lanes.h"

extern void GOMP_parallel(void (*body)(void *), void *context, unsigned threads, unsigned flags);
extern void GOMP_barrier(void);
extern int omp_get_max_threads(void);
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);

void ln__team(int threads, void (*body)(void *context), void *context) {
  GOMP_parallel(body, context, (unsigned)threads, 0);
}

int ln__thread_index(void) { return omp_get_thread_num(); }
int ln__team_size(void) { return omp_get_num_threads(); }
void ln__barrier(void) { GOMP_barrier(); }
int ln_default_threads(void) { return omp_get_max_threads(); }
