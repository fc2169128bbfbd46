// Least squares with a penalty, for weights of layers: what is missing from outputs, by inputs.
//
// Inputs X [rows, K] and missing outputs R [rows, O] are centred. D minimises |R - X D|^2 + lambda |D|^2:
//     (X'X + lambda) D = X'R          where there are at least as many rows as inputs
//     D = X' (X X' + lambda)^-1 R     else
// so that directions which the rows do not show stay as they are. lambda is the one of a few that serves rows best which
// were left out: none at all (D = 0) is one of them.

import CoalitionBase
import CoalitionNet
import CoalitionShapley

/// Columns of samples, each contiguous.
struct SampleColumns: Sendable {
  let rows: Int
  private(set) var columns: [[Double]]

  init(rows: Int, columns: [[Double]]) {
    self.rows = rows
    self.columns = columns
  }

  var means: [Double] { columns.map { $0.reduce(0, +) / Double(max(rows, 1)) } }

  func less(_ means: [Double]) -> SampleColumns {
    SampleColumns(
      rows: rows,
      columns: zip(columns, means).map { column, mean in
        column.map { $0 - mean }
      })
  }

  func picking(_ isPicked: (Int) -> Bool) -> SampleColumns {
    let picked = (0..<rows).filter(isPicked)
    return SampleColumns(
      rows: picked.count,
      columns: columns.map { column in
        picked.map { column[$0] }
      })
  }

  /// Rows become columns.
  var transposed: SampleColumns {
    SampleColumns(
      rows: columns.count, columns: (0..<rows).map { row in columns.map { $0[row] } })
  }

  /// This' other: [columns of this][columns of other].
  func products(_ other: SampleColumns) -> [[Double]] {
    columns.map { left in other.columns.map { dot(left, $0) } }
  }

  /// Its products with itself, row by row; above the diagonal: zeros.
  var gram: [Double] {
    let count = columns.count
    var result = [Double](repeating: 0, count: count * count)
    for i in 0..<count {
      for j in 0...i { result[i * count + j] = dot(columns[i], columns[j]) }
    }
    return result
  }
}

/// In four sums, whose order depends on the length alone.
func dot(_ a: [Double], _ b: [Double]) -> Double {
  a.withUnsafeBufferPointer { a in
    b.withUnsafeBufferPointer { b in
      let count = min(a.count, b.count)
      var (sums, more) = (SIMD2<Double>.zero, SIMD2<Double>.zero)
      var index = 0
      while index + 4 <= count {
        sums += SIMD2(a[index], a[index + 1]) * SIMD2(b[index], b[index + 1])
        more += SIMD2(a[index + 2], a[index + 3]) * SIMD2(b[index + 2], b[index + 3])
        index += 4
      }
      var sum = (sums + more).sum()
      while index < count {
        sum += a[index] * b[index]
        index += 1
      }
      return sum
    }
  }
}

struct RidgeRegression {
  /// [inputs][outputs].
  let weights: [[Double]]
  /// [outputs].
  let biases: [Double]

  /// Shares of the mean square of the inputs.
  private static let penalties = [1e-4, 1e-3, 1e-2, 1e-1, 1]
  /// One of so many examples is left out to choose the penalty.
  private static let parts = 5

  /// - Parameter examples: per row the one that it belongs to, in order: its rows are left out together.
  init(_ inputs: SampleColumns, missing: SampleColumns, examples: [Int]) {
    let means = (inputs: inputs.means, missing: missing.means)
    let (x, r) = (inputs.less(means.inputs), missing.less(means.missing))
    let parts = max(2, min(Self.parts, (examples.last ?? 0) + 1))
    let penalty = Self.penalty(x, r) { examples[$0] % parts == parts - 1 }
    let found = penalty.flatMap { Self.solution(Normal(x, r), [$0])[0] }
    weights =
      found
      ?? [[Double]](
        repeating: [Double](repeating: 0, count: missing.columns.count),
        count: inputs.columns.count)
    var biases = means.missing
    for (mean, row) in zip(means.inputs, weights) {
      for output in biases.indices { biases[output] -= mean * row[output] }
    }
    self.biases = biases
  }

  /// The products that solutions for all penalties share.
  private struct Normal {
    let inputs: SampleColumns
    let isWide: Bool
    let gram: [Double]
    /// Per output: X'R, or R where there are fewer rows than inputs.
    let right: [[Double]]
    let scale: Double

    init(_ x: SampleColumns, _ r: SampleColumns) {
      inputs = x
      isWide = x.rows < x.columns.count
      if isWide {
        gram = x.transposed.gram
        right = r.columns
      } else {
        gram = x.gram
        right = r.products(x)
      }
      let squares = x.columns.reduce(0) { $0 + dot($1, $1) }
      scale = squares / Double(max(x.columns.count, 1))
    }
  }

  /// Per penalty the weights: nil for a singular system.
  private static func solution(_ normal: Normal, _ penalties: [Double]) -> [[[Double]]?] {
    let count = normal.isWide ? normal.inputs.rows : normal.inputs.columns.count
    return penalties.map { penalty in
      var matrix = normal.gram
      for index in 0..<count { matrix[index * count + index] += penalty * normal.scale }
      guard let factor = CholeskyFactor(matrix, count: count) else { return nil }
      let solved = normal.right.map { factor.solved($0) }
      let byOutput =
        normal.isWide
        ? solved.map { dual in normal.inputs.columns.map { dot($0, dual) } } : solved
      return normal.inputs.columns.indices.map { input in byOutput.map { $0[input] } }
    }
  }

  /// The penalty that serves rows best which were left out; nil: no weights at all.
  private static func penalty(
    _ x: SampleColumns, _ r: SampleColumns, isLeftOut: (_ row: Int) -> Bool
  ) -> Double? {
    let (seenX, seenR) = (x.picking { !isLeftOut($0) }, r.picking { !isLeftOut($0) })
    let (newX, newR) = (x.picking(isLeftOut), r.picking(isLeftOut))
    guard seenX.rows > 1, newX.rows > 0 else { return penalties.last }
    let rowsX = newX.transposed
    var best: (penalty: Double?, error: Double) = (
      nil, newR.columns.reduce(0) { $0 + dot($1, $1) }
    )
    for (penalty, found) in zip(penalties, solution(Normal(seenX, seenR), penalties)) {
      guard let found else { continue }
      var error = 0.0
      for output in newR.columns.indices {
        let weights = found.map { $0[output] }
        for row in 0..<newX.rows {
          let rest = newR.columns[output][row] - dot(rowsX.columns[row], weights)
          error += rest * rest
        }
      }
      if error < best.error { best = (penalty, error) }
    }
    return best.penalty
  }
}
