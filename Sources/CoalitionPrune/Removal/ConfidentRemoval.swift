// Removal of those units only of which the errors of the scores leave no doubt.

public import CoalitionBase
import CoalitionShapley

/// What the score of a group that goes has to lie below.
public enum RemovalCut: Sendable, Hashable {
  /// 0: for groups with negative scores.
  case zero
  /// The lowest group that stays, among those that it competes with.
  case lowestThatStays(RemovalScope)
}

extension UnitRanking {
  /// Of groups that would go, those whose score s lies below the cut c by more than its error allows:
  ///     c - s > t sqrt(e_s^2 + e_c^2)
  /// with e the errors of both and t the 97.5 % quantile of Student's distribution; each comparison by itself is wrong in one case of 40.
  /// - Throws: `usage` for scores whose errors are not known.
  public func confident(
    _ chosen: Set<Int>, _ cut: RemovalCut
  ) throws(CoalitionError) -> Set<Int> {
    if let unknown = chosen.sorted().first(where: { !(errors[$0] ?? .nan).isFinite }) {
      throw CoalitionError(
        .usage, "the errors of the scores are not known: nothing can be removed with confidence",
        node: coupling.groups[unknown].units.first.map { coupling.layers[$0.layer].name },
        expected: "a metric with values of examples, two examples at least, and several samples")
    }
    guard degreesOfFreedom > 0 else {
      throw CoalitionError(
        .usage, "a single example or sample says nothing of errors",
        expected: "several examples and samples")
    }
    let quantile = StudentT.quantile975(degreesOfFreedom)
    let certain = chosen.filter { group in
      let own = (scores[group] ?? 0, errors[group] ?? 0)
      guard let limit = limit(for: group, chosen, cut) else { return true }
      let error = (own.1 * own.1 + limit.error * limit.error).squareRoot()
      return limit.score - own.0 > quantile * error
    }
    let order = candidates.filter(certain.contains)
    return allowed(order, limit: order.count)
  }

  /// The cut for a group and its error; nil where all that it competes with go as well.
  private func limit(
    for group: Int, _ chosen: Set<Int>, _ cut: RemovalCut
  ) -> (score: Double, error: Double)? {
    switch cut {
    case .zero: return (0, 0)
    case .lowestThatStays(let scope):
      // Candidates are in the order of their scores.
      let stays = candidates.drop { $0 != group }.first { other in
        !chosen.contains(other) && (scope == .global || part(of: other) == part(of: group))
      }
      return stays.map { (scores[$0] ?? 0, errors[$0] ?? .infinity) }
    }
  }
}
