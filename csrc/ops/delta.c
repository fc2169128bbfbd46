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

// Shapes that exist: X(na, nb), na vectors of lanes of one position x nb output channels. Few
// channels go with more vectors, where a tile has them, so that enough sums are under way.
#undef LN_DELTA_CHANNELS
#undef LN_DELTA_VECTORS
#undef LN_DELTA_SHAPES
#if LN_REGISTERS == 32
#define LN_DELTA_CHANNELS 16
#define LN_DELTA_VECTORS 1
#define LN_DELTA_SHAPES(X)                                                                         \
  X(1, 1)                                                                                          \
  X(1, 2)                                                                                          \
  X(1, 3)                                                                                          \
  X(1, 4)                                                                                          \
  X(1, 5)                                                                                          \
  X(1, 6)                                                                                          \
  X(1, 7)                                                                                          \
  X(1, 8)                                                                                          \
  X(1, 9)                                                                                          \
  X(1, 10) X(1, 11) X(1, 12) X(1, 13) X(1, 14) X(1, 15) X(1, 16) X(4, 1) X(4, 2) X(4, 3) X(4, 4)
#else
#define LN_DELTA_CHANNELS 6
#define LN_DELTA_VECTORS 2
#define LN_DELTA_SHAPES(X) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(2, 5) X(2, 6) X(4, 1) X(4, 2) X(4, 3)
#endif

static int LN_NAME(vectors_for)(int channels, int lanes) {
  const int many = channels <= (LN_REGISTERS == 32 ? 4 : 3) && lanes % (4 * LN_WIDTH) == 0;
  return many ? 4 : LN_DELTA_VECTORS;
}

// The taps begin .. end - 1 of an output coordinate that fall into the box, and where in the box
// the first one does.
#define reach LN_NAME(reach)
typedef struct reach {
  int begin, end, at;
} reach;

LN_INLINE reach LN_NAME(reach_of)(int o, int stride, int dilation, int pad, int kernel, int from,
                                  int size) {
  const int start = o * stride - pad - from;
  if (dilation == 1) { // without divisions, which take longer than the sums of a small box
    const int begin = ln__max(0, -start), end = ln__min(kernel, size - start);
    return begin < end ? (reach){begin, end, start + begin} : (reach){0, 0, 0};
  }
  const ln__taps taps = ln__taps_at(o, stride, dilation, pad + from, kernel, size);
  return (reach){taps.begin, taps.end, start + taps.begin * dilation};
}

// Some output channels of a group.
#define part LN_NAME(part)
typedef struct part {
  int group, channel;  // the first channel, counted over all groups
  const real *weights; // of it, at tap 0
  ptrdiff_t width;     // from one step of the weights to the next
} part;

// The sums of one output position, for lanes from l on.
LN_INLINE void LN_NAME(gather)(const change *d, const part *p, vec *sum, reach y, reach x,
                               ptrdiff_t l, const ptrdiff_t lanes, const int na, const int nb) {
  const ln_delta *s = d->shape;
  const ptrdiff_t channels = s->in_channels, width = p->width;
  const int columns = x.end - x.begin;
  // Neighbouring taps read neighbouring positions: their entries are one run.
  const int joined = s->groups == 1 && s->dilation_w == 1;
  const int runs = joined ? columns > 0 : columns, length = joined ? columns : 1;
  for (int ky = y.begin, iy = y.at; ky < y.end; ky++, iy += s->dilation_h)
    for (int r = 0; r < runs; r++) {
      const int kx = x.begin + r, ix = x.at + r * s->dilation_w;
      const int32_t *first = d->first + ((ptrdiff_t)iy * s->in_w + ix) * s->groups + p->group;
      const ptrdiff_t tap = ((ptrdiff_t)ky * s->kernel_w + kx - ix) * channels;
      const int32_t end = first[length];
      for (int32_t e = first[0]; e < end; e++) {
        const real *row = p->weights + (tap + d->place[e]) * width;
        const real *value = d->values + e * lanes + l;
        vec v[4];
        LN_UNROLL for (int a = 0; a < na; a++) v[a] = v_load(value + a * LN_WIDTH);
        LN_UNROLL for (int j = 0; j < nb; j++) {
          const vec w = v_set(row[j]);
          LN_UNROLL for (int a = 0; a < na; a++) sum[j * na + a] = v_fma(v[a], w, sum[j * na + a]);
        }
      }
    }
}

