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
/// - Parameter budget: coalitions that will be drawn in all, when known: with too few of them for the third order its
///   sums are not made.
package func regressionScheme(
  for estimator: Estimator, playerCount: Int, seed: UInt64, budget: Int? = nil
) throws(CoalitionError) -> any SamplingScheme {
  switch estimator {
  case .kernelUnbiased: return UnbiasedKernelScheme(playerCount: playerCount, seed: seed)
  case .kernel:
    let design = PairDesign(
      playerCount: playerCount, law: .kernel, seed: seed, purpose: .kernelRows)
    return PairRegressionScheme(design: design, order: 1, bias: RegressionLimits.bias)
  case .leverage: return PairRegressionScheme.byLeverage(playerCount: playerCount, seed: seed)
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
      unknowns: unknowns)
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

extension PairRegressionScheme {
  /// The regression of first order on pairs by leverage scores.
  static func byLeverage(playerCount: Int, seed: UInt64) -> PairRegressionScheme {
    let design = PairDesign(
      playerCount: playerCount, law: .leverage, seed: seed, purpose: .leverageRows)
    return PairRegressionScheme(design: design, order: 1, bias: RegressionLimits.bias)
  }
}

/// The scheme that samples values of players and an index of interactions of two.
package func interactionScheme(
  for index: InteractionIndex, playerCount: Int, seed: UInt64
) throws(CoalitionError) -> any InteractionScheme {
  if index == .faithSII { return try FaithfulRegression(playerCount: playerCount, seed: seed) }
  if playerCount <= AdjustedInteractions.usefulPlayers {
    return try AdjustedInteractions(playerCount: playerCount, index: index, seed: seed)
  }
  return SampledInteractions(playerCount: playerCount, index: index, seed: seed)
}
