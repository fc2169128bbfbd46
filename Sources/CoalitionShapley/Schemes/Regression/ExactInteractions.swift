// All coalitions: Shapley values and interactions of two players without error.
//
// With x_i = 1 for players of S and f(k, s) the weight of a coalition of s players of which k are in the pair,
//
//     I_ij = sum over S of v(S) (f(0, s) + (f(1, s) - f(0, s)) (x_i + x_j) + (f(2, s) - 2 f(1, s) + f(0, s)) x_i x_j),
//
// so a coalition costs a sum per pair of its own players. Values are taken from nobody's, which changes nothing but the
// rounding: a constant game gives zeros.

package import CoalitionBase

package struct ExactInteractions: CoalitionScheme, InteractionScheme {
  package let index: InteractionIndex
  private let exact: ExactScheme
  /// p(t), see `InteractionIndex`.
  private let weights: [Double]

  package init(playerCount: Int, index: InteractionIndex) throws(CoalitionError) {
    self.index = index
    exact = try ExactScheme(playerCount: playerCount, isBanzhaf: false)
    weights = index.secondDifferences(playerCount: playerCount)
  }

  package var fitsPairs: Bool { false }
  package var playerCount: Int { exact.playerCount }
  package var blockSamples: Int { exact.blockSamples }
  package var sampleLimit: Int? { exact.sampleLimit }
  package func evaluations(samples: Int) -> Int { exact.evaluations(samples: samples) }
  /// The values', then one per pair of players.
  package var sumCount: Int { playerCount + playerCount * (playerCount - 1) / 2 }

  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Int {
    exact.draw(block, into: &coalitions)
  }

  package func add(
    _ draw: Int, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    let middle = sums.startIndex + playerCount
    exact.add(draw, values: values, ends: ends, to: &sums[..<middle])
    var none = 0.0
    var singles = [Double](repeating: 0, count: playerCount)
    var pairs = [Double](repeating: 0, count: sumCount - playerCount)
    var present: [Int] = []
    for (low, value) in values.enumerated() {
      let bits = draw * blockSamples + low
      present.removeAll(keepingCapacity: true)
      for player in 0..<playerCount where bits >> player & 1 == 1 { present.append(player) }
      let gain = value - ends.empty
      let outside = weight(present.count) * gain
      let one = -weight(present.count - 1) * gain
      let both = weight(present.count - 2) * gain
      none += outside
      for (rank, high) in present.enumerated() {
        singles[high] += one - outside
        let row = high * (high - 1) / 2
        for low in present[..<rank] { pairs[row + low] += both - 2 * one + outside }
      }
    }
    var place = 0
    for high in 0..<playerCount {
      for low in 0..<high {
        sums[middle + place] += none + (singles[low] + singles[high]) + pairs[place]
        place += 1
      }
    }
  }

  /// p(t), 0 where there are no such sets.
  private func weight(_ others: Int) -> Double {
    weights.indices.contains(others) ? weights[others] : 0
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    exact.values(Array(sums[..<playerCount]), samples: samples, ends: ends)
  }

  package func interactions(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    InteractionSums.symmetric(
      sums[playerCount...].map { samples == sampleLimit ? $0 : .nan }, playerCount: playerCount)
  }
}
