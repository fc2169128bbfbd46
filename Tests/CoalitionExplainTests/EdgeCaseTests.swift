// Where attributions are degenerate, and what is refused.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionExplain

@Suite struct EdgeCaseTests {
  private static let methods: [GradientMethod] = [
    .gradient, .saliency, .gradientTimesInput, .integratedGradients(steps: 8), .epsilonLRP(),
    .deepLIFT, .guidedBackpropagation, .deconvnet, .layerwiseRelevance(RuleBook(.epsilon())),
    .layerwiseRelevance(RuleBook(.zPlus)), .layerwiseRelevance(RuleBook(.alphaBeta())),
    .layerwiseRelevance(RuleBook(.gamma())), .layerwiseRelevance(RuleBook(.flat)),
    .layerwiseRelevance(RuleBook(.wSquare)),
    .layerwiseRelevance(RuleBook(.zBox(low: -2, high: 2))),
  ]

  private func explainer(
    _ layers: [Layer], _ activation: Activation = .relu, _ precision: Precision = .double
  ) throws -> Explainer {
    var (sketch, output) = NaiveNet(layers, activation).sketch()
    return try sketch.explainer(output, precision)
  }

  private func values(
    _ explainer: Explainer, _ x: [Double], _ method: GradientMethod, _ target: Target = .all,
    baselines: [String: Baseline] = [:]
  ) async throws -> [Double] {
    let result = try await explainer.explain(
      ["x": .rows([x])], by: method, target: target, baselines: baselines)
    return try #require(result.attributions["x"]).doubles
  }

  // MARK: Degenerate, but defined

  /// Dead rectifiers pass nothing on; deconvnets look at the signal alone, which the last weights decide.
  @Test func deadRectifiersGiveZeros() async throws {
    let explainer = try explainer([
      Layer(weights: [[1, 2], [3, 1]], bias: [-10, -20]),
      Layer(weights: [[-1, -2], [-2, -1]], bias: [0.5, 1]),
    ])
    for method in Self.methods {
      let found = try await values(explainer, [1, 1], method)
      #expect(found.allSatisfy { $0.isFinite }, "\(method)")
      // Relevance of the bias of the last layer is shared out by rules that do not look at activations.
      if case .layerwiseRelevance(let book) = method,
        [RuleBook(.flat), RuleBook(.wSquare), RuleBook(.zBox(low: -2, high: 2))].contains(book)
      {
        continue
      }
      #expect(found.allSatisfy { $0 == 0 }, "\(method): \(found)")
    }
  }

  @Test func aZeroInputGivesZerosWhereTheInputIsAFactor() async throws {
    var random = Seeded(1)
    for activation in Activation.allCases {
      let explainer = try explainer([random.layer(3, 4), random.layer(4, 2)], activation)
      for method in Self.methods {
        let found = try await values(explainer, [0, 0, 0], method)
        #expect(found.allSatisfy { $0.isFinite }, "\(method)")
        switch method {
        case .gradientTimesInput, .integratedGradients, .epsilonLRP, .deepLIFT,
          .layerwiseRelevance(RuleBook(.epsilon())), .layerwiseRelevance(RuleBook(.zPlus)),
          .layerwiseRelevance(RuleBook(.gamma())), .layerwiseRelevance(RuleBook(.alphaBeta())):
          #expect(found.allSatisfy { $0 == 0 }, "\(method)")
        default: break
        }
      }
    }
  }

  @Test func oneFeatureAndOneClass() async throws {
    let explainer = try explainer([
      Layer(weights: [[2]], bias: [1]), Layer(weights: [[3]], bias: [-1]),
    ])
    let result = try await explainer.explain(["x": .rows([[1.5]])], by: .deepLIFT)
    #expect(result.attributions["x"]?.shape == [1, 1])
    #expect(result.attributions["x"]?.doubles == [9])
    #expect(result.target.doubles == [0])
    #expect(result.output.doubles == [11] && result.baselineOutput?.doubles == [2])
    // An example may come without its axis.
    let bare = try await explainer.explain(["x": Tensor(.float64([1.5]))], by: .deepLIFT)
    #expect(bare.attributions["x"]?.doubles == [9])
  }

