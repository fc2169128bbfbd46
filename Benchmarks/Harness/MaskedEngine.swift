// Masked forward passes: occlusion of every element, and Sensitivity-n.

import Coalition
import CoalitionNet

/// What both have in common: a plan, and games on it whose players are the elements and whose score is output 0.
private struct MaskedNetwork {
  let plan: Plan
  let players: PlayerSet
  let options: EngineOptions

  init(_ network: Network, _ options: EngineOptions) throws {
    plan = try Plan(Model(network.graph))
    self.options = options
    players = try PlayerSet(inputs: plan.inputs.map { ($0.name, $0.shape) })
  }

  func game(_ examples: Tensor) throws -> MaskedGame {
    try MaskedGame(
      plan, players: players, inputs: [plan.inputs[0].name: examples],
      targets: [[Int]](repeating: [0], count: examples.shape[0]))
  }

  func lanes(variants: Int, threads: Int) -> Int {
    options.lanes ?? plan.chooseLanes(examples: variants, threads: threads)
  }
}

/// Occlusion of one image, element by element. The unit is an evaluation of the network.
final class OcclusionEngine: OwnEngine {
  private let network: MaskedNetwork
  private let game: MaskedGame

  init(_ network: Network, _ options: EngineOptions) async throws {
    self.network = try MaskedNetwork(network, options)
    game = try self.network.game(try Examples.noise(1, network.inputShape))
    _ = try await game.occlusion(options.run(threads: 1))
  }

  var operationsPerUnit: Double { Double(network.plan.operationsPerExample) }

  func lanes(threads: Int) -> Int {
    network.lanes(variants: network.players.playerCount, threads: threads)
  }

  func rate(threads: Int, seconds: Double) async throws -> Double {
    try await unitsPerSecond(seconds) {
      _ = try await game.occlusion(network.options.run(threads: threads))
      return network.players.playerCount
    }
  }

  func checkOutputs() async throws -> [Double] {
    let game = try network.game(try Examples.check(network.plan.inputs[0].shape))
    return try await game.occlusion(network.options.run(threads: 1)).values.flatMap { $0[0] }
  }
}

/// Sensitivity-n of one method's attributions. The unit is an evaluation of the network; its passes alone are
/// the values of the same coalitions.
final class SensitivityEngine: OwnEngine {
  private let network: MaskedNetwork
  private let game: MaskedGame
  private let subsets: SensitivitySubsets
  private let kept: Coalitions
  private let attributions: [[Double]]

  init(
    _ network: Network, images: Int, sizes: Int, subsets count: Int, _ options: EngineOptions
  ) async throws {
    let masked = try MaskedNetwork(network, options)
    self.network = masked
    let examples = try Examples.noise(images, network.inputShape)
    game = try masked.game(examples)
    let players = masked.players.playerCount
    // Equal steps: small sizes in equal ratios are not all different.
    subsets = try SensitivitySubsets(
      playerCount: players, sizes: (1...sizes).map { $0 * players * 4 / 5 / sizes }, count: count)
    kept = subsets.removed.complemented()
    let explanation = try await Explainer(Model(network.graph)).explain(
      [masked.plan.inputs[0].name: examples], by: .gradientTimesInput, target: .index([0]))
    attributions = try masked.players.sums(of: explanation.attributions, examples: images)
  }

  var operationsPerUnit: Double { Double(network.plan.operationsPerExample) }

  private var evaluations: Int { game.exampleCount * kept.count }

  func lanes(threads: Int) -> Int { network.lanes(variants: evaluations, threads: threads) }

  func rate(threads: Int, seconds: Double) async throws -> Double {
    try await unitsPerSecond(seconds) {
      _ = try await game.sensitivity([attributions], subsets, network.options.run(threads: threads))
      return evaluations
    }
  }

  func passRate(threads: Int, seconds: Double) async throws -> Double? {
    try await unitsPerSecond(seconds) {
      _ = try await game.values(kept, network.options.run(threads: threads))
      return evaluations
    }
  }

  func checkOutputs() async throws -> [Double] { [] }
}
