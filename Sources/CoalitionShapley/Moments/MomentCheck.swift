// How far values by moments are off, from a few sampled marginal contributions.
//
// Of some players, drawn at random among those that are no null players, 16 marginal contributions each are evaluated: at
// coalitions whose players are present with a probability t, one draw in each of 8 parts of [0, 1] and its complement
// with 1 - t (which makes their mean an unbiased estimate of the Shapley value). A pair drawn at t is distributed as one at
// 1 - t: the pairs p_k and p_(7-k) are two independent draws of the same part, and what their mean is off by comes from
// their difference alone, whatever the contributions do from part to part:
//     e^2 = Var mean = sum over k < 4 of E (p_k - p_(7-k))^2 / 64.
// With d_i the difference of a value to that mean and e_i its standard error, the mean of d_i^2 - e_i^2 over the players
// estimates the mean square error of the values without bias. What is reported is the root of it (of 0 where it is below),
// raised by one standard error of the mean, by Student's distribution: where samples cannot tell the values from exact ones,
// it is what they can tell.
//
// Up to 8 players that are all to be checked have no more coalitions than samples: their exact values are evaluated.

import CoalitionBase
import CoalitionExplain
import CoalitionNet

struct MomentCheck {
  /// Pairs of marginal contributions of a player: an even number.
  private static let pairs = 8

  let game: MaskedGame
  let playerCount: Int
  let seed: UInt64

  /// Of a player's marginal contributions.
  static let evaluationsPerPlayer = 4 * pairs
  /// So many have at most as many coalitions as samples: 2^8 = 32 x 8.
  private static let exactPlayers = 8

  /// Evaluations of one example, at most: null players are not checked.
  static func evaluations(checking checked: Int, of players: Int) -> Int {
    players <= min(checked, exactPlayers)
      ? 1 << players : evaluationsPerPlayer * min(checked, players)
  }

  struct Outcome {
    /// The root mean square error of the values as it is told: [target].
    var errors: [Double]
    /// Coalitions that were evaluated.
    var evaluations: Int
  }

  /// What the errors of an example's values look like.
  /// - Parameter values: [target][player].
  func outcome(
    of values: ArraySlice<Double>, example: Int, _ run: RunOptions
  ) async throws(CoalitionError) -> Outcome {
    let candidates = candidates(example)
    let (squares, evaluations) =
      candidates.count <= min(playerCount, Self.exactPlayers)
      ? try await exactSquares(of: values, candidates, example: example, run)
      : try await squares(of: values, candidates, example: example, run)
    // Null players, whose values are exact, are not among the checked ones.
    let share = Double(candidates.count) / Double(game.players.playerCount)
    let errors = squares.map { square in
      ((max(square.value, 0) + square.margin) * share).squareRoot()
    }
    return Outcome(errors: errors, evaluations: evaluations)
  }

  /// The mean square error of a few players, by all of their coalitions: [target].
  private func exactSquares(
    of values: ArraySlice<Double>, _ candidates: [Int], example: Int, _ run: RunOptions
  ) async throws(CoalitionError) -> (squares: [MeanSquare], evaluations: Int) {
    let players = game.players.playerCount
    let targets = game.targetCount
    guard !candidates.isEmpty else {
      return ([MeanSquare](repeating: MeanSquare([]), count: targets), 0)
    }
    var coalitions = Coalitions(playerCount: players)
    for number in 0..<1 << candidates.count {
      coalitions.append(
        candidates.indices.filter { number >> $0 & 1 == 1 }.map { candidates[$0] })
    }
    let found = try await game.values(coalitions, rows: rows(example, coalitions), run)
    let scheme = try ExactScheme(playerCount: candidates.count, isBanzhaf: false)
    let squares = (0..<targets).map { target in
      let own = (0..<coalitions.count).map { found[$0 * targets + target] }
      var exact = [Double](repeating: 0, count: candidates.count)[...]
      scheme.add(
        0, values: own, ends: GameEnds(empty: own[0], full: own[own.count - 1]), to: &exact)
      return MeanSquare(
        zip(candidates, exact).map { player, value in
          (values[values.startIndex + target * players + player] - value, 0)
        }, isExact: true)
    }
    return (squares, coalitions.count)
  }

