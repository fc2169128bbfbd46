// Regressions: games of low order are exact, all pairs give the Shapley values, errors fall, what does not suffice is NaN.

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Testing

@Suite struct RegressionSchemeTests {
  private static let estimators: [Estimator] = [.kernel, .leverage, .oddRegression]

  private static func scheme(
    _ estimator: Estimator, _ players: Int, seed: UInt64 = 3, budget: Int? = nil
  ) throws -> any SamplingScheme {
    try regressionScheme(for: estimator, playerCount: players, seed: seed, budget: budget)
  }

  /// A random game without interactions of more than `order` players.
  static func game(players: Int, order: Int, seed: UInt64) -> DefinedGame {
    var random = CounterRandom(seed: seed, purpose: .init(rawValue: 1004), index: 0)
    let parts = (0..<1 << players).filter { $0.nonzeroBitCount <= order }.map {
      (set: $0, value: random.normal())
    }
    return DefinedGame(playerCount: players) { coalition in
      parts.reduce(0) { $0 + (coalition & $1.set == $1.set ? $1.value : 0) }
    }
  }

  private static func distance(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
  }

  /// The root mean square distance to the values over seeds.
  private static func error(
    _ estimator: Estimator, _ game: DefinedGame, samples: Int, from exact: [Double], seeds: Int
  ) async throws -> Double {
    var sum = 0.0
    for seed in 0..<seeds {
      let scheme = try scheme(estimator, game.playerCount, seed: UInt64(seed))
      let distance = distance(try await scheme.estimate(game, samples: samples), exact)
      sum += distance * distance
    }
    return (sum / Double(seeds)).squareRoot()
  }

  @Test(arguments: estimators, [40, 129])
  func `Values add up to what all players gain, whole blocks or not`(
    estimator: Estimator, samples: Int
  ) async throws {
    let game = DefinedGame.random(players: 7, seed: 41)
    let values = try await Self.scheme(estimator, 7).estimate(game, samples: samples)
    #expect(abs(values.reduce(0, +) - (try await game.ends()[0][0].difference)) < 1e-11)
  }

  @Test(arguments: estimators)
  func `Games of one and two players' terms are exact`(estimator: Estimator) async throws {
    let game = Self.game(players: 8, order: 2, seed: 5)
    let exact = DefinedValues(game: game).shapley
    let values = try await Self.scheme(estimator, 8).estimate(game, samples: 90)
    #expect(Self.distance(values, exact) < 1e-9)
  }

  @Test(arguments: [3, 4])
  func `Odd regression is exact for terms of up to four players`(order: Int) async throws {
    let game = Self.game(players: 8, order: order, seed: 6)
    let exact = DefinedValues(game: game).shapley
    let values = try await Self.scheme(.oddRegression, 8).estimate(game, samples: 120)
    #expect(Self.distance(values, exact) < 1e-8)
    let first = try await Self.scheme(.leverage, 8).estimate(game, samples: 120)
    #expect(Self.distance(first, exact) > 1e-3)
  }

  @Test func `Additive games of 37 players are exact`() async throws {
    let weights = (0..<37).map { Double($0 * $0 % 11) - 4.5 }
    let game = ClosureGame(playerCount: 37) { coalitions in
      (0..<coalitions.count).map { row in
        coalitions.players(of: row).reduce(0.5) { $0 + weights[$1] }
      }
    }
    for estimator in [Estimator.kernel, .leverage] {
      let values = try await Self.scheme(estimator, 37).estimate(game, samples: 80)
      #expect(Self.distance(values, weights) < 1e-10)
    }
  }

  @Test(arguments: [Estimator.leverage, .oddRegression], [2, 3, 4])
  func `A block of all pairs gives the Shapley values of any game`(
    estimator: Estimator, players: Int
  ) async throws {
    let table = DefinedGame.random(players: max(players, 3), seed: 42).tables[0][0]
    let game = DefinedGame(playerCount: players) { table[$0] }
    let scheme = try Self.scheme(estimator, players)
    let all = 1 << (players - 1) - 1
    #expect(scheme.blockSamples == all)
    let values = try await scheme.estimate(game, samples: all)
    #expect(Self.distance(values, DefinedValues(game: game).shapley) < 1e-10)
  }

  @Test(arguments: estimators)
  func `Errors fall at least with the root of the samples`(estimator: Estimator) async throws {
    let game = DefinedGame.random(players: 9, seed: 43)
    let exact = DefinedValues(game: game).shapley
    let few = try await Self.error(estimator, game, samples: 160, from: exact, seeds: 120)
    let many = try await Self.error(estimator, game, samples: 16 * 160, from: exact, seeds: 40)
    #expect(many < few / 3.3, "\(few) \(many)")
    #expect(many > 0)
  }

