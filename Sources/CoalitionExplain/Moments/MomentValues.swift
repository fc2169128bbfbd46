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

extension MaskedGame {
  /// The moment programs of the game's model.
  /// - Throws: as `MomentPlan.init`.
  package func momentPlan(rank: Int) throws(CoalitionError) -> MomentPlan {
    try masked.plan.momentPlan(target: masked.output.name, sources: players.names, rank: rank)
  }

  /// Bytes of the rows of one example.
  package func momentRowByteCount(_ plan: MomentPlan, _ method: MomentMethod) -> Int {
    let rows = plan.frontCounts.reduce(0, +) * (4 + plan.rank)
    let inputs = plan.sources.reduce(0) { $0 + $1.count } * (3 + plan.rank)
    var bytes = (rows + inputs) * 8 * subject.baselines
    if case .gradient = method { bytes *= 2 }
    return bytes
  }

  /// Examples that are worked on together, so that their rows take bounded memory.
  package func momentGroupSize(_ plan: MomentPlan, _ method: MomentMethod) -> Int {
    max(1, min((256 << 20) / max(momentRowByteCount(plan, method), 1), 1024))
  }

  /// The values of the players of some examples: [example][target][player].
  package func momentValues(
    _ method: MomentMethod, _ plan: MomentPlan, examples: Range<Int>, _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    let subjects = try await MomentSubjects(self, plan, examples: examples, run)
    let players = players.playerCount
    let width: Int
    let values: [Double]
    switch method {
    case .sizes(let count):
      width = plan.target.count
      values = try await subjects.values(by: CoalitionSizes(count, players: players), run)
    case .gradient(let nodes):
      let seeds = try gradientSeeds(of: plan.target.count)
      width = seeds.count
      values = try await subjects.gradientValues(nodes: nodes, seeds: seeds, run)
    }
    var result: [Double] = []
    result.reserveCapacity(examples.count * targetCount * players)
    let baselines = subject.baselines
    for (position, example) in examples.enumerated() {
      for target in 0..<targetCount {
        let picks = weights(ofTarget: target, example, method)
        for player in 0..<players {
          var sum = 0.0
          for baseline in 0..<baselines {
            let start = ((position * baselines + baseline) * players + player) * width
            for pick in picks { sum += pick.weight * values[start + pick.index] }
          }
          result.append(sum / Double(baselines))
        }
      }
    }
    return result
  }

  /// Which of the computed numbers make up a target's value: elements of the output, or seeds.
  private func weights(
    ofTarget target: Int, _ example: Int, _ method: MomentMethod
  ) -> [(index: Int, weight: Double)] {
    if case .gradient = method { return [(target, 1)] }
    let own = targets[example]
    return isDifference ? [(own[0], 1), (own[1], -1)] : [(own[target], 1)]
  }

  /// Per target, rows of weights over the output: one for each example.
  private func gradientSeeds(
    of width: Int
  ) throws(CoalitionError) -> [(rows: Tensor, rowOf: [Int32])] {
    var seeds: [(rows: Tensor, rowOf: [Int32])] = []
    for target in 0..<targetCount {
      // Examples that are explained alike share a row.
      var rows: [[(index: Int, weight: Double)]] = []
      var known: [[Int]: Int32] = [:]
      var rowOf: [Int32] = []
      for example in 0..<exampleCount {
        let picks = weights(ofTarget: target, example, .sizes(0))
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
