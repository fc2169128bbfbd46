// Sampled values and Faith-SII: regressions of first order on the odd part and of second order on the even part.
//
// Faith-SII of order 2 is the minimum over I of the sum of kernel weights times the squared difference of v and a game of
// order 2 that meets nobody and everybody (Tsai, Yeh, Ravikumar 2023). By complements it falls apart in two: values
// from the odd part (PairRegression.swift), interactions from the even part, with x_ij = 1 for pairs that S splits,
//
//     minimise  sum of w (even(S) - even(0) + 1/2 sum_ij x_ij(S) I_ij)^2.
//
// x_ij x_kl = (1 - z_ij - z_kl + z_V) / 4, V the players in one of the two pairs alone, so Walsh sums hold the matrix.

package import CoalitionBase
import CoalitionNet

/// Sampled values and faithful interactions, of up to 63 players.
package struct FaithfulRegression: CoalitionScheme, InteractionScheme {
  let regression: PairRegressionScheme
  /// Sums of the kernel's weights over sets of four players; those of fewer are the first regression's.
  private let fourths: WalshSums
  /// Sums of weights times the even part.
  private let right: WalshSums

  package init(playerCount: Int, seed: UInt64) throws(CoalitionError) {
    guard Self.takes(playerCount: playerCount) else {
      throw CoalitionError(
        .limitExceeded, "Faith-SII by regression is for fewer players; use sii",
        expected: "at most \(RegressionLimits.unknowns) pairs of players",
        found: "\(playerCount) players")
    }
    regression = .byLeverage(playerCount: playerCount, seed: seed)
    fourths = WalshSums(playerCount: playerCount, orders: [4])
    right = WalshSums(playerCount: playerCount, orders: [0, 2])
  }

  /// Whether the pairs of so many players are not too many unknowns.
  static func takes(playerCount: Int) -> Bool {
    Double(playerCount) * Double(playerCount - 1) / 2 <= Double(RegressionLimits.unknowns)
  }

  package var index: InteractionIndex { .faithSII }
  package var fitsPairs: Bool { true }
  package var playerCount: Int { regression.playerCount }
  package var blockSamples: Int { regression.blockSamples }
  package var rowsPerSample: Int { 2 }
  package func evaluations(samples: Int) -> Int { regression.evaluations(samples: samples) }
  package var sumCount: Int { regression.sumCount + fourths.count + right.count }
  package var bias: String? { regression.bias }

  /// A block's pairs, with what does not depend on their values.
  package struct Draw: Sendable {
    let first: PairRegressionScheme.Draw
    let fourths: [Double]
  }

  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Draw {
    let first = regression.draw(block, into: &coalitions)
    return Draw(
      first: first, fourths: fourths.sums(first.rows, coefficients: first.weights))
  }

  package func add(
    _ draw: Draw, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    let first = draw.first
    var place = sums.startIndex + regression.sumCount
    regression.add(first, values: values, ends: ends, to: &sums[..<place])
    let weighted = first.weights.indices.map {
      first.weights[$0] * first.rows.even($0, values, ends)
    }
    for part in [draw.fourths, right.sums(first.rows, coefficients: weighted)] {
      for value in part {
        sums[place] += value
        place += 1
      }
    }
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    regression.values(Array(sums[..<regression.sumCount]), samples: samples, ends: ends)
  }

  package func interactions(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    InteractionSums.symmetric(coefficients(sums), playerCount: playerCount)
  }

  /// The interactions of the pairs, in their order.
  func coefficients(_ sums: [Double]) -> [Double] {
    let pairs = pairs
    let even = sums[(regression.sumCount + fourths.count)...]
    let total = even.first ?? 0
    // The normal equations are (matrix / 4) (I / 2) = -right / 2.
    let right = even.dropFirst().map { total - $0 }
    guard let factor = CholeskyFactor(matrix(sums, pairs), count: pairs.count) else {
      return [Double](repeating: .nan, count: pairs.count)
    }
    return factor.solved(right).map { -4 * $0 }
  }

  /// Four times the matrix of the pairs, row by row; its lower triangle.
  private func matrix(_ sums: [Double], _ pairs: [UInt64]) -> [Double] {
    func walsh(_ bits: UInt64) -> Double {
      bits.nonzeroBitCount < 4
        ? sums[regression.matrixSums.place(of: bits)]
        : sums[regression.sumCount + fourths.place(of: bits)]
    }
    var matrix = [Double](repeating: 0, count: pairs.count * pairs.count)
    let own = pairs.map(walsh)
    let weight = walsh(0)
    for row in pairs.indices {
      for column in 0...row {
        matrix[row * pairs.count + column] =
          (weight - own[row]) - (own[column] - walsh(pairs[row] ^ pairs[column]))
      }
    }
    return matrix
  }

  /// The pairs of players as bits, in the order of their coefficients.
  var pairs: [UInt64] {
    (0..<playerCount).flatMap { high in
      (0..<high).map { UInt64(1) << UInt64(high) | UInt64(1) << UInt64($0) }
    }
  }
}
