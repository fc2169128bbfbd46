// Shapley values and Shapley interaction indices of two players, from the same pairs of complements.
//
// Values by the regression of first order on the odd part (PairRegression.swift), interactions without bias by weights
// on the even part (InteractionSums.swift); the pairs are drawn by leverage scores. For more players than a regression on
// their pairs is worth: with fewer, AdjustedInteractions.swift has much smaller errors.

package import CoalitionBase

/// Sampled values and Shapley interaction indices.
package struct SampledInteractions: CoalitionScheme, InteractionScheme {
  package let index: InteractionIndex
  private let regression: PairRegressionScheme
  private let pairs: InteractionSums

  package init(playerCount: Int, index: InteractionIndex, seed: UInt64) {
    self.index = index
    regression = .byLeverage(playerCount: playerCount, seed: seed)
    pairs = InteractionSums(index: index, design: regression.design)
  }

  package var fitsPairs: Bool { false }
  package var playerCount: Int { regression.playerCount }
  package var blockSamples: Int { regression.blockSamples }
  package var rowsPerSample: Int { 2 }
  package func evaluations(samples: Int) -> Int { regression.evaluations(samples: samples) }
  package var sumCount: Int { regression.sumCount + pairs.count }
  package var bias: String? { regression.bias }

  package func draw(
    _ block: SampleBlock, into coalitions: inout Coalitions
  ) -> PairRegressionScheme.Draw {
    regression.draw(block, into: &coalitions)
  }

  package func add(
    _ draw: PairRegressionScheme.Draw, values: [Double], ends: GameEnds,
    to sums: inout ArraySlice<Double>
  ) {
    let middle = sums.startIndex + regression.sumCount
    regression.add(draw, values: values, ends: ends, to: &sums[..<middle])
    pairs.add(
      draw.rows, pairs.weights(draw.rows), values: values, ends: ends, to: &sums[middle...])
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    regression.values(Array(sums[..<regression.sumCount]), samples: samples, ends: ends)
  }

  package func interactions(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    pairs.interactions(sums[regression.sumCount...], samples: samples)
  }
}
