// Scores against the published fixtures and closed forms.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import CoalitionShapley
import TestSupport
import Testing

/// The network of four units that computes the larger of two numbers (Ancona, Oeztireli, Gross 2020, and its unit tests).
struct MaxModel {
  let coupling: UnitCoupling
  let inputs: [String: Tensor]
  let labels: Tensor

  /// - Parameter weights: of the units in the output.
  init(_ weights: [Float]) throws {
    let graph = Graph(
      nodes: [
        Node("MatMul", name: "hidden", inputs: ["x", "w1"], outputs: ["z"]),
        Node("Relu", inputs: ["z"], outputs: ["a"]),
        Node("MatMul", name: "out", inputs: ["a", "w2"], outputs: ["y"]),
      ], inputs: [Port("x", shape: [.symbolic("N"), 2])], outputs: [Port("y", shape: nil)],
      constants: [
        "w1": try Tensor(shape: [2, 4], elements: .float32([-0.5, 1, 1, 1, 0.5, -1, 1, 1])),
        "w2": try Tensor(shape: [4, 1], elements: .float32(weights)),
      ])
    coupling = try UnitCoupling(try Model(graph))
    inputs = [
      "x": try Tensor(shape: [4, 2], elements: .float32([0, 1, 1, 0, 1, 2, 2, 1]))
    ]
    labels = Tensor(.float32([1, 1, 2, 2]))
  }

  func scores(
    _ metric: UnitMetric, _ change: (inout UnitScoreOptions) -> Void = { _ in }
  ) async throws -> LayerScores {
    var options = UnitScoreOptions()
    options.metric = metric
    options.loss = .squaredError
    options.sampling.estimator = .exact
    change(&options)
    return try await UnitScorer(coupling, inputs: inputs, labels: labels, options)
      .scores(layer: 0)
  }
}

func expectClose(
  _ found: [Double], _ expected: [Double], within tolerance: Double = 1e-6,
  location: SourceLocation = #_sourceLocation
) {
  #expect(found.count == expected.count, sourceLocation: location)
  for (a, b) in zip(found, expected) {
    #expect(abs(a - b) <= tolerance, "\(found) for \(expected)", sourceLocation: location)
  }
}

@Suite struct FixtureTests {
  private let first: MaxModel
  private let second: MaxModel

  init() throws {
    first = try MaxModel([1, 0.5, 0.5, 0])
    second = try MaxModel([1, 0.5, 0.5, -0.1])
  }

  @Test func weights() async throws {
    expectClose(try await first.scores(.weight).scores, [1, 2, 2, 2])
    expectClose(
      try await first.scores(.weightSquared).scores, [0.5, 2, 2, 2].map { $0.squareRoot() })
    // Distances between the columns; two of them are alike.
    let near = 0.5.squareRoot() * 3
    let far = (1.5 * 1.5 + 0.5 * 0.5).squareRoot()
    expectClose(
      try await first.scores(.geometricMedian).scores,
      [near + 2 * far, near + 4, far + 2, far + 2])
    expectClose(
      try await first.scores(.adaptiveMagnitude).scores, [0.5 / 6.5, 1.0 / 3, 1.0 / 3, 1.0 / 3])
  }

  @Test func activations() async throws {
    expectClose(try await first.scores(.activationCount).scores, [0.5, 0.5, 1, 1])
  }

  @Test func gradientsWithoutLoss() async throws {
    expectClose(try await first.scores(.sensitivity).scores, [0, 0, 0, 0])
    expectClose(try await first.scores(.taylor).scores, [0, 0, 0, 0])
  }

  @Test func gradients() async throws {
    // At the output of the layer, where relu hides the gradient of inactive units, and behind relu.
    expectClose(
      try await second.scores(.sensitivity) { $0.atOutput = true }.scores, [0.2, 0.1, 0.2, 0.04])
    expectClose(try await second.scores(.sensitivity).scores, [0.4, 0.2, 0.2, 0.04])
    expectClose(try await second.scores(.taylor).scores, [0.1, 0.1, 0.5, 0.1])
    expectClose(try await second.scores(.taylorSigned).scores, [0.1, 0.1, 0.5, -0.1])
    // Half the mean square of the same sums: examples (0, 1), (1, 0), (1, 2), (2, 1).
    // A is 0.5 and 0.5 in two examples with gradients of 0.2 and 0.6; B is 1 and 1 with 0.1 and 0.3.
    expectClose(
      Array(try await second.scores(.fisher).scores.prefix(2)), [0.1 / 8, 0.1 / 8])
  }

  @Test func shapley() async throws {
    let exact = try await first.scores(.shapley)
    expectClose(exact.scores, [0.375, 0.375, 1.75, 0])
    expectClose(exact.standardErrors, [0, 0, 0, 0])
    expectClose(
      try await first.scores(.shapley) { $0.loss = .absoluteError }.scores, [0.25, 0.25, 1, 0])
    expectClose(
      try await first.scores(.shapley) { $0.aggregation = .meanAndDeviations }.scores,
      [1.204, 1.204, 4.25, 0], within: 5e-4)
    expectClose(try await second.scores(.shapley).scores, [0.425, 0.425, 2.0, -0.4])
    expectClose(
      try await second.scores(.shapley) { $0.loss = .absoluteError }.scores,
      [0.25, 0.25, 1, -0.2])
  }

  @Test func leaveOneOut() async throws {
    expectClose(try await first.scores(.leaveOneOut).scores, [0.125, 0.125, 1.25, 0])
  }

  /// With a single output and squared error: phi_u = c_u (2 (y - b) - sum of c), c the contributions to the output.
  @Test func affineTail() async throws {
    let model = second
    let scores = try await model.scores(.shapley) { $0.plan.precision = .double }
    let exact = try #require(scores.examples)
    let rows = model.inputs["x"]?.doubles ?? []
    let columns: [[Double]] = [[-0.5, 0.5], [1, -1], [1, 1], [1, 1]]
    let weights = [1, 0.5, 0.5, -0.1]
    for example in 0..<4 {
      let x = Array(rows[example * 2..<example * 2 + 2])
      let contributions = zip(columns, weights).map { max(0, $0[0] * x[0] + $0[1] * x[1]) * $1 }
      let rest = 2 * model.labels.doubles[example] - contributions.reduce(0, +)
      expectClose(exact[example], contributions.map { $0 * rest }, within: 1e-6)
    }
  }

  /// Any number of permutations gives values that add up; an expected value of many that is the exact one.
  @Test func sampling() async throws {
    let few = try await second.scores(.shapley) {
      $0.sampling.estimator = .permutation
      $0.sampling.samples = 3
    }
    #expect(abs(few.scores.reduce(0, +) - 2.45) < 1e-6)
    // The loss is a polynomial of second degree in what is present, for which a pair of opposite orders is exact.
    let pairs = try await second.scores(.shapley) {
      $0.sampling.estimator = .permutation
      $0.sampling.antithetic = true
      $0.sampling.samples = 2
    }
    expectClose(pairs.scores, [0.425, 0.425, 2.0, -0.4])
    let many = try await second.scores(.shapley) {
      $0.loss = .absoluteError
      $0.sampling.estimator = .permutation
      $0.sampling.antithetic = true
      $0.sampling.samples = 2000
    }
    for (unit, expected) in [0.25, 0.25, 1, -0.2].enumerated() {
      #expect(abs(many.scores[unit] - expected) <= 5 * many.standardErrors[unit] + 1e-6)
      #expect(many.standardErrors[unit] < 0.02)
    }
  }
}
