// Shapley values by sampling and by enumeration, of output 0 from a zero baseline.

import Coalition
import CoalitionData
import CoalitionNet
import Foundation

/// Where the inputs of a workload come from: peers get the same ones.
enum ShapleyInputs {
  /// No element is the baseline's.
  case noise
  /// Digits of 8 x 8 pixels, about half of which are the baseline's.
  case digits

  func load(_ shape: [Int], folder: URL) throws -> Tensor {
    switch self {
    case .noise: return try Examples.noise(4, shape)
    case .digits:
      let digits = try ArrayFile.load(folder.appending(path: "Models/digits.npy").path)
      return try digits.reshaped(to: [digits.shape[0]] + shape)
    }
  }
}

/// Games on the inputs of a workload.
struct ShapleyGames {
  let plan: Plan
  let players: PlayerSet
  let inputs: Tensor
  let options: EngineOptions

  init(
    _ network: Network, _ players: Players, _ inputs: ShapleyInputs, _ options: EngineOptions
  ) throws {
    plan = try Plan(Model(network.graph))
    self.players = try PlayerSet(
      others: players, inputs: plan.inputs.map { ($0.name, $0.shape) })
    self.inputs = try inputs.load(network.inputShape, folder: options.folder)
    self.options = options
  }

  func game(examples count: Int) throws -> MaskedGame {
    let width = plan.inputs[0].count
    let rows = try Tensor(
      shape: [count] + plan.inputs[0].shape,
      elements: .float32(Array(inputs.floats.prefix(count * width))))
    return try MaskedGame(
      plan, players: players, inputs: [plan.inputs[0].name: rows],
      targets: [[Int]](repeating: [0], count: count))
  }

  /// Inputs that are compared with peers'.
  static let checked = 2

  /// The order of shapley_engines.py, in which neighbours are far apart.
  static func spreadOrder(_ count: Int) -> [Int] {
    func divisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : divisor(b, a % b) }
    var step = Int(Double(count) * 0.382) + 1
    while divisor(step, count) != 1 { step += 1 }
    return (0..<count).map { ($0 * step + 1) % count }
  }
}

/// Sampling of one input. The unit is a marginal contribution: a toggled player of a drawn coalition.
final class SamplingEngine: OwnEngine {
  private let games: ShapleyGames
  private let game: MaskedGame
  /// Drawn coalitions of a turn.
  private var samples = ToggleBlock.size

  init(
    _ network: Network, _ players: Players, _ inputs: ShapleyInputs, _ options: EngineOptions
  ) async throws {
    games = try ShapleyGames(network, players, inputs, options)
    game = try games.game(examples: 1)
    // Short enough for turns, long enough that a run's beginning and end do not count.
    let clock = ContinuousClock()
    while samples < 1 << 20 {
      let start = clock.now
      _ = try await result(.toggle, samples: samples, threads: 2)
      if clock.now - start > .milliseconds(100) { break }
      samples *= 2
    }
  }

  private func result(
    _ estimator: Estimator, samples: Int, threads: Int
  ) async throws -> ShapleyEstimate {
    var options = ShapleyOptions()
    options.estimator = estimator
    options.samples = samples
    options.run = games.options.run(threads: threads)
    return try await Shapley(game, options).result()
  }

  var operationsPerUnit: Double {
    Double(games.plan.operationsPerExample) * game.cost.marginal
  }

  func lanes(threads: Int) -> Int { games.options.lanes ?? ToggleBlock.size }

  func rate(threads: Int, seconds: Double) async throws -> Double {
    try await unitsPerSecond(seconds) {
      _ = try await result(.toggle, samples: samples, threads: threads)
      return samples * game.playerCount
    }
  }

  /// Permutations, as the peers draw them.
  func otherRates(threads: Int, seconds: Double) async throws -> [String: Double] {
    let orders = max(samples / 8, 2)
    let rate = try await unitsPerSecond(seconds) {
      _ = try await result(.permutation, samples: orders, threads: threads)
      return orders * game.playerCount
    }
    return ["permutations": rate]
  }

  /// The contributions of the players along a fixed order: each in the coalition of those before it.
  func checkOutputs() async throws -> [Double] {
    let count = games.players.playerCount
    let order = ShapleyGames.spreadOrder(count)
    let game = try games.game(examples: ShapleyGames.checked)
    var prefixes = Coalitions(playerCount: count)
    for place in 0..<count { prefixes.append(order.prefix(place)) }
    let sums = try await game.marginalSums(
      prefixes, blocks: (0..<count).map { $0..<$0 + 1 }, examples: Array(0..<game.exampleCount),
      games.options.run(threads: 1))
    return (0..<game.exampleCount).flatMap { example in
      var values = [Double](repeating: 0, count: count)
      for (place, player) in order.enumerated() {
        values[player] = sums[(example * count + place) * count + player]
      }
      return values
    }
  }
}

/// All coalitions of one input. The unit is an evaluation.
final class EnumerationEngine: OwnEngine {
  private let games: ShapleyGames
  private let game: MaskedGame

  init(
    _ network: Network, _ players: Players, _ inputs: ShapleyInputs, _ options: EngineOptions
  ) async throws {
    games = try ShapleyGames(network, players, inputs, options)
    game = try games.game(examples: 1)
    _ = try await result(game, threads: 1)
  }

  private func result(_ game: MaskedGame, threads: Int) async throws -> ShapleyEstimate {
    var options = ShapleyOptions()
    options.estimator = .exact
    options.run = games.options.run(threads: threads)
    return try await Shapley(game, options).result()
  }

  var operationsPerUnit: Double { Double(games.plan.operationsPerExample) }

  func lanes(threads: Int) -> Int {
    games.options.lanes
      ?? games.plan.chooseLanes(examples: 1 << game.playerCount, threads: threads)
  }

  func rate(threads: Int, seconds: Double) async throws -> Double {
    try await unitsPerSecond(seconds) {
      _ = try await result(game, threads: threads)
      return 1 << game.playerCount
    }
  }

  func checkOutputs() async throws -> [Double] {
    try await result(games.game(examples: ShapleyGames.checked), threads: 1).values
  }
}
