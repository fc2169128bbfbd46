// What is proved of the gradient methods (Ancona et al. 2018; Bach et al. 2015; Sundararajan et al. 2017), as tests.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionExplain

@Suite struct PropertyTests {
  private static let examples = 4

  private func net(
    _ activation: Activation, sizes: [Int] = [6, 8, 7, 3], isBiased: Bool = true, seed: Int = 5
  ) -> NaiveNet {
    var random = Seeded(seed)
    let layers = zip(sizes, sizes.dropFirst()).map {
      random.layer($0, $1, isBiased: isBiased)
    }
    return NaiveNet(layers, activation)
  }

  /// Attributions of random examples to all targets, per example and target, with what belongs to them.
  private struct Result {
    var x: [[Double]]
    var baseline: [Double]
    /// Per example and target.
    var attributions: [[[Double]]]
    var explanation: Explanation
  }

  private func explain(
    _ net: NaiveNet, _ method: GradientMethod, isFromZero: Bool = true
  ) async throws -> Result {
    var random = Seeded(9)
    let width = net.layers[0].inputs
    let targets = net.layers[net.layers.count - 1].outputs
    let x = (0..<Self.examples).map { _ in random.numbers(width, -2...2) }
    let baseline = isFromZero ? [Double](repeating: 0, count: width) : random.numbers(width)
    var (sketch, output) = net.sketch()
    let explainer = try sketch.explainer(output)
    let result = try await explainer.explain(
      ["x": .rows(x)], by: method, target: .all, baselines: ["x": .rows(.rows([baseline]))])
    let values = try #require(result.attributions["x"]).doubles
    return Result(
      x: x, baseline: baseline,
      attributions: (0..<Self.examples).map { example in
        (0..<targets).map { target in
          let start = (example * targets + target) * width
          return Array(values[start..<start + width])
        }
      }, explanation: result)
  }

  private func flat(_ result: Result) -> [Double] {
    result.attributions.flatMap { $0.flatMap { $0 } }
  }

  // MARK: One device, two forms

  @Test(arguments: Activation.allCases, [true, false])
  func epsilonLRPIsAModifiedGradient(activation: Activation, isBiased: Bool) async throws {
    let net = net(activation, isBiased: isBiased)
    let epsilon = 1e-9
    let result = try await explain(net, .epsilonLRP(epsilon: epsilon))
    for (x, targets) in zip(result.x, result.attributions) {
      let pre = net.trace(x).pre
      for (target, found) in targets.enumerated() {
        let gradient = net.modifiedGradient(target) { layer, unit in
          let z = pre[layer][unit]
          return activation(z) / NaiveNet.stabilised(z, epsilon)
        }
        #expect(distance(found, zip(x, gradient).map { $0 * $1 }) <= 1e-12)
        #expect(distance(found, net.epsilonRecursion(x, target, epsilon)) <= 1e-6)
      }
    }
  }

  @Test(arguments: Activation.allCases, [true, false])
  func deepLIFTIsAModifiedGradient(activation: Activation, isFromZero: Bool) async throws {
    let net = net(activation)
    let result = try await explain(net, .deepLIFT, isFromZero: isFromZero)
    for (x, targets) in zip(result.x, result.attributions) {
      for (target, found) in targets.enumerated() {
        #expect(distance(found, net.deepLIFTRecursion(x, result.baseline, target)) <= 1e-10)
      }
    }
    // P5.
    #expect(result.explanation.residual?.doubles.allSatisfy { abs($0) <= 1e-12 } ?? false)
  }

  @Test(arguments: Activation.allCases)
  func gradientsAreThoseOfTheFormula(activation: Activation) async throws {
    let net = net(activation)
    let gradient = try await explain(net, .gradient)
    let saliency = try await explain(net, .saliency)
    let timesInput = try await explain(net, .gradientTimesInput)
    for (example, x) in gradient.x.enumerated() {
      for target in gradient.attributions[example].indices {
        let expected = net.gradient(x, target)
        #expect(distance(gradient.attributions[example][target], expected) <= 1e-13)
        #expect(distance(saliency.attributions[example][target], expected.map(abs)) <= 1e-13)
        let products = zip(x, expected).map { $0 * $1 }
        #expect(distance(timesInput.attributions[example][target], products) <= 1e-13)
      }
    }
  }

