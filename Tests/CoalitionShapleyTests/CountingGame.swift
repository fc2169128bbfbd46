// A game that counts what it is asked.

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Synchronization

/// Another game, and the number of coalitions that were asked for.
final class CountingGame: Game {
  private let game: DefinedGame
  private let asked = Mutex(0)

  init(_ game: DefinedGame) { self.game = game }

  var playerCount: Int { game.playerCount }
  var targetCount: Int { game.targetCount }
  var count: Int { asked.withLock { $0 } }
  func reset() { asked.withLock { $0 = 0 } }

  func values(
    _ coalitions: Coalitions, rows: [Range<Int>], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    asked.withLock { $0 += rows.reduce(0) { $0 + $1.count } }
    return try await game.values(coalitions, rows: rows, run)
  }
}
