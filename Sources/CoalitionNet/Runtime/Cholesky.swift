// Cholesky's factorisation, by the C core.

import CLanes

/// The factor L of a symmetric positive definite matrix A = L L^T. The same on every instruction set.
package struct CholeskyFactor: Sendable {
  package let count: Int
  /// count x count, row by row; above the diagonal: anything.
  private var lower: [Double]
  private let set: InstructionSet

  /// - Parameters:
  ///   - matrix: count x count, row by row; only its lower triangle is read. Nil when it is singular in double, or not
  ///     finite.
  ///   - set: nil: the widest one.
  package init?(_ matrix: [Double], count: Int, instructionSet set: InstructionSet? = nil) {
    guard matrix.count == count * count else { return nil }
    self.count = count
    lower = matrix
    let set = set ?? (try? InstructionSet.selected()) ?? .generic
    self.set = set
    let isDefinite = lower.withUnsafeMutableBufferPointer { rows in
      rows.baseAddress.map { ln_cholesky(set.encoded, $0, count) != 0 } ?? true
    }
    guard isDefinite else { return nil }
  }

  /// The x with A x = `right`, which has `count` numbers.
  package func solved(_ right: [Double]) -> [Double] {
    guard right.count == count, count > 0 else { return [] }
    var x = right
    lower.withUnsafeBufferPointer { rows in
      x.withUnsafeMutableBufferPointer { x in
        ln_cholesky_solve(set.encoded, rows.baseAddress, count, x.baseAddress)
      }
    }
    return x
  }
}
