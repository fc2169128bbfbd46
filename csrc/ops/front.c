// front.c: the moments of an affine map's values for random coalitions, from rows of the caller.
//
// A unit is a block of positions. For each slot its numbers are brought into the order of the
// lanes, unless all lanes read the same row: then each number holds for all of them. With one lane
// the vectors go over positions.

#ifndef LN_TARGET
#include "../engine/family.h"
#include "array_units.h"

static size_t block_of(int lanes) { return LN__UNIT / (size_t)lanes; }

static size_t units(const ln_step *step, int lanes) {
  const size_t block = block_of(lanes);
  return ((size_t)step->front.count + block - 1) / block;
}

// Blocks of the five slots that have one number per position, then the scalars of all lanes.
enum { BLOCKS = 5 };
static size_t scratch(const ln_step *step, ln_type type, int lanes) {
  const size_t scalars = (size_t)(5 + 2 * step->front.rank) * (size_t)lanes;
  return (BLOCKS * (size_t)LN__UNIT + scalars) * (type == LN_FLOAT32 ? 4 : 8);
}

#define LN_TEMPLATE "../ops/front.c"
#include "../simd/each_target.h"

const ln__family ln__family_front = {"front", units, scratch, LN_TABLE(run_front)};

#else
#include "../simd/lane_rows.h"
#include "../simd/math.h"
#include "../simd/moment_values.h"
#include "../simd/transpose.h"

// The rows of a slot.
#define front_rows LN_NAME(front_rows)
typedef struct front_rows {
  const real *rows[LN_LANE_LIMIT];
  int shared; // all lanes read the same one
} front_rows;

static front_rows LN_NAME(front_rows_of)(const ln__frame *frame, int slot, int64_t row_count,
                                         int looks) {
  front_rows r = {.shared = 1};
  if (slot < 0) return r;
  LN_NAME(lane_rows)(r.rows, frame, slot, row_count);
  for (int l = 1; l < frame->lanes; l++) r.shared &= r.rows[l] == r.rows[0];
  if (looks && frame->call->not_finite &&
      !LN_NAME(rows_are_finite)(r.rows, r.shared ? 1 : (int)frame->count, row_count))
    ln_flag_raise(frame->call->not_finite);
  return r;
}

// The numbers of a slot at `count` positions from `at` on: as they are in the row, or in lanes.
LN_INLINE const real *LN_NAME(front_block)(const front_rows *r, real *block, int64_t at,
                                           int64_t count, int lanes) {
  if (r->shared) return r->rows[0] + at;
  LN_NAME(rows_to_lanes)(block, lanes, r->rows, at, count, lanes);
  return block;
}

// Those of position i and the lanes from l on; with one lane those of up to n positions.
LN_INLINE vec LN_NAME(front_load)(const front_rows *r, const real *block, size_t i, int l,
                                  int lanes, size_t n) {
  if (lanes == 1) return v_load_part(block + i, n);
  return r->shared ? v_set(block[i]) : v_load(block + i * (size_t)lanes + l);
}

static void LN_NAME(run_front)(const ln_step *step, const ln__frame *frame, size_t begin,
                               size_t end) {
  const ln_front *f = &step->front;
  const int lanes = frame->lanes, rank = f->rank, looks = begin == 0;
  const size_t total = (size_t)f->count, all = total * (size_t)lanes;
  const int scalar_count = 5 + 2 * rank;
  const front_rows base = LN_NAME(front_rows_of)(frame, f->base, f->count, looks);
  const front_rows sum = LN_NAME(front_rows_of)(frame, f->sum, f->count, looks);
  const front_rows squares = LN_NAME(front_rows_of)(frame, f->squares, f->count, looks);
  const front_rows own = LN_NAME(front_rows_of)(frame, f->own, f->count, looks);
  const front_rows basis =
      LN_NAME(front_rows_of)(frame, rank > 0 ? f->basis : -1, f->count * rank, looks);
  const front_rows scalars = LN_NAME(front_rows_of)(frame, f->scalars, scalar_count, looks);
  real *blocks = (real *)frame->scratch, *of_lanes = blocks + BLOCKS * LN__UNIT;
  for (int k = 0; k < scalar_count; k++)
    for (int l = 0; l < lanes; l++) of_lanes[k * lanes + l] = scalars.rows[l][k];
  const moment_values out =
      LN_NAME(moment_values_of)(frame, f->out_mean, f->out_rest, f->out_factors, rank, all);
  const size_t block = block_of(lanes);
  for (size_t unit = begin; unit < end; unit++) {
    const size_t at = unit * block, left = total - at, count = left < block ? left : block;
    const int64_t from = (int64_t)at, length = (int64_t)count;
    const real *base_block = LN_NAME(front_block)(&base, blocks, from, length, lanes);
    const real *sum_block =
        LN_NAME(front_block)(&sum, blocks + LN__UNIT, from, length, lanes);
    const real *squares_block =
        LN_NAME(front_block)(&squares, blocks + 2 * LN__UNIT, from, length, lanes);
    const real *own_block =
        f->own < 0 ? NULL
                   : LN_NAME(front_block)(&own, blocks + 3 * LN__UNIT, from, length, lanes);
    const size_t positions = lanes == 1 ? LN_WIDTH : 1; // of a vector
    for (int a = -1; a < rank; a++) {
      const real *basis_block =
          a < 0 ? NULL
                : LN_NAME(front_block)(&basis, blocks + 4 * LN__UNIT, a * f->count + from, length,
                                       lanes);
      for (size_t i = 0; i < count; i += positions)
        for (int l = 0; l < lanes; l += LN_WIDTH) {
          const size_t n = lanes == 1 ? count - i : LN_WIDTH;
          const size_t place = (at + i) * (size_t)lanes + (size_t)l;
#define LN__SCALAR(k) (lanes == 1 ? v_set(of_lanes[k]) : v_load(of_lanes + (k)*lanes + l))
          const vec c = own_block ? LN_NAME(front_load)(&own, own_block, i, l, lanes, n) : v_set(0);
          const vec others = LN_NAME(front_load)(&sum, sum_block, i, l, lanes, n) - c;
          vec rest;
          if (a < 0) {
            const vec mean = v_fma(LN__SCALAR(0), others,
                                   LN_NAME(front_load)(&base, base_block, i, l, lanes, n));
            v_store_part(out.mean + place, v_fma(LN__SCALAR(1), c, mean), n);
            const vec square = LN_NAME(front_load)(&squares, squares_block, i, l, lanes, n);
            const vec shared = v_fma(-c, c, square);
            rest = v_fma(LN__SCALAR(2), shared, -(LN__SCALAR(3) * others * others));
            // Nobody else reaches the position: this is the rounding of the sum of squares.
            rest = v_select(shared < square * v_set(LN_PRECISION(0x1p-21f, 0x1p-50)), v_set(0), rest);
          } else {
            const vec own_part = v_fma(
                -c, LN__SCALAR(5 + a), LN_NAME(front_load)(&basis, basis_block, i, l, lanes, n));
            const vec factor =
                LN__SCALAR(4) * v_fma(-others, LN__SCALAR(5 + rank + a), own_part);
            v_store_part(out.factors + a * out.step + (ptrdiff_t)place, factor, n);
            rest = v_fma(-factor, factor, v_load_part(out.rest + place, n));
          }
          // Cut off once, behind the last factor.
          if (a == rank - 1) rest = v_max(v_set(0), rest);
          v_store_part(out.rest + place, rest, n);
#undef LN__SCALAR
        }
    }
  }
}
#endif
