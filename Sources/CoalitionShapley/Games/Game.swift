// A cooperative game: players, and a value for every coalition of them.
//
// Values are asked for many coalitions at a time. A game may be played for several examples at once (the same players,
// each example its own values) and may have several targets (values of one coalition from the same evaluation).

public import CoalitionBase
public import CoalitionNet

/// Players, and the values of their coalitions.
///
/// A value depends on the coalition alone: whoever asks, how often, and for how many at a time, it is the same number.
public protocol Game: Sendable {
  /// Players, P: at least 1.
  var playerCount: Int { get }
  /// Games that are played with the same players at the same time.
  var exampleCount: Int { get }
  /// Values of one coalition.
  var targetCount: Int { get }

  /// Players of an example that add nothing to any coalition, where that is known without a value: they are not
  /// estimated.
  func nullPlayers(ofExample example: Int) -> [Int]

  /// The values of some coalitions for each example, one example after the other: [coalition][target] each.
  /// - Parameter rows: per example, which coalitions; an example without any is not evaluated.
  func values(
    _ coalitions: Coalitions, rows: [Range<Int>], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double]

  /// Sums of marginal contributions over blocks of coalitions: for each of `examples`, block and player i, the sum over
  /// the block's coalitions S of v(S with i) - v(S without i), in their order.
  /// - Parameter blocks: at most `ToggleBlock.size` rows of `coalitions` each.
  /// - Returns: [example][block][player][target].
  func marginalSums(
    _ coalitions: Coalitions, blocks: [Range<Int>], examples: [Int], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double]

  /// What evaluations take, in counted arithmetic.
  var cost: GameCost { get }
}

/// What evaluations take, as multiples of one full evaluation: counted, never measured, so that whoever chooses by it
/// chooses the same on every machine.
public struct GameCost: Sendable, Hashable {
  /// One marginal contribution of `marginalSums`.
  public var marginal: Double
  /// Multiply-adds of one full evaluation; 0 when nobody knows.
  public var arithmetic: Double

  public init(marginal: Double = 1, arithmetic: Double = 0) {
    self.marginal = marginal
    self.arithmetic = arithmetic
  }
}

/// Coalitions whose players are toggled together.
public enum ToggleBlock {
  /// Coalitions of one block at most: those that one tile of the engine sums up.
  public static let size = 16
}

extension Game {
  public var exampleCount: Int { 1 }
  public var targetCount: Int { 1 }
  public var cost: GameCost { GameCost() }
  public func nullPlayers(ofExample example: Int) -> [Int] { [] }

  /// By full evaluations: every coalition, and again with each player toggled.
  public func marginalSums(
    _ coalitions: Coalitions, blocks: [Range<Int>], examples: [Int], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    let perCoalition = playerCount + 1
    var sums = [Double](
      repeating: 0, count: examples.count * blocks.count * playerCount * targetCount)
    for (index, block) in blocks.enumerated() {
      var toggled = Coalitions(playerCount: playerCount)
      for row in block {
        let base = toggled.count
        toggled.append(coalitions, rows: row..<row + 1)
        for player in 0..<playerCount {
          toggled.append(coalitions, rows: row..<row + 1)
          toggled[base + 1 + player, player].toggle()
        }
      }
      var rows = [Range<Int>](repeating: 0..<0, count: exampleCount)
      for example in examples { rows[example] = 0..<toggled.count }
      let values = try await self.values(toggled, rows: rows, run)
      for (position, start) in zip(
        examples.indices, stride(from: 0, to: values.count, by: toggled.count * targetCount))
      {
        let base = (position * blocks.count + index) * playerCount * targetCount
        for (draw, row) in block.enumerated() {
          let origin = start + draw * perCoalition * targetCount
          for player in 0..<playerCount {
            let sign = coalitions[row, player] ? 1.0 : -1.0
            for target in 0..<targetCount {
              let other = values[origin + (player + 1) * targetCount + target]
              sums[base + player * targetCount + target] += sign * (values[origin + target] - other)
            }
          }
        }
      }
    }
    return sums
  }

  /// Players that are no null players, which have the value 0 for certain.
  func activePlayers(ofExample example: Int) -> [Int] {
    let null = Set(nullPlayers(ofExample: example))
    return (0..<playerCount).filter { !null.contains($0) }
  }

  /// The values of nobody and of everybody, [example][target].
  func endValues(_ run: RunOptions) async throws(CoalitionError) -> [[GameEnds]] {
    var coalitions = Coalitions(playerCount: playerCount)
    coalitions.appendEmpty()
    coalitions.appendFull()
    let values = try await values(coalitions, run)
    return (0..<exampleCount).map { example in
      (0..<targetCount).map { target in
        let start = example * 2 * targetCount + target
        return GameEnds(empty: values[start], full: values[start + targetCount])
      }
    }
  }

  /// The values of every coalition for every example: [example][coalition][target].
  public func values(
    _ coalitions: Coalitions, _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> [Double] {
    try await values(
      coalitions, rows: Array(repeating: 0..<coalitions.count, count: exampleCount), run)
  }
}
