// conv_pack.c: weights of a convolution in the order in which the kernels read them
// (conv_geometry.h).

#ifndef LN__REAL
#include "../include/lanes.h"
#include "conv_geometry.h"

size_t ln_conv_packed_count(const ln_conv *s) {
  return (size_t)s->groups * (size_t)s->out_channels * (size_t)ln__conv_depth(s) + LN__CONV_BLOCK;
}

#define LN__REAL float
#define LN__PACK ln_conv_pack_float32
#include "conv_pack.c"
#undef LN__REAL
#undef LN__PACK
#define LN__REAL double
#define LN__PACK ln_conv_pack_float64
#include "conv_pack.c"
#undef LN__REAL
#undef LN__PACK

#else

void LN__PACK(const ln_conv *s, const LN__REAL *weight, LN__REAL *packed) {
  const size_t taps = (size_t)s->kernel_h * (size_t)s->kernel_w, C = (size_t)s->in_channels;
  const size_t O = (size_t)s->out_channels, G = (size_t)s->groups;
  const int depthwise = ln__conv_is_depthwise(s);
  // The order of the loops is the layout. Depthwise: one "group" of O slices of G channels.
  const size_t outer = depthwise ? O : G, inner = depthwise ? G : O;
  const size_t block = depthwise ? G : LN__CONV_BLOCK;
  for (size_t a = 0; a < outer; a++)
    for (size_t b = 0; b < inner; b += block)
      for (size_t tap = 0; tap < taps; tap++)
        for (size_t c = 0; c < C; c++)
          for (size_t i = b; i < b + block && i < inner; i++) {
            const size_t channel = depthwise ? i * O + a : a * O + i;
            *packed++ = weight[(channel * C + c) * taps + tap];
          }
  for (int i = 0; i < LN__CONV_BLOCK; i++) *packed++ = 0;
}

#endif
