// Small games with known values.

import CoalitionBase
import CoalitionNet
import CoalitionShapley

/// A game given by a table of all its values.
struct TableGame: Game {
  let playerCount: Int
  let targetCount: Int
  /// [mask of players][target]
  let table: [Double]

  /// Random interactions of up to three players: smooth enough for estimates, not additive.
  static func random(players: Int, targets: Int = 1, seed: UInt64) -> TableGame {
    var random = CounterRandom(seed: seed, purpose: .init(rawValue: 0), index: 1)
    var table = [Double](repeating: 0, count: targets << players)
    for target in 0..<targets {
      let weights = (0..<players).map { _ in random.normal() }
      let pairs = (0..<players * players).map { _ in random.normal() }
      for mask in 0..<1 << players {
        let present = (0..<players).filter { mask >> $0 & 1 == 1 }
        var value = present.reduce(0.5) { $0 + weights[$1] }
        for i in present {
          for j in present where j < i { value += 0.5 * pairs[i * players + j] }
        }
        table[mask * targets + target] = value + abs(value - 1) * 0.7
      }
    }
    return TableGame(playerCount: players, targetCount: targets, table: table)
  }

  /// Of one target, from a function of the mask.
  init(players: Int, _ value: (Int) -> Double) {
    playerCount = players
    targetCount = 1
    table = (0..<1 << players).map(value)
  }

  init(playerCount: Int, targetCount: Int, table: [Double]) {
    self.playerCount = playerCount
    self.targetCount = targetCount
    self.table = table
  }

  func values(
    _ coalitions: Coalitions, rows: [Range<Int>], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    (rows.first ?? 0..<0).flatMap { row in
      let mask = Int(coalitions.words[row])
      return table[mask * targetCount..<(mask + 1) * targetCount]
    }
  }

  /// Shapley values by their definition, [target][player].
  var shapleyValues: [Double] {
    var weights = [Double](repeating: 0, count: playerCount)
    for size in 0..<playerCount {
      // 1 / (P binomial(P - 1, size))
      var binomial = 1.0
      for k in 0..<size { binomial = binomial * Double(playerCount - 1 - k) / Double(k + 1) }
      weights[size] = 1 / (Double(playerCount) * binomial)
    }
    return (0..<targetCount).flatMap { target in
      (0..<playerCount).map { player in
        (0..<1 << playerCount).filter { $0 >> player & 1 == 0 }.reduce(0.0) { sum, mask in
          let gain =
            table[(mask | 1 << player) * targetCount + target] - table[mask * targetCount + target]
          return sum + weights[mask.nonzeroBitCount] * gain
        }
      }
    }
  }
}
