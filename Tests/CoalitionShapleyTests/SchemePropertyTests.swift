// What every estimate has, not only their mean: what values add up to, games that are exact, linearity, extreme sizes.

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Testing

@Suite struct SchemePropertyTests {
  private static func additive(_ weights: [Double]) -> ClosureGame {
    ClosureGame(playerCount: weights.count) { coalitions in
      (0..<coalitions.count).map { row in
        coalitions.players(of: row).reduce(0.5) { $0 + weights[$1] }
      }
    }
  }

  @Test(arguments: NamedScheme.shapley, [6, 21])
  func `Shapley values add up to what all players gain`(named: NamedScheme, samples: Int)
    async throws
  {
    let game = DefinedGame.random(players: 7, seed: 21)
    let values = try await named.make(7, 5).estimate(game, samples: samples)
    let ends = try await game.ends()
    #expect(abs(values.reduce(0, +) - ends[0][0].difference) < 1e-12)
  }

  @Test(arguments: NamedScheme.all)
  func `A constant game has values of zero`(named: NamedScheme) async throws {
    let game = DefinedGame(playerCount: 7) { _ in 0.1 }
    let values = try await named.make(7, 5).estimate(game, samples: 19)
    #expect(values.allSatisfy { abs($0) < 1e-15 })
  }

  @Test(arguments: NamedScheme.all)
  func `Estimates are linear in the game`(named: NamedScheme) async throws {
    let first = DefinedGame.random(players: 7, seed: 22)
    let second = DefinedGame.random(players: 7, seed: 23)
    let both = DefinedGame(playerCount: 7) {
      2 * first.tables[0][0][$0] - second.tables[0][0][$0]
    }
    let scheme = named.make(7, 9)
    let (a, b, c) = (
      try await scheme.estimate(first, samples: 19), try await scheme.estimate(second, samples: 19),
      try await scheme.estimate(both, samples: 19)
    )
    for player in 0..<7 { #expect(abs(2 * a[player] - b[player] - c[player]) < 1e-12) }
  }

  @Test(arguments: [
    "permutation", "antithetic permutation", "orthogonal", "toggle", "owen-sampling",
  ])
  func `Marginal contributions make additive games exact after one sample`(name: String)
    async throws
  {
    let named = try #require(NamedScheme.shapley.first { $0.name == name })
    let weights = (0..<37).map { Double($0 * $0 % 11) - 4.5 }
    let values = try await named.make(37, 3).estimate(Self.additive(weights), samples: 1)
    #expect(zip(values, weights).allSatisfy { abs($0 - $1) < 1e-11 })
  }

  @Test(arguments: [1, 2, 3, 8, 9, 37, 64])
  func `Blocks of Banzhaf pairs are exact for additive games`(players: Int) async throws {
    let weights = (0..<players).map { Double($0 * $0 % 11) - 4.5 }
    let scheme = BanzhafScheme(playerCount: players, seed: 3)
    let values = try await scheme.estimate(
      Self.additive(weights), samples: 2 * scheme.blockSamples)
    #expect(zip(values, weights).allSatisfy { abs($0 - $1) < 1e-10 })
  }

  @Test func `A player without contributions gets zero from orders`() async throws {
    let game = DefinedGame.random(players: 7, seed: 24)
    for named in NamedScheme.shapley.prefix(3) {
      #expect(try await named.make(7, 1).estimate(game, samples: 6)[6] == 0)
    }
  }

  @Test(arguments: NamedScheme.all)
  func `One player and two players have exact values`(named: NamedScheme) async throws {
    let one = DefinedGame(playerCount: 1) { $0 == 1 ? 3.5 : 1.25 }
    #expect(try await named.make(1, 2).estimate(one, samples: 5) == [2.25])
    // Two samples hold either order, or a coalition and its complement; Banzhaf pairs and circles of two are exact too.
    let two = DefinedGame(playerCount: 2) { [1.0, 3, 4, 10][$0] }
    let scheme = named.make(2, 2)
    let values = try await scheme.estimate(two, samples: 4 * scheme.blockSamples)
    switch named.name {
    case "permutation", "toggle", "owen-sampling", "Banzhaf toggle":
      #expect(zip(values, [4.0, 5]).allSatisfy { abs($0 - $1) < 2 })
    default: #expect(zip(values, [4.0, 5]).allSatisfy { abs($0 - $1) < 1e-12 })
    }
  }

  @Test(arguments: NamedScheme.all)
  func `Two thousand players`(named: NamedScheme) async throws {
    let weights = (0..<2000).map { Double($0 % 5) }
    let game = ClosureGame(playerCount: 2000) { coalitions in
      (0..<coalitions.count).map { row in
        coalitions.players(of: row).reduce(0.0) { $0 + weights[$1] }.squareRoot()
      }
    }
    let samples = min(named.minSamples(2000), 16)
    let values = try await named.make(2000, 2).estimate(game, samples: samples)
    #expect(values.count == 2000 && values.allSatisfy { $0.isFinite })
    if named.value == .shapley { #expect(abs(values.reduce(0, +) - 4000.0.squareRoot()) < 1e-9) }
  }

  @Test(arguments: NamedScheme.all)
  func `Examples, targets and calls do not mix`(named: NamedScheme) async throws {
    let tables = (0..<6).map { DefinedGame.random(players: 6, seed: 30 + UInt64($0)).tables[0][0] }
    let game = DefinedGame(
      playerCount: 6,
      tables: [[tables[0], tables[1]], [tables[2], tables[3]], [tables[4], tables[5]]])
    let ends = try await game.ends()
    let scheme = named.make(6, 7)
    let blocks = scheme.blocks(2 * scheme.blockSamples + 1)
    let run = RunOptions()
    let together = try await scheme.sums(of: blocks, in: game, examples: [0, 2], ends: ends, run)
    var apart: [Double] = []
    for example in [0, 2] {
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

  @Test(arguments: NamedScheme.all, [1, 5, 33, 70])
  func `Samples ask for the evaluations that were foreseen`(
    named: NamedScheme, players: Int
  ) async throws {
    let asked = Counter()
    let game = ClosureGame(playerCount: players) { coalitions in
      await asked.add(coalitions.count)
      return (0..<coalitions.count).map { Double(coalitions.size(of: $0)) }
    }
    let scheme = named.make(players, 1)
    let ends = [[GameEnds(empty: 0, full: Double(players))]]
    for samples in [1, scheme.blockSamples] {
      await asked.reset()
      _ = try await scheme.sums(
        of: [SampleBlock(index: 3, samples: samples)], in: game, examples: [0], ends: ends,
        RunOptions())
      #expect(await asked.count == scheme.evaluations(samples: samples))
    }
  }
}

private actor Counter {
  private(set) var count = 0
  func add(_ more: Int) { count += more }
  func reset() { count = 0 }
}
