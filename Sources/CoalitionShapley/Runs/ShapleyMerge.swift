// The parts of a run put together: the values that one run over all blocks has, to the last bit.

public import CoalitionBase

extension ShapleyRun {
  /// The estimate of a whole run from the states of its shards, in any order.
  /// - Parameters:
  ///   - options: those of the run; the shard is not looked at.
  ///   - playerCount, targetCount: of the game.
  /// - Throws: `invalidData` for parts that overlap, leave a gap, are not finished, or are of different runs.
  public static func merged(
    _ states: [ShapleyState], _ options: ShapleyOptions, playerCount: Int, targetCount: Int
  ) throws(CoalitionError) -> ShapleyEstimate {
    guard let first = states.first else {
      throw CoalitionError(.usage, "there are no parts of a run to merge")
    }
    // A file may say what it likes: players whose sums are not there are not made room for.
    let widths = states.reduce(into: Set<Int>()) { $0.formUnion($1.sumWidths) }
    guard let width = widths.first, widths.count == 1, targetCount > 0,
      width / targetCount >= playerCount
    else {
      throw CoalitionError(.invalidData, "parts of the run are damaged, or of different runs")
    }
    let choice = try EstimatorChoice(options, playerCount: playerCount)
    let scheme = choice.scheme
    guard let budget = try budget(options, scheme) else {
      throw CoalitionError(.usage, "the parts of a run have a budget", expected: "samples")
    }
    let blockCount = blocks(budget.samples, scheme)
    try check(states, blocks: blockCount)
    var estimate = ShapleyEstimate(
      playerCount: playerCount, targetCount: targetCount, estimator: choice.estimator,
      choice: choice.reason, scheme: scheme)
    for example in first.examples.indices {
      let progress = try states.map { state throws(CoalitionError) in
        guard case .summed(let progress) = state.examples[example] else {
          throw CoalitionError(.invalidData, "a part of the run is not finished")
        }
        return progress
      }
      var replicates: [DyadicSums] = []
      for replicate in 0..<ReplicateSums.count {
        let nodes = progress.flatMap { $0.sums.replicates[replicate].nodes }
        guard let tree = DyadicSums(nodes) else {
          throw CoalitionError(.invalidData, "parts of the run overlap")
        }
        replicates.append(tree)
      }
      let sums = ReplicateSums(replicates)
      guard sums.covers(blocks: blockCount), width == targetCount * scheme.sumCount else {
        throw CoalitionError(.invalidData, "parts of the run are missing or damaged")
      }
      let ends = first.ends[example]
      let known = KnownPlayers(
        nulls: first.nullPlayers[example], isComplete: options.value != .banzhaf)
      let jackknife = Jackknife(scheme: scheme, ends: ends, known: known)
      var outcome = jackknife.outcome(sums, samples: budget.samples)
      outcome.interactionErrors = jackknife.interactionErrors(
        outcome.interactions, sums, samples: budget.samples)
      estimate.append(
        outcome, ends: ends, samples: budget.samples * scheme.rowsPerSample,
        evaluations: evaluations(budget.samples, scheme), stop: budget.reason)
    }
    return estimate
  }

  private static func check(
    _ states: [ShapleyState], blocks: Int
  ) throws(CoalitionError) {
    var next = 0
    for state in states.sorted(by: { $0.blocks.lowerBound < $1.blocks.lowerBound }) {
      guard state.blocks.lowerBound == next else {
        throw CoalitionError(
          .invalidData,
          state.blocks.lowerBound < next
            ? "parts of the run overlap" : "a part of the run is missing",
          expected: "a part from block \(next) on", found: "one from \(state.blocks.lowerBound) on")
      }
      next = state.blocks.upperBound
      guard let first = states.first, state.ends == first.ends,
        state.nullPlayers == first.nullPlayers,
        state.examples.count == first.examples.count,
        state.ends.count == state.examples.count
      else {
        throw CoalitionError(.invalidData, "the parts are of different games")
      }
    }
    guard next == blocks else {
      throw CoalitionError(
        .invalidData, "a part of the run is missing", expected: "blocks up to \(blocks)",
        found: "up to \(next)")
    }
  }
}
