// Attributions have the same bytes whatever the batch, the lanes, the threads, the instruction set and the company.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionExplain

@Suite struct SameBytesTests {
  private static let methods: [GradientMethod] = [
    .gradient, .saliency, .gradientTimesInput, .epsilonLRP(), .deepLIFT, .deepLIFTRevealCancel,
    .guidedBackpropagation,
    .deconvnet, .layerwiseRelevance(RuleBook(.alphaBeta())),
    .layerwiseRelevance(RuleBook(.gamma())), .integratedGradients(steps: 50),
    .integratedGradients(steps: 7, quadrature: .right),
    .adaptiveIntegratedGradients(tolerance: 0.02),
  ]

  /// Convolutions with stride and pads, overlapping max pools, a residual sum, dense layers.
  private static func explainer(_ precision: Precision) throws -> Explainer {
    var random = Seeded(3)
    var sketch = Sketch()
    func convolution(_ x: String, _ inputs: Int, _ outputs: Int, _ stride: Int) -> String {
      sketch.add(
        "Conv",
        [
          x, sketch.constant([outputs, inputs, 3, 3], random.numbers(outputs * inputs * 9)),
          sketch.constant([outputs], random.numbers(outputs)),
        ],
        ["pads": .ints([1, 1, 1, 1]), "strides": .ints([stride, stride])])
    }
    let x = sketch.input("x", [2, 7, 6])
    let first = sketch.add("Relu", [convolution(x, 2, 5, 1)])
    let pooled = sketch.add(
      "MaxPool", [first],
      ["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])])
    let second = sketch.add("Tanh", [convolution(pooled, 5, 5, 1)])
    let sum = sketch.add("Add", [pooled, second])
    let last = sketch.add("Relu", [convolution(sum, 5, 3, 2)])
    let output = sketch.dense(sketch.add("Flatten", [last]), random.layer(12, 4))
    return try sketch.explainer(output, precision)
  }

  private static let most = 65

  private static func examples() -> Tensor {
    var random = Seeded(7)
    var numbers = random.numbers(most * 84)
    for index in numbers.indices where index % 7 == 3 { numbers[index] = 0 }
    for index in numbers.indices where index % 11 == 5 { numbers[index] = -0.0 }
    return Tensor(filling: [most, 2, 7, 6], with: .float64(numbers))
  }

  private static func rows(_ tensor: Tensor, _ range: Range<Int>) -> Tensor {
    let width = tensor.count / tensor.shape[0]
    return Tensor(
      filling: [range.count] + tensor.shape.dropFirst(),
      with: .float64(
        Array(tensor.doubles[range.lowerBound * width..<range.upperBound * width])))
  }

  private static func bits(_ tensor: Tensor?) -> [UInt64] {
    (tensor?.doubles ?? []).map(\.bitPattern)
  }

  @Test(arguments: methods, Precision.allCases)
  func howTheWorkIsDividedDoesNotShow(method: GradientMethod, precision: Precision) async throws {
    let explainer = try Self.explainer(precision)
    let x = Self.examples()
    var plain = RunOptions()
    plain.threads = 1
    plain.lanes = 16
    let all = try await explainer.explain(["x": x], by: method, target: .index([2]), plain)
    let expected = try #require(all.attributions["x"])

    func compare(_ range: Range<Int>, _ run: RunOptions, _ label: String) async throws {
      let part = try await explainer.explain(
        ["x": Self.rows(x, range)], by: method, target: .index([2]), run)
      #expect(
        Self.bits(part.attributions["x"]) == Self.bits(Self.rows(expected, range)),
        "\(method): examples \(range), \(label)")
      #expect(Self.bits(part.output) == Self.bits(Self.rows(all.output, range)))
    }
    for count in [1, 7, 64, 65] {
      for lanes in [nil, 1, 16, 32, 64] {
        for threads in [1, 2, 3] {
          var run = RunOptions()
          (run.lanes, run.threads) = (lanes, threads)
          try await compare(0..<count, run, "\(lanes ?? 0) lanes, \(threads) threads")
        }
      }
      for set in InstructionSet.available {
        var run = RunOptions()
        run.instructionSet = set
        try await compare(0..<count, run, set.rawValue)
      }
    }
    for range in [3..<4, 13..<14, 64..<65, 5..<23] {
      try await compare(range, RunOptions(), "by themselves")
    }
  }

  @Test(arguments: Precision.allCases)
  func severalBaselinesAndSeveralCalls(precision: Precision) async throws {
    let explainer = try Self.explainer(precision)
    let x = Self.examples()
    var random = Seeded(1)
    let baselines: [String: Baseline] = ["x": .rows(random.tensor([3, 2, 7, 6]))]
    // 65 * 300 and 65 * 3 * 120 variants are more than one call takes.
    for (method, baselines) in [
      (.deepLIFT, baselines), (.integratedGradients(steps: 300), [:]),
      (.integratedGradients(steps: 120, quadrature: .midpoint), baselines),
      (.adaptiveIntegratedGradients(tolerance: 1e-4), baselines),
    ] as [(GradientMethod, [String: Baseline])] {
      let all = try await explainer.explain(
        ["x": x], by: method, target: .index([1]), baselines: baselines)
      let expected = try #require(all.attributions["x"])
      for range in [0..<1, 20..<27, 53..<65, 64..<65] {
        let part = try await explainer.explain(
          ["x": Self.rows(x, range)], by: method, target: .index([1]), baselines: baselines)
        #expect(
          Self.bits(part.attributions["x"]) == Self.bits(Self.rows(expected, range)),
          "\(method) \(range)")
      }
    }
  }

