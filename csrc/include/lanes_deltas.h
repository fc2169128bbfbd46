// lanes_deltas.h: the steps of coalitions, of players who change sides and of what follows from it, a
// part of lanes.h (include that).

#ifndef COALITION_LANES_DELTAS_H
#define COALITION_LANES_DELTAS_H

// Coalitions: out[p] = present[p] where player[p] is in the lane's coalition or player[p] < 0, else
// absent[p], for `count` positions. Coalitions are rows of `words` 32-bit words in input slot
// `slot`: player i is bit i % 32 of word i / 32. Players are whole numbers below 32 * words held as
// elements of the program's type: a constant, or in the arena where they differ by lane. `out` may
// be the same as `present` or `absent`.
typedef struct ln_mask {
  ln_ref present, absent, players, out;
  int32_t slot;
  int64_t count, words;
} ln_mask;

// Players who change sides at the same time, one in each lane: lane l has of[l % LN_LANE_UNIT].
typedef struct ln_turn {
  int32_t of[LN_LANE_UNIT];
} ln_turn;

// The values of a box when every lane's player changes sides, row-major over the nest: where that
// player owns the position, absent[p] if it is in the lane's coalition and present[p] if it is not;
// else now[p]. p = the operand's start + sum index * stride, the same for present, absent, now and
// owners; owners[p] is the player that owns p (a constant), or LN_ABSENT: the players of all lanes
// are one, which owns all of them. Coalitions as in ln_mask. Everything but the owners lies in the
// arena. Not with 1 lane.
typedef struct ln_toggle {
  ln_ref present, absent, now, owners, out;
  int32_t slot;
  ln_turn players;
  int64_t words;
  ln_nest nest;
  ln_strides stride;
} ln_toggle;

// What a convolution or dense layer gives when its input changes inside a box, from what it gave
// before and the change alone:
//   z'[oy][ox][o] = sums[oy][ox][o] + sum over the taps ky, kx, c that fall into the box of
//       (after - before) * weight,       out = max pool(function(z'))
// for the outputs oy = out_y .. out_y + out_h - 1, ox = out_x .. out_x + out_w - 1, of one image.
// before: the whole map [H][W][G*C]; after: the box, [in_h][in_w][in_c]; sums: the whole map of
// sums with bias, [..][out_width][G*O]; out: [out_h / pool_h][out_w / pool_w][G*O]. Pooling is by
// windows side by side; pool_h = pool_w = 1: none. function: identity, relu, clip or leaky_relu.
// weights: packed by ln_conv_pack_plain; all finite, so that differences which are zero in all
// lanes of the tile can be left out: they would add +-0 to sums that start at +0. Not with 1 lane.
typedef struct ln_delta {
  ln_ref before, after, sums, weights, out;
  int32_t groups, in_channels, out_channels; // channels per group
  int32_t width, out_width;                  // of the whole maps
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t in_y, in_x, first_channel, in_h, in_w, in_c; // channels counted over all groups
  int32_t out_y, out_x, out_h, out_w;
  int32_t pool_h, pool_w;
  ln_function function;
} ln_delta;

// The marginal contributions of the lanes' players, summed over the examples of a segment as by
// ln_sum:
//   row[segment][first + i] = sum of weight[e] * (value with the player - value without it),
// i < count, where before[i] is the value of the lane's coalition and after[i] that with its player
// on the other side; the difference is taken in double.
typedef struct ln_marginal {
  ln_ref before, after;
  int32_t slot;       // which of the call's outputs; its rows are doubles
  int32_t coalitions; // the input slot of the coalitions, as in ln_mask
  int64_t words;
  ln_turn players;
  int32_t count;
  int64_t row_count, first;
} ln_marginal;

// Passes over the next `count` steps when no lane that holds an example has the bit of its player
// in its row of input slot `slot`, rows as of coalitions in ln_mask. What those steps would have
// written is then left as it is.
typedef struct ln_guard {
  int32_t slot;
  ln_turn players;
  int64_t words;
  int32_t count;
} ln_guard;

#endif
