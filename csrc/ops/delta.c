// delta.c: convolution and dense layers from the change of their input (ln_delta).
//
// First the differences of the box are written down, position by position, without those that are
// zero in all lanes: dead units and maxima that stayed, a fifth of all in trained networks. Then
// every output gathers those that its window reaches, in the order ky, kx, c, as one chain started
// at +0, and adds the chain to its old sum. What was left out would have added +-0 to it, so the
// bytes do not depend on which coalitions share a tile.

#ifndef LN_TARGET
#include "conv_geometry.h"

// A unit is a block of output channels.
static int slices_of(const ln_delta *s) { return ln__ceil_div(s->out_channels, LN__CONV_BLOCK); }

static size_t units(const ln_step *step, int lanes) {
  (void)lanes;
  return (size_t)step->delta.groups * (size_t)slices_of(&step->delta);
}

static size_t box_positions(const ln_delta *s) { return (size_t)s->in_h * (size_t)s->in_w; }

// The differences; where in a row of taps each of them belongs; and per position and group the
// first of them.
static size_t scratch(const ln_step *step, ln_type type, int lanes) {
  const ln_delta *s = &step->delta;
  const size_t entries = box_positions(s) * (size_t)s->in_c;
  return entries * (size_t)lanes * (type == LN_FLOAT32 ? 4 : 8) + entries * sizeof(int32_t) +
         (box_positions(s) * (size_t)s->groups + 1) * sizeof(int32_t);
}

#define LN_TEMPLATE "../ops/delta.c"
#include "../simd/each_target.h"

const ln__family ln__family_delta = {"delta", units, scratch, LN_TABLE(run_delta)};

#else
#include "../simd/finish.h"

#define change LN_NAME(change)
typedef struct change {
  const ln_delta *shape;
  ptrdiff_t lanes;
  real *values;   // [entry][lane]
  int32_t *place; // of each entry: x * C + c, x counted in the box, c in the group
  int32_t *first; // [position][group], and the end of the last
  const real *sums;
  real *out;
  finish finish;
} change;

static void LN_NAME(write_down)(const change *d, const real *before, const real *after) {
  const ln_delta *s = d->shape;
  const ptrdiff_t lanes = d->lanes;
  const ptrdiff_t channels = (ptrdiff_t)s->groups * s->in_channels;
  int32_t count = 0, *first = d->first;
  for (int y = 0; y < s->in_h; y++)
    for (int x = 0; x < s->in_w; x++) {
      const ptrdiff_t at = ((ptrdiff_t)(s->in_y + y) * s->width + s->in_x + x) * channels;
      const real *old = before + (at + s->first_channel) * lanes;
      int c = s->first_channel;
      const int end = c + s->in_c;
      for (int g = 0; g < s->groups; g++) {
        *first++ = count;
        const int in_group = g * s->in_channels;
        for (; c < end && c < in_group + s->in_channels; c++, old += lanes, after += lanes) {
          mask any = (mask)0;
          real *value = d->values + count * lanes;
          for (ptrdiff_t l = 0; l < lanes; l += LN_WIDTH) {
            const vec difference = v_load(after + l) - v_load(old + l);
            v_store(value + l, difference);
            any |= difference != v_set(0);
          }
          d->place[count] = x * s->in_channels + c - in_group;
          count += __builtin_reduce_or(any) != 0;
        }
      }
    }
  *first = count;
}

// Vectors of lanes and output channels that are summed together.
#undef LN_DELTA_VECTORS
#undef LN_DELTA_CHANNELS
#undef LN_DELTA_SHAPES
#if LN_REGISTERS == 32
#define LN_DELTA_VECTORS 1
#define LN_DELTA_CHANNELS 16
#define LN_DELTA_SHAPES(X)                                                                         \
  X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)
#else
#define LN_DELTA_VECTORS 2
#define LN_DELTA_CHANNELS 6
#define LN_DELTA_SHAPES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

// The taps of an output coordinate that fall into the box, and where in the box the first one does.
#define reach LN_NAME(reach)
typedef struct reach {
  ln__taps taps;
  int at;
} reach;

LN_INLINE reach LN_NAME(reach_of)(int o, int stride, int dilation, int pad, int kernel, int from,
                                  int size) {
  const ln__taps taps = ln__taps_at(o, stride, dilation, pad + from, kernel, size);
  return (reach){taps, o * stride - pad - from + taps.begin * dilation};
}

// The sums of one output position for nb channels; weights: those of the channels at tap 0.
LN_INLINE void LN_NAME(gather)(const change *d, vec *sum, reach y, reach x, int group, ptrdiff_t l,
                               const real *weights, ptrdiff_t width, const int nb) {
  const ln_delta *s = d->shape;
  const ptrdiff_t lanes = d->lanes, channels = s->in_channels;
  const int columns = x.taps.end - x.taps.begin;
  // Neighbouring taps read neighbouring positions: their entries are one run.
  const int joined = s->groups == 1 && s->dilation_w == 1;
  const int runs = joined ? columns > 0 : columns, length = joined ? columns : 1;
  for (int ky = y.taps.begin, iy = y.at; ky < y.taps.end; ky++, iy += s->dilation_h)
    for (int r = 0; r < runs; r++) {
      const int kx = x.taps.begin + r, ix = x.at + r * s->dilation_w;
      const int32_t *first = d->first + ((ptrdiff_t)iy * s->in_w + ix) * s->groups + group;
      const ptrdiff_t tap = ((ptrdiff_t)ky * s->kernel_w + kx - ix) * channels;
      // A run is all of its positions' entries (joined: of the only group).
      const int32_t end = first[joined ? length : 1];
      for (int32_t e = first[0]; e < end; e++) {
        const real *row = weights + (tap + d->place[e]) * width;
        vec value[LN_DELTA_VECTORS];
        LN_UNROLL for (int a = 0; a < LN_DELTA_VECTORS; a++) value[a] =
            v_load(d->values + e * lanes + l + a * LN_WIDTH);
        LN_UNROLL for (int j = 0; j < nb; j++) {
          const vec w = v_set(row[j]);
          LN_UNROLL for (int a = 0; a < LN_DELTA_VECTORS; a++) sum[j * LN_DELTA_VECTORS + a] =
              v_fma(value[a], w, sum[j * LN_DELTA_VECTORS + a]);
        }
      }
    }
}