  @Test func `Regressions are worth their trouble`() async throws {
    let game = DefinedGame.random(players: 9, seed: 44)
    let exact = DefinedValues(game: game).shapley
    let samples = 64
    let unbiased = try await Self.error(
      .kernelUnbiased, game, samples: samples, from: exact, seeds: 200)
    let kernel = try await Self.error(.kernel, game, samples: samples, from: exact, seeds: 200)
    let leverage = try await Self.error(.leverage, game, samples: samples, from: exact, seeds: 200)
    #expect(kernel < 0.9 * unbiased, "\(kernel) \(unbiased)")
    #expect(leverage < kernel, "\(leverage) \(kernel)")
    // Most of this game is of at most four players.
    let smooth = Self.game(players: 9, order: 4, seed: 45)
    let rough = Self.game(players: 9, order: 9, seed: 46)
    let mixed = DefinedGame(playerCount: 9) {
      smooth.tables[0][0][$0] + rough.tables[0][0][$0] / 64
    }
    let values = DefinedValues(game: mixed).shapley
    let odd = try await Self.error(.oddRegression, mixed, samples: 250, from: values, seeds: 30)
    let first = try await Self.error(.leverage, mixed, samples: 250, from: values, seeds: 30)
    #expect(odd < first / 3, "\(odd) \(first)")
  }

  @Test(arguments: estimators)
  func `A null player has no value and alike ones have the same, in the mean`(
    estimator: Estimator
  ) async throws {
    let game = DefinedGame.random(players: 7, seed: 47)
    var null: [Double] = []
    var difference: [Double] = []
    for seed in 0..<400 {
      let values = try await Self.scheme(estimator, 7, seed: UInt64(seed)).estimate(
        game, samples: 320)
      null.append(values[6])
      difference.append(values[0] - values[1])
    }
    for sample in [null, difference] {
      let mean = sample.reduce(0, +) / 400
      let spread = (sample.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 400).squareRoot()
      #expect(abs(mean) < 4 * spread / 20 + 0.002, "\(mean) \(spread)")
    }
  }

  @Test(arguments: estimators)
  func `Estimates are linear in the game`(estimator: Estimator) async throws {
    let first = DefinedGame.random(players: 7, seed: 48)
    let second = DefinedGame.random(players: 7, seed: 49)
    let both = DefinedGame(playerCount: 7) {
      2 * first.tables[0][0][$0] - second.tables[0][0][$0]
    }
    let scheme = try Self.scheme(estimator, 7, seed: 8)
    let a = try await scheme.estimate(first, samples: 75)
    let b = try await scheme.estimate(second, samples: 75)
    let c = try await scheme.estimate(both, samples: 75)
    for player in 0..<7 { #expect(abs(2 * a[player] - b[player] - c[player]) < 1e-10) }
  }

  @Test(arguments: estimators)
  func `Too few pairs give no values`(estimator: Estimator) async throws {
    let game = DefinedGame.random(players: 8, seed: 50)
    let scheme = try Self.scheme(estimator, 8)
    #expect(try await scheme.estimate(game, samples: 3).allSatisfy { $0.isNaN })
    #expect(try await scheme.estimate(game, samples: 0).allSatisfy { $0.isNaN })
  }

  @Test func `Odd regression falls back to the first order, and says so`() async throws {
    let game = Self.game(players: 8, order: 2, seed: 51)
    let exact = DefinedValues(game: game).shapley
    let scheme = try Self.scheme(.oddRegression, 8)
    // 64 unknowns.
    #expect(Self.distance(try await scheme.estimate(game, samples: 40), exact) < 1e-9)
    let budgeted = try Self.scheme(.oddRegression, 8, budget: 100)
    #expect(try await budgeted.estimate(game, samples: 40) == scheme.estimate(game, samples: 40))
    #expect(budgeted.bias?.contains("64 unknowns") == true)
    #expect(try Self.scheme(.oddRegression, 8, budget: 1000).sumCount > budgeted.sumCount)
  }

  @Test func `Odd regression refuses many players`() throws {
    #expect(try Self.scheme(.oddRegression, 23).sumCount > 0)
    let error = #expect(throws: CoalitionError.self) { try Self.scheme(.oddRegression, 24) }
    #expect(error?.code == .limitExceeded)
    #expect(error?.found?.contains("2048 unknowns") == true)
    #expect(throws: CoalitionError.self) { try Self.scheme(.permutation, 4) }
  }

  @Test(arguments: estimators)
  func `One player and two players have exact values`(estimator: Estimator) async throws {
    let one = DefinedGame(playerCount: 1) { $0 == 1 ? 3.5 : 1.25 }
    #expect(try await Self.scheme(estimator, 1).estimate(one, samples: 5) == [2.25])
    let two = DefinedGame(playerCount: 2) { [1.0, 3, 4, 10][$0] }
    let values = try await Self.scheme(estimator, 2).estimate(two, samples: 3)
    #expect(Self.distance(values, [4, 5]) < 1e-12)
  }

  @Test(arguments: estimators)
  func `Examples, targets and calls do not mix`(estimator: Estimator) async throws {
    let tables = (0..<4).map { DefinedGame.random(players: 6, seed: 60 + UInt64($0)).tables[0][0] }
    let game = DefinedGame(
      playerCount: 6, tables: [[tables[0], tables[1]], [tables[2], tables[3]]])
    let ends = try await game.ends()
    let scheme = try Self.scheme(estimator, 6)
    let blocks = scheme.blocks(2 * scheme.blockSamples + 1)
    let run = RunOptions()
    let together = try await scheme.sums(of: blocks, in: game, examples: [0, 1], ends: ends, run)
    var apart: [Double] = []
    for example in [0, 1] {
      for block in blocks {
        for target in 0..<2 {
          let single = DefinedGame(playerCount: 6, tables: [[tables[2 * example + target]]])
          apart += try await scheme.sums(
            of: [block], in: single, examples: [0], ends: [[ends[example][target]]], run)
        }
      }
    }
    #expect(together == apart)
  }
}
