// The inverse of a layer's covariance of inputs, by blocks.
//
// With X the centred samples [n, K] and H = X'X / n + p,
//     (H^-1)_SS                                         where there are at least as many samples as inputs
//     (1 - X_S' (X X' + n p)^-1 X_S) / p                else
// so that the larger of n and K never has to be squared.

import CoalitionNet

struct InverseCovariance: Sendable {
  private let samples: SampleColumns
  private let factor: CholeskyFactor
  /// X'X / n, without the penalty, of which the lower triangle counts: nil where there are fewer samples than inputs.
  private let covariance: [Double]?
  private let penalty: Double

  /// - Parameters:
  ///   - centred: X.
  ///   - share: p, as a share of the mean of the diagonal of X'X / n.
  /// - Returns: nil for samples that are not finite.
  init?(centred: SampleColumns, penalty share: Double) {
    samples = centred
    let (rows, size) = (centred.rows, centred.columns.count)
    let squares = centred.columns.reduce(0) { $0 + dot($1, $1) }
    let count = Double(max(rows, 1))
    penalty = max(share * squares / count / Double(max(size, 1)), 1e-30)
    if rows < size {
      covariance = nil
      var matrix = centred.transposed.gram
      for index in 0..<rows { matrix[index * rows + index] += count * penalty }
      guard let factor = CholeskyFactor(matrix, count: rows) else { return nil }
      self.factor = factor
    } else {
      let plain = centred.gram.map { $0 / count }
      covariance = plain
      var matrix = plain
      for index in 0..<size { matrix[index * size + index] += penalty }
      guard let factor = CholeskyFactor(matrix, count: size) else { return nil }
      self.factor = factor
    }
  }

  /// (H^-1)_SS, row by row.
  func block(_ places: [Int]) -> [Double] {
    let count = places.count
    var block = [Double](repeating: 0, count: count * count)
    for (i, place) in places.enumerated() {
      if covariance == nil {
        let solved = factor.solved(samples.columns[place])
        for (j, other) in places.enumerated() {
          let product = dot(samples.columns[other], solved)
          block[j * count + i] = ((i == j ? 1 : 0) - product) / penalty
        }
      } else {
        var unit = [Double](repeating: 0, count: factor.count)
        unit[place] = 1
        let column = factor.solved(unit)
        for (j, other) in places.enumerated() { block[j * count + i] = column[other] }
      }
    }
    return block
  }

  /// The variance of the outputs that weights make: the sum of w' X'X w / n over `weights`.
  func variance(_ weights: [[Double]]) -> Double {
    guard let covariance else {
      let rows = samples.transposed
      return weights.reduce(0) { sum, own in
        rows.columns.reduce(sum) {
          let output = dot($1, own)
          return $0 + output * output / Double(max(samples.rows, 1))
        }
      }
    }
    let size = samples.columns.count
    var variance = 0.0
    for i in 0..<size {
      let row = Array(covariance[i * size..<i * size + i])
      for own in weights {
        // Below the diagonal, twice.
        variance += own[i] * (own[i] * covariance[i * size + i] + 2 * dot(row, own))
      }
    }
    return variance
  }
}
