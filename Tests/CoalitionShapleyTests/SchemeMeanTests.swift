// Means of estimates over many seeds are the values: whatever the samples, whole blocks or not.

import CoalitionBase
import CoalitionShapley
import Testing

@Suite struct SchemeMeanTests {
  /// Means of estimates over seeds, in standard errors off what they should be, and these errors.
  private static func deviations(
    _ make: (UInt64) -> any SamplingScheme, _ game: DefinedGame, samples: Int, from exact: [Double],
    seeds: Int
  ) async throws -> (deviations: [Double], errors: [Double]) {
    var sums = [Double](repeating: 0, count: exact.count)
    var squares = sums
    for seed in 0..<seeds {
      let values = try await make(UInt64(seed)).estimate(game, samples: samples)
      for (player, value) in values.enumerated() {
        sums[player] += value - exact[player]
        squares[player] += (value - exact[player]) * (value - exact[player])
      }
    }
    let count = Double(seeds)
    var deviations: [Double] = []
    var errors: [Double] = []
    for (sum, square) in zip(sums, squares) {
      let mean = sum / count
      let error = max((square / count - mean * mean) / count, 0).squareRoot()
      errors.append(error)
      deviations.append(abs(mean) <= 1e-12 ? 0 : mean / error)
    }
    return (deviations, errors)
  }

  @Test(arguments: NamedScheme.all, [1, 2, 7, 20])
  func `Estimates are unbiased for any number of samples`(
    named: NamedScheme, samples: Int
  ) async throws {
    let players = samples == 20 ? 8 : 7
    let game = DefinedGame.random(players: players, seed: 11)
    let defined = DefinedValues(game: game)
    let exact = named.value == .banzhaf ? defined.banzhaf : defined.shapley
    let (deviations, errors) = try await Self.deviations(
      { named.make(players, $0) }, game, samples: max(samples, named.minSamples(players)),
      from: exact, seeds: 4000)
    #expect(deviations.allSatisfy { abs($0) < 4 }, "\(deviations)")
    // So small that a bias would show: values are of the order of 1.
    #expect(errors.allSatisfy { $0 < 0.08 }, "\(errors)")
  }

  @Test(arguments: [true, false], [1, 3])
  func `Orders that keep groups together give Owen values`(
    isAntithetic: Bool, samples: Int
  ) async throws {
    let game = DefinedGame.random(players: 7, seed: 12)
    let ids = [2, 0, 2, 5, 0, 0, 2]
    let groups = try PlayerGroups(ids, playerCount: 7)
    let exact = DefinedValues(game: game).owen(ids)
    let (deviations, errors) = try await Self.deviations(
      {
        PermutationScheme(playerCount: 7, groups: groups, isAntithetic: isAntithetic, seed: $0)
      }, game, samples: samples, from: exact, seeds: 4000)
    #expect(deviations.allSatisfy { abs($0) < 4 }, "\(deviations)")
    #expect(errors.allSatisfy { $0 < 0.08 })
    // The groups matter in this game, or the test would say nothing about them.
    let shapley = DefinedValues(game: game).shapley
    #expect(zip(exact, shapley).contains { abs($0 - $1) > 0.3 })
  }

  @Test func `Pairs, orthogonal orders and toggles are worth their trouble`() async throws {
    // Root mean square errors of equally many evaluations.
    let game = DefinedGame.smooth(players: 8, seed: 13)
    let exact = DefinedValues(game: game).shapley
    func error(_ make: (UInt64) -> any SamplingScheme, samples: Int) async throws -> Double {
      try await Self.deviations(make, game, samples: samples, from: exact, seeds: 500).errors
        .reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    let plain = try await error(
      { PermutationScheme(playerCount: 8, isAntithetic: false, seed: $0) }, samples: 28)
    let antithetic = try await error(
      { PermutationScheme(playerCount: 8, isAntithetic: true, seed: $0) }, samples: 28)
    let orthogonal = try await error({ OrthogonalScheme(playerCount: 8, seed: $0) }, samples: 28)
    #expect(antithetic < 0.9 * plain)
    #expect(orthogonal < antithetic)
  }
}
