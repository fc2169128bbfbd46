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
  /// direction; the network that it ends with is within the bound).
  /// - Parameters:
  ///   - limit: in parameters, multiply-adds, units of the loss, or as a share of the time of `latency`'s model.
  ///   - examples: for the loss.
  ///   - latency: for the time.
  ///   - growth: parameters that a network has in the end besides its own, for those that are removed.
  ///   - repair: what is done with a network before its loss is looked at, as it will be in the end.
  /// - Throws: `invalidData`, with the best that can be had, for a limit that cannot be met.
  public func reaching(
    _ goal: RemovalGoal, limit: Double, scope: RemovalScope, examples: LabelledExamples? = nil,
    latency: NetworkLatency? = nil, inputShapes: [String: [Int]] = [:],
    growth: ((Graph, Set<Int>) throws(CoalitionError) -> Int)? = nil,
    repair: ((Graph, Set<Int>) async throws(CoalitionError) -> Graph)? = nil
  ) async throws(CoalitionError) -> Set<Int> {
    let order = order(scope)
    func removing(_ groups: Set<Int>) throws(CoalitionError) -> Model {
      try coupling.model.rebuilt(
        groups.isEmpty ? coupling.model.graph : try coupling.removing(groups))
    }
    func measure(count: Int) async throws(CoalitionError) -> (groups: Set<Int>, value: Double) {
      let groups = allowed(order, limit: count)
      var model = try removing(groups)
      if case .loss = goal, let repair, !groups.isEmpty {
        model = try coupling.model.rebuilt(try await repair(model.graph, groups))
      }
      var value = try await goal.measure(
        model, examples: examples, latency: latency, inputShapes: inputShapes)
      if case .parameters = goal, let growth, !groups.isEmpty {
        value += Double(try growth(model.graph, groups))
      }
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
    if case .latency = goal, let latency {
      return try await fastEnough(limit, order, latency, removing, unreachable)
    }
    var (best, high) = (try await measure(count: order.count), order.count)
    guard best.value <= limit else { throw unreachable(best.value) }
    var low = -1
    while high - low > 1 {
      let middle = (low + high) / 2
      let found = try await measure(count: middle)
      if found.value <= limit { (best, high) = (found, middle) } else { low = middle }
    }
    return best.groups
  }

  /// Times rise and fall with the number of units, as these fill vectors or not, so larger networks are tried before smaller ones: in steps of a
  /// sixteenth of all groups, and from the first of these that is within the bound in halves back towards the one before. What is
  /// taken was within the bound in three measurements in a row.
  private func fastEnough(
    _ limit: Double, _ order: [Int], _ latency: NetworkLatency,
    _ removing: (Set<Int>) throws(CoalitionError) -> Model,
    _ unreachable: (Double) -> CoalitionError
  ) async throws(CoalitionError) -> Set<Int> {
    var (best, own, low) = (Double.infinity, Double.infinity, 0)
    func confirmed(_ groups: Set<Int>) async throws(CoalitionError) -> Bool {
      let share = try await latency.confirmedShare(
        of: try removing(groups), limit: limit, own: &own)
      best = min(best, share)
      return share <= limit
    }
    var before: Set<Int>?
    for step in 0...Self.steps {
      let count = order.count * step / Self.steps
      var found = allowed(order, limit: count)
      if found == before { continue }
      before = found
      guard try await confirmed(found) else {
        low = count
        continue
      }
      var high = count
      while high - low > 1 {
        let middle = (low + high) / 2
        let groups = allowed(order, limit: middle)
        if try await confirmed(groups) { (found, high) = (groups, middle) } else { low = middle }
      }
      return found
    }
    throw unreachable(best)
  }

  /// Of a search among times, from all groups to none.
  private static var steps: Int { 16 }
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
