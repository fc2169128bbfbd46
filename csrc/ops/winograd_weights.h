// winograd_weights.h: kernels at the points of minimal filtering, U = G g G'.
//
//     G[i][k] = x_i^k / product over the other finite points x_j of (x_i - x_j)
//
// and (0, ..., 0, 1) at infinity, the last point; with this, A' and B' of simd/winograd.h have no
// divisions. PAIR: the middle weight, and the outer ones less the middle one. Computed in double
// precision whatever the element type, and rounded once.

#ifndef LN__WINOGRAD_WEIGHTS_H
#define LN__WINOGRAD_WEIGHTS_H

#include "winograd_geometry.h"

enum { LN__POINTS = 8, LN__TAPS = 5 };

typedef struct ln__weight_transform {
  int points, taps;
  double G[LN__POINTS][LN__TAPS];
} ln__weight_transform;

static inline ln__weight_transform ln__weight_transform_of(ln__form form, int taps) {
  if (form == LN__PAIR) return (ln__weight_transform){3, 3, {{0, 1, 0}, {0, -1, 1}, {1, -1, 0}}};
  // The finite points, in the order of simd/winograd.h.
  static const double tile2[] = {0, 1, -1}, tile4[] = {0, 0.625, -0.625, 1.5, -1.5};
  static const double tile4k5[] = {0, 0.5, -0.5, 1, -1, 2, -2};
  const double *x = form == LN__TILE2 ? tile2 : form == LN__TILE4 ? tile4 : tile4k5;
  ln__weight_transform t = {.points = ln__form_points(form), .taps = taps};
  const int finite = t.points - 1;
  for (int i = 0; i < finite; i++) {
    double power = 1, below = 1;
    for (int j = 0; j < finite; j++)
      if (j != i) below *= x[i] - x[j];
    for (int k = 0; k < taps; k++, power *= x[i]) t.G[i][k] = power / below;
  }
  t.G[finite][taps - 1] = 1;
  return t;
}

// at[p * p] = U of one kernel g[K * K].
static inline void ln__weights_at_points(const ln__weight_transform *t, const double *g,
                                         double *at) {
  double rows[LN__POINTS][LN__TAPS];
  for (int i = 0; i < t->points; i++)
    for (int x = 0; x < t->taps; x++) {
      rows[i][x] = 0;
      for (int y = 0; y < t->taps; y++) rows[i][x] += t->G[i][y] * g[y * t->taps + x];
    }
  for (int i = 0; i < t->points; i++)
    for (int j = 0; j < t->points; j++) {
      double sum = 0;
      for (int x = 0; x < t->taps; x++) sum += t->G[j][x] * rows[i][x];
      at[i * t->points + j] = sum;
    }
}

#endif
