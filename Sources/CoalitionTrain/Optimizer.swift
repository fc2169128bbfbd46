// Rules by which weights follow their gradients.

package import CoalitionNet

/// A rule of optimisation, as PyTorch computes it. g is the gradient of the mean loss of a batch plus weight decay times
/// the weight w.
public enum Optimizer: Sendable, Hashable {
  /// v = momentum v + g; w -= rate v, or with Nesterov's form rate (g + momentum v).
  case sgd(momentum: Double = 0.9, nesterov: Bool = false)
  /// m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) +
  /// epsilon) in step t.
  case adam(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8)
  /// s = rho s + (1 - rho) g^2; d = g sqrt(a + epsilon) / sqrt(s + epsilon); a = rho a + (1 - rho) d^2; w -= rate d.
  case adadelta(rho: Double = 0.9, epsilon: Double = 1e-6)

  /// The learning rate that is usual for the rule.
  public var usualRate: Double {
    switch self {
    case .sgd: 0.01
    case .adam: 0.001
    case .adadelta: 1
    }
  }

  /// Whether the rule's numbers make sense.
  var isValid: Bool {
    switch self {
    case .sgd(let momentum, _): (0..<1).contains(momentum)
    case .adam(let beta1, let beta2, let epsilon):
      (0..<1).contains(beta1) && (0..<1).contains(beta2) && epsilon > 0
    case .adadelta(let rho, let epsilon): (0..<1).contains(rho) && epsilon > 0
    }
  }

  package func rule(rate: Double, decay: Double) -> UpdateRule {
    var rule: UpdateRule
    switch self {
    case .sgd(let momentum, let nesterov):
      rule = UpdateRule(nesterov ? .nesterov : .sgd, rate: rate)
      rule.first = momentum
    case .adam(let beta1, let beta2, let epsilon):
      rule = UpdateRule(.adam, rate: rate)
      (rule.first, rule.second, rule.epsilon) = (beta1, beta2, epsilon)
    case .adadelta(let rho, let epsilon):
      rule = UpdateRule(.adadelta, rate: rate)
      (rule.first, rule.epsilon) = (rho, epsilon)
    }
    rule.decay = decay
    return rule
  }
}
