// lanes.h: the whole C API of the lane engine, in reading order.
//
// One network at many variants of one input. Variants are *lanes*, and lanes are the innermost axis
// of every array:
//
//     value[position][lane]          position = row-major index over all axes but the lanes
//     image[n][y][x][channel][lane]  the order that convolution and pooling work in
//
// A *program* is a flat list of plain steps over an arena. The engine takes a tile of `lanes`
// examples, runs the whole program on it and goes on to the next tile; one OpenMP team serves a
// call. Nothing here allocates, fails, reads a file, or knows what a method or an ONNX operator is:
// shapes were checked when the program was made (CoalitionNet), and asserts state what is relied
// on.
//
// Same bytes: an output is one chain of fused multiply-adds in one order (ky, kx, input channel),
// started at +0, bias added last, whatever the number of lanes, threads, or the instruction set.
// Layers whose geometry suits it run by minimal filtering instead, whose order is as fixed
// (ops/conv_winograd.h). Contraction by the compiler is off everywhere.
//
// Dimension letters: N images of one lane, C input channels, O output channels, G groups, H W space
// (height, width; 1-D data has H = 1), K kernel, S stride, D dilation, P padding before, L lanes.

#ifndef COALITION_LANES_H
#define COALITION_LANES_H

#include <stddef.h>
#include <stdint.h>

// ------------------------------------------------------------------------------------------------
// Element types and instruction sets

typedef enum ln_type { LN_FLOAT32, LN_FLOAT64, LN_TYPE_COUNT } ln_type;

// Every kernel exists for every set that the build's architecture has; `generic` always exists.
typedef enum ln_isa { LN_GENERIC, LN_AVX2, LN_AVX512, LN_NEON, LN_ISA_COUNT } ln_isa;

const char *ln_isa_name(ln_isa isa);
int ln_isa_available(ln_isa isa); // compiled in, and this processor has it
ln_isa ln_isa_best(void);         // the widest available one

// Makes glibc's allocator keep freed memory for the next allocation in place of returning it to the
// system, whose pages cost more than the work on them in short calls. For programs, not libraries;
// does nothing elsewhere.
void ln_keep_freed_memory(void);

// ------------------------------------------------------------------------------------------------
// Operands

// Lane counts are 1 (the narrow form) or a multiple of LN_LANE_UNIT, at most LN_LANE_LIMIT.
enum { LN_LANE_UNIT = 16, LN_LANE_LIMIT = 64, LN_ALIGNMENT = 64, LN_AXIS_LIMIT = 8 };

// Where an operand lives: in the arena, with one vector of L lanes per position, or in one of the
// program's blocks of constants (block >= 0), with one scalar per position, the same for all lanes.
enum { LN_ARENA = -1, LN_ABSENT = -2 };

// offset: in elements from the start of the arena or block (an arena offset already counts lanes).
typedef struct ln_ref {
  int64_t offset;
  int32_t block;
} ln_ref;

// A loop nest over `axes` axes, outermost first. Strides are in positions and may be 0 (broadcast)
// or negative (a reversed view).
typedef struct ln_nest {
  int32_t axes;
  int32_t size[LN_AXIS_LIMIT];
} ln_nest;

typedef struct ln_strides {
  int64_t stride[LN_AXIS_LIMIT];
} ln_strides;

// ------------------------------------------------------------------------------------------------
// Functions of one number, with up to two parameters. A row here needs its arithmetic in
// simd/functions.h, its derivative in simd/slopes.h, its secant in simd/secants.h, its moments in
// simd/moments.h and, where ONNX has it, a case in the Swift twin, Operators/Pointwise.swift.

