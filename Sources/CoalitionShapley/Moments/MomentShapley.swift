// Shapley values of a model's players by propagated moments, with an estimate of their error.

import CoalitionBase
import CoalitionExplain
import CoalitionNet

struct MomentShapley: Sendable {
  let game: MaskedGame
  private(set) var options: ShapleyOptions
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
    let ends = try await game.endValues(options.run)
    var estimate = begun()
    try await append(0..<game.exampleCount, ends, to: &estimate)
    return estimate
  }

  /// Of no examples yet.
  func begun() -> ShapleyEstimate {
    ShapleyEstimate(
      playerCount: game.playerCount, targetCount: game.targetCount, estimator: options.estimator)
  }

  /// Passes of moments for an example.
  var passes: Int { method.passes(players: game.playerCount) }

  /// The values of some examples: [example][target][player].
  func values(
    _ examples: Range<Int>, _ ends: [[GameEnds]]
  ) async throws(CoalitionError) -> [Double] {
    let count = game.targetCount * game.playerCount
    var values: [Double] = []
    values.reserveCapacity(examples.count * count)
    let memory = try memory(threads: Plan.threads(options.run.threads))
    for first in stride(from: examples.lowerBound, to: examples.upperBound, by: memory.examples) {
      let group = first..<min(first + memory.examples, examples.upperBound)
      values += try await game.momentValues(method, plan, examples: group, memory, options.run)
    }
    if options.moments.isProjected {
      for (position, example) in examples.enumerated() {
        project(&values, position * count..<(position + 1) * count, ends[example])
      }
    }
    return values
  }

  /// Adds some examples, with their checks.
  /// - Parameter evaluations: of one example, at most.
  func append(
    _ examples: Range<Int>, _ ends: [[GameEnds]], to estimate: inout ShapleyEstimate,
    atMost evaluations: Int = .max
  ) async throws(CoalitionError) {
    let players = game.playerCount
    let targets = game.targetCount
    let values = try await values(examples, ends)
    let affordable =
      (evaluations - MomentOptions.endEvaluations) / MomentCheck.evaluationsPerPlayer
    let check = MomentCheck(
      game: game, playerCount: min(options.moments.checkedPlayers, affordable), seed: options.seed)
    for (position, example) in examples.enumerated() {
      let own = position * targets * players..<(position + 1) * targets * players
      var checked = MomentCheck.Outcome(
        errors: [Double](repeating: .nan, count: targets), evaluations: 0)
      if check.playerCount > 0 {
        checked = try await check.outcome(of: values[own], example: example, options.run)
      }
      estimate.append(
        Array(values[own]), errors: checked.errors, ends: ends[example],
        evaluations: MomentOptions.endEvaluations + checked.evaluations, passes: passes)
    }
  }

  /// What the run takes of the memory limit, and how it keeps to it.
  /// - Throws: `memoryLimit` where not even one example has room.
  private func memory(threads: Int) throws(CoalitionError) -> MomentMemory {
    try game.momentMemory(plan, method, threads: threads, within: options.run.memoryLimit)
  }

  /// The same in one thread where memory has no room for the arenas of all.
  /// - Throws: `memoryLimit` where not even one example has room.
  func fittingThreads() throws(CoalitionError) -> MomentShapley {
    let threads = try Plan.threads(options.run.threads)
    if (try? memory(threads: threads)) != nil { return self }
    _ = try memory(threads: 1)
    var fitting = self
    fitting.options.run.threads = 1
    return fitting
  }

  /// What one pass takes, in plain forward passes, where memory is not short.
  func passCost() throws(CoalitionError) -> Double {
    var arithmetic = Double(plan.arithmetic.moments)
    if case .gradient = method {
      // There once for every program, and back from every score.
      let seeds = MomentMemory.mostSeeds
      let programs = (game.targetCount + seeds - 1) / seeds
      let back = Double(try plan.gradientOperations()) - arithmetic
      arithmetic = Double(programs) * arithmetic + Double(game.targetCount) * back
    }
    return arithmetic / Double(max(plan.arithmetic.forward, 1))
  }

  /// - Throws: as the run: `memoryLimit` where not even one example has room.
  func forecast(
    threads: Int
  ) throws(CoalitionError) -> (passes: Int, passCost: Double, evaluations: Int, memory: Int) {
    (
      passes, try passCost(), options.moments.evaluations(players: game.playerCount),
      try memory(threads: threads).byteCount
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
