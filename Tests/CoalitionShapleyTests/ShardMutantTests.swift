// What the tests of shards would see: sums in another order, and values that depend on who computes them.

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Synchronization
import Testing

@Suite struct ShardMutantTests {
  private static func options(_ estimator: Estimator) -> ShapleyOptions {
    var options = ShapleyOptions()
    (options.estimator, options.evaluations, options.seed) = (estimator, 5000, 5)
    return options
  }

  private static func states(
    _ game: any Game, _ options: ShapleyOptions, count: Int
  ) async throws -> [ShapleyState] {
    var states: [ShapleyState] = []
    for index in 1...count {
      var part = options
      part.shard = try Shard(index, of: count)
      var run = try ShapleyRun(game, part)
      while try await run.step() {}
      states.append(run.state)
    }
    return states
  }

  /// The sums over all blocks of shards, added up as they come: replicate by replicate, node by node.
  private static func added(_ states: [ShapleyState], width: Int) throws -> [Double] {
    var total = [Double](repeating: 0, count: width)
    for state in states {
      let sums = try #require(try state.arrays["sums"]).doubles
      for (index, sum) in sums.enumerated() { total[index % width] += sum }
    }
    return total
  }

  @Test(arguments: [3, 7])
  func `Sums in the order of the shards have other bits`(count: Int) async throws {
    // The game of the test of shards, with so many blocks that every replicate has several.
    let game = DefinedGame.smooth(players: 7, targets: 2, seed: 3)
    for estimator in [Estimator.permutation, .toggle, .complementary] {
      var options = Self.options(estimator)
      options.evaluations = 60_000
      let width = 2 * 7
      let whole = try Self.added(try await Self.states(game, options, count: 1), width: width)
      let parts = try Self.added(try await Self.states(game, options, count: count), width: width)
      let reversed = try Self.added(
        try await Self.states(game, options, count: count).reversed(), width: width)
      for other in [parts, reversed] {
        #expect(other != whole)
        #expect(zip(other, whole).allSatisfy { abs($0 - $1) < 1e-9 * max(1, abs($1)) })
      }
    }
  }

  /// A game that counts who asks: every other call has values with another last bit.
  private final class Moody: Game {
    let base = DefinedGame.smooth(players: 7, seed: 3)
    private let calls = Atomic<Int>(0)
    var playerCount: Int { base.playerCount }

    func values(
      _ coalitions: Coalitions, rows: [Range<Int>], _ run: RunOptions
    ) async throws(CoalitionError) -> [Double] {
      let call = calls.add(1, ordering: .relaxed).newValue
      let values = try await base.values(coalitions, rows: rows, run)
      return call % 4 == 3 ? values.map(\.nextUp) : values
    }
  }

  @Test func `Values that depend on the call are seen in merged shards`() async throws {
    let options = Self.options(.permutation)
    let whole = try await Shapley(Moody(), options).result()
    let states = try await Self.states(Moody(), options, count: 3)
    // Either nobody and everybody already differ between the shards, or the merged values do.
    let merged = try? ShapleyRun.merged(states, options, playerCount: 7, targetCount: 1)
    #expect(merged != whole)
  }

  @Test func `A shard of another seed is seen in the values`() async throws {
    let game = DefinedGame.smooth(players: 7, seed: 3)
    var options = Self.options(.permutation)
    let whole = try await Shapley(game, options).result()
    var states = try await Self.states(game, options, count: 3)
    #expect(try ShapleyRun.merged(states, options, playerCount: 7, targetCount: 1) == whole)
    options.seed = 6
    states[1] = try await Self.states(game, options, count: 3)[1]
    options.seed = 5
    #expect(try ShapleyRun.merged(states, options, playerCount: 7, targetCount: 1) != whole)
  }

  @Test func `Players whose sums are not there are refused before room is made for them`()
    async throws
  {
    let game = DefinedGame.smooth(players: 7, seed: 3)
    let options = Self.options(.permutation)
    let states = try await Self.states(game, options, count: 2)
    for players in [8, 1 << 40] {
      let error = #expect(throws: CoalitionError.self) {
        try ShapleyRun.merged(states, options, playerCount: players, targetCount: 1)
      }
      #expect(error?.code == .invalidData)
    }
    // A state whose sums are those of another estimator is no state of this run.
    var unbounded = options
    (unbounded.evaluations, unbounded.seconds) = (nil, 1000)
    var run = try ShapleyRun(game, unbounded)
    _ = try await run.step()
    #expect(try ShapleyRun(game, unbounded, resuming: run.state).isDone == false)
    unbounded.estimator = .leverage
    #expect(throws: CoalitionError.self) { try ShapleyRun(game, unbounded, resuming: run.state) }
  }
}
