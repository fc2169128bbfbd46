// Inputs that get no attributions keep each example's own values: no noise, no baseline.

import CoalitionBase
import CoalitionNet
import Glibc
import TestSupport
import Testing

@testable import CoalitionExplain

@Suite struct HeldInputTests {
  // MARK: Noise

  /// The gradient of the sum of x_j k_j by x is k, which no noise has reached.
  @Test func noiseLeavesWholeNumbersAlone() async throws {
    var sketch = Sketch()
    let x = sketch.input("x", [3])
    let k = sketch.wholeNumbers("k", [3])
    let product = sketch.add("Mul", [x, sketch.add("Cast", [k], ["to": .int(11)])])
    let explainer = try sketch.explainer(
      sketch.add("ReduceSum", [product, sketch.integers([1])]))
    let result = try await explainer.explain(
      ["x": .rows([[1, 5, 2], [0, 1, 9]]), "k": Self.whole([[3, -7, 10], [4, 0, 2]])],
      by: .smoothGrad(samples: 5, noise: 0.5))
    let found = try #require(result.attributions["x"]).doubles
    #expect(distance(found, [3, -7, 10, 4, 0, 2]) <= 1e-12)
    #expect(result.attributions.keys.sorted() == ["x"])
  }

  /// The gradient of (x x + y y) / 2 is the noisy input itself.
  @Test func inputsHaveNoiseOfTheirOwn() async throws {
    let count = 400
    var random = Seeded(5)
    var sketch = Sketch()
    let squares = ["x", "y"].map { name in
      let input = sketch.input(name, [count])
      return sketch.add("Mul", [input, input])
    }
    let half = sketch.constant([], [0.5])
    let sum = sketch.add("Mul", [sketch.add("Add", squares), half])
    let explainer = try sketch.explainer(sketch.add("ReduceSum", [sum, sketch.integers([1])]))
    let rows = random.tensor([2, count])
    let result = try await explainer.explain(
      ["x": rows, "y": rows], by: .smoothGrad(samples: 1, noise: 0.5))
    let noise = try ["x", "y"].map { name in
      let values = try #require(result.attributions[name]).doubles
      return zip(values, rows.doubles).map { $0 - $1 }
    }
    func product(_ a: [Double], _ b: [Double]) -> Double {
      zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }
    let correlation =
      product(noise[0], noise[1])
      / (product(noise[0], noise[0]) * product(noise[1], noise[1])).squareRoot()
    // Independent numbers: 1 / sqrt(800) is the deviation.
    #expect(abs(correlation) < 0.15)
    #expect(product(noise[0], noise[0]) > 0)
  }

  // MARK: Baselines

  private static let baselineMethods: [GradientMethod] = [
    .deepLIFT, .deepLIFTRevealCancel, .integratedGradients(steps: 400),
    .adaptiveIntegratedGradients(tolerance: 1e-6), .expectedGradients(samples: 4000, seed: 3),
  ]

