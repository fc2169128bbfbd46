// Attributions of the fixture networks against arrays that other programs made (Fixtures/README.md).

import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX
import Testing

@testable import CoalitionExplain

/// A fixture network with its reference arrays.
struct FixtureNetwork {
  static let folder = String(#filePath.dropLast("ReferenceTests.swift".count)) + "Fixtures/"

  let explainer: Explainer
  let inputs: [String: Tensor]
  private let name: String

  init(_ name: String, _ precision: Precision = .double) throws {
    self.name = name
    let model = try Model(ONNX.read(contentsOf: Self.folder + name + ".onnx"))
    var options = ExplainerOptions()
    options.plan.precision = precision
    explainer = try Explainer(model, options)
    let input = name == "sentiment" ? "tokens" : "input"
    inputs = [model.graph.inputs[0].name: try Self.array(name + "-references.npz", input)]
  }

  static func array(_ file: String, _ key: String) throws -> Tensor {
    try ArrayFile.load("\(folder)\(file):\(key)")
  }

  func array(_ key: String) throws -> Tensor {
    try Self.array(name + "-references.npz", key)
  }

  /// Compares attributions with a reference array, relative to its largest number.
  func check(
    _ method: GradientMethod, _ key: String, within tolerance: Double = 2e-7,
    baselines: [String: Baseline] = [:],
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let result = try await explainer.explain(inputs, by: method, baselines: baselines)
    let expected = try array(key).doubles
    let found = try #require(result.attributions.values.first).doubles
    try #require(found.count == expected.count, sourceLocation: sourceLocation)
    let largest = expected.reduce(0) { max($0, abs($1)) }
    let worst = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
    #expect(
      worst <= tolerance * largest, "\(name) \(key): \(worst) of \(largest)",
      sourceLocation: sourceLocation)
    let targets = try array("target").doubles
    #expect(result.target.doubles == targets, sourceLocation: sourceLocation)
  }
}

@Suite struct ReferenceTests {
  static let networks = [
    "mlp-relu", "mlp-tanh", "mlp-sigmoid", "mlp-softplus", "cnn", "resnet", "sentiment",
  ]

  @Test(arguments: networks) func gradients(name: String) async throws {
    let network = try FixtureNetwork(name)
    try await network.check(.gradient, "gradient")
    try await network.check(.gradientTimesInput, "gradient_x_input")
  }

  @Test(arguments: networks) func integratedGradients(name: String) async throws {
    let network = try FixtureNetwork(name)
    for quadrature in Quadrature.allCases {
      try await network.check(
        .integratedGradients(steps: 50, quadrature: quadrature),
        "integrated_gradients_\(quadrature.rawValue)_50")
    }
  }

  @Test(arguments: networks) func epsilonLRP(name: String) async throws {
    try await FixtureNetwork(name).check(.epsilonLRP(epsilon: 1e-4), "epsilon_lrp_1e-04")
  }

  @Test(arguments: networks) func deepLIFT(name: String) async throws {
    try await FixtureNetwork(name).check(.deepLIFT, "deeplift")
  }

  @Test(arguments: ["mlp-relu", "cnn"]) func relevanceRules(name: String) async throws {
    let network = try FixtureNetwork(name)
    for (rule, key) in [
      (RuleBook.Rule.epsilon(1e-6), "zennit_epsilon"), (.zPlus, "zennit_zplus"),
      (.gamma(0.25), "zennit_gamma_0.25"), (.alphaBeta(2, 1), "zennit_alpha2_beta1"),
    ] {
      try await network.check(.layerwiseRelevance(RuleBook(rule)), key)
    }
  }

  @Test(arguments: networks) func deepLIFTIsComplete(name: String) async throws {
    for precision in Precision.allCases {
      let network = try FixtureNetwork(name, precision)
      let result = try await network.explainer.explain(network.inputs, by: .deepLIFT)
      let change = zip(result.output.doubles, try #require(result.baselineOutput).doubles)
        .map { max(abs($0 - $1), 1e-3 * abs($0)) }
      for (residual, change) in zip(try #require(result.residual).doubles, change) {
        #expect(
          abs(residual) <= (precision == .double ? 1e-12 : 1e-4) * change, "\(precision)")
      }
    }
  }
}
