// memory.c: what the allocator of a process does with memory that it gets back.

#include "../include/lanes.h"
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

void ln_keep_freed_memory(void) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
#endif
}
