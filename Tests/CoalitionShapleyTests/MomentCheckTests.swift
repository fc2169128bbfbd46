// What the sampled check of values by moments tells, against errors that are known.

import CoalitionBase
import CoalitionExplain
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionShapley

@Suite struct MomentCheckTests {
  /// relu(sum of P ones - L), P = 40 and L = 10: a player adds 1 where at least L others are present, so that its contribution
  /// depends on how many are, and every value is (P - L) / P.
  private static func threshold(
    players: Int = 40, least: Double = 10, input: Double = 1
  ) async throws -> MaskedGame {
    var graph = Graph(opsets: ["": 21])
    graph.inputs = [Port("x", .float64, shape: [.symbolic("N"), .fixed(players)])]
    graph.constants["w"] = Tensor(
      filling: [players, 1], with: .float64([Double](repeating: 1, count: players)))
    graph.constants["b"] = Tensor(.float64([-least]))
    graph.nodes = [
      Node("Gemm", inputs: ["x", "w", "b"], outputs: ["z"]),
      Node("Relu", inputs: ["z"], outputs: ["y"]),
    ]
    graph.outputs = [Port("y", shape: nil)]
    return try await momentGame(graph, [[Double](repeating: input, count: players)])
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
      let one = try await check.squares(of: values, examples: 0..<1, RunOptions())[0]
      #expect(one.evaluations == 512)
      found.append(one.squares[0].value)
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
      let outcome = try await check.outcomes(
        of: exact, examples: 0..<1, game.endValues(RunOptions()), RunOptions())[0]
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
    let outcome = try await check.outcomes(
      of: [Double](repeating: 0, count: 40), examples: 0..<1, game.endValues(RunOptions()),
      RunOptions())
    #expect(outcome == [MomentCheck.Outcome(errors: [0], evaluations: 0)])
  }

  @Test("Values of 0 are checked where players are no null players")
  func zeros() async throws {
    let game = try await Self.threshold()
    let check = MomentCheck(game: game, playerCount: 16, seed: 0)
    let found = try await check.squares(
      of: [Double](repeating: 0, count: 40), examples: 0..<1, RunOptions())[0]
    #expect(abs(found.squares[0].value.squareRoot() - 0.75) < 0.05 && found.evaluations == 512)
  }

  @Test("Errors are no less than what the values miss of their sum, where samples see nothing")
  func residual() async throws {
    // Nobody but the last one of 400 players to come changes anything: hardly any sample meets that.
    let game = try await Self.threshold(players: 400, least: 399.5)
    let ends = try await game.endValues(RunOptions())
    for (value, error) in [(0.0, 0.5 / 400), (0.5 / 800, 0.5 / 800)] {
      var told: [Double] = []
      for seed in 0..<8 {
        let check = MomentCheck(game: game, playerCount: 16, seed: UInt64(seed))
        told += try await check.outcomes(
          of: [Double](repeating: value, count: 400), examples: 0..<1, ends, RunOptions())[0].errors
      }
      // Some sample meets it now and then.
      let least = told.min() ?? 0
      #expect(abs(least - error) < 1e-12, "\(least), is \(error)")
    }
    // Projection shares it out, though every value is 0.
    var options = ShapleyOptions()
    options.estimator = .dasp
    options.moments.rank = 0
    options.moments.sizes = 1
    options.moments.isProjected = true
    let projected = try await Shapley(game, options).result()
    #expect(projected.values.allSatisfy { abs($0 - 0.5 / 400) < 1e-12 })
    #expect(abs(projected.residuals[0]) < 1e-12)
    // As do samples that are drawn towards such values.
    options.moments.isProjected = false
    options.estimator = .permutation
    options.evaluations = 4000
    options.shrinkage = .dasp
    let drawn = try await Shapley(game, options).result()
    #expect(drawn.sampleWeights[0] < 1 && abs(drawn.residuals[0]) < 1e-12)
  }

