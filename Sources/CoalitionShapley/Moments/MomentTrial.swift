// What `auto` makes of a given number of evaluations where a model's values by moments may be the more exact.
//
// Moments take the same arithmetic whatever the budget is, and how far they are off depends on the network: that is known by trying
// alone. So the first examples get both, samples for the whole budget and moments. Where the moments are no further off than the
// samples, they are taken for all examples, and the others are never sampled; else the run goes on as if nothing had been tried.
// All of this is counted or sampled by the seed: the clock has no say.

import CoalitionBase
import CoalitionExplain

struct MomentTrial: Sendable {
  /// Examples that are tried.
  private static let few = 4

  let moments: MomentShapley
  /// Of one example, for what is sampled of the others: their checks.
  private let budget: Int
  let examples: Range<Int>

  /// Nil where nothing is tried: without a number of evaluations as the one rule of stopping, for games that are no model's, for values and models
  /// that moments do not serve, where all coalitions fit into the budget, and where moments would take more arithmetic than it.
  init?(
    _ game: any Game, _ options: ShapleyOptions, _ choice: EstimatorChoice
  ) throws(CoalitionError) {
    guard options.estimator == .auto, let cost = choice.evaluationCost, options.value == .shapley,
      options.interactions == nil, options.shard == nil, !options.looksAtResults,
      options.seconds == nil, options.samples == nil, let budget = options.evaluations,
      game is MaskedGame
    else { return nil }
    let arithmetic: Double
    do throws(CoalitionError) {
      // In one thread where there is no room for more: what is tried does not depend on their number.
      moments = try MomentShapley(game, options.byMoments(.momentGradient)).fittingThreads()
      arithmetic = try moments.cost()
    } catch {
      guard [.unsupported, .memoryLimit].contains(error.code) else { throw error }
      return nil
    }
    guard arithmetic <= Double(budget) * cost else { return nil }
    self.budget = budget
    examples = 0..<min(Self.few, game.exampleCount)
  }

  /// The values by moments of all examples: nil where samples are the more exact, and where moments leave the numbers that there are.
  /// - Parameter samples: of the examples that are tried, whose budget is used up.
  func estimate(
    beside samples: ShapleyEstimate, _ ends: [[GameEnds]]
  ) async throws(CoalitionError) -> ShapleyEstimate? {
    do throws(CoalitionError) {
      return try await compared(samples, ends)
    } catch  where error.code == .notFinite {
      return nil
    }
  }

  private func compared(
    _ samples: ShapleyEstimate, _ ends: [[GameEnds]]
  ) async throws(CoalitionError) -> ShapleyEstimate? {
    let values = try await moments.values(examples, ends)
    let (players, targets) = (samples.playerCount, samples.targetCount)
    let agreements = examples.flatMap { example in
      let active = moments.game.activePlayers(ofExample: example)
      return (example * targets..<(example + 1) * targets).map { row in
        let own = row * players..<(row + 1) * players
        return MomentAgreement(
          samples.values[own], errors: samples.standardErrors[own], moments: values[own],
          active: active)
      }
    }
    let (own, others) = agreements.reduce((0.0, 0.0)) {
      ($0.0 + $1.momentSquare.squareRoot(), $0.1 + $1.sampled.squareRoot())
    }
    // False for numbers that are not known.
    guard own <= others, others.isFinite else { return nil }
    var estimate = moments.begun()
    for example in examples {
      let rows = example * targets..<(example + 1) * targets
      estimate.append(
        Array(values[rows.lowerBound * players..<rows.upperBound * players]),
        errors: agreements[rows].map { $0.momentSquare.squareRoot() },
        active: moments.game.activePlayers(ofExample: example), ends: ends[example],
        evaluations: samples.evaluations[example], passes: moments.passes)
    }
    let share = others > 0 ? Int((100 * own / others).rounded()) : 100
    estimate.choice =
      "where both were tried, its error is at most \(share) % of that of \(budget) evaluations by "
      + samples.estimator.rawValue
    try await moments.append(
      examples.upperBound..<moments.game.exampleCount, ends, to: &estimate, atMost: budget)
    return estimate
  }
}
