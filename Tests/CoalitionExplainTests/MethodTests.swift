// Methods that sample, bisect or combine: RevealCancel, expected gradients, SmoothGrad, adaptive paths, Grad-CAM.

import CoalitionBase
import CoalitionNet
import Testing

@testable import CoalitionExplain

@Suite struct MethodTests {
  /// y = x1 - relu(x1 - x2) = min(x1, x2).
  private func minimum() throws -> Explainer {
    let graph = Graph(
      nodes: [
        Node("MatMul", inputs: ["x", "w"], outputs: ["d"]),
        Node("Relu", inputs: ["d"], outputs: ["r"]),
        Node("MatMul", inputs: ["x", "first"], outputs: ["x1"]),
        Node("Sub", inputs: ["x1", "r"], outputs: ["y"]),
      ],
      inputs: [Port("x", shape: ["N", 2])], outputs: [Port("y", shape: ["N", 1])],
      constants: [
        "w": try Tensor(shape: [2, 1], elements: .float32([1, -1])),
        "first": try Tensor(shape: [2, 1], elements: .float32([1, 0])),
      ])
    var options = ExplainerOptions()
    options.plan.precision = .double
    return try Explainer(Model(graph), options)
  }

  @Test func revealCancelSharesAMinimumOut() async throws {
    let explainer = try minimum()
    let x = try Tensor(shape: [3, 2], elements: .float64([4, 2, 1, 5, 3, 3]))
    let result = try await explainer.explain(["x": x], by: .deepLIFTRevealCancel)
    // The Shapley value of min(x1, x2) from zero: half of it each.
    let shares = try #require(result.attributions["x"]).doubles
    #expect(zip(shares, [1, 1, 0.5, 0.5, 1.5, 1.5]).allSatisfy { abs($0 - $1) < 1e-14 })
    let rescale = try await explainer.explain(["x": x], by: .deepLIFT)
    #expect(rescale.attributions["x"]?.doubles == [0, 2, 1, 0, 3, 0])
  }

