// Players that are known to add nothing: exactly 0 for every estimator, and all others better for it.

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Testing

@Suite struct KnownPlayersTests {
  /// A game whose last player adds nothing and says so.
  private struct Known: Game {
    let base: DefinedGame
    var playerCount: Int { base.playerCount }
    func nullPlayers(ofExample example: Int) -> [Int] { [base.playerCount - 1] }
    func values(
      _ coalitions: Coalitions, rows: [Range<Int>], _ run: RunOptions
    ) async throws(CoalitionError) -> [Double] {
      try await base.values(coalitions, rows: rows, run)
    }
  }

  private static let base = DefinedGame.random(players: 7, seed: 31)

  private static func options(_ estimator: Estimator, seed: UInt64 = 2) -> ShapleyOptions {
    var options = ShapleyOptions()
    (options.estimator, options.seed) = (estimator, seed)
    if estimator != .exact { options.evaluations = 1500 }
    return options
  }

  @Test(arguments: ShapleyRunTests.samplers + [.exact])
  func `A null player is 0, and the others share what it had`(estimator: Estimator) async throws {
    let options = Self.options(estimator)
    let unknown = try await Shapley(Self.base, options).result()
    let known = try await Shapley(Known(base: Self.base), options).result()
    #expect(known.values[6] == 0 && known.standardErrors[6] == 0)
    for player in 0..<6 {
      #expect(abs(known.values[player] - unknown.values[player] - unknown.values[6] / 6) < 1e-12)
      #expect(known.standardErrors[player] > 0 || estimator == .exact)
    }
    #expect(abs(known.residuals[0]) < 1e-11)
    // Orders know it without being told.
    if [.permutation, .orthogonal].contains(estimator) { #expect(known.values == unknown.values) }
  }

  @Test func `Errors are smaller, and those that are told`() async throws {
    let exact = DefinedValues(game: Self.base).shapley
    var squares = (known: 0.0, unknown: 0.0, told: 0.0)
    for seed in 0..<200 {
      let options = Self.options(.toggle, seed: UInt64(seed))
      let unknown = try await Shapley(Self.base, options).result()
      let known = try await Shapley(Known(base: Self.base), options).result()
      for player in 0..<7 {
        let (a, b) = (known.values[player], unknown.values[player])
        squares.known += (a - exact[player]) * (a - exact[player])
        squares.unknown += (b - exact[player]) * (b - exact[player])
        squares.told += known.standardErrors[player] * known.standardErrors[player]
      }
    }
    #expect(squares.known < 0.98 * squares.unknown, "\(squares)")
    #expect((0.85...1.15).contains(squares.told / squares.known), "\(squares)")
  }

  @Test func `Banzhaf values of the others stay, and nothing interacts with a null player`()
    async throws
  {
    var options = Self.options(.complementary)
    options.value = .banzhaf
    let unknown = try await Shapley(Self.base, options).result()
    let known = try await Shapley(Known(base: Self.base), options).result()
    #expect(known.values == Array(unknown.values.dropLast()) + [0])
    options = Self.options(.leverage)
    options.interactions = .sii
    let matrix = try await Shapley(Known(base: Self.base), options).result().interactions
    for player in 0..<7 {
      #expect(matrix[6 * 7 + player] == 0 && matrix[player * 7 + 6] == 0)
    }
    #expect(matrix[1] != 0)
  }

  @Test func `Shards and states keep what is known`() async throws {
    let game = Known(base: Self.base)
    let options = Self.options(.toggle)
    let whole = try await Shapley(game, options).result()
    var states: [ShapleyState] = []
    for index in 1...3 {
      var part = options
      part.shard = try Shard(index, of: 3)
      var run = try ShapleyRun(game, part)
      while try await run.step() {}
      states.append(try ShapleyState(run.state.arrays, targets: 1, players: 7))
    }
    #expect(try ShapleyRun.merged(states, options, playerCount: 7, targetCount: 1) == whole)
    #expect(whole.values[6] == 0)
    // A part of a game that knows nothing of the player is a part of another game.
    var part = options
    part.shard = try Shard(1, of: 3)
    var run = try ShapleyRun(Self.base, part)
    while try await run.step() {}
    states[0] = run.state
    #expect(throws: CoalitionError.self) {
      try ShapleyRun.merged(states, options, playerCount: 7, targetCount: 1)
    }
  }
}
