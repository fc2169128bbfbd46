// Books of rules for layer-wise relevance propagation: which rule each affine layer follows.
//
// A book is written as rules with what they are for, the last fitting one counts:
//
//     epsilon                                      every layer
//     epsilon; conv = gamma:0.25; first = z-box:-1,1
//
// A selector is `conv`, `dense`, `first`, `last`, or a node's name. For an affine layer z = W x + b with positive and
// negative parts x+ x- W+ W- b+ b-, and st(z) = z + e sign(z) (docs/Methods.md has the formulas and sources):

public import CoalitionBase
package import CoalitionNet

public struct RuleBook: Sendable, Hashable {
  /// A rule for one layer.
  public enum Rule: Sendable, Hashable {
    /// R_in = x W^T(R / st(z)).
    case epsilon(Double = 1e-6)
    /// Only what acts in the direction of the activation: x+ W+ and x- W-.
    case zPlus
    /// W + gamma W+ in place of W, for inputs of both signs.
    case gamma(Double = 0.25)
    /// alpha times what acts for the output minus beta times what acts against it; alpha - beta = 1 keeps the sum.
    case alphaBeta(Double = 2, Double = 1)
    /// For inputs within [low, high]: x W - low W+ - high W-.
    case zBox(low: Double, high: Double)
    /// In proportion to the squared weights, whatever the input.
    case wSquare
    /// Evenly.
    case flat
  }

  /// Which layers a rule is for.
  public enum Selector: Sendable, Hashable {
    case all
    case convolutions
    case dense
    /// The first or last affine layer in the order of the graph.
    case first, last
    case node(String)
  }

  public struct Entry: Sendable, Hashable {
    public var selector: Selector
    public var rule: Rule

    public init(_ selector: Selector, _ rule: Rule) {
      self.selector = selector
      self.rule = rule
    }
  }

  public var entries: [Entry]

  public init(_ entries: [Entry]) { self.entries = entries }

  /// The same rule everywhere.
  public init(_ rule: Rule) { entries = [Entry(.all, rule)] }

  /// Denominators of rules without an epsilon of their own are kept off 0 by this much.
  static let stabilizer = 1e-6

  /// The rules of a graph's nodes.
  package func rules(for graph: Graph) -> ReverseRules {
    let affine = graph.affineNodes
    var general = Rule.epsilon()
    var exceptions: [String: RelevanceRule] = [:]
    for entry in entries where entry.selector == .all { general = entry.rule }
    for entry in entries {
      for node in affine where selects(entry.selector, node, affine) {
        exceptions[node.label] = entry.rule.relevance
      }
    }
    return ReverseRules(.relevance(general.relevance), exceptions: exceptions)
  }

  private func selects(_ selector: Selector, _ node: Node, _ affine: [Node]) -> Bool {
    switch selector {
    case .all: true
    case .convolutions: node.operation == "Conv"
    case .dense: node.operation != "Conv"
    case .first: node == affine.first
    case .last: node == affine.last
    case .node(let name): node.name == name || node.outputs.first == name
    }
  }

  /// Checks the parameters of the rules, and that every named layer exists.
  /// - Throws: `usage`; for a layer with those that there are.
  package func check(_ graph: Graph) throws(CoalitionError) {
    let affine = graph.affineNodes
    for entry in entries {
      try entry.rule.check()
      guard case .node(let name) = entry.selector else { continue }
      guard affine.contains(where: { selects(entry.selector, $0, affine) }) else {
        throw CoalitionError(
          .usage, "no convolution or dense layer has this name", node: name,
          expected: affine.map(\.label).joined(separator: ", "))
      }
    }
  }
}

extension Graph {
  /// Convolutions and dense layers.
  fileprivate var affineNodes: [Node] {
    nodes.filter { ["Conv", "Gemm", "MatMul"].contains($0.operation) }
  }
}

extension RuleBook.Rule {
  /// - Throws: `usage` for parameters without a meaning.
  fileprivate func check() throws(CoalitionError) {
    switch self {
    case .epsilon(let epsilon):
      guard epsilon > 0, epsilon.isFinite else {
        throw CoalitionError(.usage, "epsilon must be above 0 and finite", found: "\(epsilon)")
      }
    case .gamma(let gamma):
      guard gamma >= 0, gamma.isFinite else {
        throw CoalitionError(.usage, "gamma must be at least 0 and finite", found: "\(gamma)")
      }
    case .alphaBeta(let alpha, let beta):
      guard alpha.isFinite, beta.isFinite else {
        throw CoalitionError(
          .usage, "alpha and beta must be finite", found: "\(alpha), \(beta)")
      }
    case .zBox(let low, let high):
      guard low < high, low.isFinite, high.isFinite else {
        throw CoalitionError(
          .usage, "the box of inputs must have a low end below its high end",
          found: "\(low), \(high)")
      }
    case .zPlus, .wSquare, .flat: break
    }
  }

