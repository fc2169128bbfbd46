// The worked examples of the authors' own tests (Ancona et al. 2018, DeepExplain), by hand.

import CoalitionBase
import CoalitionNet
import Testing

@testable import CoalitionExplain

@Suite struct WorkedExampleTests {
  /// relu(relu(x1 - 1) - relu(x2)).
  private func twoRectifiers() throws -> Explainer {
    var sketch = Sketch()
    let x = sketch.input("x", [2])
    let hidden = sketch.add(
      "Relu", [sketch.dense(x, Layer(weights: [[1, 0], [0, 1]], bias: [-1, 0]))])
    let output = sketch.add(
      "Relu", [sketch.dense(hidden, Layer(weights: [[1, -1]], bias: [0]))])
    return try sketch.explainer(output)
  }

  private static let methods: [GradientMethod] =
    [.saliency, .gradientTimesInput, .epsilonLRP(epsilon: 1e-9), .deepLIFT]
    + Quadrature.allCases.map { .integratedGradients(steps: 100, quadrature: $0) }

  private func values(
    _ explainer: Explainer, _ x: [Double], _ method: GradientMethod,
    baseline: [Double]? = nil
  ) async throws -> [Double] {
    let result = try await explainer.explain(
      ["x": .rows([x])], by: method,
      baselines: baseline.map { ["x": .rows(.rows([$0]))] } ?? [:])
    return try #require(result.attributions["x"]).doubles
  }

  @Test func modelAWithoutASignal() async throws {
    let explainer = try twoRectifiers()
    for method in Self.methods {
      let found = try await values(explainer, [-10, -5], method)
      #expect(found.allSatisfy { $0 == 0 }, "\(method)")
    }
  }

  @Test func modelA() async throws {
    let explainer = try twoRectifiers()
    let result = try await explainer.explain(["x": .rows([[3, 1]])], by: .deepLIFT)
    #expect(result.output.doubles == [1])
    #expect(result.baselineOutput?.doubles == [0])
    #expect(result.residual?.doubles == [0])
    for (method, expected, tolerance) in [
      (.saliency, [1, 1], 0), (.gradientTimesInput, [3, -1], 0),
      (.epsilonLRP(epsilon: 1e-9), [3, -1], 1e-7), (.deepLIFT, [2, -1], 0),
    ] as [(GradientMethod, [Double], Double)] {
      #expect(
        distance(try await values(explainer, [3, 1], method), expected) <= tolerance, "\(method)")
    }
    for quadrature in Quadrature.allCases {
      let method = GradientMethod.integratedGradients(steps: 100, quadrature: quadrature)
      #expect(distance(try await values(explainer, [3, 1], method), [1.5, -0.5]) <= 1e-10)
      for (x, expected) in [([2.0, 0], [1.0, 0]), ([3, 0], [2, 0])] {
        let found = try await values(explainer, x, method, baseline: [1, 0])
        #expect(distance(found, expected) <= 1e-10)
      }
    }
  }

  @Test func modelBOfTwoInputs() async throws {
    var sketch = Sketch()
    let inputs = [("x1", 3.0), ("x2", 2)].map { name, factor in
      sketch.add("Mul", [sketch.input(name, [2]), sketch.constant([], [factor])])
    }
    let rectified = sketch.add("Relu", [sketch.add("Concat", inputs, ["axis": .int(1)])])
    let explainer = try sketch.explainer(
      sketch.add("ReduceSum", [rectified, sketch.integers([1])]))
    let examples: [String: Tensor] = ["x1": .rows([[-10, -5]]), "x2": .rows([[3, 1]])]
    for method in Self.methods {
      let result = try await explainer.explain(examples, by: method)
      let expected: [Double] = method == .saliency ? [2, 2] : [6, 2]
      #expect(result.attributions["x1"]?.doubles.allSatisfy { $0 == 0 } ?? false, "\(method)")
      #expect(distance(result.attributions["x2"]?.doubles ?? [], expected) <= 1e-8, "\(method)")
    }
  }

  /// W2^T act(W1^T x + b1) + b2.
  @Test(arguments: Activation.allCases) func modelD(activation: Activation) async throws {
    let net = NaiveNet(
      [
        Layer(weights: [[1, -1], [-1, 1]], bias: [1.5, -1]),
        Layer(weights: [[1.1, -0.5], [1.4, 1]], bias: [0, 2]),
      ], activation)
    let x = [1.0, 0]
    var (sketch, output) = net.sketch()
    let explainer = try sketch.explainer(output)
    let result = try await explainer.explain(["x": .rows([x])], by: .gradient, target: .all)
    if activation == .relu { #expect(distance(result.output.doubles, [2.75, 5.5]) <= 1e-14) }
    #expect(distance(result.output.doubles, net.scores(x)) <= 1e-14)
    let expected = (0..<2).flatMap { net.gradient(x, $0) }
    #expect(distance(result.attributions["x"]?.doubles ?? [], expected) <= 1e-14)
  }

  /// min(x1, x2) at the diagonal: the integral follows one input, whichever side it is on.
  @Test func selectionsOnASlightlyTiltedPath() async throws {
    var sketch = Sketch()
    let x = sketch.input("x", [2])
    let explainer = try sketch.explainer(
      sketch.add("ReduceMin", [x, sketch.integers([1])]))
    for (x, expected) in [([2.0, 2.25], [2.0, 0]), ([2, 1.75], [0, 1.75])] {
      let found = try await values(explainer, x, .integratedGradients(steps: 20))
      #expect(distance(found, expected) <= 1e-14)
    }
    // Model C: the winners of input and baseline share the change as in a game of two players. Here the baseline has no
    // winner of its own, so the input's takes all.
    #expect(distance(try await values(explainer, [2, -2], .deepLIFT), [0, -2]) <= 1e-14)
    #expect(distance(try await values(explainer, [4, 2], .deepLIFT), [0, 2]) <= 1e-14)
  }
}
