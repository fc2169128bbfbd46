// The sums of one example's samples, apart for each replicate.
//
// Block b belongs to replicate b mod 64, so replicates are independent and grow evenly. The error of an estimate is
// that of the delete-one-group jackknife: with theta the estimate from all samples, theta(r) that without replicate r,
// n and n(r) their numbers of samples, h = n / n(r) and G replicates,
//     pseudo(r) = h theta - (h - 1) theta(r),
//     variance = 1/G sum over r of (pseudo(r) - sum over s of pseudo(s) / h(s))^2 / (h - 1)
// (Busing, Meijer, van der Leeden: Delete-m jackknife for unequal m, 1999; a mean that weighed a short last block like the
// others would be far off). For estimates that are means it is the variance of the mean of all samples; for regressions
// every term is a regression on nearly all samples.

/// Sums of blocks by replicate.
struct ReplicateSums: Sendable {
  static let count = 64

  /// Positions of a replicate are its own blocks, in order.
  private(set) var replicates = [DyadicSums](repeating: DyadicSums(), count: count)

  init() {}

  init(_ replicates: [DyadicSums]) { self.replicates = replicates }

  mutating func append(_ sum: [Double], block: Int) {
    replicates[block % Self.count].append(sum, at: block / Self.count)
  }

  /// Blocks 0 ..< blocks of a replicate.
  static func positions(_ replicate: Int, blocks: Int) -> Int {
    (blocks - replicate + count - 1) / count
  }

  /// Whether blocks 0 ..< blocks are all there, and no others.
  func covers(blocks: Int) -> Bool {
    replicates.enumerated().allSatisfy { $1.covers(max(Self.positions($0, blocks: blocks), 0)) }
  }

  /// How many numbers the rows hold.
  var widths: Set<Int> { Set(replicates.flatMap { $0.nodes.map(\.sum.count) }) }

  /// The sums of each replicate and of all of them, in a fixed order of addition.
  func totals() -> (all: [Double], replicates: [[Double]]) {
    let totals = replicates.compactMap(\.total)
    guard var all = totals.first else { return ([], []) }
    for total in totals.dropFirst() {
      for index in all.indices { all[index] += total[index] }
    }
    return (all, totals)
  }
}

/// Estimates with their standard errors from the sums of one example.
struct Jackknife {
  let scheme: any SamplingScheme
  let ends: [GameEnds]
  let known: KnownPlayers

  struct Outcome {
    /// [target][player]
    var values: [Double] = []
    /// 0 for exact values; NaN where there are fewer than two replicates.
    var standardErrors: [Double] = []
    var replicates = 0
    /// [target][player][player] for schemes that have them.
    var interactions: [Double] = []
    /// Of final outcomes.
    var interactionErrors: [Double] = []
  }

  /// - Parameter samples: all samples; every block but the last is whole.
  func outcome(_ sums: ReplicateSums, samples: Int) -> Outcome {
    let scheme = scheme.decided(by: samples)
    let (all, replicates) = sums.totals()
    var outcome = Outcome(replicates: replicates.count)
    for target in ends.indices {
      let own = target * scheme.sumCount..<(target + 1) * scheme.sumCount
      let values = known.applied(
        to: scheme.values(Array(all[own]), samples: samples, ends: ends[target]))
      outcome.values += values
      if let scheme = scheme as? any InteractionScheme {
        outcome.interactions += known.applied(
          toPairs: scheme.interactions(Array(all[own]), samples: samples, ends: ends[target]))
      }
      outcome.standardErrors += standardErrors(
        of: values, all[own], replicates.map { $0[own] }, samples
      ) { sums, samples in
        known.applied(to: scheme.values(sums, samples: samples, ends: ends[target]))
      }
    }
    return outcome
  }

  /// The standard errors of an outcome's interactions, in their order: nothing for schemes without. NaN where
  /// regressions on nearly all pairs of many players would take too long.
  func interactionErrors(
    _ interactions: [Double], _ sums: ReplicateSums, samples: Int
  ) -> [Double] {
    guard let scheme = scheme as? any InteractionScheme else { return [] }
    guard scheme.playerCount <= Self.fittedPlayers || !scheme.fitsPairs else {
      return [Double](repeating: .nan, count: interactions.count)
    }
    let (all, replicates) = sums.totals()
    let width = interactions.count / max(ends.count, 1)
    return ends.indices.flatMap { target in
      let own = target * scheme.sumCount..<(target + 1) * scheme.sumCount
      return standardErrors(
        of: Array(interactions[target * width..<(target + 1) * width]), all[own],
        replicates.map { $0[own] }, samples
      ) { sums, samples in
        known.applied(
          toPairs: scheme.interactions(sums, samples: samples, ends: ends[target]))
      }
    }
  }

  /// Players whose pairs are fitted once for each replicate within seconds.
  private static let fittedPlayers = 40

  /// Samples of each replicate that has any.
  private func sampleCounts(_ samples: Int) -> [Int] {
    let size = scheme.blockSamples
    let blocks = (samples + size - 1) / size
    return (0..<min(blocks, ReplicateSums.count)).map { replicate in
      let own = ReplicateSums.positions(replicate, blocks: blocks) * size
      // The last block may be short.
      return (blocks - 1) % ReplicateSums.count == replicate ? own - (blocks * size - samples) : own
    }
  }

  /// - Parameter estimate: numbers from sums over some samples.
  private func standardErrors(
    of values: [Double], _ all: ArraySlice<Double>, _ replicates: [ArraySlice<Double>],
    _ samples: Int, _ estimate: ([Double], Int) -> [Double]
  ) -> [Double] {
    if scheme.sampleLimit == samples { return [Double](repeating: 0, count: values.count) }
    guard replicates.count >= 2 else {
      return [Double](repeating: .nan, count: values.count)
    }
    // Pseudo-values less the estimate, by which little is lost in the squares.
    var means = [Double](repeating: 0, count: values.count)
    var weighted = means
    var squares = means
    var weights = 0.0
    for (own, count) in zip(replicates, sampleCounts(samples)) {
      let rest = zip(all, own).map { $0 - $1 }
      let without = estimate(rest, samples - count)
      let share = Double(count) / Double(samples)
      let more = 1 / share - 1
      let weight = 1 / more
      weights += weight
      for index in values.indices {
        let deviation = more * (values[index] - without[index])
        means[index] += share * deviation
        weighted[index] += weight * deviation
        squares[index] += weight * deviation * deviation
      }
    }
    let groups = Double(replicates.count)
    return values.indices.map { index in
      let mean = means[index]
      let sum = squares[index] - mean * (2 * weighted[index] - mean * weights)
      return (max(sum, 0) / groups).squareRoot()
    }
  }
}
