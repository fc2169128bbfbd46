// Shapley values as a weighted regression on pairs of complements, first order or with interactions of three.
//
// The odd part of a game (PairDesign.swift) is fitted by sum over T of a_T z_T, T all players and, at order 3, also all
// sets of three players; the even interactions cancel within pairs. Rows are weighted by Shapley's kernel
// 1 / (C(P, s) s (P - s)) over the chance of being drawn, and the fit meets nobody and everybody exactly:
//
//     minimise  sum of w (odd(S) - sum_T a_T z_T(S))^2   under   sum_T a_T = (v(N) - v(0)) / 2,
//     phi_i = sum over T with i of 2 a_T / |T|.
//
// Order 1 is KernelSHAP (Lundberg, Lee 2017; paired: Covert, Lee 2021), and by leverage scores that of Musco and Witter
// (ICLR 2025). Order 3 is the regression on odd interactions (PolySHAP, arXiv 2601.18608; OddSHAP, arXiv 2602.01399): in
// the kernel's weights the fit of a larger family has the same Shapley values, so each is consistent. As long as
// the pairs do not suffice for order 3, the same sums give the first order. They hold the matrix of the drawn rows,
// z_T z_U being a function of the players in one of T and U.

package import CoalitionBase

package struct PairRegressionScheme: CoalitionScheme {
  package let design: PairDesign
  /// 1, or 3 with interactions of three players.
  package let order: Int
  package let bias: String?
  let matrixSums: WalshSums
  private let rightSums: WalshSums
  /// The sets of players of the coefficients of order 3, as bits.
  private let features: [UInt64]
  /// Of order 3, the sum that each entry of the matrix is, row by row up to the diagonal.
  private let entries: [Int32]
  /// Whether the samples suffice for order 3; nil: those that are given decide.
  private var suffices: Bool?

  /// - Parameter order: 1 or 3; at 3 at most 63 players.
  package init(design: PairDesign, order: Int, bias: String) {
    self.design = design
    self.order = order
    self.bias = bias
    let players = design.playerCount
    matrixSums = WalshSums(playerCount: players, orders: order == 1 ? [0, 2] : [0, 2, 4, 6])
    rightSums = WalshSums(playerCount: players, orders: order == 1 ? [1] : [1, 3])
    features = order == 1 ? [] : Self.features(players)
    var entries: [Int32] = []
    for (row, own) in features.enumerated() {
      for other in features[...row] { entries.append(Int32(matrixSums.place(of: own ^ other))) }
    }
    self.entries = entries
  }

  package var playerCount: Int { design.playerCount }
  package var blockSamples: Int { design.blockPairs }
  package var rowsPerSample: Int { 2 }
  package func evaluations(samples: Int) -> Int { design.evaluations(samples: samples) }
  /// The matrix by its distinct entries, then the right side.
  package var sumCount: Int { matrixSums.count + rightSums.count }
  /// Coefficients of the regression.
  package var unknowns: Int { rightSums.count }

  /// A block's pairs, with what does not depend on their values.
  package struct Draw: Sendable {
    package let rows: PairRows
    let weights: [Double]
    let matrix: [Double]
  }

  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Draw {
    let rows = design.draw(block, into: &coalitions)
    let weights = design.kernelWeights(rows)
    return Draw(
      rows: rows, weights: weights, matrix: matrixSums.sums(rows, coefficients: weights))
  }

  package func add(
    _ draw: Draw, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    let weighted = draw.weights.indices.map { draw.weights[$0] * draw.rows.odd($0, values) }
    let right = rightSums.sums(draw.rows, coefficients: weighted)
    var place = sums.startIndex
    for part in [draw.matrix, right] {
      for value in part {
        sums[place] += value
        place += 1
      }
    }
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    guard playerCount > 1 else { return [ends.difference] }
    let matrix = sums[..<matrixSums.count]
    let right = Array(sums[matrixSums.count...])
    let total = ends.difference / 2
    if order == 3, suffices ?? RegressionLimits.suffice(pairs: samples, unknowns: unknowns),
      let fit = leastSquares(thirdOrderMatrix(matrix), right, total: total)
    {
      var values = fit[..<playerCount].map { 2 * $0 }
      for (bits, coefficient) in zip(features, fit).dropFirst(playerCount) {
        for player in 0..<playerCount where bits >> UInt64(player) & 1 == 1 {
          values[player] += coefficient * 2 / 3
        }
      }
      return values
    }
    guard
      let fit = leastSquares(
        firstOrderMatrix(matrix), Array(right[..<playerCount]), total: total)
    else { return [Double](repeating: .nan, count: playerCount) }
    return fit.map { 2 * $0 }
  }

  package func decided(by samples: Int) -> PairRegressionScheme {
    var copy = self
    copy.suffices = RegressionLimits.suffice(pairs: samples, unknowns: unknowns)
    return copy
  }

  /// The matrix of the players, row by row; its lower triangle.
  private func firstOrderMatrix(_ sums: ArraySlice<Double>) -> [Double] {
    var matrix = [Double](repeating: 0, count: playerCount * playerCount)
    let first = sums.startIndex
    for row in 0..<playerCount {
      matrix[row * playerCount + row] = sums[first]
      for column in 0..<row {
        matrix[row * playerCount + column] = sums[first + matrixSums.place(column, row)]
      }
    }
    return matrix
  }

  /// The matrix of the players and sets of three, row by row; its lower triangle.
  private func thirdOrderMatrix(_ sums: ArraySlice<Double>) -> [Double] {
    var matrix = [Double](repeating: 0, count: unknowns * unknowns)
    let first = sums.startIndex
    var next = 0
    for row in 0..<unknowns {
      for column in 0...row {
        matrix[row * unknowns + column] = sums[first + Int(entries[next])]
        next += 1
      }
    }
    return matrix
  }

  private static func features(_ playerCount: Int) -> [UInt64] {
    var features = (0..<playerCount).map { UInt64(1) << UInt64($0) }
    for high in 0..<playerCount {
      for middle in 0..<high {
        for low in 0..<middle { features.append(features[high] | features[middle] | features[low]) }
      }
    }
    return features
  }
}

extension PairDesign {
  /// Per pair, Shapley's kernel over the chance of being drawn.
  func kernelWeights(_ rows: PairRows) -> [Double] {
    (0..<rows.count).map { row in
      let size = rows.sizes[row]
      return sizes(size) / (Double(size) * Double(playerCount - size)) / rows.shares[row]
    }
  }
}
