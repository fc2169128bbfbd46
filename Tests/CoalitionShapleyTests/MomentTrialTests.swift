// Samples and moments side by side: which of them `auto` takes for a number of evaluations, and values in between.

import CoalitionBase
import CoalitionExplain
import CoalitionNet
import CoalitionShapley
import TestSupport
import Testing

@Suite struct MomentTrialTests {
  private func rows(_ count: Int, _ inputs: Int, seed: Int) -> [[Double]] {
    var random = Seeded(seed)
    return (0..<count).map { _ in random.numbers(inputs) }
  }

  private func values(
    _ game: MaskedGame, _ estimator: Estimator, _ evaluations: Int,
    _ change: (inout ShapleyOptions) -> Void = { _ in }
  ) async throws -> ShapleyEstimate {
    var options = ShapleyOptions()
    options.estimator = estimator
    options.evaluations = evaluations
    options.seed = 3
    change(&options)
    return try await Shapley(game, options).result()
  }

  /// Three units that are nearly steps: their sums are not normal, and what they do is not near a line.
  private func rugged(_ inputs: Int) -> Graph {
    Perceptron([inputs, 3, 1], function: "Tanh", seed: 21, scale: 6).graph
  }

  // MARK: auto

  @Test("Many players, few evaluations, a smooth net: moments, for all examples and targets")
  func taken() async throws {
    let game = try await momentGame(
      Perceptron([60, 40, 24, 2], function: "Softplus", seed: 4).graph, rows(6, 60, seed: 5))
    let found = try await values(game, .auto, 700)
    #expect(found.estimator == .momentGradient)
    let choice = try #require(found.choice)
    #expect(choice.contains("700 evaluations by"), "\(choice)")
    // They are those of the estimator itself.
    let moments = try await momentValues(game, .momentGradient, rank: MomentOptions.defaultRank)
    #expect(found.values == moments.values)
    #expect(found.evaluations.allSatisfy { (2...700).contains($0) }, "\(found.evaluations)")
    // Better than samples, and the errors are told of all.
    let exact = try await values(game, .toggle, 60_000)
    let sampled = try await values(game, .permutation, 700)
    let error = rootMeanSquare(found.values, exact.values)
    #expect(error < 0.5 * rootMeanSquare(sampled.values, exact.values))
    #expect(found.errorEstimates.count == found.values.count)
    let told = (0..<6).map { found.errorEstimate(example: $0, target: 0) }
    #expect(told.allSatisfy { $0 > 0.3 * error && $0 < 30 * error }, "\(told), \(error)")
  }

  @Test("Few players of saturated units: samples, as if nothing had been tried")
  func left() async throws {
    let game = try await momentGame(rugged(10), rows(5, 10, seed: 8))
    let found = try await values(game, .auto, 900)
    #expect(!found.estimator.usesMoments)
    let named = try await values(game, found.estimator, 900)
    #expect(found.values == named.values)
    #expect(found.standardErrors == named.standardErrors)
    #expect(found.evaluations == named.evaluations)
    #expect(found.errorEstimates.isEmpty)
  }

  @Test("The smaller error is taken: over nets and budgets auto is seldom worse than both")
  func decisions() async throws {
    var kinds: Set<Bool> = []
    var (own, others) = (0.0, 0.0)
    for seed in 1...6 {
      let function = seed % 2 == 0 ? "Relu" : "Tanh"
      let game = try await momentGame(
        Perceptron([11, 18, 9, 1], function: function, seed: seed, scale: seed > 3 ? 3 : 1).graph,
        rows(3, 11, seed: 40 + seed))
      let exact = try await exactValues(game)
      for budget in [150, 300, 1500] {
        let found = try await values(game, .auto, budget)
        kinds.insert(found.estimator.usesMoments)
        let size = rootMeanSquare(exact.values, [Double](repeating: 0, count: exact.values.count))
        let sampled = try await values(game, .permutation, budget)
        own += rootMeanSquare(found.values, exact.values) / size
        others += rootMeanSquare(sampled.values, exact.values) / size
      }
    }
    #expect(kinds == [false, true])
    #expect(own < 0.8 * others, "\(own) against \(others)")
  }

  @Test("A run that goes on from a state ends with the same bytes, whoever has decided before")
  func resumed() async throws {
    let smooth = Perceptron([60, 40, 24, 1], function: "Softplus", seed: 4).graph
    for (graph, inputs, budget) in [(smooth, 60, 700), (rugged(10), 10, 900)] {
      let game = try await momentGame(graph, rows(6, inputs, seed: 5))
      var options = ShapleyOptions()
      options.evaluations = budget
      let whole = try await Shapley(game, options).result()
      var run = try ShapleyRun(game, options)
      #expect(run.triesMoments)
      var steps = 0
      repeat {
        // Saved and read again after every slice of work.
        run = try ShapleyRun(game, options, resuming: run.state)
        steps += 1
      } while try await run.step()
      #expect(run.isDone && steps > 1)
      let found = run.estimate
      #expect(found.values == whole.values && found.errorEstimates == whole.errorEstimates)
      #expect(found.estimator == whole.estimator && found.choice == whole.choice)
      #expect(found.evaluations == whole.evaluations && found.stops == whole.stops)
    }
  }

