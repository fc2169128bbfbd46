// How parameters follow their gradients.

import CLanes

/// A rule of optimisation with its numbers (csrc/include/lanes_training.h has the formulas).
package struct UpdateRule: Sendable, Hashable {
  package enum Kind: Sendable, Hashable { case sgd, nesterov, adam, adadelta }

  package var kind: Kind
  package var rate: Double
  /// Times a parameter, this is added to its gradient.
  package var decay = 0.0
  /// Momentum, the decay of Adam's mean, or Adadelta's rho.
  package var first = 0.0
  /// The decay of Adam's mean square.
  package var second = 0.0
  package var epsilon = 0.0

  package init(_ kind: Kind, rate: Double) {
    self.kind = kind
    self.rate = rate
  }

  /// Whether the rule remembers a second number of each parameter.
  var hasSecond: Bool { kind == .adam || kind == .adadelta }

  /// For the step with this number, counted from 1.
  func encoded(step: Int) -> ln_step_size {
    let rule =
      switch kind {
      case .sgd: LN_RULE_SGD
      case .nesterov: LN_RULE_NESTEROV
      case .adam: LN_RULE_ADAM
      case .adadelta: LN_RULE_ADADELTA
      }
    return ln_step_size(
      rule: Int32(rule.rawValue), rate: rate, decay: decay, first: first, second: second,
      epsilon: epsilon, first_correction: 1 / (1 - power(first, step)),
      second_correction: 1 / (1 - power(second, step)))
  }

  /// By squaring: the same on every machine.
  private func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, base, exponent)
    while rest > 0 {
      if rest % 2 == 1 { result *= square }
      square *= square
      rest /= 2
    }
    return result
  }
}
