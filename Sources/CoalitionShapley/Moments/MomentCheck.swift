// How far values by moments are off, from a few sampled marginal contributions.
//
// Of some players, drawn at random among those that change anything, 16 marginal contributions each are evaluated: at
// coalitions whose players are present with a probability t, one draw in each of 8 parts of [0, 1] and its complement
// with 1 - t (which makes their mean an unbiased estimate of the Shapley value). With d_i the difference of a value to that
// mean and e_i its standard error, the mean of d_i^2 - e_i^2 over the players estimates the mean square error of the values
// without bias. What is reported is the root of it (of 0 where it is below), raised by one standard error of the mean: where
// samples cannot tell the values from exact ones, it is what they can tell.

import CoalitionBase
import CoalitionExplain
import CoalitionNet

struct MomentCheck {
  /// Pairs of marginal contributions of a player.
  private static let pairs = 8

  let game: MaskedGame
  let playerCount: Int
  let seed: UInt64

  /// Evaluations of one example.
  static func evaluations(players: Int) -> Int { 4 * pairs * players }

  /// The root mean square error of an example's values: [target].
  /// - Parameter values: [target][player].
  func errors(
    of values: ArraySlice<Double>, example: Int, _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    let players = game.players.playerCount
    let start = values.startIndex
    let targets = game.targetCount
    var random = CounterRandom(seed: seed, purpose: .momentChecks, index: UInt64(example))
    // Null players have the value 0 for certain.
    let candidates = (0..<players).filter { player in
      (0..<targets).contains { values[start + $0 * players + player] != 0 }
    }
    let checked = candidates.shuffled(using: &random).prefix(playerCount)
    guard !checked.isEmpty else { return [Double](repeating: 0, count: targets) }

    var coalitions = Coalitions(playerCount: players)
    for player in checked {
      for pair in 0..<Self.pairs {
        let t = (Double(pair) + Double.random(in: 0..<1, using: &random)) / Double(Self.pairs)
        let drawn = (0..<players).map { _ in Double.random(in: 0..<1, using: &random) < t }
        for isComplement in [false, true] {
          for isIn in [false, true] {
            coalitions.append(
              (0..<players).filter { $0 == player ? isIn : drawn[$0] != isComplement })
          }
        }
      }
    }
    var rows = [Range<Int>](repeating: 0..<0, count: game.exampleCount)
    rows[example] = 0..<coalitions.count
    let found = try await game.values(coalitions, rows: rows, run)
    return (0..<targets).map { target in
      let squares = checked.enumerated().map { place, player -> Double in
        let pairs = (0..<Self.pairs).map { pair -> Double in
          let row = (place * Self.pairs + pair) * 4
          func value(_ offset: Int) -> Double { found[(row + offset) * targets + target] }
          return (value(1) - value(0) + value(3) - value(2)) / 2
        }
        let mean = Mean(pairs)
        let difference = values[start + target * players + player] - mean.value
        return difference * difference - mean.squaredError
      }
      let mean = Mean(squares)
      let raised = max(mean.value, 0) + mean.squaredError.squareRoot()
      // Null players, whose values are exact, are not among the checked ones.
      return raised.squareRoot()
        * (Double(candidates.count) / Double(players)).squareRoot()
    }
  }
}

/// A mean and the square of its standard error.
private struct Mean {
  let value: Double
  let squaredError: Double

  init(_ numbers: [Double]) {
    let count = Double(numbers.count)
    let mean = numbers.reduce(0, +) / count
    value = mean
    let spread = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    squaredError = numbers.count > 1 ? spread / (count - 1) / count : 0
  }
}
