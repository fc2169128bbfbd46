// Values and interactions of five games against another program's (make_fixtures.py).

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Foundation
import Testing

@Suite struct InteractionReferenceTests {
  struct Reference: Decodable {
    struct Terms: Decodable {
      let players: [Double]
      let pairs: [Double]
    }

    struct Values: Decodable {
      let name: String
      let playerCount: Int
      let table: [Double]
      let shapley: [Double]
      let banzhaf: [Double]
      let sii: [Double]
      let kSII: Terms
      let faithSII: Terms
    }

    let games: [Values]
  }

  private static func games() throws -> [Reference.Values] {
    let folder = String(#filePath.dropLast("InteractionReferenceTests.swift".count))
    let data = try Data(contentsOf: URL(fileURLWithPath: folder + "Fixtures/shapiq.json"))
    return try JSONDecoder().decode(Reference.self, from: data).games
  }

  private static func close(_ a: [Double], _ b: [Double], _ bound: Double = 1e-11) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= bound }
  }

  @Test func `Shapley and Banzhaf values are those of shapiq`() async throws {
    let games = try Self.games()
    #expect(games.count == 5)
    for reference in games {
      let game = DefinedGame(playerCount: reference.playerCount, tables: [[reference.table]])
      let all = reference.table.count
      for (isBanzhaf, expected) in [(false, reference.shapley), (true, reference.banzhaf)] {
        let scheme = try ExactScheme(playerCount: game.playerCount, isBanzhaf: isBanzhaf)
        #expect(
          Self.close(try await scheme.estimate(game, samples: all), expected), "\(reference.name)")
      }
    }
  }

  @Test(arguments: InteractionIndex.allCases)
  func `Interactions and main effects are those of shapiq`(index: InteractionIndex) async throws {
    for reference in try Self.games() {
      let players = reference.playerCount
      let game = DefinedGame(playerCount: players, tables: [[reference.table]])
      let scheme = try ExactInteractions(playerCount: players, index: index)
      let ends = try await game.ends()
      let sums = try await scheme.sums(
        of: scheme.blocks(reference.table.count), in: game, examples: [0], ends: ends, RunOptions())
      #expect(sums.count == scheme.sumCount)
      let samples = reference.table.count
      let values = scheme.values(sums, samples: samples, ends: ends[0][0])
      let matrix = scheme.interactions(sums, samples: samples, ends: ends[0][0])
      let main = index.mainEffects(values: values, interactions: matrix)
      let pairs = (0..<players).flatMap { high in
        (0..<high).map { matrix[high * players + $0] }
      }
      switch index {
      case .sii:
        #expect(Self.close(pairs, reference.sii) && Self.close(main, reference.shapley))
      case .kSII:
        #expect(Self.close(pairs, reference.kSII.pairs) && Self.close(main, reference.kSII.players))
      case .faithSII:
        // There the weights of nobody and everybody are large numbers, not infinite.
        #expect(Self.close(pairs, reference.faithSII.pairs, 1e-7), "\(reference.name)")
        #expect(Self.close(main, reference.faithSII.players, 1e-7), "\(reference.name)")
      }
    }
  }
}