  @Test(arguments: Precision.allCases)
  func hugeActivationsStayExact(precision: Precision) async throws {
    let explainer = try explainer(
      [
        Layer(weights: [[1e15, 0], [0, -1e15]], bias: [0, 0]),
        Layer(weights: [[1e15, 1e15]], bias: [1]),
      ], .relu, precision)
    // 1e30 is within single precision, its square is not.
    for method in [
      .gradient, .gradientTimesInput, .integratedGradients(steps: 4), .epsilonLRP(), .deepLIFT,
      .layerwiseRelevance(RuleBook(.epsilon())),
    ] as [GradientMethod] {
      let found = try await values(explainer, [1, 1], method)
      #expect(abs(found[0] - 1e30) <= 1e24, "\(method): \(found)")
      #expect(found[1] == 0, "\(method)")
    }
    let saturated = try self.explainer(
      [Layer(weights: [[1e30]], bias: [0]), Layer(weights: [[1]], bias: [0])], .sigmoid, precision)
    // The square of such a weight is no number of single precision.
    let squares = GradientMethod.layerwiseRelevance(RuleBook(.wSquare))
    for method in Self.methods where precision == .double || method != squares {
      let found = try await values(saturated, [1], method)
      #expect(found.allSatisfy { $0.isFinite }, "\(method)")
    }
    let found = try await values(saturated, [1], .deepLIFT)
    #expect(abs(found[0] - 0.5) <= 1e-6)
  }

