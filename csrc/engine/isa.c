// isa.c: which instruction sets this build and this processor have.

#include "../include/lanes.h"

const char *ln_isa_name(ln_isa isa) {
  static const char *const names[LN_ISA_COUNT] = {"generic", "avx2", "avx512", "neon"};
  return names[isa];
}

int ln_isa_available(ln_isa isa) {
  switch (isa) {
  case LN_GENERIC: return 1;
#if defined(__x86_64__)
#if !defined(LN_FEWER_TARGETS)
  case LN_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  case LN_AVX512:
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#elif defined(__aarch64__)
  case LN_NEON: return 1;
#endif
  default: return 0;
  }
}

ln_isa ln_isa_best(void) {
  for (int isa = LN_ISA_COUNT - 1; isa > LN_GENERIC; isa--)
    if (ln_isa_available((ln_isa)isa)) return (ln_isa)isa;
  return LN_GENERIC;
}
