// A graph with the payoff as its last steps, so that whatever runs models runs losses: masked passes give the losses of
// coalitions of units, the reverse mode their gradients.

package import CoalitionBase
import CoalitionExplain
package import CoalitionNet

/// A graph that makes the payoff of each example, [N, 1], from the model's inputs and one more for the targets, [N, C].
package struct PayoffGraph: Sendable {
  package let graph: Graph
  /// The value with the scores.
  package let scores: String
  /// C.
  package let scoreCount: Int

  package static let targets = "coalition/targets"
  package static let payoff = "coalition/payoff"

  /// - Parameters:
  ///   - analysis: of the graph.
  ///   - output: whose scores are meant; nil: the only one's.
  /// - Throws: `unsupported` for scores whose examples do not lie in the first axis, or which the loss is not for.
  package init(
    _ model: Model, _ analysis: Analysis, output: String? = nil, loss: Loss, payoff: UnitPayoff
  ) throws(CoalitionError) {
    let isEntropy = payoff != .loss || loss == .crossEntropy
    let scores = try model.scoreTensor(of: output, afterSoftmax: !isEntropy)
    guard let info = analysis.values[scores] else {
      throw CoalitionError(.usage, "no value of the model has this name", node: scores)
    }
    guard info.example.axis == 0 || info.example.anyAxis == nil && info.shape.first == 1 else {
      throw CoalitionError(
        .unsupported, "the scores do not count examples along their first axis", node: scores)
    }
    let count = info.count
    // A single score is shared out as it is.
    if isEntropy, payoff != .score || count > 1 {
      let maker = analysis.graph.nodes.first { $0.input(0) == scores }
      guard count > 1, maker?.operation != "Sigmoid" else {
        throw Loss.noClasses(scores, found: count)
      }
    }
    var graph = analysis.graph
    graph.inputs.append(
      Port(Self.targets, shape: [.symbolic("N"), .fixed(count)]))
    graph.outputs = [Port(Self.payoff, shape: nil)]
    var steps = Steps(graph)
    let flat = steps.add("Flatten", [scores], ["axis": .int(1)])
    switch payoff {
    case .loss:
      steps.finish(Self.gain(loss, flat, &steps))
    case .score:
      steps.finish(steps.sum(steps.add("Mul", [flat, Self.targets])))
    case .accuracy:
      // max(min((score of the label - largest other score) * 1e30, 1), 0)
      let own = steps.sum(steps.add("Mul", [flat, Self.targets]))
      let aside = steps.add("Mul", [Self.targets, steps.number(1e30)])
      let others = steps.add("Sub", [flat, aside])
      let lead = steps.add(
        "Sub", [own, steps.add("ReduceMax", [others], Steps.overScores)])
      let scaled = steps.add("Mul", [lead, steps.number(1e30)])
      let ceiling = steps.add("Min", [scaled, steps.number(1)])
      steps.finish(steps.add("Max", [ceiling, steps.number(0)]))
    }
    self.graph = steps.graph
    self.scores = scores
    scoreCount = count
  }

  /// Minus the loss.
  private static func gain(_ loss: Loss, _ flat: String, _ steps: inout Steps) -> String {
    switch loss {
    case .crossEntropy:
      let logarithms = steps.add("LogSoftmax", [flat], ["axis": .int(1)])
      return steps.sum(steps.add("Mul", [logarithms, targets]))
    case .squaredError, .absoluteError:
      let difference = steps.add("Sub", [flat, targets])
      let error =
        loss == .absoluteError
        ? steps.add("Abs", [difference]) : steps.add("Mul", [difference, difference])
      return steps.add("Neg", [steps.add("ReduceMean", [error], Steps.overScores)])
    }
  }

  private struct Steps {
    var graph: Graph
    private var count = 0

    static let overScores: [String: Attribute] = ["axes": .ints([1]), "keepdims": .int(1)]

    init(_ graph: Graph) { self.graph = graph }

    mutating func add(
      _ operation: String, _ inputs: [String], _ attributes: [String: Attribute] = [:]
    ) -> String {
      count += 1
      let name = "\(PayoffGraph.payoff)/\(count)"
      graph.nodes.append(
        Node(operation, inputs: inputs, outputs: [name], attributes: attributes))
      return name
    }

    mutating func sum(_ value: String) -> String { add("ReduceSum", [value], Self.overScores) }

    mutating func number(_ value: Float) -> String {
      count += 1
      let name = "\(PayoffGraph.payoff)/\(count)"
      graph.constants[name] = Tensor(scalar: value)
      return name
    }

    mutating func finish(_ value: String) {
      graph.nodes.append(Node("Identity", inputs: [value], outputs: [PayoffGraph.payoff]))
    }
  }
}