// One output position; `merge`: its values join the maxima of a window that are in `to`.
LN_INLINE void LN_NAME(position)(const change *d, const part *p, reach y, reach x, const real *old,
                                 real *to, int merge, const ptrdiff_t lanes, const int na,
                                 const int nb) {
  for (ptrdiff_t l = 0; l < lanes; l += na * LN_WIDTH, old += na * LN_WIDTH, to += na * LN_WIDTH) {
    vec sum[16];
    // The old sums of a large map come from afar.
    LN_UNROLL for (int j = 0; j < nb; j++) __builtin_prefetch(old + j * lanes);
    LN_UNROLL for (int i = 0; i < na * nb; i++) sum[i] = v_set(0);
    LN_NAME(gather)(d, p, sum, y, x, l, lanes, na, nb);
    LN_UNROLL for (int i = 0; i < na * nb; i++) sum[i] =
        v_load(old + i / na * lanes + i % na * LN_WIDTH) + sum[i];
    v_finish(sum, na * nb, &d->finish);
    LN_UNROLL for (int i = 0; i < na * nb; i++) {
      real *at = to + i / na * lanes + i % na * LN_WIDTH;
      v_store(at, merge ? v_pool_max(v_load(at), sum[i]) : sum[i]);
    }
  }
}

// All outputs of the box, window by window.
LN_INLINE void LN_NAME(outputs)(const change *d, const part *p, const ptrdiff_t lanes, const int na,
                                const int nb) {
  const ln_delta *s = d->shape;
  const ptrdiff_t pixel = (ptrdiff_t)s->groups * s->out_channels * lanes;
  const ptrdiff_t first = p->channel * lanes;
  real *to = d->out + first;
  for (int y = 0; y < s->out_h; y += s->pool_h)
    for (int x = 0; x < s->out_w; x += s->pool_w, to += pixel)
      for (int dy = 0; dy < s->pool_h; dy++) {
        const int oy = s->out_y + y + dy;
        const reach rows = LN_NAME(reach_of)(oy, s->stride_h, s->dilation_h, s->pad_top,
                                             s->kernel_h, s->in_y, s->in_h);
        for (int dx = 0; dx < s->pool_w; dx++) {
          const int ox = s->out_x + x + dx;
          const reach columns = LN_NAME(reach_of)(ox, s->stride_w, s->dilation_w, s->pad_left,
                                                  s->kernel_w, s->in_x, s->in_w);
          const real *old = d->sums + ((ptrdiff_t)oy * s->out_width + ox) * pixel + first;
          LN_NAME(position)(d, p, rows, columns, old, to, dy + dx > 0, lanes, na, nb);
        }
      }
}

// Where the lanes are one pass, addresses are plain numbers.
#define X(na, nb)                                                                                  \
  static void LN_NAME(outputs_##na##x##nb)(const change *d, const part *p) {                       \
    if (d->lanes == na * LN_WIDTH)                                                                 \
      LN_NAME(outputs)(d, p, na * LN_WIDTH, na, nb);                                               \
    else                                                                                           \
      LN_NAME(outputs)(d, p, d->lanes, na, nb);                                                    \
  }
LN_DELTA_SHAPES(X)
#undef X

static void (*const LN_NAME(output_kernels)[5][LN_DELTA_CHANNELS + 1])(const change *,
                                                                       const part *) = {
#define X(na, nb) [na][nb] = LN_NAME(outputs_##na##x##nb),
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
    for (int i = 0; i < parts; i++) {
      const int from = width * i / parts, count = width * (i + 1) / parts - from;
      const part p = {group, (int)channel + from, weights + channel * depth + from, width};
      LN_NAME(output_kernels)[LN_NAME(vectors_for)(count, frame->lanes)][count](&d, &p);
    }
  }
}
#endif
