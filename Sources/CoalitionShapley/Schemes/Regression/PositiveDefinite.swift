// Symmetric positive definite systems by Cholesky's factorisation, in double.
//
// A = L L^T, row by row from the left: every entry of L is one dot product of two contiguous rows, taken for 4 x 2
// entries at a time so that a row that was loaded serves several. The order of every addition depends on the size
// alone. A pivot that is lost in rounding says that A is singular: nil, never a guess. This file is the only one of
// the module with unsafe pointers.

/// The lower factor of a symmetric positive definite matrix.
package struct CholeskyFactor: Sendable {
  package let count: Int
  /// count x count, row by row; above the diagonal: anything.
  private var lower: [Double]

  /// The smallest part of a diagonal entry that a pivot may be.
  private static let pivotTolerance = 1e-11

  /// - Parameter matrix: count x count, row by row; only its lower triangle is read. Nil when it is singular, or not
  ///   finite.
  package init?(_ matrix: [Double], count: Int) {
    self.count = count
    lower = matrix
    let isRegular = lower.withUnsafeMutableBufferPointer { buffer -> Bool in
      guard let rows = buffer.baseAddress else { return true }
      return Self.factor(rows, count)
    }
    guard isRegular else { return nil }
  }

  private typealias Pair = SIMD2<Double>

  private static func factor(_ rows: UnsafeMutablePointer<Double>, _ count: Int) -> Bool {
    for top in stride(from: 0, to: count, by: 4) {
      let bottom = min(top + 4, count)
      // Entries left of the block's own columns, two columns at a time; `top` is even.
      for column in stride(from: 0, to: top, by: 2) {
        if bottom - top == 4 {
          subtractDots(rows, count, row: top, column: column)
        } else {
          for row in top..<bottom {
            for offset in 0..<2 {
              rows[row * count + column + offset] -= dot(
                rows + row * count, rows + (column + offset) * count, column)
            }
          }
        }
        let first = rows[column * count + column]
        let second = rows[(column + 1) * count + column + 1]
        let below = rows[(column + 1) * count + column]
        for row in top..<bottom {
          let place = row * count + column
          rows[place] /= first
          rows[place + 1] = (rows[place + 1] - rows[place] * below) / second
        }
      }
      for row in top..<bottom {
        let own = rows + row * count
        for column in top..<row {
          let other = rows + column * count
          own[column] = (own[column] - dot(own, other, column)) / other[column]
        }
        let pivot = own[row] - dot(own, own, row)
        guard pivot > pivotTolerance * own[row], pivot.isFinite else { return false }
        own[row] = pivot.squareRoot()
      }
    }
    return true
  }

  /// Takes the dot products of the first `column` entries of rows row ..< row + 4 with those of rows column and
  /// column + 1 from the entries where they meet.
  @inline(__always)
  private static func subtractDots(
    _ rows: UnsafeMutablePointer<Double>, _ count: Int, row: Int, column: Int
  ) {
    let a = rows + row * count
    let (b, c, d) = (a + count, a + 2 * count, a + 3 * count)
    let left = rows + column * count
    let right = left + count
    var (a0, a1, b0, b1) = (Pair.zero, Pair.zero, Pair.zero, Pair.zero)
    var (c0, c1, d0, d1) = (Pair.zero, Pair.zero, Pair.zero, Pair.zero)
    for index in stride(from: 0, to: column, by: 2) {
      let x = Pair(left[index], left[index + 1])
      let y = Pair(right[index], right[index + 1])
      let p = Pair(a[index], a[index + 1])
      a0 += p * x
      a1 += p * y
      let q = Pair(b[index], b[index + 1])
      b0 += q * x
      b1 += q * y
      let r = Pair(c[index], c[index + 1])
      c0 += r * x
      c1 += r * y
      let s = Pair(d[index], d[index + 1])
      d0 += s * x
      d1 += s * y
    }
    a[column] -= a0.sum()
    a[column + 1] -= a1.sum()
    b[column] -= b0.sum()
    b[column + 1] -= b1.sum()
    c[column] -= c0.sum()
    c[column + 1] -= c1.sum()
    d[column] -= d0.sum()
    d[column + 1] -= d1.sum()
  }

  private static func dot(
    _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ count: Int
  ) -> Double {
    var pairs = Pair.zero
    for index in stride(from: 0, to: count - 1, by: 2) {
      pairs += Pair(a[index], a[index + 1]) * Pair(b[index], b[index + 1])
    }
    return count & 1 == 0 ? pairs.sum() : pairs.sum() + a[count - 1] * b[count - 1]
  }

  /// The x with A x = `right`.
  package func solved(_ right: [Double]) -> [Double] {
    var x = right
    for row in 0..<count {
      var value = x[row]
      for column in 0..<row { value -= lower[row * count + column] * x[column] }
      x[row] = value / lower[row * count + row]
    }
    for row in (0..<count).reversed() {
      x[row] /= lower[row * count + row]
      let value = x[row]
      for column in 0..<row { x[column] -= lower[row * count + column] * value }
    }
    return x
  }
}

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
