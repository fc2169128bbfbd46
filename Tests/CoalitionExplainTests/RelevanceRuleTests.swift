// The relevance rules against direct matrix formulas, and books of rules as text.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionExplain

@Suite struct RelevanceRuleTests {
  private typealias Formula = @Sendable (Layer, [Double], [Double]) -> [Double]

  private static let rules: [(RuleBook.Rule, Formula)] = [
    (.epsilon(1e-3), { NaiveRules.epsilon(1e-3, $0, $1, $2) }),
    (.zPlus, { NaiveRules.zPlus($0, $1, $2) }),
    (.gamma(0.25), { NaiveRules.gamma(0.25, $0, $1, $2) }),
    (.alphaBeta(2, 1), { NaiveRules.alphaBeta(2, 1, $0, $1, $2) }),
    (.alphaBeta(1, 0), { NaiveRules.alphaBeta(1, 0, $0, $1, $2) }),
    (.zBox(low: -3, high: 2), { NaiveRules.zBox(-3, 2, $0, $1, $2) }),
    (.wSquare, { NaiveRules.wSquare($0, $1, $2) }),
    (.flat, { NaiveRules.flat($0, $1, $2) }),
  ]

  private func check(
    _ net: NaiveNet, _ explainer: Explainer, _ book: RuleBook, _ inputShape: [Int],
    _ formula: (Int, Layer, [Double], [Double]) -> [Double]
  ) async throws {
    var random = Seeded(12)
    let width = net.layers[0].inputs
    let x = (0..<5).map { _ in random.numbers(width, -2...2) }
    let tensor = try Tensor.rows(x).reshaped(to: [5] + inputShape)
    let targets = net.layers[net.layers.count - 1].outputs
    let result = try await explainer.explain(
      ["x": tensor], by: .layerwiseRelevance(book), target: .all)
    let found = try #require(result.attributions["x"]).doubles
    let expected = x.flatMap { x in (0..<targets).flatMap { net.relevance(x, $0, formula) } }
    let scale = expected.reduce(1) { max($0, abs($1)) }
    #expect(distance(found, expected) <= 1e-9 * scale, "\(book)")
    #expect(expected.contains { abs($0) > 1e-3 })
  }

  @Test func onDenseLayers() async throws {
    var random = Seeded(1)
    let net = NaiveNet([random.layer(6, 9), random.layer(9, 7), random.layer(7, 3)], .relu)
    var (sketch, output) = net.sketch()
    let explainer = try sketch.explainer(output)
    for (rule, formula) in Self.rules {
      try await check(net, explainer, RuleBook(rule), [6]) { formula($1, $2, $3) }
    }
  }

  /// Two channels, stride 2 and 1, uneven pads; then a dense layer.
  private func convolutionNet() throws -> (NaiveNet, Explainer) {
    var random = Seeded(3)
    let (weights, bias) = (random.numbers(3 * 2 * 3 * 2), random.numbers(3))
    let convolution = Layer.convolution(
      weights, bias: bias, channels: 2, map: (5, 4), outputs: 3, kernel: (3, 2), stride: (2, 1),
      pads: [1, 0, 1, 1])
    let dense = random.layer(convolution.outputs, 4)
    var sketch = Sketch()
    let map = sketch.add(
      "Conv",
      [
        sketch.input("x", [2, 5, 4]), sketch.constant([3, 2, 3, 2], weights),
        sketch.constant([3], bias),
      ], ["strides": .ints([2, 1]), "pads": .ints([1, 0, 1, 1])])
    let flat = sketch.add("Flatten", [sketch.add("Relu", [map])])
    let output = sketch.dense(flat, dense)
    return (NaiveNet([convolution, dense], .relu), try sketch.explainer(output))
  }

  @Test func onAStridedPaddedConvolution() async throws {
    let (net, explainer) = try convolutionNet()
    for (rule, formula) in Self.rules {
      try await check(net, explainer, RuleBook(rule), [2, 5, 4]) { formula($1, $2, $3) }
    }
  }

