// Marginal contributions of a game's players by deltas against full passes.

import CoalitionBase
import CoalitionNet
import Testing

@testable import CoalitionExplain

@Suite(.serialized) struct MarginalSumsTests {
  private func randomCoalitions(_ players: Int, _ count: Int) -> Coalitions {
    var list = Coalitions(playerCount: players)
    for index in 0..<count {
      var random = CounterRandom(seed: 4, purpose: .init(rawValue: 1003), index: UInt64(index))
      list.appendRandom(size: random.below(players + 1), using: &random)
    }
    return list
  }

  private func expectClose(_ found: [Double], _ expected: [Double], _ limit: Double) {
    #expect(found.count == expected.count)
    let scale = max(expected.map(abs).max() ?? 0, 1)
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= limit * scale })
  }

  @Test("Sums by deltas are those of full passes, for all divisions, targets and baselines")
  func agreement() async throws {
    for (precision, limit) in [(Precision.single, 2e-5), (.double, 1e-12)] {
      let plan = try Nets.convolutional(precision)
      let x = try Nets.rows([3, 2, 6, 7], seed: 1)
      for division in [Players.element, .patch(height: 2, width: 3), .channel] {
        let players = try PlayerSet(others: division, inputs: [("x", [2, 6, 7])])
        let coalitions = randomCoalitions(players.playerCount, 40)
        let blocks = [0..<16, 16..<25, 25..<25, 25..<30, 30..<40]
        for rows in [[], [3]] {
          let baselines = try rows.isEmpty ? [:] : ["x": Nets.rows(rows + [2, 6, 7], seed: 9)]
          for isDifference in [false, true] {
            let game = try MaskedGame(
              plan, players: players, inputs: ["x": x], baselines: baselines,
              targets: [[0, 2], [1, 0], [2, 0]], isDifference: isDifference)
            #expect(try game.togglePlan() != nil || division == .channel)
            var options = RunOptions()
            options.lanes = 16
            let found = try await game.marginalSums(coalitions, blocks: blocks, examples: [2, 0])
            let expected = try await game.marginalSumsByPasses(
              coalitions, blocks: blocks, examples: [2, 0])
            #expect(
              found.count == 2 * blocks.count * players.playerCount * (isDifference ? 1 : 2))
            expectClose(found, expected, limit * 16)
            let again = try await game.marginalSums(
              coalitions, blocks: blocks, examples: [2, 0], options)
            #expect(found == again)
          }
        }
      }
    }
  }

  @Test("A block's sums do not depend on the blocks beside it")
  func companions() async throws {
    let plan = try Nets.convolutional()
    let players = try PlayerSet(
      others: .patch(height: 2, width: 2), inputs: [("x", [2, 6, 7])])
    let game = try MaskedGame(
      plan, players: players, inputs: ["x": try Nets.rows([2, 2, 6, 7], seed: 3)],
      targets: [[0], [1]])
    let coalitions = randomCoalitions(players.playerCount, 33)
    let count = players.playerCount
    let all = try await game.marginalSums(
      coalitions, blocks: [0..<7, 7..<20, 20..<33], examples: [0, 1])
    for example in 0..<2 {
      for (place, block) in [0..<7, 7..<20, 20..<33].enumerated() {
        let alone = try await game.marginalSums(coalitions, blocks: [block], examples: [example])
        let start = (example * 3 + place) * count
        #expect(alone == Array(all[start..<start + count]))
      }
    }
  }

  @Test("Turns that are dealt out to threads add up to the same bytes", arguments: [0, 3])
  func threads(baselines: Int) async throws {
    let plan = try Nets.convolutional()
    let players = try PlayerSet(others: .element, inputs: [("x", [2, 6, 7])])
    let rows = try baselines == 0 ? [:] : ["x": Nets.rows([baselines, 2, 6, 7], seed: 9)]
    let game = try MaskedGame(
      plan, players: players, inputs: ["x": try Nets.rows([2, 2, 6, 7], seed: 3)], baselines: rows,
      targets: [[0, 2], [1, 0]])
    let coalitions = randomCoalitions(players.playerCount, 48)
    for blocks in [[0..<16], [0..<16, 16..<32, 32..<48], [0..<7, 7..<7, 7..<20, 20..<33]] {
      var options = RunOptions()
      options.threads = 1
      let alone = try await game.marginalSums(
        coalitions, blocks: blocks, examples: [1, 0], options)
      for threads in [2, 3, 8] {
        options.threads = threads
        let found = try await game.marginalSums(
          coalitions, blocks: blocks, examples: [1, 0], options)
        #expect(found == alone, "\(threads) threads, blocks \(blocks)")
      }
    }
    let toggles = try #require(try game.togglePlan())
    // One tile is cut for two threads; many are not, nor blocks that share a tile.
    #expect(ToggleChunk.shares(of: toggles, tiles: 1, segments: 1, threads: 2) == 2)
    #expect(ToggleChunk.shares(of: toggles, tiles: 100, segments: 100, threads: 2) == 1)
    #expect(ToggleChunk.shares(of: toggles, tiles: 1, segments: 8, threads: 2) == 1)
  }

  @Test("Players that differ by example are served by full passes")
  func perExample() async throws {
    let plan = try Nets.convolutional(.double)
    let ids = (0..<84).map { Int32($0 % 5) } + (0..<84).map { Int32($0 / 17) }
    let map = try Tensor(shape: [2, 2, 6, 7], elements: .int32(ids))
    let players = try PlayerSet(["x": .map(map)], inputs: [("x", [2, 6, 7])], examples: 2)
    let game = try MaskedGame(
      plan, players: players, inputs: ["x": try Nets.rows([2, 2, 6, 7], seed: 3)],
      targets: [[1], [0]])
    #expect(try game.togglePlan() == nil)
    let coalitions = randomCoalitions(5, 6)
    let sums = try await game.marginalSums(coalitions, blocks: [0..<6], examples: [1])
    let values = try await game.values(coalitions)
    var expected = [Double](repeating: 0, count: 5)
    for row in 0..<6 {
      for player in 0..<5 {
        var other = Coalitions(playerCount: 5)
        other.append(coalitions, rows: row..<row + 1)
        other[0, player].toggle()
        let changed = try await game.values(other)[1]
        let base = values[6 + row]
        expected[player] += coalitions[row, player] ? base - changed : changed - base
      }
    }
    expectClose(sums, expected, 1e-14)
  }

  @Test("Blocks that do not fit are refused")
  func refusals() async throws {
    let plan = try Nets.convolutional()
    let players = try PlayerSet(others: .channel, inputs: [("x", [2, 6, 7])])
    let game = try MaskedGame(
      plan, players: players, inputs: ["x": try Nets.rows([1, 2, 6, 7], seed: 3)], targets: [[0]])
    let coalitions = Coalitions(playerCount: 2, count: 20)
    for (blocks, examples) in [([0..<17], [0]), ([10..<21], [0]), ([0..<4], [1])] {
      let error = await #expect(throws: CoalitionError.self) {
        try await game.marginalSums(coalitions, blocks: blocks, examples: examples)
      }
      #expect(error?.code == .usage)
    }
    #expect(try await game.marginalSums(coalitions, blocks: [], examples: [0]).isEmpty)
  }
}
