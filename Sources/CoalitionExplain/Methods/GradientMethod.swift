// The methods that send one signal back through the network (docs/Methods.md).

import CoalitionNet

/// A method that attributes a score to the inputs by a modified gradient or by relevance.
public enum GradientMethod: Sendable, Hashable {
  /// dS/dx.
  case gradient
  /// |dS/dx|.
  case saliency
  /// x dS/dx.
  case gradientTimesInput
  /// (x - b) times the gradient's mean along the straight path from the baseline b to x.
  case integratedGradients(steps: Int = 50, quadrature: Quadrature = .gauss)
  /// The same with steps where they are needed, until the attributions add up to S(x) - S(b) within `tolerance` times
  /// max(|S(x) - S(b)|, 1e-3 |S(x)|).
  case adaptiveIntegratedGradients(tolerance: Double)
  /// x times the gradient with f(z) / (z + epsilon sign z) for every slope.
  case epsilonLRP(epsilon: Double = 1e-4)
  /// (x - b) times the gradient with secants for slopes: the Rescale rule, complete.
  case deepLIFT
  /// The same with the changes from positive and from negative terms shared out by their Shapley value.
  case deepLIFTRevealCancel
  /// (x - b) times the gradient's mean over random baselines b and random places of the paths from them.
  case expectedGradients(samples: Int = 200, seed: UInt64 = 0)
  /// The gradient's mean over inputs with normal noise, whose deviation is `noise` times the range of the example.
  case smoothGrad(samples: Int = 50, noise: Double = 0.15, seed: UInt64 = 0)
  /// The gradient with negative signals stopped at every activation.
  case guidedBackpropagation
  /// The gradient with the activations' own slopes left out and negative signals stopped.
  case deconvnet
  /// Layer-wise relevance propagation by a book of rules.
  case layerwiseRelevance(RuleBook)

  /// Whether the attributions are differences from a baseline.
  public var usesBaseline: Bool {
    switch self {
    case .integratedGradients, .adaptiveIntegratedGradients, .expectedGradients, .deepLIFT,
      .deepLIFTRevealCancel:
      true
    default: false
    }
  }

  /// Whether attributions add up to S(x) - S(b): exactly, up to a quadrature, or in expectation.
  public var isComplete: Bool { usesBaseline }

  /// The rules for the signal, and what is done with it at the inputs.
  func request(target: String, seeds: Int, model: Model) -> ReverseRequest {
    switch self {
    case .gradient:
      ReverseRequest(target: target, rules: ReverseRules(), product: .signal, seeds: seeds)
    case .saliency:
      ReverseRequest(target: target, rules: ReverseRules(), product: .magnitude, seeds: seeds)
    case .gradientTimesInput:
      ReverseRequest(target: target, rules: ReverseRules(), product: .timesInput, seeds: seeds)
    case .integratedGradients, .adaptiveIntegratedGradients, .expectedGradients:
      ReverseRequest(
        target: target, rules: ReverseRules(), product: .timesChange, feeding: .path, seeds: seeds,
        isSummed: true)
    case .epsilonLRP(let epsilon):
      ReverseRequest(
        target: target, rules: ReverseRules(slope: .ratio(epsilon: epsilon)), product: .timesInput,
        seeds: seeds)
    case .deepLIFT:
      ReverseRequest(
        target: target, rules: ReverseRules(slope: .secant),
        product: .timesChange, seeds: seeds)
    case .deepLIFTRevealCancel:
      ReverseRequest(
        target: target, rules: ReverseRules(slope: .revealCancel), product: .timesChange,
        seeds: seeds)
    case .smoothGrad:
      ReverseRequest(
        target: target, rules: ReverseRules(), product: .signal, seeds: seeds, isSummed: true)
    case .guidedBackpropagation:
      ReverseRequest(
        target: target, rules: ReverseRules(slope: .guided), product: .signal, seeds: seeds)
    case .deconvnet:
      ReverseRequest(
        target: target, rules: ReverseRules(slope: .deconvnet), product: .signal, seeds: seeds)
    case .layerwiseRelevance(let book):
      ReverseRequest(
        target: target, rules: book.rules(for: model.graph), product: .signal, seeds: seeds)
    }
  }
}