#define LN_FUNCTIONS(X)                                                                            \
  X(identity)     /* x */                                                                          \
  X(relu)         /* max(x, 0) */                                                                  \
  X(leaky_relu)   /* x < 0 ? a x : x */                                                            \
  X(clip)         /* min(max(x, a), b) */                                                          \
  X(elu)          /* x < 0 ? b a (exp(x) - 1) : b x      (ELU: b = 1; SELU: b = gamma) */          \
  X(celu)         /* max(0, x) + min(0, a (exp(x / a) - 1)) */                                     \
  X(sigmoid)      /* 1 / (1 + exp(-x)) */                                                          \
  X(hard_sigmoid) /* min(max(a x + b, 0), 1) */                                                    \
  X(hard_swish)   /* x min(max(x / 6 + 1/2, 0), 1) */                                              \
  X(tanh)                                                                                          \
  X(softplus)  /* log(1 + exp(x)), without overflow */                                             \
  X(softsign)  /* x / (1 + |x|) */                                                                 \
  X(gelu)      /* x (1 + erf(x / sqrt 2)) / 2 */                                                   \
  X(gelu_tanh) /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */                             \
  X(swish)     /* x / (1 + exp(-a x)) */                                                           \
  X(mish)      /* x tanh(softplus(x)) */                                                           \
  X(erf)                                                                                           \
  X(exp)                                                                                           \
  X(log)                                                                                           \
  X(sqrt)                                                                                          \
  X(absolute)                                                                                      \
  X(negative)                                                                                      \
  X(truncate)   /* towards zero: a cast to an integer type */                                      \
  X(stabilize)  /* x < 0 ? x - a : x + a: a denominator pushed away from zero */                   \
  X(reciprocal) /* 1 / x */                                                                        \
  X(square)     /* x x */

typedef enum ln_function_id {
#define X(name) LN_FUNCTION_##name,
  LN_FUNCTIONS(X)
#undef X
      LN_FUNCTION_COUNT
} ln_function_id;

typedef struct ln_function {
  int32_t id;
  double a, b;
} ln_function;

// Functions of two numbers.
#define LN_BINARY_FUNCTIONS(X)                                                                     \
  X(add)                                                                                           \
  X(subtract)                                                                                      \
  X(multiply)                                                                                      \
  X(divide)                                                                                        \
  X(maximum)                                                                                       \
  X(minimum)                                                                                       \
  X(prelu)    /* x < 0 ? y x : x */                                                                \
  X(at_least) /* x >= y ? 1 : 0 */                                                                 \
  X(greater)  /* x > y ? 1 : 0 */

typedef enum ln_binary_id {
#define X(name) LN_BINARY_##name,
  LN_BINARY_FUNCTIONS(X)
#undef X
      LN_BINARY_COUNT
} ln_binary_id;

// ------------------------------------------------------------------------------------------------
// Steps. One struct per family; a family is one file in ops/ and one row of LN_FAMILIES.

// Rows of the caller to lanes: out[position][lane] = row[example][sum index * stride]. Rows hold
// elements of the program's type. Lanes past the last example repeat the last one. Raises
// call->not_finite for rows that hold anything else than finite numbers.
typedef struct ln_input {
  ln_ref out;
  int32_t slot;      // which of the call's inputs
  int64_t row_count; // elements of one example
  ln_nest nest;      // over the positions of `out`, row-major
  ln_strides in;     // in elements of the row
} ln_input;

// Lanes to rows: row[example][position] = in[sum index * stride][lane], for lanes that hold an
// example.
typedef struct ln_output {
  ln_ref in;
  int32_t slot;
  int64_t row_count;
  ln_nest nest;      // over the elements of the row, row-major
  ln_strides stride; // of `in`, in positions
} ln_output;

// Convolution and dense layers.  in [N][H][W][G*C], out [N][OH][OW][G*O] (or the pooled size).
//   z[n][oy][ox][g*O+o] = bias + sum over ky, kx, c of
//       in[n][oy*SH + ky*DH - PH][ox*SW + kx*DW - PW][g*C + c] * weight[g*O + o][c][ky][kx]
//   out = pool(function(z))
// Taps that fall on padding are skipped. A dense layer has H = W = OH = OW = KH = KW = 1 and N
// rows. pool_h = 0: no pooling. Else max pooling by windows of pool_h x pool_w that tile the map
// (stride equal to the window, no padding, incomplete windows at the far edge dropped), fused so
// that z never leaves a band of rows (ln_conv_takes_pool says if it can be). Kernels count in 32
// bits. Along each axis of a convolution or pool, what the caller passes keeps
//   max(size + both pads, outputs * stride + (kernel - 1) * dilation + 1) + dilation + stride,
// and the product of both kernel sizes, within INT32_MAX.
typedef struct ln_conv {
  ln_ref in, out;
  ln_ref weights;                            // constant: packed by ln_conv_pack
  ln_ref bias;                               // constant: G*O numbers, or LN_ABSENT
  int32_t groups, in_channels, out_channels; // channels per group
  int32_t images, height, width, out_height, out_width;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t pool_h, pool_w;
  int32_t direct; // nonzero: by the direct sum, even where minimal filtering is cheaper
  ln_function function;
} ln_conv;

