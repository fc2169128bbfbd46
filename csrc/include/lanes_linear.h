// lanes_linear.h: linear algebra in double, the same bits on every instruction set.

#ifndef LANES_LINEAR_H
#define LANES_LINEAR_H

#include "lanes.h"

// Cholesky's factorisation of a symmetric matrix, count x count, row by row: its lower triangle
// becomes L. 0 when the matrix is not definite beyond rounding, or not finite.
int ln_cholesky(ln_isa isa, double *rows, size_t count);

// x becomes the solution y of L L^T y = x.
void ln_cholesky_solve(ln_isa isa, const double *rows, size_t count, double *x);

#endif
