// One game whose targets are the examples of another: coalitions are drawn once for all of them, as published, and the
// mean over the examples, the last target, has errors of its own, which those of the examples do not tell.

import CoalitionBase
import CoalitionExplain
import CoalitionNet
import CoalitionShapley

struct UnitGame: Game {
  let base: MaskedGame
  /// Gives values in place of masked passes, where there is one.
  let fronts: UnitFronts?
  /// Units that are 0 in every example or that nobody reads.
  private let nulls: [Int]

  init(_ base: MaskedGame, _ fronts: UnitFronts?) {
    self.base = base
    self.fronts = fronts
    if let fronts {
      // What is 0 gives nothing.
      nulls = fronts.nullUnits
    } else {
      var dead = Set(0..<base.playerCount)
      for example in 0..<base.exampleCount {
        dead.formIntersection(base.nullPlayers(ofExample: example))
      }
      nulls = dead.sorted()
    }
  }

  var playerCount: Int { base.playerCount }
  /// The examples and their mean.
  var targetCount: Int { base.exampleCount + 1 }
  var cost: GameCost { base.cost }

  func nullPlayers(ofExample example: Int) -> [Int] { nulls }

  func values(
    _ coalitions: Coalitions, rows: [Range<Int>], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    guard let range = rows.first, rows.count == 1 else {
      throw CoalitionError(.usage, "the game has one example", found: "\(rows.count)")
    }
    let values =
      if let fronts {
        try await fronts.values(coalitions, range, run)
      } else {
        try await base.values(
          coalitions, rows: [Range<Int>](repeating: range, count: base.exampleCount), run)
      }
    return withMeans(values, count: range.count)
  }

  func marginalSums(
    _ coalitions: Coalitions, blocks: [Range<Int>], examples: [Int], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    let sums = try await base.marginalSums(
      coalitions, blocks: blocks, examples: Array(0..<base.exampleCount), run)
    return withMeans(sums, count: blocks.count * playerCount)
  }

  /// [example][place] -> [place][example], with the mean over the examples behind them.
  private func withMeans(_ values: [Double], count: Int) -> [Double] {
    let examples = base.exampleCount
    var result: [Double] = []
    result.reserveCapacity(count * targetCount)
    for place in 0..<count {
      var sum = 0.0
      for example in 0..<examples {
        let value = values[example * count + place]
        result.append(value)
        sum += value
      }
      result.append(sum / Double(examples))
    }
    return result
  }
}
