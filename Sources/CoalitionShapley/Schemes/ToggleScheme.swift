// Coalitions in which every player is toggled once: the mean of v(S with i) - v(S without i) over drawn coalitions S.
//
// One sample is one coalition, which asks for P + 1 evaluations or, where a game knows how, for P changes of one
// player that all coalitions of a block share. What the mean estimates is in the draw of S without i (docs of
// `Drawing`).
//
// Sums are marginal contributions per player. For Shapley values the mean is projected on what they must add up to,
//     phi_i += (v(all) - v(none) - sum over j of phi_j) / P,
// which is linear, keeps the estimate unbiased and cannot add variance on the average of players.
// Additive games are exact; a player without any contribution gets what the projection gives everybody.
//
// A block is 8 pairs of a coalition and its complement. Sizes or probabilities are spread over a block by one random
// shift of 8 equal strata in random order, so every coalition of a block alone is drawn as the value demands, and any
// samples of a block give an unbiased mean.

package import CoalitionBase
package import CoalitionNet

/// Samples are coalitions whose players are toggled.
package struct ToggleScheme: SamplingScheme {
  /// How coalitions are drawn.
  package enum Drawing: Sendable {
    /// |S| uniform on 0 ... P, the players any. S without i then has every size 0 ... P - 1 with probability 1 / P:
    /// from size s draws without i with chance (P - s) / (P (P + 1)), from size s + 1 draws with i with chance (s +
    /// 1) / (P (P + 1)). Shapley values.
    case sizes
    /// A probability uniform on 0 ... 1, each player in S with it: Shapley values by Owen's multilinear extension
    /// (Okhrati and Lipani, A multilinear sampling algorithm to estimate Shapley values, 2021; halved and
    /// antithetic).
    case probabilities
    /// Every coalition equally likely: Banzhaf values.
    case halves
  }

  package let playerCount: Int
  package let drawing: Drawing
  private let seed: UInt64

  package init(playerCount: Int, drawing: Drawing, seed: UInt64) {
    self.playerCount = playerCount
    self.drawing = drawing
    self.seed = seed
  }

  package var blockSamples: Int { ToggleBlock.size }
  package var sumCount: Int { playerCount }
  package func evaluations(samples: Int) -> Int { samples * (playerCount + 1) }

  package func sums(
    of blocks: [SampleBlock], in game: any Game, examples: [Int], ends: [[GameEnds]],
    _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    var coalitions = Coalitions(playerCount: playerCount)
    var rows: [Range<Int>] = []
    for block in blocks {
      let first = coalitions.count
      append(block, to: &coalitions)
      rows.append(first..<coalitions.count)
    }
    // [example][block][player][target]
    let sums = try await game.marginalSums(coalitions, blocks: rows, examples: examples, run)
    let targets = game.targetCount
    guard targets > 1 else { return sums }
    var turned = [Double](repeating: 0, count: sums.count)
    for start in stride(from: 0, to: sums.count, by: playerCount * targets) {
      for player in 0..<playerCount {
        for target in 0..<targets {
          turned[start + target * playerCount + player] = sums[start + player * targets + target]
        }
      }
    }
    return turned
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    guard samples > 0 else { return Array(repeating: .nan, count: playerCount) }
    let means = sums.map { $0 / Double(samples) }
    if case .halves = drawing { return means }
    let missing = (ends.difference - means.reduce(0, +)) / Double(playerCount)
    return means.map { $0 + missing }
  }

  // MARK: Drawing

  /// Appends the block's coalitions.
  func append(_ block: SampleBlock, to coalitions: inout Coalitions) {
    let purpose: CounterRandom.Purpose =
      switch drawing {
      case .sizes: .toggles
      case .probabilities: .multilinear
      case .halves: .banzhafCoalitions
      }
    var random = CounterRandom(seed: seed, purpose: purpose, index: UInt64(block.index))
    let strata = blockSamples / 2
    var order = Array(0..<strata)
    random.shuffle(&order)
    let shift = random.uniform()
    for sample in 0..<block.samples {
      guard sample.isMultiple(of: 2) else {
        coalitions.appendComplement(of: coalitions.count - 1)
        continue
      }
      // Uniform on 0 ..< 1: a stratum of the lower half, or what its complement has.
      let lower = (Double(order[sample / 2]) + shift) / Double(2 * strata)
      let place = random.next() & 1 == 0 ? lower : 1 - lower
      switch drawing {
      case .sizes:
        let size = min(Int(place * Double(playerCount + 1)), playerCount)
        coalitions.appendRandom(size: size, using: &random)
      case .probabilities: coalitions.appendRandom(probability: place, using: &random)
      case .halves: coalitions.appendRandom(using: &random)
      }
    }
  }
}
