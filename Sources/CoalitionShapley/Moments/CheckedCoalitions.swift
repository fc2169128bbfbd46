// The coalitions by which values by moments are checked, on their way through the game, many in a call.

import CoalitionBase
import CoalitionExplain
import CoalitionNet

struct CheckedCoalitions {
  /// Pairs of marginal contributions of a sampled player: an even number.
  static let pairs = 8
  /// Coalitions and values that a call holds, in bytes, about.
  private static let callByteCount = 4 << 20
  private static let callCoalitions = 1 << 14

  /// What some coalitions that follow each other are.
  private enum Part {
    /// The marginal contributions of a player.
    case sampled(Int)
    /// All coalitions of these players, by the bits of their numbers.
    case exact([Int])
  }

  private let game: MaskedGame
  /// [example][target][player], of the examples from `first` on.
  private let values: [Double]
  private let first: Int
  private var coalitions: Coalitions
  private var parts: [(part: Part, example: Int, rows: Range<Int>)] = []
  /// Per example and target, of every player that has been evaluated: the difference d of its value to a mean, and e^2, the square of
  /// the standard error of that mean.
  private(set) var differences: [[[(difference: Double, squaredError: Double)]]]
  /// Per example.
  private(set) var evaluations: [Int]

  /// - Parameter values: those that are checked, of these examples alone.
  init(_ game: MaskedGame, _ values: [Double], _ examples: Range<Int>) {
    self.game = game
    self.values = values
    first = examples.lowerBound
    coalitions = Coalitions(playerCount: game.players.playerCount)
    differences = .init(
      repeating: .init(repeating: [], count: game.targetCount), count: examples.count)
    evaluations = [Int](repeating: 0, count: examples.count)
  }

  // MARK: What is evaluated

  /// Marginal contributions of a player. Examples come in order.
  mutating func sample(_ player: Int, _ example: Int, using random: inout CounterRandom) {
    let start = coalitions.count
    let players = coalitions.playerCount
    for pair in 0..<Self.pairs {
      let t = (Double(pair) + Double.random(in: 0..<1, using: &random)) / Double(Self.pairs)
      let drawn = (0..<players).map { _ in Double.random(in: 0..<1, using: &random) < t }
      for isComplement in [false, true] {
        for isIn in [false, true] {
          let row = coalitions.appendEmpty()
          for other in 0..<players where other == player ? isIn : drawn[other] != isComplement {
            coalitions[row, other] = true
          }
        }
      }
    }
    parts.append((.sampled(player), example, start..<coalitions.count))
  }

  /// All coalitions of some players. Examples come in order.
  mutating func enumerate(_ players: [Int], _ example: Int) {
    guard !players.isEmpty else { return }
    let start = coalitions.count
    for number in 0..<1 << players.count {
      let row = coalitions.appendEmpty()
      for (place, player) in players.enumerated() where number >> place & 1 == 1 {
        coalitions[row, player] = true
      }
    }
    parts.append((.exact(players), example, start..<coalitions.count))
  }

  // MARK: Values

  mutating func evaluateIfMany(_ run: RunOptions) async throws(CoalitionError) {
    let bytes = 4 * coalitions.wordCount + 16 * game.targetCount
    if coalitions.count >= min(Self.callCoalitions, Self.callByteCount / bytes) {
      try await evaluate(run)
    }
  }

  /// Evaluates what is there.
  mutating func evaluate(_ run: RunOptions) async throws(CoalitionError) {
    guard !parts.isEmpty else { return }
    var rows = [Range<Int>](repeating: 0..<0, count: game.exampleCount)
    for part in parts {
      let known = rows[part.example]
      rows[part.example] = (known.isEmpty ? part.rows : known).lowerBound..<part.rows.upperBound
    }
    let found = try await game.values(coalitions, rows: rows, run)
    for (part, example, rows) in parts {
      evaluations[example - first] += rows.count
      for target in 0..<game.targetCount {
        let own = rows.map { found[$0 * game.targetCount + target] }
        let values = self.values(example, target)
        let checks =
          switch part {
          case .sampled(let player): [Self.sampled(own, of: values[values.startIndex + player])]
          case .exact(let players): try Self.exact(own, players, values)
          }
        differences[example - first][target] += checks
      }
    }
    parts = []
    coalitions = Coalitions(playerCount: coalitions.playerCount)
  }

  private func values(_ example: Int, _ target: Int) -> ArraySlice<Double> {
    let players = coalitions.playerCount
    let start = ((example - first) * game.targetCount + target) * players
    return values[start..<start + players]
  }

  /// - Parameter scores: without the player and with it, for a draw and for its complement; a draw in every part of [0, 1].
  private static func sampled(
    _ scores: [Double], of value: Double
  ) -> (difference: Double, squaredError: Double) {
    let found = (0..<pairs).map { pair in
      let row = pair * 4
      return (scores[row + 1] - scores[row] + scores[row + 3] - scores[row + 2]) / 2
    }
    let mean = found.reduce(0, +) / Double(pairs)
    let spread = (0..<pairs / 2).reduce(0.0) { sum, pair in
      let difference = found[pair] - found[pairs - 1 - pair]
      return sum + difference * difference
    }
    return (value - mean, spread / Double(pairs * pairs))
  }

  /// - Parameter scores: of all coalitions of the players.
  private static func exact(
    _ scores: [Double], _ players: [Int], _ values: ArraySlice<Double>
  ) throws(CoalitionError) -> [(difference: Double, squaredError: Double)] {
    var exact = [Double](repeating: 0, count: players.count)[...]
    try ExactScheme(playerCount: players.count, isBanzhaf: false).add(
      0, values: scores, ends: GameEnds(empty: scores[0], full: scores[scores.count - 1]),
      to: &exact)
    return zip(players, exact).map { (values[values.startIndex + $0] - $1, 0) }
  }
}