  @Test("The error of few active players is the exact one")
  func fewPlayers() async throws {
    var random = Seeded(93)
    // Two of the eight are null players, others in the second example.
    var inputs = (0..<2).map { _ in random.numbers(8) }
    (inputs[0][2], inputs[0][5], inputs[1][0]) = (0, 0, 0)
    let null = [[2, 5], [0]]
    let game = try await momentGame(
      Perceptron([8, 20, 3], function: "Tanh", seed: 92, scale: 2).graph, inputs)
    let targets = game.targetCount
    let exact = try await exactValues(game).values
    let off = exact.enumerated().map { place, value in
      null[place / (8 * targets)].contains(place % 8) ? value : value + 0.01 * Double(1 + place)
    }
    let ends = try await game.endValues(RunOptions())
    let check = MomentCheck(game: game, playerCount: 4, seed: 0)
    let outcomes = try await check.outcomes(of: off, examples: 0..<2, ends, RunOptions())
    #expect(outcomes.map(\.evaluations) == [64, 128])
    for row in 0..<2 * targets {
      let own = row * 8..<(row + 1) * 8
      let sum = zip(off[own], exact[own]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      let square = sum / Double(8 - null[row / targets].count)
      let told = outcomes[row / targets].errors[row % targets]
      #expect(abs(told - square.squareRoot()) < 1e-12)
    }
    // Fewer evaluations than all coalitions: samples. The second example alone has the same ones.
    let sampling = MomentCheck(game: game, playerCount: 1, seed: 0)
    let sampled = try await sampling.outcomes(of: off, examples: 0..<2, ends, RunOptions())
    #expect(sampled.map(\.evaluations) == [32, 32])
    let alone = try await sampling.outcomes(
      of: Array(off[(8 * targets)...]), examples: 1..<2, ends, RunOptions())
    #expect(alone == [sampled[1]])
  }

  @Test(
    "Checks take no more evaluations than they say",
    arguments: [
      (16, 8, 256), (16, 9, 512), (16, 10, 512), (16, 100, 512), (4, 8, 128), (1, 5, 32),
      (1, 6, 32),
      (0, 8, 0), (1 << 20, 10, 1024), (1 << 20, 11, 1024), (1 << 20, 1000, 32000),
    ])
  func most(_ checked: Int, _ players: Int, _ evaluations: Int) {
    #expect(MomentCheck.evaluations(checking: checked, of: players) == evaluations)
  }

  @Test("Coalitions of many examples go in several calls, to the same errors")
  func manyCalls() async throws {
    var random = Seeded(94)
    // 60 examples of 384 coalitions are more than a call holds, which ends within the 43rd.
    let inputs = (0..<60).map { _ in random.numbers(12) }
    let game = try await momentGame(
      Perceptron([12, 9, 1], function: "Tanh", seed: 95).graph, inputs)
    let values = random.numbers(60 * 12)
    let ends = try await game.endValues(RunOptions())
    let check = MomentCheck(game: game, playerCount: 12, seed: 3)
    let together = try await check.outcomes(of: values, examples: 0..<60, ends, RunOptions())
    #expect(together.allSatisfy { $0.evaluations == 384 })
    for example in [0, 41, 42, 43, 59] {
      let alone = try await check.outcomes(
        of: Array(values[example * 12..<(example + 1) * 12]), examples: example..<example + 1, ends,
        RunOptions())
      #expect(alone == [together[example]], "example \(example)")
    }
  }

  @Test("Few checked players raise the error by more, one by no less than two")
  func fewer() {
    let two = MeanSquare([(difference: 1, squaredError: 0), (difference: 2, squaredError: 0)])
    #expect(two.value == 2.5 && abs(two.squaredError - 2.25) < 1e-15)
    #expect(abs(two.margin - 1.5 * 12.706205 / 1.959964) < 1e-5)
    let one = MeanSquare([(difference: 0.5, squaredError: 0.04)])
    #expect(abs(one.margin - one.squaredError.squareRoot() * 12.706205 / 1.959964) < 1e-5)
  }
}
