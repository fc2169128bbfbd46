// Values of a game's players from propagated moments, for its targets and averaged over its baselines.

package import CoalitionBase
package import CoalitionNet

/// How values come from moments.
package enum MomentMethod: Sendable, Hashable {
  /// Coalitions of each of so many sizes (DASP).
  case sizes(Int)
  /// The gradient of moments at so many nodes.
  case gradient(nodes: Int)

  /// Moment passes of one example: forward, and (the same number) back.
  package func passes(players: Int) -> Int {
    switch self {
    case .sizes(let count): 2 * min(count, players) * players
    case .gradient(let nodes): nodes
    }
  }
}

/// An element of the output, and what it counts in a score.
struct ScoreWeight {
  let index: Int
  let weight: Double
}

extension MaskedGame {
  /// The moment programs of the game's model.
  /// - Throws: as `MomentPlan.init`.
  package func momentPlan(rank: Int) throws(CoalitionError) -> MomentPlan {
    try masked.plan.momentPlan(target: masked.output.name, sources: players.names, rank: rank)
  }

  /// The values of the players of some examples: [example][target][player].
  package func momentValues(
    _ method: MomentMethod, _ plan: MomentPlan, examples: Range<Int>, _ memory: MomentMemory,
    _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    var run = run
    run.memoryLimit = memory.arenaLimit
    let subjects = try await MomentSubjects(self, plan, examples: examples, memory, run)
    let players = players.playerCount
    let values =
      switch method {
      case .sizes(let count):
        try await subjects.values(
          by: CoalitionSizes(count, players: players),
          scores: { example in (0..<self.targetCount).map { self.weights(ofTarget: $0, example) } },
          run)
      case .gradient(let nodes):
        try await subjects.gradientValues(
          nodes: nodes, seeds: try gradientSeeds(of: plan.target.count, examples), run)
      }
    var result: [Double] = []
    result.reserveCapacity(examples.count * targetCount * players)
    let baselines = subject.baselines
    for position in 0..<examples.count {
      for target in 0..<targetCount {
        for player in 0..<players {
          let sum = (0..<baselines).reduce(0.0) { sum, baseline in
            let row = (position * baselines + baseline) * players + player
            return sum + values[row * targetCount + target]
          }
          result.append(sum / Double(baselines))
        }
      }
    }
    return result
  }

  /// The elements of the output that make up a target's score.
  private func weights(ofTarget target: Int, _ example: Int) -> [ScoreWeight] {
    let own = targets[example]
    return isDifference
      ? [ScoreWeight(index: own[0], weight: 1), ScoreWeight(index: own[1], weight: -1)]
      : [ScoreWeight(index: own[target], weight: 1)]
  }

  /// Per target, rows of weights over the output: one for each of some examples.
  private func gradientSeeds(
    of width: Int, _ examples: Range<Int>
  ) throws(CoalitionError) -> [MomentPlan.Seed] {
    var seeds: [MomentPlan.Seed] = []
    for target in 0..<targetCount {
      // Examples that are explained alike share a row.
      var rows: [[ScoreWeight]] = []
      var known: [[Int]: Int32] = [:]
      var rowOf: [Int32] = []
      for example in examples {
        let picks = weights(ofTarget: target, example)
        let key = picks.map(\.index)
        let row = known[key] ?? Int32(rows.count)
        if known[key] == nil {
          known[key] = row
          rows.append(picks)
        }
        rowOf.append(row)
      }
      var numbers = [Double](repeating: 0, count: rows.count * width)
      for (row, picks) in rows.enumerated() {
        for pick in picks { numbers[row * width + pick.index] += pick.weight }
      }
      seeds.append(
        (try Tensor(shape: [rows.count, width], elements: .float64(numbers)), rowOf))
    }
    return seeds
  }
}
