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

  /// Rows of weights over the target's elements, and per example its row.
  package typealias Seed = (rows: Tensor, rowOf: [Int32])

  /// - Parameters:
  ///   - largestTile: bytes of a tile of 16 lanes, beyond which tiles leave every cache: one lane at a time takes a
  ///     sixteenth of the memory then, and no more time. So it does where memory is short; the sums are the same.
  ///   - sumLimit: bytes of the sums that are made in one call; those of one example, or of a tile, may be more.
  /// - Returns: per seed.
  package func gradients(
    _ work: Work, _ summation: Summation, seeds: [Seed],
    largestTile: Int = MomentPlan.largestTile, sumLimit: Int = .max, _ options: RunOptions
  ) async throws(CoalitionError) -> [FrontGradients] {
    var rows = try slots(work, seeds: seeds.count)
    rows[mode.slots.slopes] = SlotRows(Tensor(.float64(summation.slopes)), precision)
    for (index, seed) in seeds.enumerated() {
      rows[mode.slots.seed(index)] = SlotRows(seed.rows, precision, rowOf: seed.rowOf)
    }
    let routine = try routine(.gradient(seeds: seeds.count))
    // Per seed, front and part.
    let sizes = seeds.flatMap { _ in frontCounts.flatMap { [$0, $0, rank * $0] } }
    let sumRows = max(1, sumLimit / max(8 * sizes.reduce(0, +), 1))
    var options = options
    let threads = try Plan.threads(options.threads)
    let lanes =
      options.lanes
      ?? gradientLanes(
        routine, examples: work.examples, threads: threads, within: options.memoryLimit,
        largestTile: largestTile, hasRoom: sumRows >= 16 / summation.segmentLength)
    options.lanes = lanes
    // Segments lie within a tile; one lane gives examples one by one, which are summed here.
    let length = lanes == 1 ? 1 : summation.segmentLength
    let (examples, overflow) = sumRows.multipliedReportingOverflow(by: length)
    let step = overflow ? .max : max(examples / lanes * lanes, lanes)
    var sums = GradientSums(summation, sizes: sizes)
    for first in stride(from: 0, to: work.examples, by: min(step, max(work.examples, 1))) {
      let range = first..<min(first + step, work.examples)
      let segments = Segments(Array(summation.groupOf[range]), length: length)
      var call = ProgramCall(
        inputs: rows.map { $0.rows(of: range) },
        outputs: sizes.map { SlotResult(sums: $0 * segments.count) }, examples: range.count)
      call.segments = segments.segmentOf
      call.weights =
        lanes == 1
        ? [Double](repeating: 1, count: range.count) : Array(summation.weights[range])
      let elements = try await run(routine, call, options)
      if lanes == 1 {
        try sums.add(examples: range, elements)
      } else {
        try sums.add(segments, elements)
      }
    }
    return try fronts(of: sums.finished(), seeds: seeds.count, groups: sums.groups)
  }

  private func fronts(
    of sums: [[Double]], seeds: Int, groups: Int
  ) throws(CoalitionError) -> [FrontGradients] {
    var results: [FrontGradients] = []
    for seed in 0..<seeds {
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

  /// Bytes of the sums of one segment.
  package func gradientByteCount(seeds: Int) -> Int {
    [seeds, frontCounts.reduce(0, +), 2 + rank, 8].reduce(1) {
      let (product, overflow) = $0.multipliedReportingOverflow(by: $1)
      return overflow ? .max : product
    }
  }

  /// Lanes of a run of gradients. Results are the same for every choice.
  /// - Parameters:
  ///   - limit: bytes of the arenas of all threads.
  ///   - hasRoom: whether there is memory for the sums of 16 examples.
  func gradientLanes(
    _ routine: Routine, examples: Int, threads: Int, within limit: Int,
    largestTile: Int = MomentPlan.largestTile, hasRoom: Bool = true
  ) -> Int {
    let tile = routine.arenaByteCount(lanes: 16)
    guard hasRoom, tile <= largestTile, tile <= limit / threads else { return 1 }
    return max(16, routine.chooseLanes(examples: examples, threads: threads, room: limit))
  }

  package static var largestTile: Int { 256 << 20 }
}

/// Sums of the gradients of all calls of a run, per result [groups, size]: of every segment one chain of fused
/// multiply-adds in the order of the examples (csrc/ops/sum.c makes the same), and these added up in their order.
private struct GradientSums {
  let summation: MomentPlan.Summation
  let sizes: [Int]
  private var sums: [[Double]]
  /// Of the segment that is not over yet.
  private var chains: [[Double]] = []
  private var group: Int?

  var groups: Int { (summation.groupOf.last ?? -1) + 1 }

  init(_ summation: MomentPlan.Summation, sizes: [Int]) {
    self.summation = summation
    self.sizes = sizes
    let groups = (summation.groupOf.last ?? -1) + 1
    sums = sizes.map { [Double](repeating: 0, count: groups * $0) }
  }

  /// Adds whole segments.
  mutating func add(
    _ segments: Segments, _ elements: [Tensor.Elements]
  ) throws(CoalitionError) {
    for (slot, size) in sizes.enumerated() {
      try segments.add(elements[slot], size: size, to: &sums[slot])
    }
  }

  /// Adds gradients of single examples, without weights.
  mutating func add(
    examples: Range<Int>, _ elements: [Tensor.Elements]
  ) throws(CoalitionError) {
    for example in examples {
      let own = summation.groupOf[example]
      if example % summation.segmentLength == 0 || own != group { endSegment(next: own) }
      for (slot, size) in sizes.enumerated() {
        guard case .float64(let rows) = elements[slot] else {
          throw CoalitionError(.internalFault, "sums are in double precision")
        }
        let start = (example - examples.lowerBound) * size
        let weight = summation.weights[example]
        chains[slot].withUnsafeMutableBufferPointer { chain in
          for place in chain.indices {
            chain[place].addProduct(weight, rows[start + place])
          }
        }
      }
    }
  }

  private mutating func endSegment(next: Int?) {
    if let group {
      for (slot, size) in sizes.enumerated() {
        for place in 0..<size {
          sums[slot][group * size + place] += chains[slot][place]
          chains[slot][place] = 0
        }
      }
    } else {
      chains = sizes.map { [Double](repeating: 0, count: $0) }
    }
    group = next
  }

  mutating func finished() -> [[Double]] {
    if group != nil { endSegment(next: nil) }
    return sums
  }
}
