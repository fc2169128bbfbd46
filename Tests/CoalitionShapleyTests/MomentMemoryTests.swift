// Values by moments under a memory limit: small groups, chunks and programs give the same bytes; too little is said before.

import CoalitionBase
import CoalitionExplain
import CoalitionNet
import CoalitionShapley
import TestSupport
import Testing

@Suite struct MomentMemoryTests {
  /// How squared contributions come about: by elements, channels of each player's own, and classes.
  enum Kind: CaseIterable { case elements, channels, classes }

  private static let targets = 20

  /// 9 examples of 5 channels of 4 x 3, with two baselines.
  private static func game(_ kind: Kind) async throws -> MaskedGame {
    var random = Seeded(3)
    var graph = Graph(opsets: ["": 21])
    graph.inputs = [
      Port("x", .float64, shape: [.symbolic("N"), .fixed(5), .fixed(4), .fixed(3)])
    ]
    graph.constants["w"] = Tensor(filling: [6, 5, 3, 3], with: .float64(random.numbers(270)))
    graph.constants["d"] = Tensor(
      filling: [72, targets], with: .float64(random.numbers(72 * targets)))
    graph.nodes = [
      Node(
        "Conv", inputs: ["x", "w"], outputs: ["z"], attributes: ["pads": .ints([1, 1, 1, 1])]),
      Node("Relu", inputs: ["z"], outputs: ["a"]), Node("Flatten", inputs: ["a"], outputs: ["f"]),
      Node("MatMul", inputs: ["f", "d"], outputs: ["m"]),
      Node("Tanh", inputs: ["m"], outputs: ["y"]),
    ]
    graph.outputs = [Port("y", shape: nil)]
    return try await momentGame(
      graph, (0..<9).map { _ in random.numbers(60) },
      players: kind == .elements
        ? .element : kind == .channels ? .channel : .patch(height: 2, width: 2),
      baseline: .rows(Tensor(filling: [2, 5, 4, 3], with: .float64(random.numbers(120)))),
      precision: .single)
  }

  private static func options(_ estimator: Estimator, rank: Int) -> ShapleyOptions {
    var options = ShapleyOptions()
    options.estimator = estimator
    options.moments.rank = rank
    options.moments.sizes = 2
    options.moments.nodes = 4
    options.moments.checkedPlayers = 0
    options.run.threads = 2
    return options
  }

  @Test(
    "Values are the same for all limits that the forecast allows, and refused for the others",
    arguments: [Estimator.dasp, .momentGradient], Kind.allCases)
  func limits(_ estimator: Estimator, _ kind: Kind) async throws {
    let game = try await Self.game(kind)
    for rank in [0, 2] {
      var options = Self.options(estimator, rank: rank)
      let method: MomentMethod = estimator == .dasp ? .sizes(2) : .gradient(nodes: 4)
      let plan = try game.momentPlan(rank: rank)
      let ample = try Shapley(game, options).momentForecast(threads: 2).memory
      let expected = try await Shapley(game, options).result().values.map(\.bitPattern)
      #expect(expected.count == 9 * Self.targets * game.playerCount)
      var limit = Double(ample)
      var groups: Set<Int> = []
      var seeds: Set<Int> = []
      var isRefused = false
      while !isRefused {
        options.run.memoryLimit = Int(limit)
        var foreseen: Int?
        do throws(CoalitionError) {
          foreseen = try Shapley(game, options).momentForecast(threads: 2).memory
          let memory = try game.momentMemory(plan, method, threads: 2, within: Int(limit))
          groups.insert(memory.examples)
          seeds.insert(memory.seeds)
        } catch {
          #expect(error.code == .memoryLimit, "\(error)")
          isRefused = true
        }
        #expect(foreseen ?? 0 <= options.run.memoryLimit)
        do throws(CoalitionError) {
          let found = try await Shapley(game, options).result()
          #expect(!isRefused)
          #expect(found.values.map(\.bitPattern) == expected, "limit \(limit)")
        } catch {
          #expect(isRefused && error.code == .memoryLimit, "limit \(limit): \(error)")
        }
        limit *= 0.9
      }
      #expect(limit < 0.6 * Double(ample), "no limit but the largest was enough")
      #expect(groups.count > 2 && groups.contains(1), "examples at a time: \(groups)")
      if estimator == .momentGradient {
        #expect(seeds.contains(16) && seeds.contains(1), "scores at a time: \(seeds)")
      }
    }
  }

  @Test("Nodes take memory")
  func manyNodes() async throws {
    let game = try await Self.game(.elements)
    let plan = try game.momentPlan(rank: 2)
    func memory(nodes: Int) throws -> MomentMemory {
      try game.momentMemory(plan, .gradient(nodes: nodes), threads: 1, within: 64 << 20)
    }
    #expect(try memory(nodes: 8).examples == 9)
    #expect(try memory(nodes: 1 << 17).examples < 9)
    #expect(throws: CoalitionError.self) { try memory(nodes: 1 << 20) }
  }

  @Test(
    "Each of many targets has the values that it has alone",
    arguments: [Estimator.dasp, .momentGradient])
  func manyTargets(_ estimator: Estimator) async throws {
    var random = Seeded(8)
    let graph = Perceptron([7, 12, 9, 37], seed: 7).graph
    let rows = (0..<2).map { _ in random.numbers(7) }
    let options = Self.options(estimator, rank: 2)
    let all = try await Shapley(
      try await momentGame(graph, rows, precision: .single), options
    ).result()
    for target in [0, 15, 16, 31, 36] {
      let alone = try await Shapley(
        try await momentGame(graph, rows, target: .index([target]), precision: .single), options
      ).result()
      for example in 0..<2 {
        let own = all.values(example: example, target: target)
        #expect(own.contains { $0 != 0 })
        #expect(
          own.map(\.bitPattern) == alone.values(example: example, target: 0).map(\.bitPattern),
          "target \(target)")
      }
    }
  }
}
