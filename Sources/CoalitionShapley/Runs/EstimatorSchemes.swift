// Which scheme an estimator's name stands for, and which values it can estimate.

package import CoalitionBase

/// The scheme of an estimator.
/// - Parameters:
///   - groups: the group of each player, for the Owen value and for no other.
///   - antithetic: whether permutations come with their reverse; other estimators have their pairs by design.
///   - rows: coalitions that will be drawn in all, when known.
/// - Throws: `CoalitionError` of code `usage` for what the estimator does not estimate, `limitExceeded` for more players
///   than it can take.
package func samplingScheme(
  for estimator: Estimator, value: PlayerValue, playerCount: Int, groups: [Int]?,
  antithetic: Bool, seed: UInt64, rows: Int? = nil
) throws(CoalitionError) -> any SamplingScheme {
  guard playerCount > 0 else {
    throw CoalitionError(.usage, "a game has at least one player", found: "\(playerCount)")
  }
  let partition = try partition(for: value, groups, playerCount: playerCount)
  func check(_ values: PlayerValue...) throws(CoalitionError) {
    if !values.contains(value) {
      throw CoalitionError(
        .usage, "estimator \(estimator.rawValue) does not estimate \(value.rawValue) values",
        expected: estimators(of: value), found: estimator.rawValue)
    }
  }
  switch estimator {
  case .exact:
    if let partition { return try ExactOwenScheme(playerCount: playerCount, groups: partition) }
    return try ExactScheme(playerCount: playerCount, isBanzhaf: value == .banzhaf)
  case .permutation:
    try check(.shapley, .owen)
    return PermutationScheme(
      playerCount: playerCount, groups: partition, isAntithetic: antithetic, seed: seed)
  case .orthogonal:
    try check(.shapley)
    return OrthogonalScheme(playerCount: playerCount, seed: seed)
  case .toggle:
    try check(.shapley, .banzhaf)
    return ToggleScheme(
      playerCount: playerCount, drawing: value == .banzhaf ? .halves : .sizes, seed: seed)
  case .stratified:
    try check(.shapley)
    return StratifiedScheme(playerCount: playerCount, seed: seed)
  case .complementary:
    try check(.shapley, .banzhaf)
    return value == .banzhaf
      ? BanzhafScheme(playerCount: playerCount, seed: seed)
      : ComplementaryScheme(playerCount: playerCount, seed: seed)
  case .owenSampling:
    try check(.shapley)
    return ToggleScheme(playerCount: playerCount, drawing: .probabilities, seed: seed)
  case .kernel, .kernelUnbiased, .leverage, .oddRegression:
    try check(.shapley)
    return try regressionScheme(
      for: estimator, playerCount: playerCount, seed: seed, budget: rows)
  case .dasp, .momentGradient:
    throw CoalitionError(
      .usage, "estimator \(estimator.rawValue) does not sample: its values come in one piece",
      expected: "Shapley(game, options)", found: "a run of samples")
  case .auto:
    throw CoalitionError(.internalFault, "the estimator auto was not resolved to one that samples")
  }
}

/// The groups that the value is about: nil for values that have none.
private func partition(
  for value: PlayerValue, _ groups: [Int]?, playerCount: Int
) throws(CoalitionError) -> PlayerGroups? {
  switch (value, groups) {
  case (.owen, let groups?): return try PlayerGroups(groups, playerCount: playerCount)
  case (.owen, nil): throw CoalitionError(.usage, "Owen values need groups of players")
  case (_, nil): return nil
  case (_, _?):
    throw CoalitionError(
      .usage, "groups of players are for Owen values", expected: "value owen",
      found: value.rawValue)
  }
}

private func estimators(of value: PlayerValue) -> String {
  switch value {
  case .shapley: "any estimator"
  case .owen: "exact or permutation"
  case .banzhaf: "exact, toggle or complementary"
  }
}
