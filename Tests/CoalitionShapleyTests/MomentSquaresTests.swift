// Squared contributions of players with several elements, against player by player.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionExplain

@Suite struct MomentSquaresTests {
  private static func graph(_ shape: [Int]) -> Graph {
    var graph = Graph(opsets: ["": 21])
    graph.inputs = [Port("x", .float64, shape: [.symbolic("N")] + shape.map { .fixed($0) })]
    graph.outputs = [Port("y", shape: nil)]
    return graph
  }

  /// A strided, padded convolution of 2 channels, ReLU and a dense layer.
  private static var strided: Graph {
    var random = Seeded(4)
    var graph = graph([2, 7, 6])
    graph.constants["w"] = Tensor(filling: [5, 2, 3, 3], with: .float64(random.numbers(90)))
    graph.constants["d"] = Tensor(filling: [60, 2], with: .float64(random.numbers(120)))
    graph.nodes = [
      Node(
        "Conv", inputs: ["x", "w"], outputs: ["z"],
        attributes: ["strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])]),
      Node("Relu", inputs: ["z"], outputs: ["a"]),
      Node("Flatten", inputs: ["a"], outputs: ["f"]),
      Node("MatMul", inputs: ["f", "d"], outputs: ["y"]),
    ]
    return graph
  }

  /// A dense layer on 3 channels of 4 x 2, and ReLU.
  private static var dense: Graph {
    var random = Seeded(6)
    var graph = graph([3, 4, 2])
    graph.constants["w"] = Tensor(filling: [24, 7], with: .float64(random.numbers(168)))
    graph.nodes = [
      Node("Flatten", inputs: ["x"], outputs: ["f"]),
      Node("MatMul", inputs: ["f", "w"], outputs: ["z"]),
      Node("Relu", inputs: ["z"], outputs: ["y"]),
    ]
    return graph
  }

  /// So many numbers that channels are taken in parts: 20 of 40 x 40 to 24.
  private static var wide: Graph {
    var random = Seeded(7)
    var graph = graph([20, 40, 40])
    graph.constants["w"] = Tensor(filling: [24, 20, 1, 1], with: .float64(random.numbers(480)))
    graph.nodes = [
      Node("Conv", inputs: ["x", "w"], outputs: ["z"]), Node("Relu", inputs: ["z"], outputs: ["a"]),
      Node("GlobalAveragePool", inputs: ["a"], outputs: ["y"]),
    ]
    return graph
  }

  @Test("Two games of one explainer, as many players as channels of each, neighbours or not")
  func sharedWeights() async throws {
    var options = ExplainerOptions()
    options.plan.precision = .double
    var random = Seeded(8)
    let explainer = try Explainer(Model(Perceptron([9, 6, 2], seed: 4).graph), options)
    let input = try #require(explainer.modelInputs.first)
    let rows = [input.name: Tensor(filling: [1, 9], with: .float64(random.numbers(9)))]
    var games: [MaskedGame] = []
    for owners in [(0..<9).map { $0 / 3 }, (0..<9).map { $0 % 3 }] {
      let map = Tensor(filling: [9], with: .int64(owners.map { Int64($0) }))
      games.append(
        try await explainer.game(
          rows, players: explainer.players(.map(map)), target: .all,
          baselines: [input.name: .zero]
        ).game)
    }
    for (game, isReversed) in zip(games + games, [false, false, true, true]) {
      let plan = try game.momentPlan(rank: 0)
      let memory = try game.momentMemory(plan, .sizes(1), threads: 1, within: .max)
      let subjects = try await MomentSubjects(game, plan, examples: 0..<1, memory, RunOptions())
      guard case .own = subjects.squaredContributions else {
        Issue.record("players have no channels of their own")
        continue
      }
      let members = subjects.activeMembers
      let own = try await subjects.contributions(members, { $0.player == $1 }, RunOptions())[0]
      let fast = try await subjects.contributions(members, RunOptions())[0]
      #expect(rootMeanSquare(fast.doubles, own.doubles) < 1e-13, "again: \(isReversed)")
    }
  }

  @Test(
    "Sums of squares and their products with signals",
    arguments: [
      (strided, [2, 7, 6], Players.patch(height: 1, width: 1), false),
      (strided, [2, 7, 6], .patch(height: 2, width: 3), false),
      (strided, [2, 7, 6], .channel, true), (dense, [3, 4, 2], .channel, true),
      (dense, [3, 4, 2], .patch(height: 1, width: 1), true),
      (dense, [3, 4, 2], .patch(height: 2, width: 1), false), (wide, [20, 40, 40], .channel, true),
    ])
  func squares(
    _ graph: Graph, _ shape: [Int], _ players: Players, hasOwnChannels: Bool
  ) async throws {
    var random = Seeded(5)
    let game = try await momentGame(
      graph, (0..<2).map { _ in random.numbers(shape.reduce(1, *)) }, players: players)
    let plan = try game.momentPlan(rank: 0)
    let memory = try game.momentMemory(plan, .sizes(1), threads: 1, within: .max)
    let subjects = try await MomentSubjects(game, plan, examples: 0..<2, memory, RunOptions())
    switch subjects.squaredContributions {
    case .elements: Issue.record("players are several elements")
    case .own: #expect(hasOwnChannels)
    case .classes: #expect(!hasOwnChannels)
    }
    let members = subjects.activeMembers
    #expect(members.count == 2 * game.players.playerCount)
    // By a row for every player.
    let own = try await subjects.contributions(members, { $0.player == $1 }, RunOptions())[0]
      .doubles
    let fast = try await subjects.contributions(members, RunOptions())[0].doubles
    #expect(rootMeanSquare(fast, own) < 1e-13)
    let size = plan.frontCounts[0]
    let signals = random.numbers(2 * size)
    var sums = [Double](repeating: 0, count: 2 * size)
    var products = [Double](repeating: 0, count: members.count)
    for (row, member) in members.enumerated() {
      for place in 0..<size {
        let square = own[row * size + place] * own[row * size + place]
        sums[member.subject * size + place] += square
        products[row] += square * signals[member.subject * size + place]
      }
    }
    #expect(rootMeanSquare(subjects.squares[0].doubles, sums) < 1e-13)
    let found = try await subjects.squareSums(
      of: [Tensor(filling: [2, size], with: .float64(signals))], RunOptions())
    #expect(rootMeanSquare(found, products) < 1e-12)
    #expect(rootMeanSquare(products, products.map { _ in 0 }) > 0.1)
  }
}