  /// Weights that are not finite are not refused: what they touch is not finite. A method that compares with a baseline
  /// needs finite values there.
  @Test func weightsThatAreNotFiniteShowInTheResults() async throws {
    for number in [Double.nan, .infinity] {
      let explainer = try explainer([
        Layer(weights: [[number, 1], [0.5, 2]], bias: [0, 0]),
        Layer(weights: [[1, 1], [0, 1]], bias: [0, 0]),
      ])
      await #expect(throws: CoalitionError.self) {
        try await explainer.explain(["x": .rows([[1, 1]])], by: .deepLIFT, target: .index([0]))
      }
      for method in [.gradient, .gradientTimesInput] as [GradientMethod] {
        let result = try await explainer.explain(
          ["x": .rows([[1, 1]])], by: method, target: .index([0]))
        let found = try #require(result.attributions["x"]).doubles
        #expect(found.contains { !$0.isFinite }, "\(method)")
        #expect(!result.output.doubles[0].isFinite)
      }
    }
  }

  // MARK: Refused

  private func expect(
    _ error: CoalitionError, _ code: CoalitionError.Code, node: String? = nil,
    expected: String? = nil, found: String? = nil, location: SourceLocation = #_sourceLocation
  ) {
    #expect(error.code == code, "\(error)", sourceLocation: location)
    if let node { #expect(error.node == node, "\(error)", sourceLocation: location) }
    if let expected {
      #expect(error.expected?.contains(expected) == true, "\(error)", sourceLocation: location)
    }
    if let found {
      #expect(error.found?.contains(found) == true, "\(error)", sourceLocation: location)
    }
  }

  @Test func inputsThatDoNotFitAreRefused() async throws {
    var random = Seeded(1)
    let explainer = try explainer([random.layer(3, 4), random.layer(4, 2)])
    let x = random.tensor([2, 3])
    for method in Self.methods {
      for target in [.predicted, .all, .index([1])] as [Target] {
        func refused(_ inputs: [String: Tensor]) async -> CoalitionError {
          await failure { _ = try await explainer.explain(inputs, by: method, target: target) }
        }
        expect(
          await refused(["x": random.tensor([2, 4])]), .shapeMismatch, node: "x", expected: "3",
          found: "[2, 4]")
        expect(await refused(["y": x]), .usage, node: "x")
        expect(await refused(["x": x, "y": x]), .usage, node: "y", expected: "x")
        expect(await refused([:]), .usage, node: "x")
        expect(await refused(["x": Tensor(filling: [0, 3], with: .float64([]))]), .shapeMismatch)
        for number in [Double.nan, .infinity] {
          expect(await refused(["x": .rows([[1, 2, 3], [1, number, 3]])]), .notFinite, node: "x")
        }
      }
    }
  }

  @Test func targetsThatAreNotThereAreRefused() async throws {
    var random = Seeded(1)
    let explainer = try explainer([random.layer(3, 4), random.layer(4, 2)])
    let x = random.tensor([2, 3])
    for (target, code, expected, found) in [
      (.index([2]), .usage, "0 to 1", "2"), (.index([-1]), .usage, "0 to 1", "-1"),
      (.index([0, 0]), .usage, "1", "[0, 0]"), (.index([]), .usage, "1", "[]"),
      (.labels([0, 2]), .usage, "0 to 1", "2"), (.labels([0, -1]), .usage, "0 to 1", "-1"),
      (.labels([0]), .shapeMismatch, "2", "1"), (.labels([0, 1, 1]), .shapeMismatch, "2", "3"),
      (.difference(0, 2), .usage, "0 to 1", "2"), (.difference(5, 0), .usage, "0 to 1", "5"),
    ] as [(Target, CoalitionError.Code, String, String)] {
      let error = await failure {
        _ = try await explainer.explain(["x": x], by: .gradient, target: target)
      }
      expect(error, code, node: explainer.scores, expected: expected, found: found)
    }
  }

  /// Scores with several axes have no one class axis: only indices name an element.
  @Test func scoresOfSeveralAxesAreNamedByIndices() async throws {
    var random = Seeded(1)
    var sketch = Sketch()
    let x = sketch.input("x", [3, 2])
    let product = sketch.add("MatMul", [x, sketch.constant([2, 4], random.numbers(8))])
    let explainer = try sketch.explainer(sketch.add("Tanh", [product]))
    let rows = random.tensor([2, 3, 2])
    for target in [.predicted, .labels([1, 2]), .difference(0, 1)] as [Target] {
      let error = await failure {
        _ = try await explainer.explain(["x": rows], by: .gradient, target: target)
      }
      expect(error, .usage, node: explainer.scores, expected: "[3, 4]")
    }
    let one = try await explainer.explain(["x": rows], by: .gradient, target: .index([1, 2]))
    let all = try await explainer.explain(["x": rows], by: .gradient, target: .all)
    #expect(one.target.doubles == [6, 6])
    let values = try #require(all.attributions["x"]).doubles
    #expect(
      one.attributions["x"]?.doubles
        == [0, 1].flatMap { values[($0 * 12 + 6) * 6..<($0 * 12 + 7) * 6] })
  }

  @Test func parametersWithoutAMeaningAreRefused() async throws {
    var random = Seeded(1)
    let explainer = try explainer([random.layer(3, 4), random.layer(4, 2)])
    let x = random.tensor([2, 3])
    for method in [
      .epsilonLRP(epsilon: 0), .epsilonLRP(epsilon: -1), .epsilonLRP(epsilon: .nan),
      .epsilonLRP(epsilon: .infinity), .integratedGradients(steps: 0),
      .integratedGradients(steps: -3),
      .layerwiseRelevance(RuleBook(.epsilon(0))), .layerwiseRelevance(RuleBook(.epsilon(.nan))),
      .layerwiseRelevance(RuleBook(.gamma(-1))),
      .layerwiseRelevance(RuleBook(.zBox(low: 1, high: 0))),
      .layerwiseRelevance(RuleBook(.alphaBeta(.nan, 1))),
    ] as [GradientMethod] {
      let error = await failure { _ = try await explainer.explain(["x": x], by: method) }
      expect(error, .usage)
      #expect(error.found != nil, "\(error)")
    }
    let book = RuleBook([.init(.all, .zPlus), .init(.node("Gemm9"), .flat)])
    expect(
      await failure {
        _ = try await explainer.explain(["x": x], by: .layerwiseRelevance(book))
      }, .usage, node: "Gemm9", expected: "Gemm0")
    expect(
      await failure {
        _ = try await explainer.explain(
          ["x": x], by: .integratedGradients(steps: 3), ledger: true)
      }, .unsupported)
  }

  @Test func baselinesThatDoNotFitAreRefused() async throws {
    var random = Seeded(1)
    let explainer = try explainer([random.layer(3, 4), random.layer(4, 2)])
    let x = random.tensor([2, 3])
    for (baselines, code, node) in [
      (["y": .zero], .usage, "y"), (["x": .value(.nan)], .notFinite, "x"),
      (["x": .rows(random.tensor([4]))], .shapeMismatch, "x"),
      (["x": .rows(random.tensor([2, 4]))], .shapeMismatch, "x"),
      (["x": .rows(Tensor(filling: [0, 3], with: .float64([])))], .shapeMismatch, "x"),
      (["x": .rows(.rows([[1, .infinity, 2]]))], .notFinite, "x"),
      (["x": .token(3)], .usage, "x"),
    ] as [([String: Baseline], CoalitionError.Code, String)] {
      for method in [.deepLIFT, .integratedGradients(steps: 3)] as [GradientMethod] {
        let error = await failure {
          _ = try await explainer.explain(["x": x], by: method, baselines: baselines)
        }
        expect(error, code, node: node)
      }
    }
  }

  @Test func valuesThatAreNotThereAreRefused() async throws {
    var random = Seeded(1)
    var (sketch, output) = NaiveNet([random.layer(3, 4), random.layer(4, 2)], .relu).sketch()
    sketch.graph.outputs = [Port(output, shape: nil)]
    let model = try Model(sketch.graph)
    var options = ExplainerOptions()
    options.scores = "nothing"
    expect(await failure { _ = try Explainer(model, options) }, .usage, node: "nothing")
    options = ExplainerOptions()
    options.sources = ["nowhere"]
    expect(await failure { _ = try Explainer(model, options) }, .usage, node: "nowhere")
    // Behind the scores.
    options.scores = "v0"
    options.sources = ["v1"]
    expect(await failure { _ = try Explainer(model, options) }, .usage, node: "v1")
  }
}
