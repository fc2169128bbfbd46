// Inputs that get no attributions keep each example's own values: no noise, no baseline.

import CoalitionBase
import CoalitionNet
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

  private static func whole(_ rows: [[Int64]]) -> Tensor {
    Tensor(filling: [rows.count, rows[0].count], with: .int64(rows.flatMap { $0 }))
  }
}
