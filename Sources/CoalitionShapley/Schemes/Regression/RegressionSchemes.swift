// The regression estimators, and the schemes of interactions, by name.

package import CoalitionBase

/// What regressions are held to, and what they are off by.
enum RegressionLimits {
  /// Coefficients of one regression: its matrix is solved once per replicate at every check.
  static let unknowns = 2_000
  /// Whether there are so many pairs per coefficient that interactions of three players pay for their noise.
  static func suffice(pairs: Int, unknowns: Int) -> Bool {
    Double(pairs) >= 1.75 * Double(unknowns)
  }
  /// The bias of a regression on samples.
  static let bias = "the bias of a regression on samples, which falls as 1 / samples"
}

/// The scheme of one of the estimators kernel, kernelUnbiased, leverage and oddRegression.
/// - Parameter budget: coalitions that will be drawn in all, when known.
package func regressionScheme(
  for estimator: Estimator, playerCount: Int, seed: UInt64, budget: Int? = nil
) throws(CoalitionError) -> any SamplingScheme {
  switch estimator {
  case .kernelUnbiased:
    return UnbiasedKernelScheme(playerCount: playerCount, seed: seed, budget: budget)
  case .kernel:
    let design = PairDesign(
      playerCount: playerCount, law: .kernel, seed: seed, purpose: .kernelRows, budget: budget)
    return PairRegressionScheme(design: design, order: 1, bias: RegressionLimits.bias)
  case .leverage:
    let design = PairDesign(
      playerCount: playerCount, law: .leverage, seed: seed, purpose: .leverageRows, budget: budget)
    return PairRegressionScheme(design: design, order: 1, bias: RegressionLimits.bias)
  case .oddRegression:
    let players = Double(playerCount)
    let unknowns = Int(players + players * (players - 1) * (players - 2) / 6)
    guard unknowns <= RegressionLimits.unknowns else {
      throw CoalitionError(
        .limitExceeded,
        "regression on all interactions of three players is for few players; use leverage",
        expected: "at most \(RegressionLimits.unknowns) unknowns",
        found: "\(playerCount) players, \(unknowns) unknowns")
    }
    let design = PairDesign(
      playerCount: playerCount, law: .leverage, seed: seed, purpose: .oddRegressionRows,
      budget: budget)
    if let budget, !RegressionLimits.suffice(pairs: budget / 2, unknowns: unknowns) {
      return PairRegressionScheme(
        design: design, order: 1,
        bias: "\(budget / 2) pairs do not suffice for the \(unknowns) unknowns of third order:"
          + " first order only, \(RegressionLimits.bias)")
    }
    return PairRegressionScheme(design: design, order: 3, bias: RegressionLimits.bias)
  default:
    throw CoalitionError(
      .usage, "this estimator is not a regression", found: "\(estimator.rawValue)")
  }
}

/// The scheme that gives values of players and an index of interactions of two.
/// - Parameter budget: coalitions that will be drawn in all, when known; where it allows all of them, the scheme is exact.
package func interactionScheme(
  for index: InteractionIndex, playerCount: Int, seed: UInt64, budget: Int? = nil
) throws(CoalitionError) -> any InteractionScheme {
  if let budget, playerCount <= ExactScheme.maxPlayers, budget >= 1 << playerCount {
    return try ExactInteractions(playerCount: playerCount, index: index)
  }
  if index == .faithSII {
    return try FaithfulRegression(playerCount: playerCount, seed: seed, budget: budget)
  }
  if FaithfulRegression.takes(playerCount: playerCount) {
    return try AdjustedInteractions(
      playerCount: playerCount, index: index, seed: seed, budget: budget)
  }
  return SampledInteractions(playerCount: playerCount, index: index, seed: seed, budget: budget)
}
