// How many units go until a budget is met.

public import CoalitionBase
public import CoalitionNet

/// What a smaller network is to reach.
public enum RemovalGoal: Sendable, Hashable {
  /// A share of the parameters, or of the multiply-adds, at most.
  case parameters(Double)
  case multiplyAdds(Double)
  /// A share of the time of one example, at most, as measured on this machine.
  case latency(Double)
  /// A loss of at most (1 + percent / 100) times that of the whole network.
  case loss(percent: Double)
}

extension UnitRanking {
  /// The fewest groups, in the order of the scope, that bring parameters, multiply-adds or the time down to a number, or
  /// the most that keep the loss up to one (by bisection, which takes both to change with what is removed in one
  /// direction; the network that it ends with is within the bound). Times are measured again at the end: more groups go
  /// until three measurements in a row are within the bound.
  /// - Parameters:
  ///   - limit: in parameters, multiply-adds, units of the loss, or as a share of the time of `latency`'s model.
  ///   - examples: for the loss.
  ///   - latency: for the time.
  /// - Throws: `invalidData`, with the best that can be had, for a limit that cannot be met.
  public func reaching(
    _ goal: RemovalGoal, limit: Double, scope: RemovalScope, examples: LabelledExamples? = nil,
    latency: NetworkLatency? = nil, inputShapes: [String: [Int]] = [:]
  ) async throws(CoalitionError) -> Set<Int> {
    let order = order(scope)
    func removing(_ groups: Set<Int>) throws(CoalitionError) -> Model {
      try coupling.model.rebuilt(
        groups.isEmpty ? coupling.model.graph : try coupling.removing(groups))
    }
    func measure(count: Int) async throws(CoalitionError) -> (groups: Set<Int>, value: Double) {
      let groups = allowed(order, limit: count)
      let value = try await goal.measure(
        try removing(groups), examples: examples, latency: latency, inputShapes: inputShapes)
      return (groups, value)
    }
    func unreachable(_ best: Double) -> CoalitionError {
      CoalitionError(
        .invalidData, "the model cannot become so \(goal.aim)",
        expected: "at most \(goal.text(limit))", found: "\(goal.text(best)) at best")
    }
    if case .loss = goal {
      var (kept, low, high): (Set<Int>, Int, Int) = ([], 0, order.count + 1)
      while high - low > 1 {
        let middle = (low + high) / 2
        let (groups, loss) = try await measure(count: middle)
        if loss <= limit { (kept, low) = (groups, middle) } else { high = middle }
      }
      return kept
    }
    var (best, high) = (try await measure(count: order.count), order.count)
    guard best.value <= limit else { throw unreachable(best.value) }
    var low = -1
    while high - low > 1 {
      let middle = (low + high) / 2
      let found = try await measure(count: middle)
      if found.value <= limit { (best, high) = (found, middle) } else { low = middle }
    }
    guard case .latency = goal, let latency else { return best.groups }
    // A search among noisy times ends with one that was measured too short: it is measured again, and more groups go
    // until it holds.
    var groups = best.groups
    while true {
      let share = try await latency.confirmedShare(of: try removing(groups), limit: limit)
      if share <= limit { return groups }
      let before = groups
      while groups == before {
        guard high < order.count else { throw unreachable(share) }
        high = min(order.count, high + max(1, order.count / Self.steps))
        groups = allowed(order, limit: high)
      }
    }
  }

  /// In how many steps at most groups go on top of those that a search among times has found.
  private static var steps: Int { 64 }
}

extension RemovalGoal {
  /// What a limit bounds, of a model.
  public func measure(
    _ model: Model, examples: LabelledExamples?, latency: NetworkLatency?,
    inputShapes: [String: [Int]] = [:]
  ) async throws(CoalitionError) -> Double {
    switch self {
    case .parameters:
      return Double(try ModelSummary(model.graph, inputShapes: inputShapes).parameters)
    case .multiplyAdds:
      return Double(try ModelSummary(model.graph, inputShapes: inputShapes).multiplyAdds)
    case .latency:
      guard let latency else {
        throw CoalitionError(.usage, "a bound of the time needs a network to compare with")
      }
      return try await latency.share(of: model)
    case .loss:
      guard let examples else {
        throw CoalitionError(.usage, "a bound of the loss needs examples with labels")
      }
      return try await examples.measure(model).loss
    }
  }

  var aim: String {
    if case .latency = self { "fast" } else { "small" }
  }

  /// What `measure` counts.
  private var unit: String {
    switch self {
    case .parameters: "parameters"
    case .multiplyAdds: "multiply-adds"
    case .latency: "of the time"
    case .loss: "of loss"
    }
  }

  /// A number that `measure` gives.
  public func text(_ value: Double) -> String {
    switch self {
    case .parameters, .multiplyAdds: "\(Int(value)) \(unit)"
    case .latency: "\((value * 1000).rounded() / 1000) \(unit)"
    case .loss: "\(value) \(unit)"
    }
  }
}
