// Runs of a model's game: whole slices, parts in flight, watched or not, the bytes are the same.

import CoalitionBase
import CoalitionExplain
import CoalitionNet
import Testing

@testable import CoalitionShapley

@Suite struct ModelRunTests {
  private static func game() async throws -> MaskedGame {
    let net = Perceptron([12, 20, 3], seed: 5)
    var rows: [[Double]] = []
    for row in 0..<2 {
      let steps = (0..<12).map { ($0 * 7 + row * 5) % 11 }
      rows.append(steps.map { Double($0) / 4 - 1 })
    }
    return try await momentGame(net.graph, rows, precision: .single)
  }

  private static func bytes(_ estimate: ShapleyEstimate) -> [UInt64] {
    (estimate.values + estimate.standardErrors).map(\.bitPattern)
  }

  private static let estimators: [Estimator] = [
    .exact, .permutation, .toggle, .stratified, .complementary, .owenSampling, .leverage,
    .oddRegression,
  ]

  @Test("Parts of a slice, threads and readers change no byte", arguments: estimators)
  func same(estimator: Estimator) async throws {
    let game = try await Self.game()
    var options = ShapleyOptions()
    options.estimator = estimator
    if estimator != .exact { options.samples = 6000 }
    options.run.threads = 1
    let alone = try await Shapley(game, options).result()
    #expect(alone.values.filter(\.isFinite).count == alone.values.count)
    options.run.threads = 3
    let threaded = try await Shapley(game, options).result()
    #expect(Self.bytes(threaded) == Self.bytes(alone))
    var last: ShapleyEstimate?
    for try await estimate in try Shapley(game, options).estimates { last = estimate }
    let streamed = try #require(last)
    #expect(Self.bytes(streamed) == Self.bytes(alone))
  }

  @Test("Sums of a slice in parts are those of every block alone")
  func parts() async throws {
    let game = try await Self.game()
    let scheme = ToggleScheme(playerCount: 12, drawing: .sizes, seed: 3)
    let ends = try await game.endValues(RunOptions())
    var run = RunOptions()
    run.threads = 2
    let slice = SliceOfWork(
      scheme: scheme, game: game, examples: [1, 0], ends: ends, options: run)
    let blocks = (0..<130).map { SampleBlock(index: $0, samples: scheme.blockSamples) }
    let together = try await slice.sums(of: blocks)
    let width = game.targetCount * scheme.sumCount
    for block in [0, 31, 64, 65, 129] {
      let alone = try await slice.sums(of: [blocks[block]])
      for example in 0..<2 {
        let start = (example * blocks.count + block) * width
        #expect(
          Array(together[start..<start + width])
            == Array(alone[example * width..<(example + 1) * width]))
      }
    }
  }

  @Test("A run that is cancelled in the middle of a slice says so")
  func cancellation() async throws {
    let game = try await Self.game()
    var options = ShapleyOptions()
    options.estimator = .permutation
    options.samples = 50_000_000
    options.run.threads = 2
    let shapley = try Shapley(game, options)
    let task = Task { try await shapley.result() }
    try await Task.sleep(for: .milliseconds(50))
    task.cancel()
    let error = await #expect(throws: CoalitionError.self) { _ = try await task.value }
    #expect(error?.code == .cancelled)
  }

  @Test("auto counts the equations of regressions")
  func equations() throws {
    func chosen(_ arithmetic: Double, targets: Int = 1, tolerance: Double? = nil) throws
      -> Estimator
    {
      var options = ShapleyOptions()
      options.evaluations = 36_000
      options.tolerance = tolerance
      return try EstimatorChoice(
        options, playerCount: 18, targetCount: targets,
        cost: GameCost(marginal: 1, arithmetic: arithmetic)
      ).estimator
    }
    // 65 systems of 834 unknowns are nothing beside evaluations of a large model, and much beside a small one's.
    #expect(try chosen(1e9) == .oddRegression)
    #expect(try chosen(1e4) != .oddRegression)
    #expect(try chosen(0) == .oddRegression)
    #expect(try chosen(1.5e7) == .oddRegression)
    // Rules that look at results solve them at every look, and every target has equations of its own.
    #expect(try chosen(1.5e6, tolerance: 0.01) != .oddRegression)
    #expect(try chosen(1.5e6, targets: 50) != .oddRegression)
  }
}
