// The sums of one example's samples, apart for each replicate.
//
// Block b belongs to replicate b mod 64, so replicates are independent and grow evenly. The error of an estimate is
// that of the delete-one-group jackknife: with theta the estimate from all samples, theta(r) that without replicate r,
// n and n(r) their numbers of samples, h = n / n(r) and G replicates,
//     pseudo(r) = h theta - (h - 1) theta(r),
//     variance = 1/G sum over r of (pseudo(r) - mean pseudo)^2 / (h - 1)
// (Busing, Meijer, van der Leeden: Delete-m jackknife for unequal m, 1999). For estimates that are means it is the
// variance of the mean of the replicates; for regressions every term is a regression on nearly all samples.

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
  }

  /// - Parameter samples: all samples; every block but the last is whole.
  func outcome(_ sums: ReplicateSums, samples: Int) -> Outcome {
    let scheme = scheme.decided(by: samples)
    let (all, replicates) = sums.totals()
    let counts = sampleCounts(samples)
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
      if scheme.sampleLimit == samples {
        outcome.standardErrors += [Double](repeating: 0, count: values.count)
      } else {
        outcome.standardErrors += standardErrors(
          scheme, values, all[own], replicates.map { $0[own] }, samples, counts, ends[target])
      }
    }
    return outcome
  }

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

  private func standardErrors(
    _ scheme: any SamplingScheme, _ values: [Double], _ all: ArraySlice<Double>,
    _ replicates: [ArraySlice<Double>],
    _ samples: Int, _ counts: [Int], _ ends: GameEnds
  ) -> [Double] {
    guard replicates.count >= 2 else {
      return [Double](repeating: .nan, count: values.count)
    }
    var pseudo: [[Double]] = []
    var weights: [Double] = []
    for (own, count) in zip(replicates, counts) {
      let rest = zip(all, own).map { $0 - $1 }
      let without = known.applied(
        to: scheme.values(rest, samples: samples - count, ends: ends))
      let share = Double(samples) / Double(count)
      pseudo.append(zip(values, without).map { share * $0 - (share - 1) * $1 })
      weights.append(1 / (share - 1))
    }
    let groups = Double(replicates.count)
    return values.indices.map { player in
      let mean = pseudo.reduce(0) { $0 + $1[player] } / groups
      var sum = 0.0
      for (row, weight) in zip(pseudo, weights) {
        let deviation = row[player] - mean
        sum += deviation * deviation * weight
      }
      return (sum / groups).squareRoot()
    }
  }
}
