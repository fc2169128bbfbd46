// What values by moments depend on.

import CoalitionBase

/// Options of `Estimator.dasp` and `Estimator.momentGradient`.
public struct MomentOptions: Sendable, Hashable {
  /// Factors of the covariance that are propagated: 0 for the published method.
  public var rank = Self.defaultRank
  /// DASP: how many sizes of coalitions; nil: all for up to 32 players, else 16.
  public var sizes: Int?
  /// Moment gradient: nodes of the quadrature.
  public var nodes = 8
  /// Players whose values are checked by sampling, in every example; 0: the error is not estimated.
  public var checkedPlayers = 16
  /// Whether what the values miss of v(all) - v(none) is shared out among the players.
  public var isProjected = false

  /// docs/Methods.md has the measurement.
  public static let defaultRank = 8

  public init() {}

  /// The sizes for so many players.
  func sizeCount(players: Int) -> Int { sizes ?? (players <= 32 ? players : 16) }

  /// Evaluations of the values of everybody and of nobody.
  package static let endEvaluations = 2

  /// Evaluations for an example, at most: null players are not checked.
  package func evaluations(players: Int) -> Int {
    Self.endEvaluations + MomentCheck.evaluations(checking: checkedPlayers, of: players)
  }

  func check() throws(CoalitionError) {
    func require(
      _ isFine: Bool, _ message: String, _ expected: String, _ found: Int
    ) throws(CoalitionError) {
      if !isFine { throw CoalitionError(.usage, message, expected: expected, found: "\(found)") }
    }
    try require(
      (0...64).contains(rank), "a covariance is not propagated with this rank", "0 to 64", rank)
    try require(
      (sizes ?? 1) >= 1, "there is at least one size of coalitions", "1 or more", sizes ?? 1)
    try require(
      (1...1024).contains(nodes), "a quadrature of moments does not have so many nodes",
      "1 to 1024", nodes)
    try require(
      checkedPlayers >= 0, "a number of checked players is not below 0", "0 or more",
      checkedPlayers)
  }
}