  @Test func aBookGivesEveryLayerItsRule() async throws {
    let (net, explainer) = try convolutionNet()
    for (text, first, last) in [
      ("epsilon:0.001; conv = gamma:0.25", 2, 0), ("z+;first=z-box:-3,2", 5, 1),
      ("flat; dense = w-square", 7, 6), ("alpha-beta; last = alpha-beta:1,0", 3, 4),
      ("flat; Conv0 = z+; first = w-square ; Gemm3=epsilon:0.001", 6, 0),
      ("last = z+; conv = flat; dense = gamma", 7, 2),
    ] {
      try await check(net, explainer, try RuleBook(parsing: text), [2, 5, 4]) {
        Self.rules[$0 == 0 ? first : last].1($1, $2, $3)
      }
    }
  }

  /// z+, alpha-beta, gamma, w-square and flat lose only what biases and the stabilizer take.
  @Test func withoutBiasesRelevanceIsKept() async throws {
    var random = Seeded(5)
    let layers = [(6, 9), (9, 7), (7, 3)].map {
      random.layer($0.0, $0.1, isBiased: false)
    }
    var (sketch, output) = NaiveNet(layers, .relu).sketch()
    let explainer = try sketch.explainer(output)
    let x = random.tensor([6, 6], 0.25...2)
    for rule in [.epsilon(1e-9), .gamma(0.25), .zPlus, .wSquare, .flat] as [RuleBook.Rule] {
      let result = try await explainer.explain(
        ["x": x], by: .layerwiseRelevance(RuleBook(rule)), target: .index([0]), ledger: true)
      for example in 0..<6 {
        let row = try #require(result.attributions["x"]).doubles[example * 6..<(example + 1) * 6]
        // z+ loses what enters a unit that nothing excites.
        let lost = try #require(result.ledger).residuals.doubles
        let count = lost.count / 6
        let losses = lost[example * count..<(example + 1) * count].reduce(0, +)
        let score = result.output.doubles[example]
        #expect(abs(row.reduce(0, +) + losses - score) <= 1e-9 * max(1, abs(score)), "\(rule)")
        if rule != .zPlus {
          #expect(abs(losses) <= 1e-3 * max(1, abs(score)), "\(rule): \(losses)")
        }
      }
    }
  }
}

@Suite struct RuleBookTests {
  @Test func booksAreReadFromText() throws {
    #expect(try RuleBook(parsing: "epsilon") == RuleBook(.epsilon(1e-6)))
    #expect(
      try RuleBook(parsing: " epsilon:1e-3 ; conv=gamma ; first = z-box: -1, 1 ;last=flat;")
        == RuleBook([
          .init(.all, .epsilon(1e-3)), .init(.convolutions, .gamma(0.25)),
          .init(.first, .zBox(low: -1, high: 1)), .init(.last, .flat),
        ]))
    #expect(
      try RuleBook(parsing: "alpha-beta:3,2; dense = z+; block.1/conv = w-square")
        == RuleBook([
          .init(.all, .alphaBeta(3, 2)), .init(.dense, .zPlus),
          .init(.node("block.1/conv"), .wSquare),
        ]))
  }

  @Test(arguments: [
    "", " ; ", "zplus", "epsilon:", "epsilon:0", "epsilon:-1", "epsilon:nan", "epsilon:inf",
    "epsilon:1,2", "epsilon:x", "z+:1", "gamma:1,2", "alpha-beta:1,2,3", "z-box", "z-box:1",
    "z-box:1,2,3", "flat:1", "conv=", "=z+", "conv = = z+", "first", "epsilon:1e-3x",
    "gamma:,", "alpha-beta:1,,2", "z-box:1,0",
  ])
  func whatIsNoBookIsRefused(text: String) {
    #expect(throws: CoalitionError.self, "'\(text)'") { try RuleBook(parsing: text) }
  }

  @Test func errorsSayWhatIsExpected() {
    #expect {
      try RuleBook(parsing: "conv = zplus")
    } throws: { error in
      let error = error as? CoalitionError
      return error?.code == .usage && error?.found == "'zplus'"
        && error?.expected?.contains("z+") == true
    }
    #expect {
      try RuleBook(parsing: "z-box:1")
    } throws: { error in
      let error = error as? CoalitionError
      return error?.code == .usage && error?.expected?.contains("2") == true
    }
  }
}
