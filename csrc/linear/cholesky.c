// cholesky.c: A = L L^T in double, in place, row by row from the left.
//
// Every entry of L is one dot product of two contiguous rows, taken for 4 x 2 entries at a time so
// that a row that was loaded serves several. A dot product has eight partial sums on every
// instruction set, without fused multiply-adds, so L is the same on all of them.

#ifndef LN_TARGET
#include "../include/lanes_linear.h"
#include <math.h>
#define LN_TEMPLATE "../linear/cholesky.c"
#include "../simd/each_target.h"

typedef struct cholesky {
  int (*factor)(double *rows, size_t count);
  void (*solve)(const double *rows, size_t count, double *x);
} cholesky;

#define ROW(isa, target, unused) [LN_##isa] = {factor_##target##_f64, solve_##target##_f64},
static const cholesky kernels[LN_ISA_COUNT] = {LN_TARGETS(ROW, )};
#undef ROW

int ln_cholesky(ln_isa isa, double *rows, size_t count) { return kernels[isa].factor(rows, count); }

void ln_cholesky_solve(ln_isa isa, const double *rows, size_t count, double *x) {
  kernels[isa].solve(rows, count, x);
}

#elif !LN_SINGLE

#ifndef LN__DOT_PARTS
#define LN__DOT_PARTS 8
// The smallest part of a diagonal entry that a pivot may be: less is lost in rounding.
#define LN__PIVOT_TOLERANCE 1e-11
#endif

// The dot products of `count` entries of na rows from `a` on with two rows, b and c.
LN_INLINE void LN_NAME(dots)(const double *a, size_t stride, const double *b, const double *c,
                             size_t count, const int na, double (*result)[2]) {
  enum { VECTORS = LN__DOT_PARTS / LN_WIDTH };
  vec sums[4][2][VECTORS];
  LN_UNROLL for (int i = 0; i < na; i++) LN_UNROLL for (int v = 0; v < VECTORS; v++)
      sums[i][0][v] = sums[i][1][v] = v_set(0);
  size_t k = 0;
  for (; k + LN__DOT_PARTS <= count; k += LN__DOT_PARTS)
    LN_UNROLL for (int v = 0; v < VECTORS; v++) {
      const vec x = v_load(b + k + v * LN_WIDTH), y = v_load(c + k + v * LN_WIDTH);
      LN_UNROLL for (int i = 0; i < na; i++) {
        const vec own = v_load(a + i * stride + k + v * LN_WIDTH);
        sums[i][0][v] = sums[i][0][v] + own * x;
        sums[i][1][v] = sums[i][1][v] + own * y;
      }
    }
  LN_UNROLL for (int i = 0; i < na; i++) for (int j = 0; j < 2; j++) {
    double p[LN__DOT_PARTS];
    LN_UNROLL for (int v = 0; v < VECTORS; v++) v_store(p + v * LN_WIDTH, sums[i][j][v]);
    double sum = ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
    for (size_t rest = k; rest < count; rest++) sum += a[i * stride + rest] * (j ? c : b)[rest];
    result[i][j] = sum;
  }
}

static double LN_NAME(dot)(const double *a, const double *b, size_t count) {
  double result[1][2];
  LN_NAME(dots)(a, 0, b, b, count, 1, result);
  return result[0][0];
}

// 0 when a pivot is lost in rounding or not finite.
static int LN_NAME(factor)(double *rows, size_t count) {
  for (size_t top = 0; top < count; top += 4) {
    const size_t bottom = top + 4 < count ? top + 4 : count;
    // Entries left of the block's own columns, two columns at a time; `top` is even.
    for (size_t column = 0; column < top; column += 2) {
      const double *left = rows + column * count, *right = left + count;
      double products[4][2];
      if (bottom - top == 4)
        LN_NAME(dots)(rows + top * count, count, left, right, column, 4, products);
      else
        for (size_t row = top; row < bottom; row++)
          LN_NAME(dots)(rows + row * count, 0, left, right, column, 1, products + (row - top));
      const double first = left[column], below = right[column], second = right[column + 1];
      for (size_t row = top; row < bottom; row++) {
        double *own = rows + row * count + column;
        own[0] = (own[0] - products[row - top][0]) / first;
        own[1] = (own[1] - products[row - top][1] - own[0] * below) / second;
      }
    }
    for (size_t row = top; row < bottom; row++) {
      double *own = rows + row * count;
      for (size_t column = top; column < row; column++) {
        const double *other = rows + column * count;
        own[column] = (own[column] - LN_NAME(dot)(own, other, column)) / other[column];
      }
      const double pivot = own[row] - LN_NAME(dot)(own, own, row);
      if (!(pivot > LN__PIVOT_TOLERANCE * own[row]) || !isfinite(pivot)) return 0;
      own[row] = sqrt(pivot);
    }
  }
  return 1;
}

static void LN_NAME(solve)(const double *rows, size_t count, double *x) {
  for (size_t row = 0; row < count; row++) {
    const double *own = rows + row * count;
    x[row] = (x[row] - LN_NAME(dot)(own, x, row)) / own[row];
  }
  for (size_t row = count; row-- > 0;) {
    const double *own = rows + row * count;
    const double value = x[row] / own[row];
    x[row] = value;
    for (size_t column = 0; column < row; column++) x[column] -= own[column] * value;
  }
}
#endif
