// What a run will take: samples for evaluations, blocks for samples, memory for sums.

import CoalitionBase

extension ShapleyRun {
  /// Evaluations of so many samples, those of nobody and everybody included unless the samples hold them.
  static func evaluations(_ samples: Int, _ scheme: any SamplingScheme) -> Int {
    if scheme.sampleLimit != nil { return samples }
    let size = scheme.blockSamples
    let (whole, overflow) = (samples / size).multipliedReportingOverflow(
      by: scheme.evaluations(samples: size))
    let (sum, isTooLarge) = whole.addingReportingOverflow(
      2 + scheme.evaluations(samples: samples % size))
    return overflow || isTooLarge ? .max : sum
  }

  static func blocks(_ samples: Int, _ scheme: any SamplingScheme) -> Int {
    samples / scheme.blockSamples + (samples % scheme.blockSamples == 0 ? 0 : 1)
  }

  /// The samples of a run's budget, and which option sets it: nil without a budget.
  /// - Throws: `usage` for a budget that not even one sample fits into.
  static func budget(
    _ options: ShapleyOptions, _ scheme: any SamplingScheme
  ) throws(CoalitionError) -> (samples: Int, reason: StopReason)? {
    if let limit = scheme.sampleLimit {
      if let evaluations = options.evaluations, evaluations < limit {
        throw CoalitionError(
          .usage, "exact values need all coalitions", expected: "\(limit) evaluations",
          found: "\(evaluations)")
      }
      return (limit, .exact)
    }
    var budget = options.samples.map {
      // A pair that is begun is finished.
      (samples: $0 / scheme.rowsPerSample + $0 % scheme.rowsPerSample, reason: StopReason.samples)
    }
    if let evaluations = options.evaluations {
      let size = scheme.blockSamples
      let rest = evaluations - 2
      let perBlock = max(scheme.evaluations(samples: size), 1)
      var samples = max(rest, 0) / perBlock * size
      let left = max(rest, 0) % perBlock
      samples += (1..<max(size, 2)).last { scheme.evaluations(samples: $0) <= left } ?? 0
      guard samples > 0 else {
        throw CoalitionError(
          .usage, "so few evaluations do not make one sample",
          expected: "at least \(2 + scheme.evaluations(samples: 1))", found: "\(evaluations)")
      }
      if samples < budget?.samples ?? .max { budget = (samples, .evaluations) }
    }
    return budget
  }

  /// Bytes of the sums of one example: the subtrees of up to 64 replicates.
  /// - Parameter blocks: of the whole run, when known.
  static func sumBytes(_ game: any Game, _ scheme: any SamplingScheme, blocks: Int?) -> Int {
    let replicates = min(blocks ?? .max, ReplicateSums.count)
    // As many subtrees as there are ones in a binary number, a few: at most its places.
    let places = blocks.map {
      Int.bitWidth - ($0 / ReplicateSums.count + 1).leadingZeroBitCount
    }
    return [replicates, min(places ?? 8, 8), 8, game.targetCount, scheme.sumCount].reduce(1) {
      let (product, overflow) = $0.multipliedReportingOverflow(by: $1)
      return overflow ? .max : product
    }
  }

  /// Examples that run together: as many as have room for their sums.
  static func groupSize(
    _ game: any Game, _ scheme: any SamplingScheme, _ options: ShapleyOptions, blocks: Int?
  ) throws(CoalitionError) -> Int {
    let bytes = sumBytes(game, scheme, blocks: blocks)
    // The sums of all examples of a shard stay until its end.
    let kept = options.shard == nil ? 1 : game.exampleCount
    let (needed, overflow) = bytes.multipliedReportingOverflow(by: kept)
    guard !overflow, needed <= options.run.memoryLimit / 2 else {
      throw CoalitionError(
        .memoryLimit, "the sums of the samples need more memory than allowed",
        expected: "at most \(options.run.memoryLimit / 2) bytes",
        found: overflow ? "more than can be counted" : "\(needed)")
    }
    let comfortable = min(256 << 20, options.run.memoryLimit / 2)
    return max(1, min(game.exampleCount, comfortable / max(bytes, 1), 64))
  }
}