  /// The rule as signed passes.
  var relevance: RelevanceRule {
    let stabilizer = RuleBook.stabilizer
    /// Passes of inputs of one sign with weights under one lens, and of the others under another.
    func pair(_ up: Lens, _ down: Lens, bias: Lens) -> [RelevancePass] {
      [RelevancePass(.positive, up, bias: bias), RelevancePass(.negative, down)]
    }
    switch self {
    case .epsilon(let epsilon):
      return RelevanceRule(
        "epsilon", epsilon: epsilon,
        [RelevanceGroup([RelevancePass(.identity, .identity, bias: .identity)])])
    case .zPlus:
      return RelevanceRule(
        "z+", epsilon: stabilizer, [RelevanceGroup(pair(.positive, .negative, bias: .positive))])
    case .gamma(let gamma):
      let (up, down) = (Lens.favouringPositive(gamma), Lens.favouringNegative(gamma))
      return RelevanceRule(
        "gamma", epsilon: stabilizer,
        [
          RelevanceGroup(pair(up, down, bias: up), gate: .positive),
          RelevanceGroup(pair(down, up, bias: down), gate: .negative),
        ])
    case .alphaBeta(let alpha, let beta):
      return RelevanceRule(
        "alpha-beta", epsilon: stabilizer,
        [
          RelevanceGroup(pair(.positive, .negative, bias: .positive), coefficient: alpha),
          RelevanceGroup(pair(.negative, .positive, bias: .negative), coefficient: -beta),
        ])
    case .zBox(let low, let high):
      return RelevanceRule(
        "z-box", epsilon: stabilizer,
        [
          RelevanceGroup([
            RelevancePass(.identity, .identity),
            RelevancePass(.constant(low), .positive, sign: -1),
            RelevancePass(.constant(high), .negative, sign: -1),
          ])
        ])
    case .wSquare:
      return RelevanceRule(
        "w-square", epsilon: stabilizer, [RelevanceGroup([RelevancePass(.one, .square)])])
    case .flat:
      return RelevanceRule(
        "flat", epsilon: stabilizer, [RelevanceGroup([RelevancePass(.one, .one)])])
    }
  }
}

// MARK: - Text

extension RuleBook {
  /// Reads a book from its text.
  /// - Throws: `usage` for what is no rule.
  public init(parsing text: String) throws(CoalitionError) {
    entries = []
    for part in text.split(separator: ";") {
      if Self.trimmed(part).isEmpty { continue }
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        .map { Self.trimmed($0) }
      guard let rule = sides.last, sides[0] != "" else {
        throw CoalitionError(.usage, "a rule has no layers that it is for", found: "'\(part)'")
      }
      let selector: Selector
      switch sides.count == 2 ? sides[0] : "all" {
      case "all": selector = .all
      case "conv": selector = .convolutions
      case "dense": selector = .dense
      case "first": selector = .first
      case "last": selector = .last
      case let name: selector = .node(name)
      }
      entries.append(Entry(selector, try Rule(parsing: rule)))
    }
    guard !entries.isEmpty else { throw CoalitionError(.usage, "the book of rules is empty") }
  }

  static func trimmed(_ text: some StringProtocol) -> String {
    String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}

extension RuleBook.Rule {
  fileprivate init(parsing text: String) throws(CoalitionError) {
    let sides = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let name = RuleBook.trimmed(sides[0])
    let texts =
      sides.count == 2 ? sides[1].split(separator: ",", omittingEmptySubsequences: false) : []
    let numbers = texts.compactMap { Double(RuleBook.trimmed($0)) }.filter(\.isFinite)
    func number(_ index: Int, _ fallback: Double) -> Double {
      index < numbers.count ? numbers[index] : fallback
    }
    let counts: ClosedRange<Int>
    switch name {
    case "epsilon": (self, counts) = (.epsilon(number(0, 1e-6)), 0...1)
    case "z+": (self, counts) = (.zPlus, 0...0)
    case "gamma": (self, counts) = (.gamma(number(0, 0.25)), 0...1)
    case "alpha-beta": (self, counts) = (.alphaBeta(number(0, 2), number(1, 1)), 0...2)
    case "z-box": (self, counts) = (.zBox(low: number(0, 0), high: number(1, 1)), 2...2)
    case "w-square": (self, counts) = (.wSquare, 0...0)
    case "flat": (self, counts) = (.flat, 0...0)
    default:
      throw CoalitionError(
        .usage, "there is no such relevance rule",
        expected:
          "epsilon[:E], z+, gamma[:G], alpha-beta[:A,B], z-box:LOW,HIGH, w-square or flat",
        found: "'\(text)'")
    }
    guard counts.contains(numbers.count), numbers.count == texts.count else {
      throw CoalitionError(
        .usage, "the rule \(name) has another number of parameters",
        expected: "\(counts.lowerBound) to \(counts.upperBound)", found: "'\(text)'")
    }
    try check()
  }
}