  /// tanh of the sum of w_j x_j k_j: what x_j gets from b is in proportion to w_j k_j (x_j - b_j), and all of it is
  /// the change of the score with k in place.
  @Test(arguments: baselineMethods)
  func wholeNumbersKeepTheirValuesAtTheBaseline(method: GradientMethod) async throws {
    let weights = [0.3, -0.2, 0.5]
    var sketch = Sketch()
    let x = sketch.input("x", [3])
    let k = sketch.wholeNumbers("k", [3])
    let product = sketch.add("Mul", [x, sketch.add("Cast", [k], ["to": .int(11)])])
    let sum = sketch.add("MatMul", [product, sketch.constant([3, 1], weights)])
    let explainer = try sketch.explainer(sketch.add("Tanh", [sum]))
    let rows = [[1.0, 0.5, -0.4], [0.2, -1, 0.7]]
    let factors: [[Int64]] = [[2, -1, 1], [1, 3, 0]]
    let baselines = [[0.1, 0, 0.3], [-0.5, 0.2, 0.1]]
    let result = try await explainer.explain(
      ["x": .rows(rows), "k": Self.whole(factors)], by: method, target: .index([0]),
      baselines: ["x": .rows(.rows(baselines))])

    func score(_ x: [Double], _ k: [Int64]) -> Double {
      var sum = 0.0
      for i in 0..<3 { sum += weights[i] * x[i] * Double(k[i]) }
      return tanh(sum)
    }
    let found = try #require(result.attributions["x"]).doubles
    let starts = try #require(result.baselineOutput).doubles
    let isSampled = if case .expectedGradients = method { true } else { false }
    for (example, (x, k)) in zip(rows, factors).enumerated() {
      var shares = [Double](repeating: 0, count: 3)
      for baseline in baselines {
        let parts = (0..<3).map { weights[$0] * Double(k[$0]) * (x[$0] - baseline[$0]) }
        let change = score(x, k) - score(baseline, k)
        for element in 0..<3 {
          shares[element] += change * parts[element] / parts.reduce(0, +) / 2
        }
      }
      let isReveal = method == .deepLIFTRevealCancel
      let own = Array(found[example * 3..<(example + 1) * 3])
      // RevealCancel shares another way, but as much.
      let missed =
        isReveal ? abs(own.reduce(0, +) - shares.reduce(0, +)) : distance(own, shares)
      #expect(missed <= (isSampled ? 0.02 : 1e-6), "\(own), expected \(shares)")
      let mean = baselines.reduce(0) { $0 + score($1, k) / 2 }
      #expect(abs(starts[example] - mean) <= 1e-12)
    }
    #expect(
      try #require(result.residual).doubles.allSatisfy { abs($0) <= (isSampled ? 0.02 : 1e-6) })
  }

  /// Attributions to an inner value: an input that is read beside it stays as it is, and gets none.
  @Test(arguments: baselineMethods)
  func inputsBesideInnerValuesStayAsTheyAre(method: GradientMethod) async throws {
    var sketch = Sketch()
    let x = sketch.input("x", [2])
    let inner = sketch.add("Tanh", [x])
    let sum = sketch.add("ReduceSum", [sketch.add("Add", [inner, x]), sketch.integers([1])])
    let output = sketch.add("Sigmoid", [sum])
    var options = ExplainerOptions()
    options.plan.precision = .double
    options.sources = [inner]
    options.scores = output
    sketch.graph.outputs = [Port(output, shape: nil)]
    let explainer = try Explainer(try Model(sketch.graph), options)
    let rows = [[0.5, 1.0], [-0.3, 0.8]]
    let result = try await explainer.explain(
      ["x": .rows(rows)], by: method, target: .index([0]), baselines: [inner: .value(0.25)])
    #expect(result.attributions.keys.sorted() == [inner])
    let found = try #require(result.attributions[inner]).doubles
    for (example, x) in rows.enumerated() {
      func score(_ inner: [Double]) -> Double {
        1 / (1 + exp(-(inner.reduce(0, +) + x.reduce(0, +))))
      }
      let change = score(x.map { tanh($0) }) - score([0.25, 0.25])
      let isSampled = if case .expectedGradients = method { true } else { false }
      #expect(
        abs(found[example * 2] + found[example * 2 + 1] - change) <= (isSampled ? 0.02 : 1e-6))
    }
  }

  @Test func baselinesOfInputsThatAreNotExplainedAreRefused() async throws {
    var sketch = Sketch()
    let x = sketch.input("x", [2])
    let k = sketch.wholeNumbers("k", [2])
    let product = sketch.add("Mul", [x, sketch.add("Cast", [k], ["to": .int(11)])])
    let explainer = try sketch.explainer(
      sketch.add("ReduceSum", [product, sketch.integers([1])]))
    for method in [.deepLIFT, .gradient] as [GradientMethod] {
      let error = await failure {
        _ = try await explainer.explain(
          ["x": .rows([[1, 2]]), "k": Self.whole([[1, 2]])], by: method, baselines: ["k": .zero])
      }
      #expect(error.code == .usage && error.node == "k" && error.expected == "x", "\(error)")
    }
  }

  private static func whole(_ rows: [[Int64]]) -> Tensor {
    Tensor(filling: [rows.count, rows[0].count], with: .int64(rows.flatMap { $0 }))
  }
}
