// each_target.h: compiles one template for every instruction set and element type.
//
// A file that holds kernels includes itself through this header:
//
//     #ifndef LN_TARGET
//     #define LN_TEMPLATE "../ops/copy.c"     // path from simd/
//     #include "../simd/each_target.h"
//     ... what exists once: units, the family row with LN_TABLE(run_copy) ...
//     #else
//     ... kernels: functions named LN_NAME(run_copy), over `real`, `vec` and the v_ names ...
//     #endif
//
// With LN_WIDER vectors are two registers where there are 32 of 64 bytes: in long chains of
// operations one half goes on while the other waits.
//
// LN_FEWER_TARGETS, for builds that take long (.ci/sanitize), leaves AVX2 out: the same sources as
// the others.
//
// Instruction sets come by function attributes, so no build flag is needed. Attributes do not reach
// into OpenMP regions: the team is started elsewhere (engine/threads.c).

// Every product-sum is an explicit v_fma; the compiler may not make others.
#pragma STDC FP_CONTRACT OFF

#include "../engine/family.h"
#include <string.h> // memcpy
#if defined(__x86_64__)
#include <immintrin.h> // the first few elements of a vector
#endif

#define LN__JOIN3(a, b, c) a##_##b##_##c
#define LN__JOIN(a, b, c) LN__JOIN3(a, b, c)
// The name of a template's function for the target being compiled: LN_NAME(run) -> run_avx2_f32.
#define LN_NAME(name) LN__JOIN(name, LN_TARGET, LN_SUFFIX)

#define LN__TYPES(name, target)                                                                    \
  { name##_##target##_f32, name##_##target##_f64 }
// The targets that are compiled: X(its name in ln_isa, its suffix, argument).
#if defined(__x86_64__) && defined(LN_FEWER_TARGETS)
#define LN_TARGETS(X, argument) X(GENERIC, generic, argument) X(AVX512, avx512, argument)
#elif defined(__x86_64__)
#define LN_TARGETS(X, argument)                                                                    \
  X(GENERIC, generic, argument) X(AVX2, avx2, argument) X(AVX512, avx512, argument)
#elif defined(__aarch64__)
#define LN_TARGETS(X, argument) X(GENERIC, generic, argument) X(NEON, neon, argument)
#else
#define LN_TARGETS(X, argument) X(GENERIC, generic, argument)
#endif
#define LN__ROW(isa, target, name) [LN_##isa] = LN__TYPES(name, target),
#define LN_TABLE(name)                                                                             \
  { LN_TARGETS(LN__ROW, name) }

#define LN_TARGET generic
#define LN_VECTOR_BYTES 16
#define LN_REGISTERS 16
#include "one_target.h"
#undef LN_TARGET
#undef LN_VECTOR_BYTES
#undef LN_REGISTERS

#if defined(__x86_64__)

#if !defined(LN_FEWER_TARGETS)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define LN_TARGET avx2
#define LN_VECTOR_BYTES 32
#define LN_REGISTERS 16
#include "one_target.h"
#undef LN_TARGET
#undef LN_VECTOR_BYTES
#undef LN_REGISTERS
#pragma clang attribute pop
#endif

#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#define LN_TARGET avx512
#if defined(LN_WIDER)
#define LN_VECTOR_BYTES 128
#else
#define LN_VECTOR_BYTES 64
#endif
#define LN_REGISTERS 32
#include "one_target.h"
#undef LN_TARGET
#undef LN_VECTOR_BYTES
#undef LN_REGISTERS
#pragma clang attribute pop

#elif defined(__aarch64__)

#define LN_TARGET neon
#define LN_VECTOR_BYTES 16
#define LN_REGISTERS 32
#include "one_target.h"
#undef LN_TARGET
#undef LN_VECTOR_BYTES
#undef LN_REGISTERS

#endif
