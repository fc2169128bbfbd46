// Rules of the reverse mode as data: how a signal goes back through each kind of step.
//
// A signal is a multiplier (of the target by a change of the value: gradients and everything that replaces a slope in
// them) or a relevance (the layer-wise propagation rules, whose signal is shared out among the inputs of a step).

/// An elementwise view of weights or of inputs.
package enum Lens: Hashable, Sendable {
  case identity
  case positive
  case negative
  case square
  /// w + gamma max(w, 0).
  case favouringPositive(Double)
  /// w + gamma min(w, 0).
  case favouringNegative(Double)
  /// 1 wherever there is an element.
  case one
  /// The same number wherever there is an element.
  case constant(Double)

  func callAsFunction(_ x: Double) -> Double {
    switch self {
    case .identity: x
    case .positive: max(x, 0)
    case .negative: min(x, 0)
    case .square: x * x
    case .favouringPositive(let gamma): x + gamma * max(x, 0)
    case .favouringNegative(let gamma): x + gamma * min(x, 0)
    case .one: 1
    case .constant(let value): value
    }
  }
}

/// One product of a relevance rule: sign * lens(x) lens(W) [+ lens(bias)].
package struct RelevancePass: Hashable, Sendable {
  package var input: Lens
  package var weight: Lens
  /// nil: without the bias.
  package var bias: Lens?
  package var sign: Double

  package init(_ input: Lens, _ weight: Lens, bias: Lens? = nil, sign: Double = 1) {
    self.input = input
    self.weight = weight
    self.bias = bias
    self.sign = sign
  }
}

/// Passes that share a denominator: with s = gate(R) / stabilised(sum of the passes), the inputs receive
/// coefficient * sum of sign * lens(x) (lens(W) transposed s).
package struct RelevanceGroup: Hashable, Sendable {
  package enum Gate: Hashable, Sendable {
    case open
    /// Only outputs whose pre-activation is above 0, or below it.
    case positive, negative
  }

  package var passes: [RelevancePass]
  package var coefficient: Double
  package var gate: Gate

  package init(_ passes: [RelevancePass], coefficient: Double = 1, gate: Gate = .open) {
    self.passes = passes
    self.coefficient = coefficient
    self.gate = gate
  }
}

/// How relevance goes back through an affine step.
package struct RelevanceRule: Hashable, Sendable {
  package var name: String
  package var groups: [RelevanceGroup]
  /// Added to denominators with their sign.
  package var epsilon: Double

  package init(_ name: String, epsilon: Double, _ groups: [RelevanceGroup]) {
    self.name = name
    self.epsilon = epsilon
    self.groups = groups
  }
}

/// What replaces the slope of a function of one number.
package enum SlopeRule: Hashable, Sendable {
  /// f'(z).
  case derivative
  /// f(z) / (z + epsilon sign z).
  case ratio(epsilon: Double)
  /// (f(z) - f(z')) / (z - z'), without cancellation at any distance; the derivative where they are equal.
  case secant
  /// Secants for what came from positive and from negative terms apart (RevealCancel.swift).
  case revealCancel
  /// f'(z) where the signal is positive.
  case guided
  /// 1 where the signal is positive.
  case deconvnet

  var needsReference: Bool { self == .secant || self == .revealCancel }
}

/// How one signal goes back through the graph: everything that a gradient-based method is, but its baseline and what
/// it does with the signal at the end.
package struct ReverseRules: Hashable, Sendable {
  package enum Signal: Hashable, Sendable {
    case multiplier
    /// With the rule for affine steps.
    case relevance(RelevanceRule)
  }

  package var signal: Signal
  package var slope: SlopeRule
  /// Relevance rules for the affine steps of single nodes, by label.
  package var exceptions: [String: RelevanceRule]

  package init(
    _ signal: Signal = .multiplier, slope: SlopeRule = .derivative,
    exceptions: [String: RelevanceRule] = [:]
  ) {
    self.signal = signal
    self.slope = slope
    self.exceptions = exceptions
  }

  /// Whether selections and products share a change out between their inputs completely, which takes the reference
  /// values, instead of following the gradient.
  var isComplete: Bool { slope.needsReference }

  /// Whether a function may be done inside of the step before it when it only keeps its output: the slope of a
  /// rectifier can be told from that.
  var allowsFusedRectifiers: Bool { !isComplete }

  func relevanceRule(_ label: String) -> RelevanceRule? {
    guard case .relevance(let rule) = signal else { return nil }
    return exceptions[label] ?? rule
  }
}