// Pooling of in [N][H][W][C] to out [N][OH][OW][C]. Windows are clipped to the map.
// average: the divisor counts the taps on the map, or with count_padding also those on the padding
// (pad_bottom and pad_right say how far that reaches; taps past it, which ceil mode can make, never
// count). winner: which element the maximum is, as its index in [N][C][H][W] (or, with swapped = 1,
// [N][C][W][H]); the first of equal ones. sum: of the taps on the map.
typedef enum ln_pool_kind {
  LN_POOL_MAX,
  LN_POOL_AVERAGE,
  LN_POOL_WINNER,
  LN_POOL_SUM
} ln_pool_kind;
typedef struct ln_pool {
  ln_ref in, out;
  int32_t kind, count_padding, swapped;
  int32_t channels, images, height, width, out_height, out_width;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int32_t pad_top, pad_left, pad_bottom, pad_right;
} ln_pool;

// out[p] = f(in[p]) for `count` positions. `in` and `out` may be the same.
typedef struct ln_pointwise {
  ln_ref in, out;
  int64_t count;
  ln_function function;
} ln_pointwise;

// out[...] = f(a[...], b[...]) over a nest; either operand may be a constant. `out` is contiguous
// in the order of the nest unless its strides say otherwise; it may be the same as an operand of
// equal strides.
typedef struct ln_binary {
  ln_ref a, b, out;
  int32_t function; // ln_binary_id
  ln_nest nest;
  ln_strides a_stride, b_stride, out_stride;
} ln_binary;

// out[...] = in[...] over a nest: transposition, concatenation, slices, padding, broadcasting,
// constants.
typedef struct ln_copy {
  ln_ref in, out;
  ln_nest nest;
  ln_strides in_stride, out_stride;
} ln_copy;

// Softmax over the middle axis of in [outer][axis][inner], or its logarithm.
typedef struct ln_softmax {
  ln_ref in, out;
  int32_t logarithm;
  int64_t outer, axis, inner;
} ln_softmax;

// Rows of a constant table chosen by each lane: out[i][d] = table[index[i]][d]. Indices are whole
// numbers; negative ones count from the end, and what lies outside is clamped to the table.
typedef struct ln_gather {
  ln_ref index, out;
  ln_ref table; // constant: [rows][width]
  int64_t count, rows, width;
} ln_gather;

// The reverse of a function of one number: out[p] = gradient[p] * slope(in[p], reference[p]) for
// `count` positions. `out` may be the same as `gradient`.
// derivative: f'(z); at a kink the subgradient that PyTorch takes.
// ratio: f(z) / (z + parameter * sign z), sign 0 = +1 (epsilon-LRP as a modified gradient).
// secant: (f(z) - f(z')) / (z - z'), or f'(z) where z = z' (the Rescale rule of DeepLIFT). It is
//   computed without cancellation however close z and z' are, so there is no distance below which a
//   derivative would have to stand in for it.
// guided: the derivative where the gradient is > 0, else 0.
// deconvnet: 1 where the gradient is > 0, else 0 (for functions that pass z > 0); `in` is not read.
// A factor of exactly 0 wins: a gradient of 0 gives 0 whatever the slope, and a slope of 0 gives 0
// for an infinite gradient. Otherwise NaNs stay: in the gradient, z and z'.
typedef enum ln_slope_kind {
  LN_SLOPE_DERIVATIVE,
  LN_SLOPE_RATIO,
  LN_SLOPE_SECANT,
  LN_SLOPE_GUIDED,
  LN_SLOPE_DECONVNET
} ln_slope_kind;
typedef struct ln_slope {
  ln_ref gradient, in, out;
  ln_ref reference; // z' (secant), in the arena or a constant; or LN_ABSENT
  int64_t count;
  ln_function function;
  int32_t kind;
  double parameter; // epsilon of ratio
} ln_slope;

