// lanes_training.h: the steps and the update that training needs besides forward and reverse steps,
// a part of lanes.h (include that).
//
// Lanes are the examples of a batch. A gradient of parameters is a sum over lanes: every tile
// writes a row of its own, and the rows are added up in the order of the tiles (ln_update), so the
// bytes depend on how the batch is cut into tiles but not on who runs them.

#ifndef COALITION_LANES_TRAINING_H
#define COALITION_LANES_TRAINING_H

// The gradient of the weights of a convolution or dense layer, summed over the examples of a tile:
//   row[tile][g][ky][kx][c][o] = sum over n, oy, ox and the tile's lanes, as one chain in this
//   order, of
//       gradient[n][oy][ox][g*O + o] * in[n][oy*SH + ky*DH - PH][ox*SW + kx*DW - PW][g*C + c]
// with `in` 0 on padding. Where a group has fewer than 8 outputs and the map 8 positions or more,
// each lane has a chain of its own, and the lanes are added up in order. Of `shape` the geometry is
// used. Row t of output slot `slot` is that of tile t; rows hold elements of the program's type.
typedef struct ln_weight_gradient {
  ln_ref in, gradient;
  int32_t slot;
  ln_conv shape;
} ln_weight_gradient;

// The gradient of a table whose rows lanes choose (ln_gather), summed over the examples of a tile
// in the order (i, lane):  row[tile][index[i]][d] += gradient[i][d], from 0.
typedef struct ln_table_gradient {
  ln_ref index, gradient;
  int32_t slot;
  int64_t count, rows, width;
} ln_table_gradient;

// Dropout: out[p] = in[p] * scale where the position is kept, else 0, for `count` positions. A
// position is kept where its random number is below `limit` (of 2^32). The number is a function of
// the position, `salt` and the example's key, two 32-bit words of a row of input slot `slot`; so
// the reverse is the same step on the gradient. `out` may be the same as `in`.
typedef struct ln_dropout {
  ln_ref in, out;
  int32_t slot;
  uint32_t salt, limit;
  int64_t count;
  double scale;
} ln_dropout;

// ------------------------------------------------------------------------------------------------
// Updates of parameters, between two calls of a program

typedef enum ln_rule {
  LN_RULE_SGD,      // v = momentum v + g;  w -= rate v
  LN_RULE_NESTEROV, // v = momentum v + g;  w -= rate (g + momentum v)
  LN_RULE_ADAM,     // m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
                    // w -= rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
  LN_RULE_ADADELTA  // s = rho s + (1 - rho) g^2;  d = g sqrt(a + epsilon) / sqrt(s + epsilon)
                    // a = rho a + (1 - rho) d^2;  w -= rate d
} ln_rule;

// The numbers of a step; g is the gradient plus decay w.
typedef struct ln_step_size {
  int32_t rule; // ln_rule
  double rate, decay;
  double first;          // momentum, b1, or rho
  double second;         // b2
  double epsilon;
  double first_correction, second_correction; // 1 / (1 - b1^t), 1 / (1 - b2^t)
} ln_step_size;

// One source of a parameter's gradient: `rows` rows of `count` numbers each, added up in order. The
// numbers are doubles when `is_wide`, else of the program's type.
typedef struct ln_gradient_rows {
  const void *values;
  int64_t rows, count;
  int32_t is_wide;
  const int32_t *of; // the element that each number belongs to; NULL: number k to element k
} ln_gradient_rows;

// A parameter: its elements, what the rule remembers of them, and where its gradient comes from.
typedef struct ln_parameter {
  int64_t count;
  void *value, *first, *second; // [count] each; first and second as the rule needs them, or NULL
  void *gradient;               // [count]: room for sums that do not go element by element, or NULL
  const ln_gradient_rows *sources;
  int32_t source_count;
} ln_parameter;

// A block of constants made from parameters: packed by ln_conv_pack, or as it is when `shape` is
// NULL, from numbers[i] = value[of[i]] of one parameter.
typedef struct ln_repacking {
  const ln_conv *shape;
  const void *value;
  const int32_t *of;
  int64_t count;
  void *numbers; // [count]: room
  void *packed;
} ln_repacking;

// Updates all parameters from the gradients of a batch, then makes the blocks anew. Split among
// threads by elements and blocks, which changes no result. A step with a NULL `size` only repacks.
typedef struct ln_update {
  ln_type type;
  const ln_step_size *size;
  const ln_parameter *parameters;
  size_t parameter_count;
  const ln_repacking *blocks;
  size_t block_count;
} ln_update;
void ln_train(const ln_update *update, ln_isa isa, int threads);

#endif
