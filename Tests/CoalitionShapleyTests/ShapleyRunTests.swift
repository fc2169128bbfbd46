// Runs: the same bytes however they are cut up, true intervals, and stops for the right reasons.

import CoalitionBase
import CoalitionShapley
import Testing

struct ShapleyRunTests {
  static let samplers: [Estimator] = Estimator.allCases.filter {
    $0 != .exact && $0 != .auto && !$0.usesMoments
  }
  static let shardable: [Estimator] = samplers.filter { $0 != .stratified } + [.exact]

  private func options(_ estimator: Estimator, evaluations: Int? = nil) -> ShapleyOptions {
    var options = ShapleyOptions()
    options.estimator = estimator
    options.evaluations = estimator == .exact ? nil : evaluations
    options.seed = 5
    return options
  }

  // MARK: Same bytes

  @Test(arguments: shardable)
  func `Shards merged in any order are the whole run`(estimator: Estimator) async throws {
    // Exact values of 13 players are 8 blocks: every shard has some.
    let players = estimator == .exact ? 13 : 7
    let game = DefinedGame.smooth(players: players, targets: 2, seed: 3)
    let options = options(estimator, evaluations: 5000)
    let whole = try await Shapley(game, options).result()
    for count in [1, 3, 7] {
      var states: [ShapleyState] = []
      for index in 1...count {
        var part = options
        part.shard = try Shard(index, of: count)
        var run = try ShapleyRun(game, part)
        while try await run.step() {}
        states.insert(run.state, at: index % 2 == 0 ? 0 : states.count)
      }
      let merged = try ShapleyRun.merged(states, options, playerCount: players, targetCount: 2)
      #expect(merged == whole)
      guard count > 1 else { continue }
      #expect(throws: CoalitionError.self) {
        try ShapleyRun.merged(
          Array(states.dropFirst()), options, playerCount: players, targetCount: 2)
      }
      #expect(throws: CoalitionError.self) {
        try ShapleyRun.merged(states + [states[0]], options, playerCount: players, targetCount: 2)
      }
    }
  }

  @Test(arguments: samplers + [.exact])
  func `A run resumed after every slice is the whole run`(estimator: Estimator) async throws {
    let game = DefinedGame.smooth(players: 6, targets: 2, seed: 8)
    var options = options(estimator, evaluations: 6000)
    if estimator != .exact { options.rankStability = 1 }
    let whole = try await Shapley(game, options).result()
    var run = try ShapleyRun(game, options)
    var slices = 0
    while try await run.step() {
      slices += 1
      let state = try ShapleyState(run.state.arrays, targets: 2, players: 6)
      run = try ShapleyRun(game, options, resuming: state)
    }
    #expect(slices > 1 || estimator == .exact)
    #expect(run.estimate == whole)
  }

  @Test(arguments: samplers)
  func `A stop by time is repeated by its number of samples`(estimator: Estimator) async throws {
    let game = DefinedGame.smooth(players: 10, seed: 4)
    var options = options(estimator)
    options.seconds = 0.01
    let timed = try await Shapley(game, options).result()
    #expect(timed.stops == [.time])
    options.seconds = nil
    options.samples = timed.samples[0]
    let again = try await Shapley(game, options).result()
    // NaN where a short time does not suffice.
    #expect(again.values.map(\.bitPattern) == timed.values.map(\.bitPattern))
    #expect(again.standardErrors.map(\.bitPattern) == timed.standardErrors.map(\.bitPattern))
  }

  // MARK: Error bars

  @Test(arguments: samplers)
  func `Intervals hold the exact values 95 times in 100`(estimator: Estimator) async throws {
    let players = 7
    let game = DefinedGame.smooth(players: players, seed: 12)
    let exact = DefinedValues(game: game).shapley
    var covered = 0
    var trials = 0
    for seed in 0..<UInt64(300) {
      var options = options(estimator, evaluations: 9000)
      options.seed = seed
      let estimate = try await Shapley(game, options).result()
      #expect(estimate.replicates[0] == 64)
      let margins = estimate.margins
      for player in 0..<players {
        trials += 1
        // Values that are exact up to rounding have intervals of the size of rounding.
        if abs(estimate.values[player] - exact[player]) <= margins[player] + 1e-9 { covered += 1 }
      }
    }
    let share = Double(covered) / Double(trials)
    #expect(share >= 0.93, "\(share)")
    if estimator != .oddRegression { #expect(share <= 0.975, "\(share)") }
  }

  @Test(arguments: [
    (Estimator.toggle, 17, 4), (.toggle, 49, 1.8), (.toggle, 50, 1.4), (.orthogonal, 49, 1.8),
    (.permutation, 17, 1.4),
  ])
  func `A short last block is weighed by its samples`(
    estimator: Estimator, samples: Int, bound: Double
  ) async throws {
    let game = DefinedGame.smooth(players: 7, seed: 12)
    let exact = DefinedValues(game: game).shapley
    var (told, found) = (0.0, 0.0)
    for seed in 0..<UInt64(200) {
      var options = ShapleyOptions()
      (options.estimator, options.samples, options.seed) = (estimator, samples, seed)
      let estimate = try await Shapley(game, options).result()
      for player in 0..<7 {
        told += estimate.standardErrors[player] * estimate.standardErrors[player]
        found +=
          (estimate.values[player] - exact[player]) * (estimate.values[player] - exact[player])
      }
    }
    // Samples of a whole block make up for each other: its error is less than what a single one says.
    #expect((0.7...bound).contains(told / found), "\(told / found)")
  }

  @Test func `Errors of odd regression are those of its third order from the first sample on`()
    async throws
  {
    // 232 unknowns: the values rest on the third order from 406 pairs on, what is left without a replicate does not.
    let game = RegressionSchemeTests.game(players: 12, order: 3, seed: 79)
    let exact = try await Shapley(game, options(.exact)).result().values
    var options = options(.oddRegression)
    options.samples = 812
    let estimate = try await Shapley(game, options).result()
    for player in 0..<12 {
      #expect(abs(estimate.values[player] - exact[player]) < 1e-8)
      #expect(estimate.standardErrors[player] < 1e-6)
    }
    options.samples = 810
    let early = try await Shapley(game, options).result()
    #expect(early.standardErrors.allSatisfy { $0 > 1e-3 })
  }

  // MARK: Stops

  @Test func `A tolerance is kept`() async throws {
    let game = DefinedGame.smooth(players: 9, seed: 2)
    var options = options(.permutation)
    options.tolerance = 0.01
    let estimate = try await Shapley(game, options).result()
    #expect(estimate.stops == [.tolerance])
    #expect(estimate.relativeError <= 0.01)
    #expect(estimate.samples[0] >= 64)
  }

  @Test func `The top players are resolved`() async throws {
    let game = DefinedGame.smooth(players: 9, seed: 2)
    var options = options(.permutation)
    options.top = 3
    let estimate = try await Shapley(game, options).result()
    #expect(estimate.stops == [.top])
    let exact = DefinedValues(game: game).shapley
    let best = Set((0..<9).sorted { exact[$0] > exact[$1] }.prefix(3))
    #expect(Set((0..<9).sorted { estimate.values[$0] > estimate.values[$1] }.prefix(3)) == best)
  }

  @Test func `Ranks that stay end a run`() async throws {
    var options = options(.permutation)
    options.rankStability = 0.99
    let estimate = try await Shapley(DefinedGame.smooth(players: 9, seed: 2), options).result()
    #expect(estimate.stops == [.rank])
  }

  @Test func `A constant game is constant, rare contributions are not`() async throws {
    var options = options(.toggle)
    options.tolerance = 0.01
    let constant = try await Shapley(DefinedGame(playerCount: 9) { _ in 3 }, options).result()
    #expect(constant.stops == [.constant])
    #expect(constant.values.allSatisfy { $0 == 0 })
    // Players 0 to 7 of 12 must all be there: hardly a sample sees it.
    options.evaluations = 40_000
    let rare = DefinedGame(playerCount: 12) { $0 & 0xff == 0xff ? 1 : 0 }
    let estimate = try await Shapley(rare, options).result()
    #expect(estimate.stops != [.constant])
    for player in 0..<12 {
      let exact = player < 8 ? 0.125 : 0
      #expect(
        abs(estimate.values[player] - exact) <= max(5 * estimate.standardErrors[player], 1e-9))
    }
  }

  @Test func `Players that are all alike end a run by its tolerance`() async throws {
    // |S|^2: the regression is exact but for rounding, and values have no range but rounding.
    let game = DefinedGame(playerCount: 12) { Double($0.nonzeroBitCount * $0.nonzeroBitCount) / 3 }
    var options = options(.leverage)
    (options.tolerance, options.samples) = (0.01, 100_000)
    let estimate = try await Shapley(game, options).result()
    #expect(estimate.stops == [.tolerance])
    #expect(estimate.values.allSatisfy { abs($0 - 4) < 1e-9 })
  }

  @Test func `Players that are alike, without any spread, end every rule`() async throws {
    // Additive, so that orders have no spread; the second and third players tie.
    let game = DefinedGame(playerCount: 4) { mask in
      zip([5.0, 3, 3, 1], 0...).reduce(0) { mask >> $1.1 & 1 == 1 ? $0 + $1.0 : $0 }
    }
    for change in [
      { $0.top = 2 }, { $0.rankStability = 0.9 }, { $0.tolerance = 0.1 },
    ] as [(inout ShapleyOptions) -> Void] {
      var options = options(.permutation)
      change(&options)
      // Were there no end, this one would be.
      options.samples = 100_000
      let estimate = try await Shapley(game, options).result()
      #expect(estimate.stops != [.samples])
      #expect(estimate.values == [5, 3, 3, 1])
    }
  }

  @Test func `A budget counts the evaluations that are asked for`() async throws {
    let counter = CountingGame(DefinedGame.smooth(players: 6, seed: 1))
    for estimator in Self.samplers {
      counter.reset()
      let estimate = try await Shapley(counter, options(estimator, evaluations: 3000)).result()
      #expect(estimate.evaluations[0] <= 3000)
      #expect(estimate.evaluations[0] == counter.count, "\(estimator)")
      #expect(estimate.stops == [.evaluations])
    }
  }

  @Test func `Options that do not go together are refused`() throws {
    let game = DefinedGame.smooth(players: 4, seed: 1)
    func refuse(_ change: (inout ShapleyOptions) throws -> Void) throws {
      var options = ShapleyOptions()
      try change(&options)
      #expect(throws: CoalitionError.self) { try ShapleyRun(game, options) }
    }
    try refuse { $0.tolerance = 0 }
    try refuse { $0.samples = 0 }
    try refuse { $0.top = 4 }
    try refuse { $0.value = .owen }
    try refuse { $0.groups = [0, 0, 1, 1] }
    try refuse { $0.shard = try Shard(1, of: 2) }
    try refuse {
      $0.shard = try Shard(1, of: 2)
      $0.estimator = .permutation
      $0.tolerance = 0.1
      $0.samples = 10
    }
    try refuse {
      $0.estimator = .permutation
      $0.evaluations = 3
    }
    #expect(throws: CoalitionError.self) { try Shard(3, of: 2) }
  }

  // MARK: Sequences

  @Test func `Estimates improve and end`() async throws {
    let game = DefinedGame.smooth(players: 8, seed: 6)
    var samples: [Int] = []
    for try await estimate in try Shapley(game, options(.permutation, evaluations: 20_000))
      .estimates
    {
      samples.append(estimate.samples[0])
      #expect(estimate.relativeError.isFinite)
      #expect(estimate.isFinal == (estimate.stops[0] != nil))
    }
    #expect(samples.count > 2)
    #expect(samples == samples.sorted())
  }

  @Test func `A cancelled task ends its run`() async throws {
    let task = Task {
      var options = ShapleyOptions()
      options.estimator = .permutation
      options.tolerance = 1e-9
      for try await _ in try Shapley(DefinedGame.smooth(players: 8, seed: 6), options).estimates {}
    }
    try await Task.sleep(for: .milliseconds(50))
    task.cancel()
    await #expect(throws: (any Error).self) { try await task.value }
  }
}
