// Gradients of scores with respect to the first moments, summed over examples.

package import CoalitionBase

extension MomentPlan {
  /// Sums over the examples of each group of weight times the gradient of a score with respect to what its front is
  /// made from.
  package struct FrontGradients: Sendable {
    /// Per front [groups, count]: with respect to the mean, and to the total variance times the first slope.
    package var mean: [Tensor]
    package var variance: [Tensor]
    /// Per front [groups, rank, count], times the second slope.
    package var factors: [Tensor]
  }

  /// How the gradients of a run are summed.
  package struct Summation: Sendable {
    /// Per example its group, never decreasing, and its weight.
    package var groupOf: [Int]
    package var weights: [Double]
    /// [examples, 2].
    package var slopes: [Double]
    /// Examples that are summed in one go: 16 or a half, quarter, ... of it.
    package var segmentLength: Int

    package init(
      groupOf: [Int], weights: [Double], slopes: [Double], segmentLength: Int
    ) {
      self.groupOf = groupOf
      self.weights = weights
      self.slopes = slopes
      self.segmentLength = segmentLength
    }
  }

  /// - Parameters:
  ///   - seeds: rows of weights over the target's elements, and per example its row.
  ///   - largestTile: bytes of a tile of 16 lanes, beyond which tiles leave every cache: one lane at a time takes a
  ///     sixteenth of the memory then, and no more time.
  /// - Returns: per seed.
  package func gradients(
    _ work: Work, _ summation: Summation, seeds: [(rows: Tensor, rowOf: [Int32])],
    largestTile: Int = MomentPlan.largestTile, _ options: RunOptions
  ) async throws(CoalitionError) -> [FrontGradients] {
    var rows = try slots(work, seeds: seeds.count)
    rows[mode.slots.slopes] = SlotRows(Tensor(.float64(summation.slopes)), precision)
    for (index, seed) in seeds.enumerated() {
      rows[mode.slots.seed(index)] = SlotRows(seed.rows, precision, rowOf: seed.rowOf)
    }
    let routine = try routine(.gradient(seeds: seeds.count))
    let threads = try Plan.threads(options.threads)
    // Per seed, front and part.
    let sizes = seeds.flatMap { _ in frontCounts.flatMap { [$0, $0, rank * $0] } }
    let isNarrow = routine.arenaByteCount(lanes: 16) > largestTile
    // The sums of single examples have one order for all lanes, and the network alone decides for them.
    let length = isNarrow ? 1 : summation.segmentLength
    var options = options
    if !isNarrow, (options.lanes ?? 1) == 1 {
      options.lanes = max(
        16,
        routine.chooseLanes(
          examples: work.examples, threads: threads,
          room: options.memoryLimit - routine.constantByteCount))
    } else if options.lanes == nil {
      options.lanes = 1
    }
    let groups = (summation.groupOf.last ?? -1) + 1
    var sums = sizes.map { [Double](repeating: 0, count: groups * $0) }
    let step = length > 1 ? work.examples : Self.batch(8 * sizes.reduce(0, +), threads: threads)
    for first in stride(from: 0, to: work.examples, by: max(step, 1)) {
      let range = first..<min(first + step, work.examples)
      let segments = Segments(Array(summation.groupOf[range]), length: length)
      var call = ProgramCall(
        inputs: rows.map { $0.rows(of: range) },
        outputs: sizes.map { SlotResult(sums: $0 * segments.count) }, examples: range.count)
      call.segments = segments.segmentOf
      call.weights = Array(summation.weights[range])
      let elements = try await run(routine, call, options)
      for (slot, size) in sizes.enumerated() {
        try segments.add(elements[slot], size: size, to: &sums[slot])
      }
    }
    var results: [FrontGradients] = []
    for seed in seeds.indices {
      var gradients = FrontGradients(mean: [], variance: [], factors: [])
      for (front, count) in frontCounts.enumerated() {
        func part(_ part: Int, _ shape: [Int]) throws(CoalitionError) -> Tensor {
          let slot = mode.slots.result(seed: seed, front: front, part: part)
          return try Tensor(shape: [groups] + shape, elements: .float64(sums[slot]))
        }
        gradients.mean.append(try part(0, [count]))
        gradients.variance.append(try part(1, [count]))
        if rank > 0 { gradients.factors.append(try part(2, [rank, count])) }
      }
      results.append(gradients)
    }
    return results
  }

  /// Bytes that a run takes, besides rows of the work.
  package func gradientByteCount(
    examples: Int, seeds: Int, threads: Int
  ) throws(CoalitionError) -> Int {
    let routine = try routine(.gradient(seeds: seeds))
    let sums = seeds * frontCounts.reduce(0, +) * (2 + rank) * 8
    if routine.arenaByteCount(lanes: 16) > Self.largestTile {
      let rows = min(examples, Self.batch(sums, threads: threads)) * sums
      return rows + routine.programByteCount(examples: 1, threads: threads, within: .max)
    }
    return routine.programByteCount(examples: examples, threads: threads, within: .max, least: 16)
      + (examples + 15) / 16 * sums
  }

  package static var largestTile: Int { 256 << 20 }

  /// Examples whose sums, of so many bytes, are held at a time.
  private static func batch(_ bytes: Int, threads: Int) -> Int {
    max(threads, (128 << 20) / max(bytes, 1))
  }
}