  // MARK: Where methods agree, and where they do not

  @Test(arguments: [true, false])
  func ofReluNetsEpsilonLRPIsGradientTimesInput(isBiased: Bool) async throws {
    let net = net(.relu, isBiased: isBiased)
    let lrp = try await explain(net, .epsilonLRP(epsilon: 1e-9))
    let gradient = try await explain(net, .gradientTimesInput)
    #expect(distance(flat(lrp), flat(gradient)) <= 1e-6)
  }

  @Test func ofOtherNetsEpsilonLRPIsAnotherMethod() async throws {
    for activation in Activation.allCases where activation != .relu {
      let lrp = try await explain(net(activation), .epsilonLRP(epsilon: 1e-9))
      let gradient = try await explain(net(activation), .gradientTimesInput)
      #expect(distance(flat(lrp), flat(gradient)) > 1e-2)
    }
  }

  /// The same holds for pools and leaky rectifiers: f(z) / z is the slope.
  @Test func ofPooledReluMapsEpsilonLRPIsGradientTimesInput() async throws {
    var random = Seeded(2)
    var sketch = Sketch()
    var value = sketch.input("x", [2, 6, 6])
    value = sketch.add(
      "Conv",
      [
        value, sketch.constant([3, 2, 3, 3], random.numbers(54)),
        sketch.constant([3], random.numbers(3)),
      ], ["pads": .ints([1, 1, 1, 1])])
    value = sketch.add("LeakyRelu", [value], ["alpha": .float(0.25)])
    value = sketch.add(
      "MaxPool", [value], ["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2])])
    value = sketch.add(
      "Relu", [sketch.add("AveragePool", [value], ["kernel_shape": .ints([2, 2])])])
    value = sketch.dense(sketch.add("Flatten", [value]), random.layer(3, 2))
    let explainer = try sketch.explainer(value)
    let x = random.tensor([3, 2, 6, 6])
    let lrp = try await explainer.explain(["x": x], by: .epsilonLRP(epsilon: 1e-9), target: .all)
    let gradient = try await explainer.explain(["x": x], by: .gradientTimesInput, target: .all)
    let found = try #require(lrp.attributions["x"]).doubles
    let expected = try #require(gradient.attributions["x"]).doubles
    #expect(distance(found, expected) <= 1e-7)
    #expect(found.contains { abs($0) > 1e-3 })
  }

  @Test(arguments: [Activation.relu, .tanh])
  func withoutBiasesEpsilonLRPIsDeepLIFTFromZero(activation: Activation) async throws {
    let plain = net(activation, isBiased: false)
    let lrp = try await explain(plain, .epsilonLRP(epsilon: 1e-9))
    let deepLIFT = try await explain(plain, .deepLIFT)
    #expect(distance(flat(lrp), flat(deepLIFT)) <= 1e-6)
    let biased = net(activation)
    let other = try await explain(biased, .epsilonLRP(epsilon: 1e-9))
    let rescaled = try await explain(biased, .deepLIFT)
    #expect(distance(flat(other), flat(rescaled)) > 1e-3)
  }

  @Test func ofReluNetsWithoutBiasesAllAreOne() async throws {
    let net = net(.relu, isBiased: false)
    let gradient = try await explain(net, .gradientTimesInput)
    let scores = gradient.x.flatMap { net.scores($0) }
    let methods: [GradientMethod] =
      [.gradientTimesInput, .epsilonLRP(epsilon: 1e-10), .deepLIFT]
      + Quadrature.allCases.map { .integratedGradients(steps: 7, quadrature: $0) }
    for method in methods {
      let result = try await explain(net, method)
      #expect(distance(flat(result), flat(gradient)) <= 1e-7, "\(method)")
      let sums = result.attributions.flatMap { $0.map { $0.reduce(0, +) } }
      #expect(distance(sums, scores) <= 1e-7, "\(method)")
    }
  }

  @Test func ofLinearModelsAllAreOne() async throws {
    let net = net(.relu, sizes: [6, 3])
    for method in [
      .gradientTimesInput, .epsilonLRP(), .deepLIFT, .integratedGradients(steps: 3),
      .guidedBackpropagation, .deconvnet, .layerwiseRelevance(RuleBook(.epsilon(1e-12))),
    ] as [GradientMethod] {
      let result = try await explain(net, method, isFromZero: !method.usesBaseline)
      for (x, targets) in zip(result.x, result.attributions) {
        for (target, found) in targets.enumerated() {
          let weights = net.layers[0].weights[target]
          let expected: [Double] =
            switch method {
            case .guidedBackpropagation, .deconvnet: weights
            case .deepLIFT, .integratedGradients:
              weights.indices.map { weights[$0] * (x[$0] - result.baseline[$0]) }
            default: zip(weights, x).map { $0 * $1 }
            }
          #expect(distance(found, expected) <= 1e-9, "\(method)")
        }
      }
    }
  }

  @Test(arguments: Activation.allCases)
  func ofOneHiddenLayerIntegratedGradientsAreDeepLIFT(activation: Activation) async throws {
    let net = net(activation, sizes: [6, 9, 3])
    let path = try await explain(
      net, .integratedGradients(steps: activation == .relu ? 4000 : 60), isFromZero: false)
    let deepLIFT = try await explain(net, .deepLIFT, isFromZero: false)
    #expect(distance(flat(path), flat(deepLIFT)) <= (activation == .relu ? 1e-2 : 1e-9))
    // Average slopes have no chain rule: two layers tell them apart.
    let deep = self.net(activation)
    let difference = distance(
      flat(try await explain(deep, .integratedGradients(steps: 100), isFromZero: false)),
      flat(try await explain(deep, .deepLIFT, isFromZero: false)))
    #expect(difference > 1e-3)
  }

  @Test func ofSeparableModelsChangesAreOfEachInput() async throws {
    var sketch = Sketch()
    let x = sketch.input("x", [4])
    let hidden = sketch.add("Tanh", [sketch.add("Add", [x, sketch.constant([4], [1, -1, 2, 0])])])
    let explainer = try sketch.explainer(
      sketch.dense(hidden, Layer(weights: [[2, -1, 3, 0.5]], bias: [1])))
    let (a, b) = ([0.5, -1.5, 1, 2], [-0.25, 0.75, 0, -1])
    let shifts = [1.0, -1, 2, 0]
    let expected = zip([2, -1, 3, 0.5], shifts.indices).map { weight, i in
      weight * (Activation.tanh(a[i] + shifts[i]) - Activation.tanh(b[i] + shifts[i]))
    }
    for method in [.deepLIFT, .integratedGradients(steps: 60)] as [GradientMethod] {
      let result = try await explainer.explain(
        ["x": .rows([a])], by: method, baselines: ["x": .rows(.rows([b]))])
      #expect(distance(result.attributions["x"]?.doubles ?? [], expected) <= 1e-12, "\(method)")
    }
  }

  // MARK: Sums

  @Test func integratedGradientsComeCloserWithMoreSteps() async throws {
    let net = net(.tanh)
    for (quadrature, order) in [(Quadrature.right, 1.0), (.midpoint, 2)] {
      var errors: [Double] = []
      for steps in [40, 80, 160] {
        let result = try await explain(
          net, .integratedGradients(steps: steps, quadrature: quadrature), isFromZero: false)
        errors.append(try #require(result.explanation.residual).doubles.map(abs).max() ?? 0)
      }
      for (coarse, fine) in zip(errors, errors.dropFirst()) {
        // The error of order p falls to 2^-p.
        let factor = coarse / fine
        #expect(factor > 1.6 * order && factor < 2.5 * order, "\(quadrature): \(errors)")
      }
    }
    let gauss = try await explain(net, .integratedGradients(steps: 60), isFromZero: false)
    #expect(gauss.explanation.residual?.doubles.allSatisfy { abs($0) <= 1e-9 } ?? false)
  }

  @Test(arguments: Activation.allCases)
  func withoutBiasesEpsilonLRPAddsUpToTheScore(activation: Activation) async throws {
    let net = net(activation, isBiased: false)
    let result = try await explain(net, .epsilonLRP(epsilon: 1e-11))
    for (x, targets) in zip(result.x, result.attributions) {
      #expect(distance(targets.map { $0.reduce(0, +) }, net.scores(x)) <= 1e-6)
    }
  }

  @Test func productsAreSharedInHalves() async throws {
    var sketch = Sketch()
    let (x, y) = (sketch.input("x", [1]), sketch.input("y", [1]))
    let explainer = try sketch.explainer(sketch.add("Mul", [x, y]))
    for (method, share) in [
      (.integratedGradients(steps: 5), 0.5), (.gradientTimesInput, 1), (.deepLIFT, 0.5),
    ] as [(GradientMethod, Double)] {
      let result = try await explainer.explain(["x": .rows([[3]]), "y": .rows([[-4]])], by: method)
      for name in ["x", "y"] {
        #expect(
          abs((result.attributions[name]?.doubles[0] ?? .nan) + 12 * share) <= 1e-13, "\(method)")
      }
    }
  }

  // MARK: Selectors and baselines

  @Test func signalsAreLinearInTheTarget() async throws {
    let net = net(.sigmoid)
    for method in [
      .gradient, .gradientTimesInput, .epsilonLRP(), .deepLIFT, .integratedGradients(steps: 9),
    ] as [GradientMethod] {
      let all = try await explain(net, method)
      var (sketch, output) = net.sketch()
      let explainer = try sketch.explainer(output)
      let difference = try await explainer.explain(
        ["x": .rows(all.x)], by: method, target: .difference(2, 0))
      let expected = all.attributions.flatMap { zip($0[2], $0[0]).map { $0 - $1 } }
      let found = try #require(difference.attributions["x"]).doubles
      #expect(distance(found, expected) <= 1e-13, "\(method)")
      // A target of weight 0.
      let none = try await explainer.explain(
        ["x": .rows(all.x)], by: method, target: .difference(1, 1))
      #expect(none.attributions["x"]?.doubles.allSatisfy { $0 == 0 } ?? false, "\(method)")
    }
  }

  @Test func fromItselfNothingChanges() async throws {
    var random = Seeded(4)
    for activation in Activation.allCases {
      var (sketch, output) = net(activation).sketch()
      let explainer = try sketch.explainer(output)
      let x = random.tensor([1, 6])
      for method in [.deepLIFT, .integratedGradients(steps: 8)] as [GradientMethod] {
        let result = try await explainer.explain(
          ["x": x], by: method, target: .all, baselines: ["x": .rows(x)])
        #expect(result.attributions["x"]?.doubles.allSatisfy { $0 == 0 } ?? false)
        #expect(result.residual?.doubles.allSatisfy { $0 == 0 } ?? false)
      }
    }
  }

  @Test func severalBaselinesAreAveraged() async throws {
    var random = Seeded(6)
    var (sketch, output) = net(.softplus).sketch()
    let explainer = try sketch.explainer(output)
    let x = random.tensor([3, 6])
    let baselines = (0..<5).map { _ in random.numbers(6) }
    for method in [.deepLIFT, .integratedGradients(steps: 11)] as [GradientMethod] {
      let mean = try await explainer.explain(
        ["x": x], by: method, target: .index([1]), baselines: ["x": .rows(.rows(baselines))])
      var expected = [Double](repeating: 0, count: 18)
      for baseline in baselines {
        let one = try await explainer.explain(
          ["x": x], by: method, target: .index([1]), baselines: ["x": .rows(.rows([baseline]))])
        for (index, value) in try #require(one.attributions["x"]).doubles.enumerated() {
          expected[index] += value / 5
        }
      }
      #expect(distance(mean.attributions["x"]?.doubles ?? [], expected) <= 1e-13)
      #expect(mean.residual?.doubles.allSatisfy { abs($0) <= 1e-4 } ?? false)
    }
  }

  /// Inner values can be explained too; behind an affine layer relevance and rescaled changes keep their sums.
  @Test func attributionsOfAnInnerValueKeepTheSum() async throws {
    let net = net(.tanh)
    var (sketch, output) = net.sketch()
    let hidden = "v1"
    let inner = try sketch.explainer(output, sources: [hidden])
    var random = Seeded(8)
    let x = (0..<3).map { _ in random.numbers(6) }
    let zero = [Double](repeating: 0, count: 6)
    let atZero = net.layers[0](zero).map { net.activation($0) }
    let result = try await inner.explain(
      ["x": .rows(x)], by: .deepLIFT, target: .index([0]),
      baselines: [hidden: .rows(.rows([atZero]))])
    let values = try #require(result.attributions[hidden])
    #expect(values.shape == [3, 8])
    for example in 0..<3 {
      let sum = values.doubles[example * 8..<(example + 1) * 8].reduce(0, +)
      #expect(abs(sum - (net.scores(x[example])[0] - net.scores(zero)[0])) <= 1e-12)
    }
  }

  // MARK: Ledger

  @Test func theLedgerOfDeepLIFTIsEmptyAndThatOfGradientsIsNot() async throws {
    let net = net(.sigmoid)
    var (sketch, output) = net.sketch()
    let explainer = try sketch.explainer(output)
    var random = Seeded(8)
    let x = random.tensor([4, 6])
    let complete = try await explainer.explain(
      ["x": x], by: .deepLIFT, target: .all, ledger: true)
    let ledger = try #require(complete.ledger)
    #expect(ledger.residuals.shape == [4, 3, ledger.nodes.count])
    #expect(Set(ledger.nodes) == Set(sketch.graph.nodes.map(\.label)))
    #expect(ledger.residuals.doubles.allSatisfy { abs($0) <= 1e-13 })

    // Relevance that biases take is lost where it is lost, and the ledger adds up to what is missing.
    let relevance = try await explainer.explain(
      ["x": x], by: .layerwiseRelevance(RuleBook(.epsilon(1e-9))), target: .index([0]),
      ledger: true)
    let losses = try #require(relevance.ledger)
    for example in 0..<4 {
      let sum = relevance.attributions["x"]?.doubles[example * 6..<(example + 1) * 6].reduce(0, +)
      let count = losses.nodes.count
      let row = losses.residuals.doubles[example * count..<(example + 1) * count]
      let missing = relevance.output.doubles[example] - (sum ?? 0)
      #expect(abs(row.reduce(0, +) - missing) <= 1e-9)
      for (node, loss) in zip(losses.nodes, row) {
        #expect(node.hasPrefix("Gemm") ? abs(loss) > 1e-6 : loss == 0, "\(node): \(loss)")
      }
    }
  }

  /// A constant baseline makes maps whose maxima tie: no rounding, that of minimal filtering least of all, may choose
  /// the place that takes a window's change.
  @Test func roundingChoosesNoWinner() async throws {
    var explanations: [[Double]] = []
    for precision in Precision.allCases {
      var random = Seeded(12)
      var sketch = Sketch()
      var map = sketch.input("x", [1, 16, 16])
      for (inputs, outputs) in [(1, 16), (16, 16)] {
        let weights = sketch.constant(
          [outputs, inputs, 3, 3], random.numbers(outputs * inputs * 9))
        let sum = sketch.add(
          "Conv", [map, weights, sketch.constant([outputs], random.numbers(outputs))])
        map = sketch.add("Relu", [sum])
      }
      let pool: [String: Attribute] = ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]
      let flat = sketch.add("Flatten", [sketch.add("MaxPool", [map], pool)])
      let score = sketch.dense(flat, random.layer(16 * 36, 1))
      let explainer = try sketch.explainer(score, precision)
      let result = try await explainer.explain(
        ["x": random.tensor([2, 1, 16, 16])], by: .deepLIFT, target: .index([0]))
      explanations.append(try #require(result.attributions["x"]).doubles)
    }
    let largest = explanations[1].map(abs).max() ?? 0
    #expect(distance(explanations[0], explanations[1]) <= 1e-4 * largest)
  }
}
