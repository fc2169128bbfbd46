// Which estimator runs: the one that was asked for, or for `auto` the one whose error is foreseen to be the smallest.
//
// Costs are counted arithmetic and errors come from the table below, so the same command takes the same estimator on
// every machine. The error of an estimator after n evaluations is about constant / sqrt(n), relative to that of plain
// permutations; what an evaluation costs differs (a toggled player is cheaper than a full evaluation), and regressions
// have equations to make and to solve, so estimators are compared by constant^2 * cost of the whole run.
// docs/Methods.md says where the constants were measured.

import CoalitionBase

struct EstimatorChoice {
  let estimator: Estimator
  /// Why; nil when it was asked for.
  let reason: String?
  /// What an evaluation costs the sampler that `auto` took, in full evaluations; nil where nothing was weighed up.
  private(set) var evaluationCost: Double?
  let scheme: any SamplingScheme

  /// - Parameters:
  ///   - targetCount: values of one evaluation, each with equations of its own.
  ///   - cost: of the game; asked for where it decides.
  /// - Throws: what the scheme throws.
  init(
    _ options: ShapleyOptions, playerCount: Int, targetCount: Int = 1,
    cost: @autoclosure () -> GameCost = GameCost()
  ) throws(CoalitionError) {
    if let index = options.interactions {
      (estimator, reason, scheme) = try Self.ofInteractions(index, options, playerCount)
      return
    }
    if options.estimator == .auto {
      (estimator, reason, evaluationCost) = Self.best(options, playerCount, targetCount, cost)
    } else {
      (estimator, reason) = (options.estimator, nil)
    }
    scheme = try samplingScheme(
      for: estimator, value: options.value, playerCount: playerCount, groups: options.groups,
      antithetic: options.antithetic || options.estimator == .auto, seed: options.seed,
      rows: options.samples ?? options.evaluations)
  }

  /// All coalitions where they fit into the budget, else pairs of complements by leverage scores.
  private static func ofInteractions(
    _ index: InteractionIndex, _ options: ShapleyOptions, _ players: Int
  ) throws(CoalitionError) -> (Estimator, String?, any SamplingScheme) {
    let budget = options.samples ?? options.evaluations
    if options.estimator != .leverage {
      let isGiven = options.estimator == .exact
      if isGiven || players <= 20 && 1 << players <= budget ?? .max {
        let scheme = try ExactInteractions(playerCount: players, index: index)
        let reason = "interactions from all \(1 << players) coalitions"
        return (.exact, isGiven ? nil : reason, scheme)
      }
    }
    return (
      .leverage, options.estimator == .auto ? "interactions from pairs of complements" : nil,
      try interactionScheme(for: index, playerCount: players, seed: options.seed)
    )
  }

  /// What is known of an estimator.
  private struct Candidate {
    let estimator: Estimator
    /// The standard error relative to that of plain permutations after as many evaluations.
    let constant: Double
    /// Of one evaluation, in full evaluations.
    let cost: Double
    /// Evaluations that it needs before it says anything.
    let least: Int
    /// Of a regression.
    var equations: Equations?
  }

  /// What a regression does besides evaluations, in multiply-adds.
  private struct Equations {
    /// For the sums of one evaluation.
    let perEvaluation: Double
    /// To solve them, for all samples and without each replicate.
    let solving: Double

    /// - Parameters:
    ///   - sums: numbers that a pair adds to.
    ///   - unknowns: of one system.
    init(sums: Double, unknowns: Double) {
      perEvaluation = sums / 2
      solving = Double(ReplicateSums.count + 1) * unknowns * unknowns * unknowns / 6
    }

    /// Multiply-adds of the engine, on all threads in single precision, that take as long as one here.
    private static let weight = 16.0

    /// In full evaluations, per evaluation of a run.
    /// - Parameter looks: how often the equations are solved.
    func cost(evaluations: Int, looks: Int, targets: Int, arithmetic: Double) -> Double {
      guard arithmetic > 0 else { return 0 }
      let solved = solving * Double(looks) / Double(max(evaluations, 1))
      return Self.weight * Double(targets) * (perEvaluation + solved) / arithmetic
    }
  }

  private static func best(
    _ options: ShapleyOptions, _ players: Int, _ targets: Int, _ cost: () -> GameCost
  ) -> (Estimator, String, evaluationCost: Double?) {
    let budget = min(
      options.evaluations ?? ShapleyOptions.defaultEvaluationsPerPlayer * players,
      options.samples ?? .max)
    if players <= 30, 1 << players <= budget {
      return (.exact, "all \(1 << players) coalitions fit into \(budget) evaluations", nil)
    }
    switch options.value {
    case .owen: return (.permutation, "the sampler of Owen values", nil)
    case .banzhaf: return (.complementary, "the sampler of Banzhaf values", nil)
    case .shapley: break
    }
    let cost = cost()
    // Unknowns of a regression on all players and triples of them, and the sums of its equations.
    let odd = players + players * (players - 1) * (players - 2) / 6
    let first = WalshSums(playerCount: players, orders: [0, 1, 2])
    let third = WalshSums(playerCount: min(players, 20), orders: [0, 1, 2, 3, 4, 6])
    let candidates = [
      Candidate(estimator: .permutation, constant: 0.55, cost: 1, least: 2 * players),
      Candidate(estimator: .orthogonal, constant: 0.50, cost: 1, least: 32 * players),
      Candidate(estimator: .toggle, constant: 0.53, cost: cost.marginal, least: 16 * players),
      Candidate(
        estimator: .leverage, constant: 0.45, cost: 1, least: 8 * players,
        equations: Equations(sums: Double(first.count), unknowns: Double(players))),
      Candidate(
        estimator: .oddRegression, constant: 0.15, cost: 1, least: 8 * odd,
        equations: Equations(sums: Double(third.count), unknowns: Double(odd))),
    ]
    let possible = candidates.filter {
      $0.least <= budget && ($0.estimator != .leverage || players <= 256)
        && ($0.estimator != .oddRegression || players <= 20)
    }
    // Regressions are looked at in blocks of some 64 pairs.
    let looks = options.looksAtResults ? CheckPoints.count(upTo: budget / 128) + 1 : 1
    func worth(_ candidate: Candidate) -> Double {
      let equations =
        candidate.equations?.cost(
          evaluations: budget, looks: looks, targets: targets, arithmetic: cost.arithmetic) ?? 0
      return candidate.constant * candidate.constant * (candidate.cost + equations)
    }
    guard let best = possible.min(by: { worth($0) < worth($1) }) else {
      return (.permutation, "the budget is too small for any other", 1)
    }
    let share = Int((100 * worth(best).squareRoot()).rounded())
    return (
      best.estimator,
      "its error is foreseen to be \(share) % of that of plain permutations for the same arithmetic",
      best.cost
    )
  }
}
