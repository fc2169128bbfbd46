// lanes_moments.h: the steps of moment propagation, a part of lanes.h (include that).
//
// A value is, per position and lane, a normal variable
//     z_p = mean_p + sum over a of factor_{a,p} xi_a + sqrt(rest_p) eta_p
// with xi_a shared by all positions of the lane and eta_p independent of everything. Its variance
// is s = rest + sum of factor_a^2. mean and rest are values like any others; `factors` holds `rank`
// (>= 0) of them one after the other, [rank][count][lane], and is LN_ABSENT at rank 0. Everything
// lies in the arena. Where s is below the smallest normal number a value counts as certain.

#ifndef COALITION_LANES_MOMENTS_H
#define COALITION_LANES_MOMENTS_H

// The moments of f(z), with g = E f'(z):
//   out_mean = E f(z),   out_factor_a = g factor_a,   out_rest = Var f(z) - g^2 sum factor_a^2 >= 0
// for `count` positions; where z is certain f(mean), f'(mean) for g, and 0. Outputs may be the same
// as inputs. simd/moments.h says which functions have exact moments and how good the others are.
typedef struct ln_moments {
  ln_ref mean, rest, factors;
  ln_ref out_mean, out_rest, out_factors;
  int64_t count;
  int32_t rank;
  ln_function function;
} ln_moments;

// The reverse of ln_moments: from the derivatives of a number by out_mean, out_rest and out_factors
// (signal_..., LN_ABSENT for zeros) those by mean, rest and factors. Outputs may be the same as
// signals.
typedef struct ln_moment_slope {
  ln_ref mean, rest, factors;
  ln_ref signal_mean, signal_rest, signal_factors;
  ln_ref out_mean, out_rest, out_factors;
  int64_t count;
  int32_t rank;
  ln_function function;
} ln_moment_slope;

// Max pooling of moments [N][H][W][C] to [N][OH][OW][C] by Clark's formulas: the maximum of two
// normal variables is taken for a normal one with its mean, its variance, and its covariances with
// the xi. Taps are folded from left to right, then the rows of a window from top to bottom. `pool`
// gives the geometry alone; taps on padding are left out.
typedef struct ln_clark {
  ln_ref mean, rest, factors;
  ln_ref out_mean, out_rest, out_factors;
  int32_t rank;
  ln_pool pool;
} ln_clark;

// The reverse of ln_clark, signals as in ln_moment_slope. What windows share adds up in the order
// of the windows.
typedef struct ln_unclark {
  ln_ref mean, rest, factors;
  ln_ref signal_mean, signal_rest, signal_factors;
  ln_ref out_mean, out_rest, out_factors;
  int32_t rank;
  ln_pool pool;
} ln_unclark;

// The moments of an affine map's values for random coalitions, from rows of the caller:
//   others = sum - own,   out_mean = base + p others + w own
//   total = kappa (squares - own^2) - mu others^2
//   out_factor_a = root (basis_a - own u_a - others v_a)
//   out_rest = total - sum of out_factor_a^2 >= 0, 0 where squares - own^2 is rounding of squares
// base, sum, squares, own: input slots whose rows have `count` elements of the program's type, own
// may be -1: zeros. basis: one whose rows have [rank][count]. scalars: one whose rows are p, w,
// kappa, mu, root, u_0 .. u_{rank-1}, v_0 .. v_{rank-1}. Each example reads the rows that
// call->row_of gives for the slot; lanes past the last example repeat it. Raises call->not_finite
// for rows that hold anything else than finite numbers.
typedef struct ln_front {
  ln_ref out_mean, out_rest, out_factors;
  int64_t count;
  int32_t rank;
  int32_t base, sum, squares, own, basis, scalars;
} ln_front;

#endif
