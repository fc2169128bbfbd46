// How long networks take for one example.

public import CoalitionBase
public import CoalitionNet

/// The time that one example by itself takes, measured on this machine in the same breath as that of another network: other
/// processes slow both. Unlike all else, what is decided by it can differ from run to run.
public struct NetworkLatency: Sendable {
  private let model: Model
  private let inputs: [String: Tensor]
  private let plan: PlanOptions
  private let run: RunOptions

  /// Turns of either network, and how many seconds of work they have at least.
  private static let turns = 15
  private static let turnSeconds = 0.002

  /// - Parameters:
  ///   - model: that others are compared with.
  ///   - inputs: of which the first example is taken; random numbers where none are given.
  public init(
    _ model: Model, inputs: [String: Tensor] = [:], _ plan: PlanOptions = PlanOptions(),
    _ run: RunOptions = RunOptions()
  ) {
    (self.model, self.inputs, self.plan, self.run) = (model, inputs, plan, run)
  }

  /// Seconds of the model and of another one with the same inputs: the shortest of turns that alternate.
  public func seconds(
    _ other: Model
  ) async throws(CoalitionError) -> (own: Double, other: Double) {
    var (own, smaller) = (try Subject(model, self), try Subject(other, self))
    for _ in 0..<Self.turns {
      try await own.turn(run, seconds: Self.turnSeconds)
      try await smaller.turn(run, seconds: Self.turnSeconds)
    }
    return (own.best, smaller.best)
  }

  /// The time of another model as a share of the model's.
  public func share(of other: Model) async throws(CoalitionError) -> Double {
    let seconds = try await seconds(other)
    return seconds.other / seconds.own
  }

  private struct Subject {
    let plan: Plan
    let rows: [String: Tensor]
    private(set) var best = Double.infinity
    /// Runs of a turn.
    private var count = 1

    init(_ model: Model, _ latency: NetworkLatency) throws(CoalitionError) {
      plan = try Plan(model, latency.plan)
      rows = try ExampleRows.of(plan, latency.inputs, count: 1)
    }

    mutating func turn(_ run: RunOptions, seconds least: Double) async throws(CoalitionError) {
      let clock = ContinuousClock()
      let start = clock.now
      for _ in 0..<count { _ = try await plan.run(rows, run) }
      let seconds = (clock.now - start) / .seconds(1)
      best = min(best, seconds / Double(count))
      if seconds < least { count *= 2 }
    }
  }
}
