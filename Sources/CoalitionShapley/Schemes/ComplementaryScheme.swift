// Complementary contributions (Zhang, Sun, Liu, Xiong, Pei, Ren: Efficient sampling approaches to Shapley value
// approximation, SIGMOD 2023): with CC(S) = v(S) - v(all without S),
//
//     phi_i = 1 / P  sum over s = 1 ... P of the mean of CC(S) over coalitions S of size s that hold i.
//
// CC(all) is known. One sample is a coalition S of a size uniform on 1 ... P - 1 and its complement, two evaluations
// that serve the size s of S for its players and the size P - s for all others. In place of the paper's counts per
// player and size, which take P^2 numbers and make a ratio, every player is weighted by its known chance to be in S,
// P numbers in all:
//
//     phi_i = (v(all) - v(none)) / P + (P - 1) / 2  E[ D(S) / s  if i is in S,  -D(S) / (P - s)  if not ],
//     D(S) = CC(S) - (v(all) - v(none)) (2 s / P - 1).
//
// The term taken off CC is what it would be were all players alike: it has no part in the expectation and takes the
// level of the values out of the noise. The estimate is unbiased, and every sample's contributions add up to zero, so
// values always add up to v(all) - v(none). A block is 8 samples whose sizes are spread by one random shift of strata
// in random order.

package import CoalitionBase

/// Samples are pairs of a coalition and its complement.
package struct ComplementaryScheme: CoalitionScheme {
  package let playerCount: Int
  private let seed: UInt64

  package init(playerCount: Int, seed: UInt64) {
    self.playerCount = playerCount
    self.seed = seed
  }

  package var blockSamples: Int { 8 }
  package var sumCount: Int { playerCount }
  package var rowsPerSample: Int { 2 }
  package func evaluations(samples: Int) -> Int { playerCount > 1 ? 2 * samples : 0 }

  /// Returns the coalitions that are not complements.
  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Coalitions {
    var drawn = Coalitions(playerCount: playerCount)
    guard playerCount > 1 else { return drawn }
    var random = CounterRandom(seed: seed, purpose: .complements, index: UInt64(block.index))
    var strata = Array(0..<blockSamples)
    random.shuffle(&strata)
    let shift = random.uniform()
    for sample in 0..<block.samples {
      // S and its complement count the same: sizes of one half of 0 ..< 1 stand for both.
      let place = (Double(strata[sample]) + shift) / Double(2 * blockSamples)
      drawn.appendRandom(size: 1 + Int(place * Double(playerCount - 1)), using: &random)
      coalitions.append(drawn, rows: sample..<sample + 1)
      coalitions.appendComplement(of: coalitions.count - 1)
    }
    return drawn
  }

  package func add(
    _ draw: Coalitions, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    let players = Double(playerCount)
    var absent = 0.0
    for row in 0..<draw.count {
      let size = Double(draw.size(of: row))
      let contribution =
        values[2 * row] - values[2 * row + 1] - ends.difference * (2 * size / players - 1)
      let outside = -contribution / (players - size)
      absent += outside
      draw.add(contribution / size - outside, toPlayersOf: row, in: &sums)
    }
    for index in sums.indices { sums[index] += absent }
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    let share = ends.difference / Double(playerCount)
    guard playerCount > 1 else { return [share] }
    guard samples > 0 else { return Array(repeating: .nan, count: playerCount) }
    let factor = Double(playerCount - 1) / (2 * Double(samples))
    return sums.map { share + factor * $0 }
  }
}