  /// All of the coalitions for one example.
  private func rows(_ example: Int, _ coalitions: Coalitions) -> [Range<Int>] {
    var rows = [Range<Int>](repeating: 0..<0, count: game.exampleCount)
    rows[example] = 0..<coalitions.count
    return rows
  }

  /// Unbiased estimates of the mean square error of the candidates: [target].
  func squares(
    of values: ArraySlice<Double>, _ candidates: [Int], example: Int, _ run: RunOptions
  ) async throws(CoalitionError) -> (squares: [MeanSquare], evaluations: Int) {
    let players = game.players.playerCount
    let targets = game.targetCount
    var random = CounterRandom(seed: seed, purpose: .momentChecks, index: UInt64(example))
    let checked = candidates.shuffled(using: &random).prefix(playerCount)
    guard !checked.isEmpty else {
      return ([MeanSquare](repeating: MeanSquare([]), count: targets), 0)
    }
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
    let found = try await game.values(coalitions, rows: rows(example, coalitions), run)
    let squares = (0..<targets).map { target in
      MeanSquare(
        checked.enumerated().map { place, player -> (difference: Double, squaredError: Double) in
          let pairs = (0..<Self.pairs).map { pair -> Double in
            let row = (place * Self.pairs + pair) * 4
            func value(_ offset: Int) -> Double { found[(row + offset) * targets + target] }
            return (value(1) - value(0) + value(3) - value(2)) / 2
          }
          let mean = pairs.reduce(0, +) / Double(pairs.count)
          let spread = (0..<pairs.count / 2).reduce(0.0) { sum, pair in
            let difference = pairs[pair] - pairs[pairs.count - 1 - pair]
            return sum + difference * difference
          }
          return (
            values[values.startIndex + target * players + player] - mean,
            spread / Double(pairs.count * pairs.count)
          )
        })
    }
    return (squares, coalitions.count)
  }

  /// Players that are no null players, which have the value 0 for certain.
  func candidates(_ example: Int) -> [Int] {
    let null = Set(game.nullPlayers(ofExample: example))
    return (0..<game.players.playerCount).filter { !null.contains($0) }
  }
}

/// A mean of d^2 - e^2 and its standard error.
struct MeanSquare {
  let value: Double
  /// The square of the standard error; 0 for exact values.
  let squaredError: Double
  private let degrees: Int

  /// - Parameters:
  ///   - checks: per player d, the difference to a mean, and e^2, the square of the standard error of that mean.
  ///   - isExact: whether these are all players, and the differences those to exact values.
  init(_ checks: [(difference: Double, squaredError: Double)], isExact: Bool = false) {
    let squares = checks.map { $0.difference * $0.difference - $0.squaredError }
    let count = Double(max(squares.count, 1))
    let mean = squares.reduce(0, +) / count
    value = mean
    degrees = checks.count - 1
    if isExact {
      squaredError = 0
    } else if checks.count == 1 {
      // Of a single player: what d^2 varies by for a normal d, 2 e^4 + 4 (E d)^2 e^2.
      let own = checks[0].squaredError
      squaredError = 2 * own * own + 4 * max(mean, 0) * own
    } else {
      let spread = squares.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      squaredError = spread / max(count - 1, 1) / count
    }
  }

  /// The standard error, by Student's distribution as much larger as few players say less about each other.
  var margin: Double {
    let fewer = degrees < 1 ? 1 : StudentT.quantile975(degrees) / StudentT.quantile975(.max)
    return squaredError.squareRoot() * fewer
  }
}
