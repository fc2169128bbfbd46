// Least squares under a constraint on the sum. A singular system is nil, never a guess.

import CoalitionNet

/// The minimum of x^T A x - 2 x^T r under the constraint that the entries of x add up to `total`.
///
/// A need be definite only on vectors that add up to 0: a multiple of the matrix of ones, which the constraint makes
/// a constant, takes care of the rest. With u = B^-1 r, c = B^-1 1 for this B: x = u + c (total - sum u) / sum c.
/// Nil when A is singular there.
package func leastSquares(
  _ matrix: [Double], _ right: [Double], total: Double
) -> [Double]? {
  let count = right.count
  var diagonal = 0.0
  for index in 0..<count { diagonal = max(diagonal, matrix[index * count + index]) }
  guard diagonal > 0 else { return nil }
  guard let factor = CholeskyFactor(matrix.map { $0 + diagonal }, count: count) else { return nil }
  let free = factor.solved(right)
  let step = factor.solved([Double](repeating: 1, count: count))
  let missing = (total - free.reduce(0, +)) / step.reduce(0, +)
  guard missing.isFinite else { return nil }
  return zip(free, step).map { $0 + $1 * missing }
}
