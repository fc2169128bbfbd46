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
// Few players that have no more coalitions than the samples would be: their exact values are evaluated.
//
// Whatever the samples say, the mean of the errors is known: what the values miss of v(all) - v(none), over the active players.

import CoalitionBase
import CoalitionExplain
import CoalitionNet

struct MomentCheck {
  /// Of a player's marginal contributions.
  static let evaluationsPerPlayer = 4 * CheckedCoalitions.pairs
  let game: MaskedGame
  /// How many players of an example are checked.
  let playerCount: Int
  let seed: UInt64

  /// So many players are checked exactly.
  private static func exactPlayers(checking checked: Int) -> Int {
    let most = ExactScheme.lowerPlayers
    return (0...most).last { 1 << $0 <= evaluationsPerPlayer * min(checked, 1 << most) } ?? 0
  }

  /// Evaluations of one example, at most: null players are not checked.
  static func evaluations(checking checked: Int, of players: Int) -> Int {
    guard checked > 0 else { return 0 }
    let exact = exactPlayers(checking: checked)
    return players <= exact
      ? 1 << players : max(1 << exact, evaluationsPerPlayer * min(checked, players))
  }

  struct Outcome: Equatable {
    /// The root mean square error of the active players' values as it is told: [target].
    var errors: [Double]
    /// Coalitions that were evaluated.
    var evaluations: Int
  }

  /// What the errors of some examples' values look like.
  /// - Parameters:
  ///   - values: [example][target][player], of these examples alone.
  ///   - ends: of all examples.
  func outcomes(
    of values: [Double], examples: Range<Int>, _ ends: [[GameEnds]], _ run: RunOptions
  ) async throws(CoalitionError) -> [Outcome] {
    let players = game.players.playerCount
    let found = try await squares(of: values, examples: examples, run)
    return zip(examples, found).map { example, found in
      let errors = found.squares.enumerated().map { target, square -> Double in
        let told = (max(square.value, 0) + square.margin).squareRoot()
        guard !found.isExact else { return told }
        let start = ((example - examples.lowerBound) * game.targetCount + target) * players
        let sum = values[start..<start + players].reduce(0, +)
        let end = ends[example][target]
        return max(told, abs(end.full - end.empty - sum) / Double(found.activeCount))
      }
      return Outcome(errors: errors, evaluations: found.evaluations)
    }
  }

  struct Found {
    /// Of the players that are no null players: [target].
    var squares: [MeanSquare]
    var activeCount: Int
    var isExact: Bool
    var evaluations: Int
  }

  /// Estimates of the mean square error of the players that are no null players, unbiased or exact, per example.
  func squares(
    of values: [Double], examples: Range<Int>, _ run: RunOptions
  ) async throws(CoalitionError) -> [Found] {
    var checked = CheckedCoalitions(game, values, examples)
    var found: [Found] = []
    for example in examples {
      let active = game.activePlayers(ofExample: example)
      let isExact = active.count <= Self.exactPlayers(checking: playerCount)
      found.append(
        Found(squares: [], activeCount: active.count, isExact: isExact, evaluations: 0))
      if isExact {
        checked.enumerate(active, example)
        try await checked.evaluateIfMany(run)
      } else {
        var random = CounterRandom(seed: seed, purpose: .momentChecks, index: UInt64(example))
        for player in active.shuffled(using: &random).prefix(playerCount) {
          checked.sample(player, example, using: &random)
          try await checked.evaluateIfMany(run)
        }
      }
    }
    try await checked.evaluate(run)
    for place in found.indices {
      found[place].squares = checked.differences[place].map {
        MeanSquare($0, isExact: found[place].isExact)
      }
      found[place].evaluations = checked.evaluations[place]
    }
    return found
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
    let fewer = StudentT.quantile975(max(degrees, 1)) / StudentT.quantile975(.max)
    return squaredError.squareRoot() * fewer
  }
}