// nb channels from `channel` on (counted over all groups) at all outputs of the box.
LN_INLINE void LN_NAME(channels)(const change *d, int group, int channel, const real *weights,
                                 ptrdiff_t width, const int nb) {
  const ln_delta *s = d->shape;
  const ptrdiff_t lanes = d->lanes, all = (ptrdiff_t)s->groups * s->out_channels;
  const int rows = s->out_h / s->pool_h, columns = s->out_w / s->pool_w;
  for (int p = 0; p < rows * s->pool_h; p++) {
    const int oy = s->out_y + p;
    const reach y = LN_NAME(reach_of)(oy, s->stride_h, s->dilation_h, s->pad_top, s->kernel_h,
                                      s->in_y, s->in_h);
    for (int q = 0; q < columns * s->pool_w; q++) {
      const int ox = s->out_x + q;
      const reach x = LN_NAME(reach_of)(ox, s->stride_w, s->dilation_w, s->pad_left, s->kernel_w,
                                        s->in_x, s->in_w);
      const real *old = d->sums + (((ptrdiff_t)oy * s->out_width + ox) * all + channel) * lanes;
      real *to =
          d->out + (((ptrdiff_t)(p / s->pool_h) * columns + q / s->pool_w) * all + channel) * lanes;
      const int merge = p % s->pool_h + q % s->pool_w > 0;
      for (ptrdiff_t l = 0; l < lanes; l += LN_DELTA_VECTORS * LN_WIDTH) {
        vec sum[LN_DELTA_VECTORS * LN_DELTA_CHANNELS];
        // The old sums of a large map come from afar.
        LN_UNROLL for (int j = 0; j < nb; j++) __builtin_prefetch(old + j * lanes + l);
        LN_UNROLL for (int i = 0; i < nb * LN_DELTA_VECTORS; i++) sum[i] = v_set(0);
        LN_NAME(gather)(d, sum, y, x, group, l, weights, width, nb);
        LN_UNROLL for (int i = 0; i < nb * LN_DELTA_VECTORS; i++) sum[i] =
            v_load(old + i / LN_DELTA_VECTORS * lanes + l + i % LN_DELTA_VECTORS * LN_WIDTH) +
            sum[i];
        v_finish(sum, nb * LN_DELTA_VECTORS, &d->finish);
        LN_UNROLL for (int i = 0; i < nb * LN_DELTA_VECTORS; i++) {
          real *at = to + i / LN_DELTA_VECTORS * lanes + l + i % LN_DELTA_VECTORS * LN_WIDTH;
          v_store(at, merge ? v_pool_max(v_load(at), sum[i]) : sum[i]);
        }
      }
    }
  }
}

#define X(nb)                                                                                      \
  static void LN_NAME(channels_##nb)(const change *d, int group, int channel, const real *weights, \
                                     ptrdiff_t width) {                                            \
    LN_NAME(channels)(d, group, channel, weights, width, nb);                                      \
  }
LN_DELTA_SHAPES(X)
#undef X

static void (*const LN_NAME(channel_kernels)[LN_DELTA_CHANNELS + 1])(const change *, int, int,
                                                                     const real *, ptrdiff_t) = {
#define X(nb) [nb] = LN_NAME(channels_##nb),
    LN_DELTA_SHAPES(X)
#undef X
};

static void LN_NAME(run_delta)(const ln_step *step, const ln__frame *frame, size_t begin,
                               size_t end) {
  const ln_delta *s = &step->delta;
  const ptrdiff_t depth = (ptrdiff_t)s->kernel_h * s->kernel_w * s->in_channels;
  const size_t entries = box_positions(s) * (size_t)s->in_c;
  int applied;
  change d = {
      .shape = s,
      .lanes = frame->lanes,
      .values = (real *)frame->scratch,
      .sums = operand_values(frame, s->sums),
      .out = arena_values(frame, s->out),
      .finish = LN_NAME(finish_of)(&s->function, &applied),
  };
  d.place = (int32_t *)(d.values + entries * (size_t)frame->lanes);
  d.first = d.place + entries;
  LN_NAME(write_down)(&d, operand_values(frame, s->before), operand_values(frame, s->after));
  const real *weights = operand_values(frame, s->weights);
  const int slices = slices_of(s);
  for (size_t unit = begin; unit < end; unit++) {
    const int group = (int)unit / slices, block = (int)unit % slices * LN__CONV_BLOCK;
    const int width = ln__min(LN__CONV_BLOCK, s->out_channels - block);
    const ptrdiff_t channel = (ptrdiff_t)group * s->out_channels + block;
    const int parts = ln__ceil_div(width, LN_DELTA_CHANNELS);
    for (int p = 0; p < parts; p++) {
      const int from = width * p / parts, to = width * (p + 1) / parts;
      LN_NAME(channel_kernels)
      [to - from](&d, group, (int)channel + from, weights + channel * depth + from, width);
    }
  }
}
#endif
