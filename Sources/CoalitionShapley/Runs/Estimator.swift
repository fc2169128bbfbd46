// The estimators by name, and the values that they estimate.

/// A way to estimate the values of players.
public enum Estimator: String, Sendable, Hashable, CaseIterable, Codable {
  /// All coalitions.
  case exact
  /// Orders of the players; with `ShapleyOptions.antithetic` each with its reverse.
  case permutation
  /// Orders of the players along orthogonal directions.
  case orthogonal
  /// Coalitions in which every player is toggled.
  case toggle
  /// Coalitions by size, sizes by the spread that they show.
  case stratified
  /// Pairs of complements by size.
  case complementary
  /// Players present with one probability, over probabilities.
  case owenSampling = "owen-sampling"
  /// The weighted regression of KernelSHAP.
  case kernel
  /// KernelSHAP with the known expectation in place of the sampled matrix.
  case kernelUnbiased = "kernel-unbiased"
  /// KernelSHAP by leverage scores, without replacement.
  case leverage
  /// Regression on all interactions of one and three players, by pairs of complements.
  case oddRegression = "odd-regression"
  /// Coalitions of each size, by propagated moments.
  case dasp
  /// The gradient of propagated moments.
  case momentGradient = "moment-gradient"
  /// The one with the smallest error that is foreseen for the budget.
  case auto

  /// Whether values come from propagated moments, not from samples or from all coalitions.
  public var usesMoments: Bool { self == .dasp || self == .momentGradient }
}

/// What is estimated.
public enum PlayerValue: String, Sendable, Hashable, CaseIterable, Codable {
  /// The mean marginal contribution over all orders of the players.
  case shapley
  /// The same over the orders that keep groups together.
  case owen
  /// The mean marginal contribution over all coalitions.
  case banzhaf
}
