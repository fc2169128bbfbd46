// Samples by size, where the spread is: allocation, and estimates that it does not disturb.

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Testing

@Suite struct StratifiedSchemeTests {
  /// Sums over some blocks, added up.
  private static func sums(
    _ scheme: StratifiedScheme, _ blocks: Range<Int>, _ game: DefinedGame, _ ends: [[GameEnds]]
  ) async throws -> [Double] {
    let all = try await scheme.sums(
      of: blocks.map { SampleBlock(index: $0, samples: 1) }, in: game, examples: [0], ends: ends,
      RunOptions())
    var total = [Double](repeating: 0, count: scheme.sumCount)
    for (index, number) in all.enumerated() { total[index % scheme.sumCount] += number }
    return total
  }

  /// Of 8 players, coalitions of 4 alone have values of their own.
  private static func noisyMiddle(_ seed: UInt64) -> DefinedGame {
    var random = CounterRandom(seed: seed, purpose: .init(rawValue: 1002), index: 0)
    let noise = (0..<256).map { _ in random.normal() }
    return DefinedGame(playerCount: 8) { $0.nonzeroBitCount == 4 ? noise[$0] : 0 }
  }

  @Test func `Samples go where the spread is, and a share goes everywhere`() async throws {
    let game = Self.noisyMiddle(1)
    let ends = try await game.ends()
    let scheme = StratifiedScheme(playerCount: 8, seed: 4)
    let first = try await Self.sums(scheme, 0..<64, game, ends)
    let allocation = try #require(scheme.adaptation(first, samples: 64, ends: ends[0]))
    #expect(abs(allocation.reduce(0, +) - 1) < 1e-12)
    #expect(abs(allocation[3] - (0.75 + 0.25 / 7)) < 1e-12)
    #expect(allocation.enumerated().allSatisfy { $0 == 3 || abs($1 - 0.25 / 7) < 1e-12 })
    let later = try await Self.sums(scheme.adapted(to: allocation), 64..<1064, game, ends)
    // The samples of the bin of size 4, the fourth, among 1000.
    let perBin = later.count / 7
    #expect(abs(later[3 * perBin] - 1000 * allocation[3]) < 5)
    #expect((0..<7).reduce(0.0) { $0 + later[$1 * perBin] } == 1000)
  }

  @Test func `An allocation leaves the mean where it is and takes error away`() async throws {
    let game = Self.noisyMiddle(2)
    let exact = DefinedValues(game: game).shapley
    let ends = try await game.ends()
    var errors: [Double] = []
    for isAdaptive in [false, true] {
      var sums = [Double](repeating: 0, count: 8)
      var squares = sums
      let seeds = 1000
      for seed in 0..<seeds {
        let scheme = StratifiedScheme(playerCount: 8, seed: UInt64(seed))
        var total = try await Self.sums(scheme, 0..<64, game, ends)
        let allocation = isAdaptive ? scheme.adaptation(total, samples: 64, ends: ends[0]) : nil
        let later = try await Self.sums(
          scheme.adapted(to: allocation ?? scheme.allocation), 64..<192, game, ends)
        for index in total.indices { total[index] += later[index] }
        let values = scheme.values(total, samples: 192, ends: ends[0][0])
        for player in 0..<8 {
          let difference = values[player] - exact[player]
          sums[player] += difference
          squares[player] += difference * difference
        }
      }
      let count = Double(seeds)
      for player in 0..<8 {
        let mean = sums[player] / count
        let error = ((squares[player] / count - mean * mean) / count).squareRoot()
        #expect(abs(mean) < 4 * error)
      }
      errors.append(squares.reduce(0, +))
    }
    #expect(errors[1] < 0.5 * errors[0])
  }

  @Test func `There are no values before every bin has samples`() async throws {
    let game = Self.noisyMiddle(3)
    let ends = try await game.ends()
    let scheme = StratifiedScheme(playerCount: 8, seed: 4)
    let few = try await Self.sums(scheme, 0..<6, game, ends)
    #expect(scheme.values(few, samples: 6, ends: ends[0][0]).allSatisfy { $0.isNaN })
    #expect(scheme.adaptation(few, samples: 6, ends: ends[0]) == nil)
    let enough = try await Self.sums(scheme, 0..<7, game, ends)
    #expect(scheme.values(enough, samples: 7, ends: ends[0][0]).allSatisfy { $0.isFinite })
  }

  @Test func `Fewer windows than players leave the mean where it is`() async throws {
    // 150 players are the first with fewer windows in a test that stays quick: values in closed form.
    let players = 150
    let weights = (0..<players).map { Double($0 % 7) - 2 }
    let game = ClosureGame(playerCount: players) { coalitions in
      (0..<coalitions.count).map { row in
        coalitions.players(of: row).reduce(0.0) { $0 + weights[$1] }
      }
    }
    var sums = [Double](repeating: 0, count: players)
    var squares = sums
    let seeds = 60
    for seed in 0..<seeds {
      let scheme = StratifiedScheme(playerCount: players, seed: UInt64(seed))
      let values = try await scheme.estimate(game, samples: 32)
      for player in 0..<players {
        sums[player] += values[player] - weights[player]
        squares[player] += (values[player] - weights[player]) * (values[player] - weights[player])
      }
    }
    let count = Double(seeds)
    var worst = 0.0
    for player in 0..<players {
      let mean = sums[player] / count
      worst = max(worst, abs(mean) / ((squares[player] / count - mean * mean) / count).squareRoot())
    }
    // 150 players, 60 seeds.
    #expect(worst < 4.5)
  }
}
