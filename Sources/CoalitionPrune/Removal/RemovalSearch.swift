// How many units go until a budget is met.

public import CoalitionBase
import CoalitionNet

/// What a smaller network is to reach.
public enum RemovalGoal: Sendable, Hashable {
  /// A share of the parameters, or of the multiply-adds, at most.
  case parameters(Double)
  case multiplyAdds(Double)
  /// A loss of at most (1 + percent / 100) times that of the whole network.
  case loss(percent: Double)
}

extension UnitRanking {
  /// The fewest groups, in the order of the scope, that bring parameters or multiply-adds down to a number, or the most
  /// that keep the loss up to one (by bisection, which takes the loss to grow with what is removed; the network that it
  /// ends with is within the bound).
  /// - Parameters:
  ///   - limit: in parameters, multiply-adds or units of the loss.
  ///   - examples: for the loss.
  /// - Throws: `invalidData`, with the best that can be had, for a limit that cannot be met.
  public func reaching(
    _ goal: RemovalGoal, limit: Double, scope: RemovalScope, examples: LabelledExamples? = nil,
    inputShapes: [String: [Int]] = [:]
  ) async throws(CoalitionError) -> Set<Int> {
    let order = order(scope)
    func size(_ groups: Set<Int>) throws(CoalitionError) -> Double {
      let graph = groups.isEmpty ? coupling.model.graph : try coupling.removing(groups)
      let summary = try ModelSummary(graph, inputShapes: inputShapes)
      if case .parameters = goal { return Double(summary.parameters) }
      return Double(summary.multiplyAdds)
    }
    if case .loss = goal {
      guard let examples else {
        throw CoalitionError(.usage, "a bound of the loss needs examples with labels")
      }
      var (low, high) = (0, order.count + 1)
      while high - low > 1 {
        let middle = (low + high) / 2
        let groups = allowed(order, limit: middle)
        let model = try coupling.model.rebuilt(try coupling.removing(groups))
        if try await examples.measure(model).loss <= limit { low = middle } else { high = middle }
      }
      return allowed(order, limit: low)
    }
    let all = allowed(order, limit: order.count)
    let best = try size(all)
    guard best <= limit else {
      throw CoalitionError(
        .invalidData, "the model cannot become so small",
        expected: "at most \(Int(limit)) \(goal.unit)", found: "\(Int(best)) at best")
    }
    var (low, high) = (-1, order.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if try size(allowed(order, limit: middle)) <= limit { high = middle } else { low = middle }
    }
    return allowed(order, limit: high)
  }
}

extension RemovalGoal {
  var unit: String {
    switch self {
    case .parameters: "parameters"
    case .multiplyAdds: "multiply-adds"
    case .loss: "loss"
    }
  }
}
