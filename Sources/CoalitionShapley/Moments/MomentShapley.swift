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

  /// Passes of moments for an example, with every row of its baseline.
  var passes: Int { game.evaluations(coalitions: method.passes(players: game.playerCount)) }

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
        project(&values, position * count..<(position + 1) * count, example, ends[example])
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
    var checks = [MomentCheck.Outcome](
      repeating: .init(errors: [Double](repeating: .nan, count: targets), evaluations: 0),
      count: examples.count)
    if check.playerCount > 0 {
      checks = try await check.outcomes(of: values, examples: examples, ends, options.run)
    }
    for (position, example) in examples.enumerated() {
      let own = position * targets * players..<(position + 1) * targets * players
      estimate.append(
        Array(values[own]), errors: checks[position].errors,
        active: game.activePlayers(ofExample: example), ends: ends[example],
        evaluations: MomentOptions.endEvaluations + checks[position].evaluations, passes: passes)
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

  /// What the moments of an example take for one row of its baseline, in plain forward passes, where memory is not short.
  func cost() throws(CoalitionError) -> Double {
    try Double(method.passes(players: game.playerCount)) * passCost() + frontCost()
  }

  /// What contributions of players take up to the fronts, and signals back from there.
  private func frontCost() throws(CoalitionError) -> Double {
    let passes = Double(game.momentFrontPasses(method, plan))
    return passes * Double(try plan.frontOperations()) / Double(max(plan.arithmetic.forward, 1))
  }

  /// What one pass behind the fronts takes, in plain forward passes.
  private func passCost() throws(CoalitionError) -> Double {
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
  ) throws(CoalitionError) -> MomentDemand {
    MomentDemand(
      passes: passes, passCost: try passCost(),
      frontCost: try frontCost() * Double(game.evaluations(coalitions: 1)),
      evaluations: options.moments.evaluations(players: game.playerCount),
      memory: try memory(threads: threads).byteCount)
  }

  /// phi_i += (v(all) - v(none) - sum of phi) / n for the n players that are no null players: these keep 0.
  private func project(
    _ values: inout [Double], _ range: Range<Int>, _ example: Int, _ ends: [GameEnds]
  ) {
    let players = game.playerCount
    let active = game.activePlayers(ofExample: example)
    for (target, end) in ends.enumerated() {
      let start = range.lowerBound + target * players
      let missing = end.full - end.empty - values[start..<start + players].reduce(0, +)
      for player in active { values[start + player] += missing / Double(active.count) }
    }
  }
}

/// What values by moments take.
package struct MomentDemand {
  /// Of moments, for an example.
  package let passes: Int
  /// What one of them takes behind the fronts, in plain forward passes.
  package let passCost: Double
  /// What an example takes in front of them, in plain forward passes.
  package let frontCost: Double
  /// To check an example's values, at most.
  package let evaluations: Int
  /// Bytes of programs and rows.
  package let memory: Int
}
