// Squared contributions of players with several elements, against player by player.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionExplain

@Suite struct MomentSquaresTests {
  /// A strided, padded convolution of 2 channels, ReLU and a dense layer.
  private static var graph: Graph {
    var random = Seeded(4)
    var graph = Graph(opsets: ["": 21])
    graph.inputs = [
      Port("x", .float64, shape: [.symbolic("N"), .fixed(2), .fixed(7), .fixed(6)])
    ]
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
    graph.outputs = [Port("y", shape: nil)]
    return graph
  }

  @Test(
    "Sums of squares and their products with signals",
    arguments: [Players.patch(height: 1, width: 1), .patch(height: 2, width: 3), .channel])
  func squares(_ players: Players) async throws {
    var random = Seeded(5)
    let game = try await momentGame(
      Self.graph, (0..<2).map { _ in random.numbers(84) }, players: players)
    let plan = try game.momentPlan(rank: 0)
    let subjects = try await MomentSubjects(game, plan, examples: 0..<2, RunOptions())
    #expect(!subjects.ownsElements)
    let members = subjects.activeMembers
    #expect(members.count == 2 * game.players.playerCount)
    let own = try await subjects.contributions(members, RunOptions())[0].doubles
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
    #expect(rootMeanSquare(found, products) < 1e-13)
    #expect(rootMeanSquare(products, products.map { _ in 0 }) > 0.1)
  }
}
