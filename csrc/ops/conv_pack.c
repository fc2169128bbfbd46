// conv_pack.c: weights of a convolution in the order in which the kernels read them
// (conv_geometry.h).

#ifndef LN__REAL
#pragma STDC FP_CONTRACT OFF
#include "../include/lanes.h"
#include "conv_geometry.h"
#include "winograd_weights.h"

size_t ln_conv_packed_count(const ln_conv *s) {
  const ln__form form = ln__conv_form(s);
  const int points = ln__form_points(form);
  const size_t depth = form == LN__DIRECT ? (size_t)ln__conv_depth(s)
                                          : (size_t)(points * points) * (size_t)s->in_channels;
  return (size_t)s->groups * (size_t)s->out_channels * depth + LN__CONV_BLOCK;
}

size_t ln_conv_plain_count(const ln_conv *s) {
  return (size_t)s->groups * (size_t)s->out_channels * (size_t)ln__conv_depth(s) + LN__CONV_BLOCK;
}

int ln_conv_is_plain(const ln_conv *s) {
  return ln__conv_form(s) == LN__DIRECT && !ln__conv_is_depthwise(s);
}

double ln_conv_cost(const ln_conv *s) { return s->groups * ln__form_cost(s, ln__conv_form(s)); }

int ln_conv_takes_pool(const ln_conv *s) {
  return ln__form_takes_pool(ln__conv_form(s), s->pool_h, s->pool_w);
}

#define LN__REAL float
#define LN__PACK ln_conv_pack_float32
#define LN__PACK_PLAIN ln_conv_pack_plain_float32
#define LN__PACK_DIRECT pack_direct_float32
#define LN__PACK_WINOGRAD pack_winograd_float32
#include "conv_pack.c"
#undef LN__REAL
#undef LN__PACK
#undef LN__PACK_PLAIN
#undef LN__PACK_DIRECT
#undef LN__PACK_WINOGRAD
#define LN__REAL double
#define LN__PACK ln_conv_pack_float64
#define LN__PACK_PLAIN ln_conv_pack_plain_float64
#define LN__PACK_DIRECT pack_direct_float64
#define LN__PACK_WINOGRAD pack_winograd_float64
#include "conv_pack.c"
#undef LN__REAL
#undef LN__PACK
#undef LN__PACK_PLAIN
#undef LN__PACK_DIRECT
#undef LN__PACK_WINOGRAD

#else

static void LN__PACK_WINOGRAD(const ln_conv *s, ln__form form, const LN__REAL *weight,
                              LN__REAL *packed) {
  const ln__weight_transform transform = ln__weight_transform_of(form, s->kernel_h);
  const int taps = transform.taps * transform.taps, C = s->in_channels, O = s->out_channels;
  const size_t all = (size_t)(transform.points * transform.points), depth = all * (size_t)C;
  double kernel[LN__TAPS * LN__TAPS], at[LN__POINTS * LN__POINTS];
  for (int g = 0; g < s->groups; g++)
    for (int o = 0; o < O; o++) {
      const int first = o / LN__CONV_BLOCK * LN__CONV_BLOCK;
      const size_t width = (size_t)ln__min(LN__CONV_BLOCK, O - first);
      LN__REAL *block = packed + ((size_t)g * (size_t)O + (size_t)first) * depth + (o - first);
      for (int c = 0; c < C; c++) {
        for (int tap = 0; tap < taps; tap++) kernel[tap] = (double)*weight++;
        ln__weights_at_points(&transform, kernel, at);
        for (size_t point = 0; point < all; point++)
          block[(point * (size_t)C + (size_t)c) * width] = (LN__REAL)at[point];
      }
    }
  LN__REAL *end = packed + (size_t)s->groups * (size_t)O * depth;
  for (int i = 0; i < LN__CONV_BLOCK; i++) end[i] = 0;
}

static void LN__PACK_DIRECT(const ln_conv *s, int depthwise, const LN__REAL *weight,
                            LN__REAL *packed) {
  const size_t taps = (size_t)s->kernel_h * (size_t)s->kernel_w, C = (size_t)s->in_channels;
  const size_t O = (size_t)s->out_channels, G = (size_t)s->groups;
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

void LN__PACK_PLAIN(const ln_conv *s, const LN__REAL *weight, LN__REAL *packed) {
  LN__PACK_DIRECT(s, 0, weight, packed);
}

void LN__PACK(const ln_conv *s, const LN__REAL *weight, LN__REAL *packed) {
  const ln__form form = ln__conv_form(s);
  if (form != LN__DIRECT)
    LN__PACK_WINOGRAD(s, form, weight, packed);
  else
    LN__PACK_DIRECT(s, ln__conv_is_depthwise(s), weight, packed);
}

#endif