  @Test(arguments: ReferenceTests.networks)
  func revealCancelIsComplete(name: String) async throws {
    for precision in Precision.allCases {
      let network = try FixtureNetwork(name, precision)
      let result = try await network.explainer.explain(
        network.inputs, by: .deepLIFTRevealCancel)
      let change = zip(result.output.doubles, try #require(result.baselineOutput).doubles)
        .map { max(abs($0 - $1), 1e-3 * abs($0)) }
      for (residual, change) in zip(try #require(result.residual).doubles, change) {
        #expect(abs(residual) <= (precision == .double ? 1e-11 : 1e-4) * change)
      }
    }
  }

  @Test(arguments: ReferenceTests.networks)
  func bisectedPathsReachTheirTolerance(name: String) async throws {
    let network = try FixtureNetwork(name)
    for tolerance in [1e-2, 1e-3] {
      let result = try await network.explainer.explain(
        network.inputs, by: .adaptiveIntegratedGradients(tolerance: tolerance))
      let change = zip(result.output.doubles, try #require(result.baselineOutput).doubles)
        .map { max(abs($0 - $1), 1e-3 * abs($0)) }
      for (residual, change) in zip(try #require(result.residual).doubles, change) {
        #expect(abs(residual) <= tolerance * change)
      }
    }
    let exact = try await network.explainer.explain(
      network.inputs, by: .adaptiveIntegratedGradients(tolerance: 1e-4))
    let many = try await network.explainer.explain(
      network.inputs, by: .integratedGradients(steps: 2000, quadrature: .midpoint))
    let (a, b) = (
      try #require(exact.attributions.values.first).doubles,
      try #require(many.attributions.values.first).doubles
    )
    let largest = b.reduce(0) { max($0, abs($1)) }
    #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 0.02 * largest })
  }

  @Test func expectedGradientsApproachTheMeanOverBaselines() async throws {
    let network = try FixtureNetwork("mlp-tanh")
    let images = try FixtureNetwork.array("mnist-images.npz", "images").doubles
    let rows = Array(images[..<(3 * 784)]).map { $0 / 127.5 - 1 }
    let baseline = Baseline.rows(
      try Tensor(shape: [3, 1, 28, 28], elements: .float64(rows)))
    let name = try #require(network.inputs.keys.first)
    let mean = try await network.explainer.explain(
      network.inputs, by: .integratedGradients(steps: 40), baselines: [name: baseline])
    let sampled = try await network.explainer.explain(
      network.inputs, by: .expectedGradients(samples: 3000, seed: 1), baselines: [name: baseline])
    let expected = try #require(mean.attributions[name]).doubles
    let found = try #require(sampled.attributions[name]).doubles
    let norm = expected.reduce(0) { $0 + $1 * $1 }
    let distance = zip(expected, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    #expect((distance / norm).squareRoot() < 0.08)
    #expect(sampled.baselineOutput == mean.baselineOutput)
    let again = try await network.explainer.explain(
      network.inputs, by: .expectedGradients(samples: 3000, seed: 1), baselines: [name: baseline])
    #expect(again.attributions == sampled.attributions)
    let other = try await network.explainer.explain(
      network.inputs, by: .expectedGradients(samples: 3000, seed: 2), baselines: [name: baseline])
    #expect(other.attributions != sampled.attributions)
  }

  @Test func smoothGradWithoutNoiseIsTheGradient() async throws {
    let network = try FixtureNetwork("cnn")
    let plain = try await network.explainer.explain(network.inputs, by: .gradient)
    let smooth = try await network.explainer.explain(
      network.inputs, by: .smoothGrad(samples: 3, noise: 0))
    for (name, tensor) in plain.attributions {
      let values = try #require(smooth.attributions[name]).doubles
      #expect(zip(tensor.doubles, values).allSatisfy { abs($0 - $1) <= 1e-12 * max(abs($0), 1e-3) })
    }
    let noisy = try await network.explainer.explain(
      network.inputs, by: .smoothGrad(samples: 20, noise: 0.2))
    #expect(noisy.attributions != smooth.attributions)
  }

  @Test func gradCAMIsTheWeightedSumOfTheMaps() async throws {
    let network = try FixtureNetwork("cnn")
    let result = try await network.explainer.gradCAM(network.inputs)
    let layer = try #require(
      network.explainer.model.graph.nodes.last { $0.operation == "Conv" }?.outputs[0])
    var options = ExplainerOptions()
    options.plan.precision = .double
    options.sources = [layer]
    let tail = try Explainer(network.explainer.model, options)
    let gradient = try #require(
      try await tail.explain(network.inputs, by: .gradient).attributions[layer])
    var planOptions = PlanOptions()
    planOptions.precision = .double
    planOptions.outputs = [layer]
    let maps = try #require(
      try await Plan(network.explainer.model, planOptions).run(network.inputs)[layer])
    let (channels, size) = (maps.shape[1], maps.shape[2])
    #expect(gradient.shape == maps.shape)
    let (g, a) = (gradient.doubles, maps.doubles)
    let values = try #require(result.attributions.values.first).doubles
    for example in 0..<maps.shape[0] {
      var map = [Double](repeating: 0, count: size * size)
      for channel in 0..<channels {
        let start = (example * channels + channel) * size * size
        let mean = g[start..<start + size * size].reduce(0, +) / Double(size * size)
        for place in 0..<size * size { map[place] += mean * a[start + place] }
      }
      let scaled = Explainer.scaledUp(
        map.map { max($0, 0) }, rows: size, columns: size, toRows: 28, columns: 28)
      for place in 0..<784 {
        #expect(abs(values[example * 784 + place] - scaled[place]) <= 1e-12)
      }
    }
  }

  @Test func mapsAreScaledUpWithPixelsAsAreas() {
    #expect(
      Explainer.scaledUp([0, 4], rows: 1, columns: 2, toRows: 1, columns: 4) == [0, 1, 3, 4])
    #expect(
      Explainer.scaledUp([1, 2, 3, 4], rows: 2, columns: 2, toRows: 2, columns: 2) == [1, 2, 3, 4])
  }

  @Test func allScoresTogetherAreEachByItself() async throws {
    let network = try FixtureNetwork("mlp-relu")
    let name = try #require(network.inputs.keys.first)
    for method in [
      GradientMethod.gradientTimesInput, .deepLIFT, .integratedGradients(steps: 20),
      .adaptiveIntegratedGradients(tolerance: 0.01),
    ] {
      let all = try await network.explainer.explain(network.inputs, by: method, target: .all)
      let together = try #require(all.attributions[name])
      let (examples, scores) = (together.shape[0], together.shape[1])
      #expect(scores == 10 && all.output.shape == [examples, 10])
      let values = together.doubles
      for score in [0, 7] {
        let one = try await network.explainer.explain(
          network.inputs, by: method, target: .index([score]))
        let alone = try #require(one.attributions[name]).doubles
        for example in 0..<examples {
          let row = (example * scores + score) * 784
          #expect(
            Array(values[row..<row + 784]) == Array(alone[example * 784..<(example + 1) * 784]))
        }
      }
    }
  }
}
