// What a run estimates, how, and when it stops.

public import CoalitionBase
public import CoalitionNet

/// One of several parts of a run that are computed apart and merged.
public struct Shard: Sendable, Hashable {
  /// From 1.
  public let index: Int
  public let count: Int

  /// Parts of one run at most.
  public static let limit = 1 << 20

  /// - Throws: `usage` unless 1 <= index <= count <= `limit`.
  public init(_ index: Int, of count: Int) throws(CoalitionError) {
    guard (1...Self.limit).contains(count), (1...count).contains(index) else {
      throw CoalitionError(
        .usage, "a shard is one of several",
        expected: "I/N with I from 1 to N, N at most \(Self.limit)", found: "\(index)/\(count)")
    }
    self.index = index
    self.count = count
  }

  /// The shard's part of so many blocks.
  func blocks(of total: Int) -> Range<Int> {
    // Products of full width: numbers of blocks may be large.
    func cut(_ part: Int) -> Int {
      let product = total.multipliedFullWidth(by: part)
      return count.dividingFullWidth(product).quotient
    }
    return cut(index - 1)..<cut(index)
  }
}

/// Options of a run. A run stops at the first rule that holds; a rule that is nil never does.
public struct ShapleyOptions: Sendable {
  public var estimator = Estimator.auto
  public var value = PlayerValue.shapley
  /// The group of each player, for Owen values.
  public var groups: [Int]?
  /// Each permutation with its reverse.
  public var antithetic = true
  public var seed: UInt64 = 0
  /// Of estimators that propagate moments.
  public var moments = MomentOptions()
  /// Draws sampled values towards those of this estimator by moments, as far as the samples leave it open which are right:
  /// nil for none.
  public var shrinkage: Estimator?
  /// Interactions of two players, beside Shapley values: nil for none.
  public var interactions: InteractionIndex?

  /// Samples per example: permutations (a pair is 2), toggled coalitions, or rows of coalitions.
  public var samples: Int?
  /// Evaluations per example, those of nobody and everybody included.
  public var evaluations: Int?
  /// The largest standard error, as a share of the range of the values.
  public var tolerance: Double?
  /// Stop when it is known which so many players have the largest values.
  public var top: Int?
  /// Stop when it is known which so many players have the smallest values.
  public var lowest: Int?
  /// Stop when the ranks of the players hardly change any more: the rank correlation with the values at half the
  /// samples reaches this number.
  public var rankStability: Double?
  /// Seconds of work.
  public var seconds: Double?
  /// Targets whose values the rules look at; nil: all.
  package var ruledTargets: Range<Int>?

  /// Only a part of the run.
  public var shard: Shard?
  /// How evaluations run. The memory limit holds for the sums of the run as well.
  public var run = RunOptions()

  public init() {}

  /// Tolerance that a run has when nothing says when it stops.
  public static let defaultTolerance = 0.02
  /// Evaluations per player, at most, that a run takes when nothing says when it stops.
  public static let defaultEvaluationsPerPlayer = 2000

  package var hasStopRule: Bool {
    samples != nil || evaluations != nil || tolerance != nil || top != nil || lowest != nil
      || seconds != nil || rankStability != nil
  }

  /// Whether the run looks at its own numbers to know when it is over.
  package var looksAtResults: Bool {
    tolerance != nil || top != nil || lowest != nil || rankStability != nil
  }

  /// With the default budget where none is given.
  func resolved(playerCount: Int) -> ShapleyOptions {
    guard !hasStopRule, estimator != .exact else { return self }
    var options = self
    options.tolerance = Self.defaultTolerance
    options.evaluations = Self.defaultEvaluationsPerPlayer * playerCount
    return options
  }

  func check(_ game: any Game) throws(CoalitionError) {
    func require(_ condition: Bool, _ message: String, _ found: String) throws(CoalitionError) {
      if !condition { throw CoalitionError(.usage, message, found: found) }
    }
    let players = game.playerCount
    try require(players >= 1, "a game has at least one player", "\(players)")
    if let samples { try require(samples >= 1, "a run has at least one sample", "\(samples)") }
    if let evaluations {
      try require(evaluations >= 1, "a run has at least one evaluation", "\(evaluations)")
    }
    if let tolerance {
      try require(tolerance > 0 && tolerance.isFinite, "a tolerance is positive", "\(tolerance)")
    }
    if let top {
      try require(
        (1..<max(players, 2)).contains(top),
        "the top players are at least one and fewer than all \(players)", "\(top)")
    }
    if let lowest {
      try require(
        (1..<max(players, 2)).contains(lowest),
        "the lowest players are at least one and fewer than all \(players)", "\(lowest)")
    }
    if let seconds {
      try require(seconds > 0 && seconds.isFinite, "a time is positive", "\(seconds)")
    }
    if let rankStability {
      try require(
        rankStability > 0 && rankStability <= 1, "a rank correlation lies above 0 and up to 1",
        "\(rankStability)")
    }
    if let groups {
      guard groups.count == players else {
        throw CoalitionError(
          .shapeMismatch, "every player has a group", expected: "\(players)",
          found: "\(groups.count)")
      }
      try require(value == .owen, "groups of players are for Owen values", value.rawValue)
    } else {
      try require(value != .owen, "Owen values need groups of players", "none")
    }
    if interactions != nil {
      try require(players >= 2, "an interaction is of two players", "\(players)")
      try require(
        value == .shapley, "interactions come with Shapley values", value.rawValue)
      try require(
        [.auto, .exact, .leverage].contains(estimator),
        "interactions come from all coalitions or from pairs of them: exact, leverage or auto",
        estimator.rawValue)
    }
    guard shard != nil else { return }
    try require(
      shrinkage == nil, "the parts of a run are not drawn towards values by moments",
      shrinkage?.rawValue ?? "none")
    try require(
      !looksAtResults && seconds == nil,
      "the parts of a run cannot stop by results or time: give samples or evaluations",
      "a tolerance, top, lowest, rank or time")
    try require(
      samples != nil || evaluations != nil || estimator == .exact,
      "the parts of a run need a budget: give samples or evaluations", "none")
    try require(
      estimator != .auto && estimator != .stratified,
      "the parts of a run need an estimator that does not look at results", estimator.rawValue)
  }
}