  @Test(arguments: methods, Precision.allCases)
  func allTargetsTogetherOrOneByOne(method: GradientMethod, precision: Precision) async throws {
    let explainer = try Self.explainer(precision)
    let x = Self.rows(Self.examples(), 0..<9)
    let all = try await explainer.explain(["x": x], by: method, target: .all)
    let values = try #require(all.attributions["x"])
    #expect(values.shape == [9, 4, 2, 7, 6])
    func slice(_ example: Int, _ target: Int) -> [UInt64] {
      let start = (example * 4 + target) * 84
      return values.doubles[start..<start + 84].map(\.bitPattern)
    }
    for target in 0..<4 {
      let one = try await explainer.explain(["x": x], by: method, target: .index([target]))
      #expect(Self.bits(one.attributions["x"]) == (0..<9).flatMap { slice($0, target) })
      #expect(one.output.doubles == (0..<9).map { all.output.doubles[$0 * 4 + target] })
    }
    let labels = (0..<9).map { ($0 * 7 + 1) % 4 }
    let mixed = try await explainer.explain(["x": x], by: method, target: .labels(labels))
    #expect(
      Self.bits(mixed.attributions["x"]) == labels.enumerated().flatMap { slice($0, $1) })
    let predicted = try await explainer.explain(["x": x], by: method)
    let winners = predicted.target.doubles.map { Int($0) }
    #expect(
      Self.bits(predicted.attributions["x"]) == winners.enumerated().flatMap { slice($0, $1) })
    for (example, winner) in winners.enumerated() {
      let scores = all.output.doubles[example * 4..<(example + 1) * 4]
      #expect(all.output.doubles[example * 4 + winner] == scores.max())
    }
  }

  /// More scores than one program starts signals from.
  @Test func moreTargetsThanOneProgramTakes() async throws {
    var random = Seeded(2)
    let net = NaiveNet([random.layer(5, 6), random.layer(6, 37)], .tanh)
    var (sketch, output) = net.sketch()
    let explainer = try sketch.explainer(output)
    let x = random.tensor([3, 5])
    for method in [.gradientTimesInput, .integratedGradients(steps: 9)] as [GradientMethod] {
      let all = try await explainer.explain(["x": x], by: method, target: .all)
      let values = try #require(all.attributions["x"]).doubles
      #expect(values.count == 3 * 37 * 5)
      for target in [0, 15, 16, 31, 32, 36] {
        let one = try await explainer.explain(["x": x], by: method, target: .index([target]))
        var expected: [UInt64] = []
        for example in 0..<3 {
          let start = (example * 37 + target) * 5
          expected += values[start..<start + 5].map { $0.bitPattern }
        }
        #expect(Self.bits(one.attributions["x"]) == expected, "\(target)")
      }
    }
  }
}