  @Test("Nothing is tried where results or time end a run, of other values, and without a model")
  func untried() async throws {
    let game = try await momentGame(
      Perceptron([14, 24, 24, 1], seed: 4).graph, rows(1, 14, seed: 5))
    func tries(_ change: (inout ShapleyOptions) -> Void) throws -> Bool {
      var options = ShapleyOptions()
      options.evaluations = 900
      change(&options)
      return try ShapleyRun(game, options).triesMoments
    }
    #expect(try tries { _ in })
    #expect(try !tries { $0.evaluations = nil })
    #expect(try !tries { $0.tolerance = 0.1 })
    #expect(try !tries { $0.seconds = 1 })
    #expect(try !tries { $0.top = 2 })
    #expect(try !tries { $0.value = .banzhaf })
    #expect(try !tries { $0.interactions = .sii })
    #expect(try !tries { $0.estimator = .leverage })
    // All coalitions fit, and moments that cost more than the samples.
    #expect(try !tries { $0.evaluations = 1 << 14 })
    #expect(try !tries { $0.evaluations = 40 })
    // Of a network of one layer all arithmetic lies in front: 151 passes, most of them for the factor.
    let layer = try await momentGame(Perceptron([14, 6], seed: 4).graph, rows(1, 14, seed: 5))
    for (budget, isTried) in [(100, false), (2000, true)] {
      var options = ShapleyOptions()
      options.evaluations = budget
      #expect(try ShapleyRun(layer, options).triesMoments == isTried)
    }
    // No model: nothing to propagate through.
    var options = ShapleyOptions()
    options.evaluations = 900
    let closure = ClosureGame(playerCount: 14) { coalitions in
      (0..<coalitions.count).map { Double($0) }
    }
    #expect(try !ShapleyRun(closure, options).triesMoments)
  }

  // MARK: shrinkage

  @Test(
    "Drawn towards moments values are closer than both, and add up",
    arguments: [
      Estimator.momentGradient, .dasp,
    ])
  func drawn(_ towards: Estimator) async throws {
    // Of few samples and of many.
    for (budget, isFew) in [(360, true), (2400, false)] {
      let errors = try await drawnErrors(towards, budget)
      #expect(errors.drawn < (isFew ? 0.7 : 1) * errors.samples, "\(budget): \(errors)")
      #expect(errors.drawn < (isFew ? 1.6 : 0.9) * errors.moments, "\(budget): \(errors)")
    }
  }

  /// Of eight nets, relative to the size of their values.
  private func drawnErrors(
    _ towards: Estimator, _ budget: Int
  ) async throws -> (samples: Double, moments: Double, drawn: Double) {
    var errors = (samples: 0.0, moments: 0.0, drawn: 0.0)
    for seed in 1...8 {
      let game = try await momentGame(
        Perceptron([12, 16, 10, 1], seed: seed).graph, rows(2, 12, seed: 60 + seed))
      let exact = try await exactValues(game)
      let size = rootMeanSquare(exact.values, [Double](repeating: 0, count: 24))
      let samples = try await values(game, .permutation, budget)
      let drawn = try await values(game, .permutation, budget) { $0.shrinkage = towards }
      let moments = try await momentValues(game, towards, rank: MomentOptions.defaultRank)
      errors.samples += rootMeanSquare(samples.values, exact.values) / size
      errors.moments += rootMeanSquare(moments.values, exact.values) / size
      errors.drawn += rootMeanSquare(drawn.values, exact.values) / size
      #expect(drawn.estimator == .permutation && drawn.isFinal)
      #expect((drawn.bias != nil) == drawn.sampleWeights.contains { $0 < 1 })
      #expect(drawn.sampleWeights.count == 2)
      #expect(drawn.sampleWeights.allSatisfy { (0...1).contains($0) })
      #expect(drawn.residuals.allSatisfy { abs($0) < 1e-12 })
      #expect(drawn.evaluations == samples.evaluations)
      // What a value is said to be off by: of the size of what it is off by.
      let told = rootMeanSquare(drawn.errorEstimates, [Double](repeating: 0, count: 24))
      #expect(told < 6 * rootMeanSquare(drawn.values, exact.values))
    }
    return errors
  }

  @Test("Players without an effect keep 0; too few samples are left alone")
  func drawnEdges() async throws {
    let game = try await momentGame(
      Perceptron([9, 12, 1], seed: 2).graph, [[0.3, 0, -0.8, 1, 0, 0.6, 0.2, -0.4, 0.9]])
    let drawn = try await values(game, .permutation, 200) { $0.shrinkage = .momentGradient }
    for player in [1, 4] {
      #expect(drawn.values[player] == 0 && drawn.errorEstimates[player] == 0)
    }
    func one(_ shrinkage: Estimator?) async throws -> ShapleyEstimate {
      try await values(game, .permutation, 18) { $0.shrinkage = shrinkage }
    }
    let alone = try await one(.momentGradient)
    #expect(alone.sampleWeights == [1])
    #expect(alone.values == (try await one(nil)).values)
    #expect(alone.errorEstimates.contains { $0.isNaN })
  }

  @Test("What cannot be drawn is refused")
  func refused() async throws {
    let game = try await momentGame(
      Perceptron([9, 12, 1], seed: 2).graph, rows(1, 9, seed: 3))
    func expectRefused(_ change: (inout ShapleyOptions) -> Void) {
      var options = ShapleyOptions()
      options.evaluations = 400
      options.estimator = .permutation
      options.shrinkage = .dasp
      change(&options)
      #expect(throws: CoalitionError.self) { try ShapleyRun(game, options) }
    }
    expectRefused { $0.shrinkage = .toggle }
    expectRefused { $0.estimator = .exact }
    expectRefused { $0.value = .banzhaf }
    expectRefused { options in options.shard = try? Shard(1, of: 2) }
  }
}
