// Shapley values by moments, of output 0 from a zero baseline. The unit is a pass of moments, which the network's forward
// passes are compared with.

import Coalition
import CoalitionNet

/// What is explained by moments, and how.
struct MomentTask: Sendable {
  /// dasp, or the moment gradient.
  var estimator: Estimator
  /// Coalition sizes, or nodes.
  var passes: Int
  /// Inputs of one call: gradients of several share their tiles.
  var inputs = 1

  static let ranks = [1, 4, 8]
}

final class MomentEngine: OwnEngine {
  private let games: ShapleyGames
  private let game: MaskedGame
  private let task: MomentTask
  private let batch: Tensor

  init(
    _ network: Network, _ players: Players, _ inputs: ShapleyInputs, _ task: MomentTask,
    _ options: EngineOptions
  ) async throws {
    games = try ShapleyGames(network, players, inputs, options)
    self.task = task
    game = try games.game(examples: task.inputs)
    batch = try Examples.noise(
      Examples.comfortableCount(
        operations: Double(games.plan.operationsPerExample), limit: 1 << 18),
      network.inputShape)
    for rank in [0] + MomentTask.ranks { _ = try await result(game, rank: rank, threads: 1, few) }
  }

  /// For ratios of ranks a few sizes are enough.
  private var few: Int { task.estimator == .dasp ? max(task.passes / 8, 1) : task.passes }

  private func result(
    _ game: MaskedGame, rank: Int, threads: Int, _ passes: Int
  ) async throws -> ShapleyEstimate {
    var options = ShapleyOptions()
    options.estimator = task.estimator
    options.moments.rank = rank
    options.moments.checkedPlayers = 0
    options.moments.sizes = passes
    options.moments.nodes = passes
    options.run = games.options.run(threads: threads)
    return try await Shapley(game, options).result()
  }

  private func passRate(
    rank: Int, threads: Int, seconds: Double, _ passes: Int
  ) async throws -> Double {
    try await unitsPerSecond(seconds) {
      let estimate = try await result(game, rank: rank, threads: threads, passes)
      return estimate.momentPasses * estimate.exampleCount
    }
  }

  /// Of the convolutions and dense layers behind the first one, for means and variances; there and back for gradients.
  var operationsPerUnit: Double {
    guard let plan = try? game.momentPlan(rank: 0) else { return .nan }
    return Double(plan.arithmetic.moments) * (task.estimator == .dasp ? 1 : 2)
  }

  /// Passes of one input.
  var unitsPerInput: Double? {
    let passes = task.passes
    return Double(
      task.estimator == .dasp
        ? 2 * min(passes, game.playerCount) * game.playerCount : passes)
  }

  func lanes(threads: Int) -> Int { games.options.lanes ?? 16 }

  func rate(threads: Int, seconds: Double) async throws -> Double {
    try await passRate(rank: 0, threads: threads, seconds: seconds, task.passes)
  }

  /// Plain forward passes.
  func passRate(threads: Int, seconds: Double) async throws -> Double? {
    try await unitsPerSecond(seconds) {
      _ = try await games.plan.run(
        [games.plan.inputs[0].name: batch], games.options.run(threads: threads))
      return batch.shape[0]
    }
  }

  func otherRates(threads: Int, seconds: Double) async throws -> [String: Double] {
    var rates: [String: Double] = [:]
    for rank in MomentTask.ranks {
      rates["rank \(rank)"] = try await passRate(
        rank: rank, threads: threads, seconds: seconds, few)
    }
    return rates
  }

  func checkOutputs() async throws -> [Double] {
    let game = try games.game(examples: ShapleyGames.checked)
    return try await result(game, rank: 0, threads: 2, task.passes).values
  }
}
