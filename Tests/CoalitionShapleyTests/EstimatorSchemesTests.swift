// Which estimators estimate which values, and what is refused.

import CoalitionBase
import CoalitionShapley
import Testing

@Suite struct EstimatorSchemesTests {
  private static func code(
    _ estimator: Estimator, _ value: PlayerValue, players: Int = 5, groups: [Int]? = nil
  ) -> CoalitionError.Code? {
    do {
      _ = try samplingScheme(
        for: estimator, value: value, playerCount: players, groups: groups, antithetic: true,
        seed: 1)
      return nil
    } catch { return error.code }
  }

  @Test func `Every estimator that is named estimates Shapley values`() {
    for estimator in Estimator.allCases where estimator != .auto && !estimator.usesMoments {
      #expect(Self.code(estimator, .shapley) == nil, "\(estimator)")
    }
  }

  @Test func `Owen and Banzhaf values have their estimators, others say so`() {
    let groups = [0, 0, 1, 1, 2]
    for estimator in Estimator.allCases where estimator != .auto && !estimator.usesMoments {
      let owen = [.exact, .permutation].contains(estimator)
      #expect(Self.code(estimator, .owen, groups: groups) == (owen ? nil : .usage))
      let banzhaf = [.exact, .toggle, .complementary].contains(estimator)
      #expect(Self.code(estimator, .banzhaf) == (banzhaf ? nil : .usage))
    }
  }

  @Test func `Groups go with Owen values and fit the players`() {
    #expect(Self.code(.permutation, .owen) == .usage)
    #expect(Self.code(.permutation, .shapley, groups: [0, 0, 1, 1, 2]) == .usage)
    #expect(Self.code(.permutation, .owen, groups: [0, 1]) == .shapeMismatch)
    #expect(Self.code(.permutation, .shapley, players: 0) == .usage)
    #expect(Self.code(.exact, .shapley, players: 31) == .limitExceeded)
  }
}
