// All coalitions of up to 30 players: Shapley and Banzhaf values without error.
//
//     phi_i = sum over S with i of a(|S|) v(S) - sum over S without i of b(|S|) v(S),
//
// a and b the weights of SizeWeights. Coalition number k holds the players of its bits; a block is 1,024 coalitions
// that follow each other, or all when there are fewer, so a block's upper players are fixed and the lower ones take
// all combinations. With c = (a + b) (v(S) - v(none)) and B = sum of b (v(S) - v(none)) over the block, player i gets
// (sum of c over the coalitions with i) - B; the sums of all lower players come from one pass of folding c in halves.
// Taking v(none) away changes nothing in the values but their rounding: a constant game gives zeros.

package import CoalitionBase

/// Samples are all coalitions in the order of their numbers.
package struct ExactScheme: CoalitionScheme {
  package let playerCount: Int
  private let weights: SizeWeights

  package static let maxPlayers = 30
  /// All coalitions of so many are one block.
  static let lowerPlayers = 10

  /// - Parameter value: the Shapley or the Banzhaf value; for the Owen value there is `ExactOwenScheme`.
  package init(playerCount: Int, isBanzhaf: Bool) throws(CoalitionError) {
    guard playerCount <= Self.maxPlayers else {
      throw CoalitionError(
        .limitExceeded, "there are too many players for all coalitions; choose another estimator",
        expected: "at most \(Self.maxPlayers)", found: "\(playerCount)")
    }
    self.playerCount = playerCount
    weights =
      isBanzhaf ? .banzhaf(players: playerCount) : .shapley(players: playerCount)
  }

  package var blockSamples: Int { 1 << min(playerCount, Self.lowerPlayers) }
  package var sampleLimit: Int? { 1 << playerCount }
  package var sumCount: Int { playerCount }
  package func evaluations(samples: Int) -> Int { samples }

  /// Returns the block's number, which says all about its coalitions.
  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Int {
    let first = UInt32(block.index * blockSamples)
    coalitions.append(words: first..<first + UInt32(block.samples))
    return block.index
  }

  package func add(
    _ draw: Int, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    let lower = blockSamples.trailingZeroBitCount
    let upperSize = draw.nonzeroBitCount
    let inside = (0...lower).map {
      weights.inside(upperSize + $0) + weights.outside(upperSize + $0)
    }
    let outside = (0...lower).map { weights.outside(upperSize + $0) }
    var folded = [Double](repeating: 0, count: blockSamples)
    var absent = 0.0
    var present = [Double](repeating: 0, count: lower)
    // As plain memory: checks of indices would take longer than the sums.
    folded.withUnsafeMutableBufferPointer { folded in
      for low in 0..<min(folded.count, values.count) {
        let size = low.nonzeroBitCount
        let gain = values[low] - ends.empty
        folded[low] = inside[size] * gain
        absent += outside[size] * gain
      }
      for player in (0..<lower).reversed() {
        let half = 1 << player
        for low in 0..<half {
          present[player] += folded[low + half]
          folded[low] += folded[low + half]
        }
      }
    }
    let base = sums.startIndex
    for player in 0..<lower { sums[base + player] += present[player] - absent }
    for player in lower..<playerCount {
      let isPresent = draw >> (player - lower) & 1 == 1
      sums[base + player] += (isPresent ? folded[0] : 0) - absent
    }
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    samples == 1 << playerCount ? sums : Array(repeating: .nan, count: playerCount)
  }
}
