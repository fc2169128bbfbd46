// Stratification by the size of coalitions (Castro, Gomez, Molina, Tejada: Improving polynomial estimation of the
// Shapley value by stratified random sampling with optimum allocation, 2017), with contributions of all players from
// the same coalitions:
//
//     phi_i = (v(all) - v(none)) / P + 1 / P  sum over s = 1 ... P - 1 of d_i(s),
//     d_i(s) = mean of v over coalitions of size s with i, minus the mean over those without i.
//
// One sample is a random circle of all players and a size s: windows of s players that follow each other on it are
// coalitions. With a window at each place, every player is in exactly s of them; beyond 128 players there are 128
// windows, evenly spaced, and every player is weighted by its known chance s / P to be in one. With x = v - v(none) -
// (v(all) - v(none)) s / P, whose reference has no part in the expectation, and W windows, a sample says
//
//     d_i = P / W (sum of x over the windows with i / s - sum of x over the others / (P - s)),
//
// unbiased, and adding up to zero over the players: values always add up to v(all) - v(none).
//
// Sizes lie in at most 16 bins of neighbours; a sample's size is any of its bin's. Kept per bin: the number of
// samples, sums of d_i, and the sum of all d_i^2; so the estimate is right for any number of samples per bin, and NaN
// until every bin has one. A block is one sample. Blocks go through the bins twice in order, then to bins by the
// golden section, in proportion to an allocation: equal per size at first, later in proportion to the number of sizes
// times the spread that the bin has shown (Neyman), a quarter of it kept equal.

package import CoalitionBase

/// Samples are circles of players with a size.
package struct StratifiedScheme: CoalitionScheme {
  package let playerCount: Int
  private let seed: UInt64
  /// Sizes of coalitions, by bin.
  package let bins: [Range<Int>]
  /// Share of later samples that each bin gets: they add up to 1.
  package private(set) var allocation: [Double]

  private static let maxBins = 16
  private static let maxWindows = 128

  package init(playerCount: Int, seed: UInt64) {
    self.playerCount = playerCount
    self.seed = seed
    let sizes = playerCount - 1
    let count = min(sizes, Self.maxBins)
    bins = (0..<count).map { 1 + $0 * sizes / count..<1 + ($0 + 1) * sizes / count }
    allocation = bins.map { Double($0.count) / Double(sizes) }
  }

  /// A circle of players.
  package struct Circle: Sendable {
    let players: [Int]
    let bin: Int
    let size: Int
  }

  private var windows: Int { bins.isEmpty ? 0 : min(playerCount, Self.maxWindows) }
  /// Numbers per bin: the samples, the sum of squares, and a sum per player.
  private var binSums: Int { playerCount + 2 }

  package var blockSamples: Int { 1 }
  package var sumCount: Int { bins.count * binSums }
  package func evaluations(samples: Int) -> Int { samples * windows }
  package var bias: String? {
    bins.count > 1
      ? "where samples are taken depends on the spread of earlier ones, a bias that vanishes faster than the error"
      : nil
  }

  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Circle? {
    guard !bins.isEmpty, block.samples > 0 else { return nil }
    var random = CounterRandom(seed: seed, purpose: .sizeStrata, index: UInt64(block.index))
    let bin = bin(of: block.index)
    let size = bins[bin].lowerBound + random.below(bins[bin].count)
    var players = Array(0..<playerCount)
    random.shuffle(&players)
    coalitions.appendWindows(of: players, size: size, windows: windows)
    return Circle(players: players, bin: bin, size: size)
  }

  /// The bin of a block: fixed by its number and the allocation, so that bins get their shares evenly.
  private func bin(of block: Int) -> Int {
    if block < 2 * bins.count { return block % bins.count }
    // Multiples of the golden section, of 64 binary places, are spread evenly at any number of blocks and any stride.
    let fraction = Double((UInt64(block) &* 0x9e37_79b9_7f4a_7c15) >> 11) * 0x1p-53
    var reached = 0.0
    for (bin, share) in allocation.enumerated() {
      reached += share
      if fraction < reached { return bin }
    }
    return bins.count - 1
  }

  package func add(
    _ draw: Circle?, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    guard let draw else { return }
    let players = Double(playerCount)
    let size = Double(draw.size)
    let reference = ends.empty + ends.difference * size / players
    // gains[p]: what windows that begin before place p add up to.
    var gains = [Double](repeating: 0, count: playerCount + 1)
    for (window, value) in values.enumerated() {
      gains[window * playerCount / values.count + 1] = value - reference
    }
    for place in 1...playerCount { gains[place] += gains[place - 1] }
    let total = gains[playerCount]
    let scale = players / Double(values.count)
    let start = sums.startIndex + draw.bin * binSums
    var squares = 0.0
    for (place, player) in draw.players.enumerated() {
      // The player is in the windows that begin at the `size` places up to its own.
      let first = place + 1 - draw.size
      let present =
        first >= 0
        ? gains[place + 1] - gains[first]
        : gains[place + 1] + total - gains[first + playerCount]
      let contribution = scale * (present / size - (total - present) / (players - size))
      sums[start + 2 + player] += contribution
      squares += contribution * contribution
    }
    sums[start] += 1
    sums[start + 1] += squares
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    let players = Double(playerCount)
    var values = [Double](repeating: ends.difference / players, count: playerCount)
    for (bin, sizes) in bins.enumerated() {
      let start = bin * binSums
      // NaN without samples.
      let factor = sums[start] > 0 ? Double(sizes.count) / (players * sums[start]) : .nan
      for player in 0..<playerCount { values[player] += factor * sums[start + 2 + player] }
    }
    return values
  }

  /// The allocation that the spread within bins calls for; nil until every bin has shown one.
  package func adaptation(_ sums: [Double], samples: Int, ends: [GameEnds]) -> [Double]? {
    guard bins.count > 1, !ends.isEmpty else { return nil }
    var wanted = [Double](repeating: 0, count: bins.count)
    for (bin, sizes) in bins.enumerated() {
      var variance = 0.0
      for target in ends.indices {
        let start = target * sumCount + bin * binSums
        let count = sums[start]
        guard count > 1 else { return nil }
        var ofMeans = 0.0
        for player in 0..<playerCount {
          ofMeans += sums[start + 2 + player] * sums[start + 2 + player]
        }
        variance += max(sums[start + 1] - ofMeans / count, 0) / (count - 1)
      }
      wanted[bin] = Double(sizes.count) * variance.squareRoot()
    }
    let all = wanted.reduce(0, +)
    guard all > 0, all.isFinite else { return nil }
    return zip(bins, wanted).map { sizes, spread in
      0.25 * Double(sizes.count) / Double(playerCount - 1) + 0.75 * spread / all
    }
  }

  package func adapted(to adaptation: [Double]) -> StratifiedScheme {
    var copy = self
    if adaptation.count == bins.count { copy.allocation = adaptation }
    return copy
  }
}
