// Scores of hidden units: Shapley values of the loss by permutations, and by moments. The unit is a marginal contribution: one
// unit joining one coalition on one example.

import Coalition
import CoalitionNet
import CoalitionPrune

/// Whose units are scored, and on how much.
struct PruningTask: Sendable {
  /// Among the convolutions and dense layers.
  var layer: Int
  var images: Int
  var permutations: Int

  /// Nodes of the quadrature by moments.
  static let nodes = 4
  /// Of moments, beside rank 0.
  static let rank = 4
}

final class PruningEngine: OwnEngine {
  private let task: PruningTask
  private let options: EngineOptions
  private let coupling: UnitCoupling
  private let inputName: String
  private let inputShape: [Int]
  private let images: Tensor
  /// Of the network behind the layer.
  private let tailOperations: Int

  init(_ network: Network, _ task: PruningTask, _ options: EngineOptions) async throws {
    self.task = task
    self.options = options
    coupling = try UnitCoupling(try Model(network.graph))
    inputName = network.graph.inputs[0].name
    inputShape = network.inputShape
    images = try Examples.noise(task.images, network.inputShape)
    let scorer = try Self.scorer(coupling, inputName, images, UnitScoreOptions())
    tailOperations = try scorer.tail(coupling.layers[task.layer]).tail.plan.operationsPerExample
  }

  /// Labels that go round the classes.
  private static func scorer(
    _ coupling: UnitCoupling, _ input: String, _ images: Tensor, _ options: UnitScoreOptions
  ) throws -> UnitScorer {
    let classes = try Plan(coupling.model).outputs[0].count
    let labels = Tensor(.int64((0..<images.shape[0]).map { Int64($0 % classes) }))
    return try UnitScorer(coupling, inputs: [input: images], labels: labels, options)
  }

  private var unitCount: Int { coupling.layers[task.layer].unitCount }

  /// By moments, scores count as the permutations that they stand for.
  private func rate(
    _ estimator: Estimator, rank: Int = 0, threads: Int, seconds: Double
  ) async throws -> Double {
    var score = UnitScoreOptions()
    score.sampling.estimator = estimator
    score.sampling.samples = estimator.usesMoments ? nil : task.permutations
    score.sampling.moments.rank = rank
    score.sampling.moments.nodes = PruningTask.nodes
    score.sampling.moments.checkedPlayers = 0
    score.run = options.run(threads: threads)
    return try await unitsPerSecond(seconds) {
      _ = try await Self.scorer(coupling, inputName, images, score).scores(layer: task.layer)
      return task.permutations * unitCount * task.images
    }
  }

  /// As if the network behind the layer ran for every marginal contribution.
  var operationsPerUnit: Double { Double(tailOperations) }

  func lanes(threads: Int) -> Int { options.lanes ?? ToggleBlock.size }

  func rate(threads: Int, seconds: Double) async throws -> Double {
    try await rate(.permutation, threads: threads, seconds: seconds)
  }

  func otherRates(threads: Int, seconds: Double) async throws -> [String: Double] {
    var rates: [String: Double] = [:]
    for rank in [0, PruningTask.rank] {
      rates["moments \(rank)"] = try await rate(
        .momentGradient, rank: rank, threads: threads, seconds: seconds)
    }
    return rates
  }

  /// What the units add along the order of shapley_engines.py, on the examples of the check.
  func checkOutputs() async throws -> [Double] {
    let examples = try Examples.check(inputShape)
    let scorer = try Self.scorer(coupling, inputName, examples, UnitScoreOptions())
    let (tail, targets) = try scorer.tail(coupling.layers[task.layer])
    let run = options.run(threads: 1)
    let game = try tail.game(try await tail.rows(scorer.inputs, targets, run))
    let order = ShapleyGames.spreadOrder(unitCount)
    var prefixes = Coalitions(playerCount: unitCount)
    for count in 0...unitCount { prefixes.append(order.prefix(count)) }
    let values = try await game.values(prefixes, run)
    return (0..<game.exampleCount).flatMap { example in
      var added = [Double](repeating: 0, count: unitCount)
      for (place, unit) in order.enumerated() {
        let before = example * prefixes.count + place
        added[unit] = values[before + 1] - values[before]
      }
      return added
    }
  }
}

extension Workload {
  static let pruning = [
    pruning(
      "lenet-conv2", Network.lenet, PruningTask(layer: 1, images: 100, permutations: 5),
      batches: "1600,6400,32000"),
    pruning(
      "vgg16-conv8", Network.vgg16, PruningTask(layer: 7, images: 32, permutations: 1),
      batches: "64,256,1024"),
  ]

  private static func pruning(
    _ name: String, _ network: @escaping @Sendable () -> Network, _ task: PruningTask,
    batches: String
  ) -> Workload {
    Workload(
      name: "prune/\(name)", unit: .marginals, network: network,
      engine: { try await PruningEngine($0, task, $1) },
      peers: Peers(
        script: "prune_peers.py",
        arguments: [
          "--layer", "\(task.layer)", "--images", "\(task.images)", "--permutations",
          "\(task.permutations)", "--batches", batches,
        ], names: ["torch-written", "torch-cached"]),
      rounds: 3)
  }
}
