// Games of a few players whose values lie in a table, and their values by definition: plain means over orders and
// coalitions, written without regard to speed and without anything of what they test.

import CoalitionBase
import CoalitionNet
import CoalitionShapley

/// A game for some examples and targets: a value for every coalition, by the bits of its players.
struct DefinedGame: Game {
  let playerCount: Int
  /// [example][target][coalition]
  let tables: [[[Double]]]

  init(playerCount: Int, tables: [[[Double]]]) {
    self.playerCount = playerCount
    self.tables = tables
  }

  init(playerCount: Int, _ value: (Int) -> Double) {
    self.init(playerCount: playerCount, tables: [[(0..<1 << playerCount).map(value)]])
  }

  var exampleCount: Int { tables.count }
  var targetCount: Int { tables[0].count }

  func values(
    _ coalitions: Coalitions, rows: [Range<Int>], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    var values: [Double] = []
    for (example, rows) in rows.enumerated() {
      for row in rows {
        for target in tables[example] { values.append(target[Int(coalitions.words[row])]) }
      }
    }
    return values
  }

  /// Additive, saturating and random parts of about the same size, a null player (the last) and two players that are
  /// alike (the first two).
  static func random(players: Int, seed: UInt64) -> DefinedGame {
    var random = CounterRandom(seed: seed, purpose: .init(rawValue: 1001), index: 0)
    let noise = (0..<1 << players).map { _ in random.normal() }
    let weights = (0..<players).map { _ in random.normal() }
    return DefinedGame(playerCount: players) { coalition in
      // The null player out, the alike ones in order.
      var kept = coalition & (1 << (players - 1) - 1)
      if kept & 3 == 2 { kept ^= 3 }
      var sum = 0.3
      for player in 0..<players - 1 where coalition >> player & 1 == 1 {
        sum += weights[max(player, 1)]
      }
      return 2 + sum + 3 * max(sum, 0) / (1 + abs(sum)) + noise[kept]
    }
  }
}

extension DefinedGame {
  /// Interactions of two players behind a kink: no noise, so that what estimators know of smooth games helps them.
  static func smooth(players: Int, targets: Int = 1, seed: UInt64) -> DefinedGame {
    var random = CounterRandom(seed: seed, purpose: .init(rawValue: 1001), index: 1)
    let tables = (0..<targets).map { _ in
      let weights = (0..<players).map { _ in random.normal() }
      let pairs = (0..<players * players).map { _ in random.normal() }
      return (0..<1 << players).map { mask in
        let present = (0..<players).filter { mask >> $0 & 1 == 1 }
        var value = present.reduce(0.5) { $0 + weights[$1] }
        for i in present {
          for j in present where j < i { value += 0.5 * pairs[i * players + j] }
        }
        return value + abs(value - 1) * 0.7
      }
    }
    return DefinedGame(playerCount: players, tables: [tables])
  }
}

/// Values by definition of a game of one example and target.
struct DefinedValues {
  let game: DefinedGame

  private var table: [Double] { game.tables[0][0] }
  private var players: Int { game.playerCount }

  /// The mean marginal contribution over all orders.
  var shapley: [Double] { owen([Int](repeating: 0, count: players)) }

  /// The mean over all orders that keep groups together.
  func owen(_ groups: [Int]) -> [Double] {
    var sums = [Double](repeating: 0, count: players)
    var orders = 0.0
    let table = table
    func extend(_ order: [Int], _ present: Int) {
      guard order.count < players else {
        var coalition = 0
        for player in order {
          sums[player] += table[coalition | 1 << player] - table[coalition]
          coalition |= 1 << player
        }
        orders += 1
        return
      }
      // A group that has begun goes on until it is complete.
      let open = order.last.map { groups[$0] }.flatMap { group in
        groups.indices.contains { groups[$0] == group && present >> $0 & 1 == 0 } ? group : nil
      }
      for player in 0..<players where present >> player & 1 == 0 {
        if let open, groups[player] != open { continue }
        extend(order + [player], present | 1 << player)
      }
    }
    extend([], 0)
    return sums.map { $0 / orders }
  }

  /// The mean marginal contribution over all coalitions.
  var banzhaf: [Double] {
    (0..<players).map { player in
      let others = table.indices.filter { $0 >> player & 1 == 0 }
      return others.reduce(0.0) { $0 + table[$1 | 1 << player] - table[$1] } / Double(others.count)
    }
  }
}

extension Game {
  /// The values of nobody and of everybody, per example and target.
  func ends() async throws -> [[GameEnds]] {
    var coalitions = Coalitions(playerCount: playerCount)
    coalitions.appendEmpty()
    coalitions.appendFull()
    let values = try await values(coalitions)
    return (0..<exampleCount).map { example in
      (0..<targetCount).map { target in
        let first = 2 * example * targetCount + target
        return GameEnds(empty: values[first], full: values[first + targetCount])
      }
    }
  }
}

extension SamplingScheme {
  /// The blocks of the first samples.
  func blocks(_ samples: Int) -> [SampleBlock] {
    stride(from: 0, to: samples, by: blockSamples).map {
      SampleBlock(index: $0 / blockSamples, samples: min(blockSamples, samples - $0))
    }
  }

  /// The values of a game of one example and target, from the first samples in one call.
  func estimate(_ game: any Game, samples: Int) async throws -> [Double] {
    let ends = try await game.ends()
    let blocks = blocks(samples)
    let sums = try await sums(of: blocks, in: game, examples: [0], ends: ends, RunOptions())
    var total = [Double](repeating: 0, count: sumCount)
    for block in blocks.indices {
      for index in total.indices { total[index] += sums[block * sumCount + index] }
    }
    return values(total, samples: samples, ends: ends[0][0])
  }
}