// The reverse of pooling: out [N][H][W][C] from gradient [N][OH][OW][C]. `pool` gives the geometry
// and, as its `in`, the map that was pooled; its `kind` and `out` are not used. What windows share
// adds up in the order of the windows.
// winner: the gradient goes to the first maximum of the window, as that of the pool does.
// average, sum: spread with the divisor of the forward pass, or without; the map is not read.
// pair: max pooling between a map x and a reference map b so that contributions are complete. With
//   i the winner of x and j that of b: if i = j, or if they tie in one of the maps but for rounding
//   (then they are taken for one: i when b_i = b_j, else j), the gradient goes there; else, with
//   m = max(x_i, b_j) and n = max(b_i, x_j), both get their part of the Shapley value of the two,
//     share_i = ((m - b_j) + (x_i - n)) / 2,   share_j = ((n - b_j) + (x_i - m)) / 2,
//   as the factor share / (x - b), 0 where x = b (the share is then 0 as well). Both factors lie in
//   [0, 1], and the shares sum to x_i - b_j, the difference of the two maxima. Numbers tie when they
//   differ by less than 128 roundings of the larger one.
typedef enum ln_unpool_kind {
  LN_UNPOOL_WINNER,
  LN_UNPOOL_AVERAGE,
  LN_UNPOOL_SUM,
  LN_UNPOOL_PAIR
} ln_unpool_kind;
typedef struct ln_unpool {
  ln_ref gradient, out;
  ln_ref reference; // the map b (pair), in the arena or a constant; or LN_ABSENT
  int32_t kind;
  ln_pool pool;
} ln_unpool;

// Weighted sums over the examples of a segment, in double:
//   row[segment][position] = sum over the segment's examples e, in order, of
//       weight[e] * in[sum index * stride][lane of e]
// as one chain of fused multiply-adds started at +0. The call's segments[e] is the segment of
// example e: it never decreases, and no segment crosses a multiple of LN_LANE_UNIT examples, so
// that one tile writes a row; with 1 lane every example has a segment of its own. Rows of segments
// without examples are left as they are.
typedef struct ln_sum {
  ln_ref in;
  int32_t slot;      // which of the call's outputs; its rows are doubles
  int64_t row_count; // doubles of one row
  ln_nest nest;      // over the elements of the row, row-major
  ln_strides stride; // of `in`, in positions
} ln_sum;

#include "lanes_deltas.h"  // ln_mask, ln_toggle, ln_delta, ln_marginal, ln_guard
#include "lanes_moments.h" // ln_moments, ln_moment_slope, ln_clark, ln_unclark, ln_front
#include "lanes_training.h" // ln_weight_gradient, ln_table_gradient, ln_dropout, ln_train

#define LN_FAMILIES(X)                                                                             \
  X(input)                                                                                         \
  X(output)                                                                                        \
  X(conv)                                                                                          \
  X(pool)                                                                                          \
  X(pointwise)                                                                                     \
  X(binary)                                                                                        \
  X(copy)                                                                                          \
  X(softmax)                                                                                       \
  X(gather)                                                                                        \
  X(slope)                                                                                         \
  X(unpool)                                                                                        \
  X(sum)                                                                                           \
  X(mask)                                                                                          \
  X(toggle)                                                                                        \
  X(delta)                                                                                         \
  X(marginal)                                                                                      \
  X(guard)                                                                                         \
  X(moments)                                                                                       \
  X(moment_slope)                                                                                  \
  X(clark)                                                                                         \
  X(unclark)                                                                                       \
  X(front)                                                                                         \
  X(weight_gradient)                                                                               \
  X(table_gradient)                                                                                \
  X(dropout)

typedef enum ln_family_id {
#define X(name) LN_##name,
  LN_FAMILIES(X)
#undef X
      LN_FAMILY_COUNT
} ln_family_id;

typedef struct ln_step {
  int32_t family; // ln_family_id
  union {
#define X(name) ln_##name name;
    LN_FAMILIES(X)
#undef X
  };
} ln_step;

const char *ln_family_name(ln_family_id family);
const char *ln_function_name(ln_function_id function);
const char *ln_binary_name(ln_binary_id function);

// Bytes of scratch that one thread needs for a step.
size_t ln_step_scratch(const ln_step *step, ln_type type, int lanes);

// ------------------------------------------------------------------------------------------------
// Packed weights. The layout is one for all instruction sets and lane counts.

