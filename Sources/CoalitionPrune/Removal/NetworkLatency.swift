// How long networks take for one example.

public import CoalitionBase
public import CoalitionNet

/// The time that one example by itself takes, measured on this machine in the same breath as that of another network: other
/// processes slow both. Unlike all else, what is decided by it can differ from run to run.
public struct NetworkLatency: Sendable {
  package typealias Seconds = (own: Double, other: Double)

  /// Measures the model and another one once.
  private let measure: @Sendable (Model) async throws(CoalitionError) -> Seconds

  /// Turns of either network, and how many seconds of work they have at least.
  private static let turns = 15
  private static let turnSeconds = 0.002
  /// How often as many turns are taken where the shortest are not alike, as on a busy machine.
  private static let patience = 8
  private static let patienceTime = Duration.seconds(1)
  /// How often a network that is to be fast enough is measured.
  static let confirmations = 3
  /// How far above the shortest time so far the model's may lie, and how often is measured until it does not.
  private static let quiet = 1.2
  private static let quietTries = 12

  /// - Parameters:
  ///   - model: that others are compared with.
  ///   - inputs: of which the first example is taken; random numbers where none are given.
  public init(
    _ model: Model, inputs: [String: Tensor] = [:], _ plan: PlanOptions = PlanOptions(),
    _ run: RunOptions = RunOptions()
  ) {
    self.init { other throws(CoalitionError) in
      var own = try Subject(model, inputs, plan)
      var smaller = try Subject(other, inputs, plan)
      let clock = ContinuousClock()
      let start = clock.now
      for _ in 0..<Self.patience where clock.now - start < Self.patienceTime {
        for _ in 0..<Self.turns {
          try await own.turn(run, seconds: Self.turnSeconds)
          try await smaller.turn(run, seconds: Self.turnSeconds)
        }
        if own.isSteady && smaller.isSteady { break }
      }
      return (own.best, smaller.best)
    }
  }

  /// - Parameter measure: gives seconds of the model and of another one.
  package init(
    measuring measure: @escaping @Sendable (Model) async throws(CoalitionError) -> Seconds
  ) {
    self.measure = measure
  }

  /// Seconds of the model and of another one with the same inputs: the shortest of turns that alternate.
  /// - Parameter share: of the model's time, that the other is to keep: where it seems not to, the turns are repeated, at
  ///   most twice, and the shortest of all count.
  public func seconds(
    _ other: Model, within share: Double = .infinity
  ) async throws(CoalitionError) -> (own: Double, other: Double) {
    var best = try await measure(other)
    for _ in 1..<Self.confirmations where best.other > share * best.own {
      let again = try await measure(other)
      best = (min(best.own, again.own), min(best.other, again.other))
    }
    return best
  }

  /// The time of another model as a share of the model's.
  public func share(of other: Model) async throws(CoalitionError) -> Double {
    let seconds = try await measure(other)
    return seconds.other / seconds.own
  }

  /// The largest share of several measurements; no more are made when one lies above the limit.
  /// - Parameter own: the model's shortest time so far, that of a quiet machine.
  func confirmedShare(
    of other: Model, limit: Double, own: inout Double
  ) async throws(CoalitionError) -> Double {
    var largest = 0.0
    for _ in 0..<Self.confirmations where largest <= limit {
      let seconds = try await quietSeconds(other, own: &own)
      largest = max(largest, seconds.other / seconds.own)
    }
    return largest
  }

  /// A measurement in which the model takes about its shortest time: a longer one means that the machine is busy, and the share is
  /// whatever the other network came by. When none comes in many tries, the machine has become slower for good.
  private func quietSeconds(
    _ other: Model, own: inout Double
  ) async throws(CoalitionError) -> Seconds {
    var best = try await measure(other)
    for _ in 0..<Self.quietTries where best.own > Self.quiet * own {
      let next = try await measure(other)
      if next.own < best.own { best = next }
    }
    own = best.own > Self.quiet * own ? best.own : min(own, best.own)
    return best
  }

  private struct Subject {
    let plan: Plan
    let rows: [String: Tensor]
    /// The shortest turns, in order.
    private var shortest: [Double] = []
    /// Runs of a turn.
    private var count = 1

    init(
      _ model: Model, _ inputs: [String: Tensor], _ options: PlanOptions
    ) throws(CoalitionError) {
      plan = try Plan(model, options)
      rows = try ExampleRows.of(plan, inputs, count: 1)
    }

    mutating func turn(_ run: RunOptions, seconds least: Double) async throws(CoalitionError) {
      let clock = ContinuousClock()
      let start = clock.now
      for _ in 0..<count { _ = try await plan.run(rows, run) }
      let seconds = (clock.now - start) / .seconds(1)
      shortest = Array((shortest + [seconds / Double(count)]).sorted().prefix(Self.alike))
      if seconds < least { count *= 2 }
    }

    var best: Double { shortest.first ?? .infinity }

    /// Whether several turns took nearly the shortest time: one alone may be what a busy machine let through, or not even that.
    var isSteady: Bool {
      shortest.count == Self.alike && shortest.allSatisfy { $0 <= Self.spread * best }
    }

    private static let alike = 4
    private static let spread = 1.2
  }
}
