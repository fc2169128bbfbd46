// Which pairs of a coalition and its complement the regressions and interactions look at.
//
// A sample is such a pair, named by its smaller half S, s = |S| in 1 ... P/2; nobody and everybody are known anyway. A
// game splits into an odd and an even part under the complement,
//
//     odd(S) = (v(S) - v(N\S)) / 2,    even(S) = (v(S) + v(N\S)) / 2,
//
// and values of players depend on the odd part alone, interactions of two players on the even part alone, so one pair
// serves both. Sizes are drawn by systematic sampling in a block: one random offset, steps of one sample in the
// cumulative number of pairs that a size expects. So a block holds each size as often as it expects, up to rounding,
// and whatever is divided by these expectations is unbiased. Laws of the sizes:
//   kernel    as 1 / (s (P - s)), the weights of KernelSHAP (Lundberg, Lee 2017), each pair anew
//   leverage  all sizes alike, no pair twice in a block: a size asks for no more pairs than there are, and the others
//             share the rest (Musco, Witter: Provably accurate Shapley value estimation via leverage score sampling,
//             ICLR 2025)

package import CoalitionBase

/// A source of pairs of complements, by blocks.
package struct PairDesign: Sendable {
  package enum Law: Sendable {
    case kernel
    case leverage
  }

  package let playerCount: Int
  package let law: Law
  /// Pairs of a whole block.
  package let blockPairs: Int
  private let seed: UInt64
  private let purpose: CounterRandom.Purpose
  /// Pairs of each size 1 ... P/2, infinity where a Double does not hold them.
  private let population: [Double]

  /// Blocks grow with the sums that they make, and do not depend on a budget: runs that end at the same sample, by
  /// whatever rule, are the same.
  /// - Parameter unknowns: coefficients of a regression of third order; nil for one of first order.
  package init(
    playerCount: Int, law: Law, seed: UInt64, purpose: CounterRandom.Purpose, unknowns: Int? = nil
  ) {
    self.playerCount = playerCount
    self.law = law
    self.seed = seed
    self.purpose = purpose
    population = Self.populations(playerCount)
    let all = population.reduce(0, +)
    let whole = unknowns.map { min($0 / 16, 32) } ?? playerCount / 4
    let pairs = max(whole / Self.unit, 1) * Self.unit
    blockPairs = max(1, all < Double(pairs) ? Int(all) : pairs)
  }

  /// Pairs that are added up together (WalshSums), and enough of them to spread sizes.
  private static let unit = 8

  /// Coalitions that this many samples are: a single player has no pairs.
  package func evaluations(samples: Int) -> Int { playerCount == 1 ? 0 : 2 * samples }

  private static func populations(_ playerCount: Int) -> [Double] {
    var pairs: [Double] = []
    var binomial = 1.0
    // An empty range without it when there is one player.
    for size in stride(from: 1, through: playerCount / 2, by: 1) {
      binomial = binomial * Double(playerCount - size + 1) / Double(size)
      pairs.append(2 * size == playerCount ? binomial / 2 : binomial)
    }
    return pairs
  }

  /// Sizes of coalitions that pairs of one size cover: s and P - s.
  func sizes(_ size: Int) -> Double { 2 * size == playerCount ? 1 : 2 }

  // MARK: Blocks

  /// Appends a block's coalitions, each followed by its complement.
  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> PairRows {
    guard playerCount > 1 else { return PairRows(Coalitions(playerCount: playerCount), shares: []) }
    var halves = Coalitions(playerCount: playerCount)
    var shares: [Double] = []
    var random = CounterRandom(seed: seed, purpose: purpose, index: UInt64(block.index))
    let expected = expectedCounts(samples: block.samples)
    for (size, count) in counts(expected, samples: block.samples, using: &random) {
      append(count, of: size, to: &halves, using: &random)
      shares += repeatElement(expected[size - 1] / Double(block.samples), count: count)
    }
    let others = halves.complemented()
    for row in 0..<halves.count {
      coalitions.append(halves, rows: row..<row + 1)
      coalitions.append(others, rows: row..<row + 1)
    }
    return PairRows(halves, shares: shares)
  }

  /// Pairs that each size expects among `samples`, at index s - 1.
  package func expectedCounts(samples: Int) -> [Double] {
    let players = Double(playerCount)
    let masses = population.indices.map { index -> Double in
      let size = Double(index + 1)
      return sizes(index + 1) * (law == .kernel ? 1 / (size * (players - size)) : 1)
    }
    var left = Double(samples)
    var mass = masses.reduce(0, +)
    var counts = masses
    var isFull = law == .leverage
    for index in masses.indices {
      // The pairs of a size per share grow with the size: sizes that run out come first.
      isFull = isFull && left * masses[index] >= population[index] * mass
      if isFull {
        counts[index] = population[index]
        left -= counts[index]
        mass -= masses[index]
      } else {
        counts[index] = mass > 0 ? left * masses[index] / mass : 0
      }
    }
    return counts
  }

  /// The sizes that occur, with their numbers of pairs.
  private func counts(
    _ expected: [Double], samples: Int, using random: inout CounterRandom
  ) -> [(size: Int, count: Int)] {
    let offset = random.uniform()
    var result: [(size: Int, count: Int)] = []
    var taken = 0
    var bound = 0.0
    for (index, mass) in expected.enumerated() where taken < samples {
      bound += mass
      // Samples k with k + offset < bound; what rounding leaves belongs to the last size.
      let next =
        index == expected.count - 1
        ? samples : min(samples, max(taken, Int((bound - offset).rounded(.up))))
      if next > taken { result.append((index + 1, next - taken)) }
      taken = next
    }
    return result
  }

  /// Appends random coalitions of one size; of P/2 players those without player 0, to name a pair by one of its halves.
  private func append(
    _ count: Int, of size: Int, to halves: inout Coalitions, using random: inout CounterRandom
  ) {
    var seen: Set<[UInt32]> = []
    var found = 0
    while found < count {
      var half = Coalitions(playerCount: playerCount)
      half.appendRandom(size: size, using: &random)
      if 2 * size == playerCount, half[0, 0] { half = half.complemented() }
      if law == .leverage, !seen.insert(half.words).inserted { continue }
      halves.append(half, rows: 0..<1)
      found += 1
    }
  }
}

/// The pairs of a block by their smaller halves.
package struct PairRows: Sendable {
  package let halves: Coalitions
  package let sizes: [Int]
  /// Per pair, the share of a block's samples that pairs of its size are expected to be.
  package let shares: [Double]

  init(_ halves: Coalitions, shares: [Double]) {
    self.halves = halves
    sizes = (0..<halves.count).map { halves.size(of: $0) }
    self.shares = shares
  }

  package var count: Int { sizes.count }

  /// Half the difference of a pair's values.
  func odd(_ row: Int, _ values: [Double]) -> Double { (values[2 * row] - values[2 * row + 1]) / 2 }

  /// What a pair's mean is above that of nobody and everybody.
  func even(_ row: Int, _ values: [Double], _ ends: GameEnds) -> Double {
    ((values[2 * row] - ends.empty) + (values[2 * row + 1] - ends.full)) / 2
  }

  /// Calls with each player of the smaller half.
  func forEachPlayer(_ row: Int, _ body: (Int) -> Void) {
    let words = halves.wordCount
    for word in 0..<words {
      var rest = halves.words[row * words + word]
      while rest != 0 {
        body(word * UInt32.bitWidth + rest.trailingZeroBitCount)
        rest &= rest - 1
      }
    }
  }
}
