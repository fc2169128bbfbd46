// Shapley values of a model's players by propagated moments, with an estimate of their error.

import CoalitionBase
import CoalitionExplain
import CoalitionNet

struct MomentShapley: Sendable {
  let game: MaskedGame
  let options: ShapleyOptions
  let method: MomentMethod
  let plan: MomentPlan

  /// - Throws: `usage` for games that are no model's and for what sampling alone can do, `unsupported` with the node for
  ///   models that moments do not go through.
  init(_ game: any Game, _ options: ShapleyOptions) throws(CoalitionError) {
    let name = options.estimator.rawValue
    guard let game = game as? MaskedGame else {
      throw CoalitionError(
        .usage, "\(name) takes moments through a model: this game has none",
        expected: "a game of a model's players")
    }
    guard options.value == .shapley, options.interactions == nil, options.shard == nil else {
      throw CoalitionError(
        .usage, "\(name) gives Shapley values, in one piece",
        expected: "no other values, interactions or shards")
    }
    guard !options.hasStopRule else {
      throw CoalitionError(
        .usage, "\(name) does not sample: nothing tells it when to stop",
        expected: "no evaluations, samples, tolerance, top, rank stability or time")
    }
    try options.moments.check()
    self.game = game
    self.options = options
    method =
      options.estimator == .dasp
      ? .sizes(options.moments.sizeCount(players: game.playerCount))
      : .gradient(nodes: options.moments.nodes)
    plan = try game.momentPlan(rank: options.moments.rank)
  }

  func result() async throws(CoalitionError) -> ShapleyEstimate {
    let players = game.playerCount
    let targets = game.targetCount
    let ends = try await game.endValues(options.run)
    let check = MomentCheck(
      game: game, playerCount: options.moments.checkedPlayers, seed: options.seed)
    var estimate = ShapleyEstimate(
      playerCount: players, targetCount: targets, estimator: options.estimator)
    let size = game.momentGroupSize(plan, method)
    for first in stride(from: 0, to: game.exampleCount, by: size) {
      let examples = first..<min(first + size, game.exampleCount)
      var values = try await game.momentValues(method, plan, examples: examples, options.run)
      for (position, example) in examples.enumerated() {
        let own = position * targets * players..<(position + 1) * targets * players
        if options.moments.isProjected {
          project(&values, own, ends[example])
        }
        var checked = MomentCheck.Outcome(
          errors: [Double](repeating: .nan, count: targets), evaluations: 0)
        if check.playerCount > 0 {
          checked = try await check.outcome(of: values[own], example: example, options.run)
        }
        estimate.append(
          Array(values[own]), errors: checked.errors, ends: ends[example],
          evaluations: MomentOptions.endEvaluations + checked.evaluations,
          passes: method.passes(players: players))
      }
    }
    return estimate
  }

  func forecast(
    threads: Int
  ) throws(CoalitionError) -> (passes: Int, passCost: Double, evaluations: Int, memory: Int) {
    let players = game.playerCount
    let examples = min(game.momentGroupSize(plan, method), game.exampleCount)
    let passes = method.passes(players: players)
    let rows = game.momentRowByteCount(plan, method) * examples
    let programs: Int
    let arithmetic: Int
    switch method {
    case .sizes:
      programs = try plan.programByteCount(examples: passes * examples, threads: threads)
      arithmetic = plan.arithmetic.moments
    case .gradient:
      programs = try plan.gradientByteCount(
        examples: passes * examples, seeds: game.targetCount, threads: threads)
      // There and, for every score, back.
      arithmetic = try plan.gradientOperations(seeds: game.targetCount)
    }
    return (
      passes, Double(arithmetic) / Double(max(plan.arithmetic.forward, 1)),
      options.moments.evaluations(players: players), rows + programs
    )
  }

  /// phi_i += (v(all) - v(none) - sum of phi) / n for the n players that have values: null players keep 0.
  private func project(_ values: inout [Double], _ range: Range<Int>, _ ends: [GameEnds]) {
    let players = game.playerCount
    for (target, end) in ends.enumerated() {
      let own = (range.lowerBound + target * players)..<(range.lowerBound + (target + 1) * players)
      let missing = end.full - end.empty - values[own].reduce(0, +)
      let active = own.filter { values[$0] != 0 }
      for place in active { values[place] += missing / Double(active.count) }
    }
  }
}
