// What the sampled check of values by moments tells, against errors that are known.

import CoalitionBase
import CoalitionExplain
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionShapley

@Suite struct MomentCheckTests {
  /// relu(sum of 40 ones - 10): a player adds 1 where at least 10 others are present, so that its contribution depends on how
  /// many are, and every value is 30 / 40.
  private static func threshold(input: Double = 1) async throws -> MaskedGame {
    var graph = Graph(opsets: ["": 21])
    graph.inputs = [Port("x", .float64, shape: [.symbolic("N"), .fixed(40)])]
    graph.constants["w"] = Tensor(
      filling: [40, 1], with: .float64([Double](repeating: 1, count: 40)))
    graph.constants["b"] = Tensor(.float64([-10]))
    graph.nodes = [
      Node("Gemm", inputs: ["x", "w", "b"], outputs: ["z"]),
      Node("Relu", inputs: ["z"], outputs: ["y"]),
    ]
    graph.outputs = [Port("y", shape: nil)]
    return try await momentGame(graph, [[Double](repeating: input, count: 40)])
  }

  /// Steps from part to part of [0, 1] are no error of the mean: taken for one they hide errors of 5 and 10 %.
  @Test("d^2 - e^2 is unbiased where contributions depend on t", arguments: [0, 0.05, 0.1])
  func unbiased(_ off: Double) async throws {
    let game = try await Self.threshold()
    let values = [Double](repeating: 0.75 * (1 + off), count: 40)
    let runs = 60
    var found: [Double] = []
    for seed in 0..<runs {
      let check = MomentCheck(game: game, playerCount: 16, seed: UInt64(seed))
      let (squares, evaluations) = try await check.squares(
        of: values[...], check.candidates(0), example: 0, RunOptions())
      #expect(evaluations == 512)
      found.append(squares[0].value)
    }
    let mean = found.reduce(0, +) / Double(runs)
    let deviation =
      (found.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(runs * (runs - 1))).squareRoot()
    let error = 0.75 * off
    #expect(deviation < 5e-4)
    #expect(
      abs(mean - error * error) < 3 * deviation,
      "\(mean) +- \(deviation), is \(error * error)")
  }

  @Test("One checked player tells what its own samples leave open")
  func onePlayer() async throws {
    var random = Seeded(91)
    let game = try await momentGame(
      Perceptron([10, 20, 1], function: "Tanh", seed: 90, scale: 2).graph, [random.numbers(10)])
    let exact = try await exactValues(game).values
    for seed in 0..<20 {
      let check = MomentCheck(game: game, playerCount: 1, seed: UInt64(seed))
      let outcome = try await check.outcome(of: exact[...], example: 0, RunOptions())
      #expect(outcome.errors[0] > 0 && outcome.evaluations == 32)
    }
    let own = MeanSquare([(difference: 0.5, squaredError: 0.04)])
    #expect(abs(own.value - 0.21) < 1e-15)
    #expect(abs(own.squaredError - (2 * 0.0016 + 4 * 0.21 * 0.04)) < 1e-15)
  }

  @Test("Null players are not checked, and nobody to check is no error")
  func nobody() async throws {
    let game = try await Self.threshold(input: 0)
    let check = MomentCheck(game: game, playerCount: 16, seed: 0)
    let outcome = try await check.outcome(
      of: [Double](repeating: 0, count: 40)[...], example: 0, RunOptions())
    #expect(outcome.errors == [0] && outcome.evaluations == 0)
  }

  @Test("Values of 0 are checked where players are no null players")
  func zeros() async throws {
    let game = try await Self.threshold()
    let check = MomentCheck(game: game, playerCount: 16, seed: 0)
    let outcome = try await check.outcome(
      of: [Double](repeating: 0, count: 40)[...], example: 0, RunOptions())
    #expect(abs(outcome.errors[0] - 0.75) < 0.05 && outcome.evaluations == 512)
  }

  @Test("The error of up to 8 active players, all to be checked, is the exact one")
  func fewPlayers() async throws {
    var random = Seeded(93)
    // Two of the eight are null players.
    var input = random.numbers(8)
    (input[2], input[5]) = (0, 0)
    let game = try await momentGame(
      Perceptron([8, 20, 3], function: "Tanh", seed: 92, scale: 2).graph, [input])
    let targets = game.targetCount
    let exact = try await exactValues(game).values
    let off = exact.enumerated().map { place, value in
      [2, 5].contains(place % 8) ? value : value + 0.01 * Double(1 + place)
    }
    let check = MomentCheck(game: game, playerCount: 6, seed: 0)
    let outcome = try await check.outcome(of: off[...], example: 0, RunOptions())
    #expect(outcome.evaluations == 64)
    for target in 0..<targets {
      let own = target * 8..<(target + 1) * 8
      let square = zip(off[own], exact[own]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / 8
      #expect(abs(outcome.errors[target] - square.squareRoot()) < 1e-12)
    }
    // One more than are to be checked: samples.
    let sampled = MomentCheck(game: game, playerCount: 5, seed: 0)
    #expect(try await sampled.outcome(of: off[...], example: 0, RunOptions()).evaluations == 160)
    #expect(MomentCheck.evaluations(checking: 16, of: 8) == 256)
    #expect(MomentCheck.evaluations(checking: 16, of: 9) == 288)
    #expect(MomentCheck.evaluations(checking: 4, of: 8) == 128)
  }

  @Test("Few checked players raise the error by more")
  func fewer() {
    let two = MeanSquare([(difference: 1, squaredError: 0), (difference: 2, squaredError: 0)])
    #expect(two.value == 2.5 && abs(two.squaredError - 2.25) < 1e-15)
    #expect(abs(two.margin - 1.5 * 12.706205 / 1.959964) < 1e-5)
  }
}