// Elements that packed weights of a convolution occupy.
size_t ln_conv_packed_count(const ln_conv *shape);
// weight: [G*O][C][KH][KW], row-major. Layout and algorithm depend on neither function nor pool.
void ln_conv_pack_float32(const ln_conv *shape, const float *weight, float *packed);
void ln_conv_pack_float64(const ln_conv *shape, const double *weight, double *packed);

// The layout that ln_delta reads, whatever the algorithm of the convolution itself;
// ln_conv_is_plain says whether ln_conv_pack gives the same one.
size_t ln_conv_plain_count(const ln_conv *shape);
void ln_conv_pack_plain_float32(const ln_conv *shape, const float *weight, float *packed);
void ln_conv_pack_plain_float64(const ln_conv *shape, const double *weight, double *packed);
int ln_conv_is_plain(const ln_conv *shape);

// What a convolution of one image costs, in multiply-adds of the direct sum that take as long.
double ln_conv_cost(const ln_conv *shape);

// Whether a pool (pool_h, pool_w > 0) may be fused. Layers that run by minimal filtering take
// windows whose sides divide those of a tile; others take all.
int ln_conv_takes_pool(const ln_conv *shape);

// ------------------------------------------------------------------------------------------------
// Programs and calls

typedef struct ln_program {
  ln_type type;
  int32_t lanes;
  const ln_step *steps;
  size_t step_count;
  const void *const *constants; // blocks, each LN_ALIGNMENT-aligned
  size_t arena_bytes;           // of one thread: values, then scratch
  size_t scratch_offset;        // bytes from the start of an arena, LN_ALIGNMENT-aligned
  int32_t whole_tiles;          // no tile is shared, as for every program with guards: steps are too
                                // small for threads to meet after each
  int32_t arena_of_each_tile;   // tiles keep their values from one call to the next, which goes on
                                // with later steps; no tile is shared then
} ln_program;

typedef struct ln_call {
  const void *const *inputs;    // per slot: rows
  const int32_t *const *row_of; // per slot: each example's row, or NULL: its own
  void *const *outputs;
  size_t examples;
  void *arenas; // threads (tiles, where each has its own) * arena_bytes, LN_ALIGNMENT-aligned
  int32_t threads;
  ln_isa isa;
  const int32_t *cancel; // polled before each tile; nonzero ends the call early
  uint64_t *progress;    // examples done, added to after each tile
  int32_t *not_finite;   // raised when a number of an input is not finite
  // Per example, for `sum` steps; NULL when there is none.
  const int32_t *segments; // the row that it goes to
  const double *weights;
} ln_call;

// Runs the program over all examples. With at least as many tiles as threads each thread takes
// whole tiles; the tiles left over, and a call with few tiles, are shared: all threads work on one
// tile and each step is split, unless the program says `whole_tiles`. Returns 1, or 0 when it was cancelled (the outputs are then
// incomplete).
int ln_run(const ln_program *program, const ln_call *call);

// Threads that the OpenMP runtime would use (OMP_NUM_THREADS, or the number of processors).
int ln_default_threads(void);

// Flags and counters that another thread reads or writes while a call runs.
void ln_flag_raise(int32_t *flag);
uint64_t ln_counter_read(const uint64_t *counter);

// ------------------------------------------------------------------------------------------------
// For tests and measurements

// out[i] = f(in[i]) by the kernels of one instruction set; arrays of `count` elements of `type`.
void ln_apply(ln_function function, ln_type type, ln_isa isa, const void *in, void *out,
              size_t count);

// out[i], which holds gradients, becomes out[i] * slope(in[i], reference[i]); kinds and parameter
// as in ln_slope, `reference` is read by the secant only.
void ln_apply_slope(ln_function function, ln_slope_kind kind, double parameter, ln_type type,
                    ln_isa isa, const void *in, const void *reference, void *out, size_t count);

// Runs the program over all examples in one thread and adds the time of every step to
// seconds[step].
void ln_profile(const ln_program *program, const ln_call *call, double *seconds);

// Fused multiply-adds per second, times two, that `threads` threads reach in registers for about
// `seconds`: the peak against which kernels are measured.
double ln_measure_peak(ln_isa isa, ln_type type, int threads, double seconds);

#endif
