// All coalitions: values by definition, and of games whose values are known in closed form.

import CoalitionBase
import CoalitionShapley
import Testing

@Suite struct ExactSchemeTests {
  private static func close(_ found: [Double], _ expected: [Double], _ bound: Double = 1e-12)
    -> Bool
  {
    found.count == expected.count && zip(found, expected).allSatisfy { abs($0 - $1) <= bound }
  }

  @Test(arguments: [1, 2, 3, 5, 7])
  func `Values are those of the definition`(players: Int) async throws {
    let game =
      players > 2
      ? DefinedGame.random(players: players, seed: 3)
      : DefinedGame(playerCount: players) { Double($0 * $0) - 0.3 }
    let defined = DefinedValues(game: game)
    let shapley = try ExactScheme(playerCount: players, isBanzhaf: false)
    let limit = try #require(shapley.sampleLimit)
    #expect(limit == 1 << players)
    #expect(Self.close(try await shapley.estimate(game, samples: limit), defined.shapley))
    let banzhaf = try ExactScheme(playerCount: players, isBanzhaf: true)
    #expect(Self.close(try await banzhaf.estimate(game, samples: limit), defined.banzhaf))
  }

  @Test(arguments: [
    [0, 0, 0, 0, 0, 0], [0, 1, 2, 3, 4, 5], [4, 0, 4, 2, 2, 4], [1, 1, 0, 0, 0, 0],
    [0, 0, 1, 2, 2, 9],
  ])
  func `Owen values are means over orders that keep groups together`(groups: [Int]) async throws {
    let game = DefinedGame.random(players: 6, seed: 4)
    let scheme = try ExactOwenScheme(
      playerCount: 6, groups: PlayerGroups(groups, playerCount: 6))
    let limit = try #require(scheme.sampleLimit)
    let values = try await scheme.estimate(game, samples: limit)
    #expect(Self.close(values, DefinedValues(game: game).owen(groups)))
    if Set(groups).count == 1 || Set(groups).count == 6 {
      #expect(limit == 64)
      #expect(Self.close(values, DefinedValues(game: game).shapley))
    }
  }

  @Test func `An airport of 13 costs, over several blocks`() async throws {
    // v(S) = the largest cost in S: whoever needs a stretch shares it equally.
    let costs = [4.0, 1, 9, 2.5, 2.5, 16, 0, 7, 3, 11, 5, 8, 6]
    let game = ClosureGame(playerCount: costs.count) { coalitions in
      (0..<coalitions.count).map { row in coalitions.players(of: row).map { costs[$0] }.max() ?? 0 }
    }
    let scheme = try ExactScheme(playerCount: costs.count, isBanzhaf: false)
    #expect(scheme.blockSamples == 1024)
    let order = costs.indices.sorted { costs[$0] < costs[$1] }
    var expected = [Double](repeating: 0, count: costs.count)
    var share = 0.0
    for (rank, player) in order.enumerated() {
      let before = rank > 0 ? costs[order[rank - 1]] : 0
      share += (costs[player] - before) / Double(costs.count - rank)
      expected[player] = share
    }
    let values = try await scheme.estimate(game, samples: 1 << costs.count)
    #expect(Self.close(values, expected))
  }

  @Test func `Minimum and product of two inputs share equally`() async throws {
    let scheme = try ExactScheme(playerCount: 2, isBanzhaf: false)
    for (x, expected) in [([2.0, -2], [0.0, -2]), ([4, 2], [1, 1])] {
      let game = DefinedGame(playerCount: 2) {
        min($0 & 1 == 1 ? x[0] : 0, $0 & 2 == 2 ? x[1] : 0)
      }
      #expect(try await scheme.estimate(game, samples: 4) == expected)
    }
    let product = DefinedGame(playerCount: 2) { $0 == 3 ? 35 : 0 }
    #expect(try await scheme.estimate(product, samples: 4) == [17.5, 17.5])
  }

  @Test func `A unanimous committee of 40 players in 8 groups`() async throws {
    // Groups that meet the committee share 1 equally, and so do its members within each of them.
    let committee = [0, 1, 7, 12, 33, 34, 36]
    let groups = (0..<40).map { $0 / 5 }
    let game = ClosureGame(playerCount: 40) { coalitions in
      (0..<coalitions.count).map { row in committee.allSatisfy { coalitions[row, $0] } ? 1 : 0 }
    }
    let scheme = try ExactOwenScheme(
      playerCount: 40, groups: PlayerGroups(groups, playerCount: 40))
    let limit = try #require(scheme.sampleLimit)
    #expect(limit == 1 << 8 + 8 * (1 << 7) * 30)
    let meeting = Set(committee.map { groups[$0] })
    let expected = (0..<40).map { player in
      committee.contains(player)
        ? 1 / Double(meeting.count * committee.filter { groups[$0] == groups[player] }.count) : 0
    }
    #expect(Self.close(try await scheme.estimate(game, samples: limit), expected))
  }

  @Test func `A constant game has values of zero, and part of the coalitions gives none`()
    async throws
  {
    let game = DefinedGame(playerCount: 12) { _ in 0.1 }
    let scheme = try ExactScheme(playerCount: 12, isBanzhaf: false)
    #expect(try await scheme.estimate(game, samples: 1 << 12) == [Double](repeating: 0, count: 12))
    #expect(try await scheme.estimate(game, samples: 4095).allSatisfy { $0.isNaN })
  }

  @Test func `Too many players are refused`() throws {
    #expect(throws: CoalitionError.self) { try ExactScheme(playerCount: 31, isBanzhaf: false) }
    #expect(try ExactScheme(playerCount: 30, isBanzhaf: true).sampleLimit == 1 << 30)
    for groups in [(0..<64).map { $0 }, (0..<64).map { $0 / 32 }, (0..<90).map { $0 % 30 }] {
      #expect(throws: CoalitionError.self) {
        try ExactOwenScheme(
          playerCount: groups.count, groups: PlayerGroups(groups, playerCount: groups.count))
      }
    }
  }
}
