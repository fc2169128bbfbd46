// Where a method that sends signals back keeps to its definition, node by node, and where it only comes close.
//
// The table is data: a row says for which nodes which treatments of the signal are approximate, and what is done
// there. Everything else that has floating-point arithmetic is exact. Nodes behind the scores (the softmax that is
// left out) and nodes that no floating-point input reaches do not count.

import CoalitionNet

/// What a method does with the signal on its way.
package enum SignalTreatment: Sendable, Hashable {
  /// The derivative, as it is.
  case gradient
  /// Signals stopped at activations: guided backpropagation, deconvnet.
  case rectified
  /// f(z) / z for every slope: epsilon-LRP as a modified gradient.
  case ratio
  /// Differences from a reference: DeepLIFT.
  case secant
  /// Relevance by rules for layers.
  case relevance

  init(_ rules: ReverseRules) {
    if case .relevance = rules.signal {
      self = .relevance
      return
    }
    switch rules.slope {
    case .derivative: self = .gradient
    case .guided, .deconvnet: self = .rectified
    case .ratio: self = .ratio
    default: self = .secant
    }
  }
}

/// A node that a method does not treat as its definition has it.
package struct SupportDoubt: Sendable, Hashable {
  package let node: String
  package let operation: String
  /// What is done there, as a clause.
  package let reason: String
  /// Whether the method consists of such approximations: no reason to name the node.
  package var isByNature = false
}

/// The table.
private struct SupportRow: Sendable {
  enum Condition: Sendable {
    case always
    /// Two inputs or more depend on what is explained.
    case severalComputed
    /// The second input does.
    case computedSecond
    /// The node makes whole numbers of computed ones.
    case roundsComputed
  }

  let operations: Set<String>
  let condition: Condition
  let treatments: Set<SignalTreatment>
  let reason: String

  static let table = [
    SupportRow(
      operations: ["Softmax", "LogSoftmax"], condition: .always, treatments: [.secant],
      reason: "the gradient is used in place of a difference"),
    SupportRow(
      operations: ["Softmax", "LogSoftmax"], condition: .always, treatments: [.ratio],
      reason: "the gradient is used in place of a ratio"),
    SupportRow(
      operations: ["Softmax", "LogSoftmax"], condition: .always, treatments: [.relevance],
      reason: "no rule for layers fits, and relevance follows the gradient times the input"),
    SupportRow(
      operations: ["Mul", "Div"], condition: .severalComputed, treatments: [.ratio],
      reason: "both factors are computed, and the gradient is used"),
    SupportRow(
      operations: ["Mul", "Div"], condition: .severalComputed, treatments: [.relevance],
      reason: "both factors are computed, and relevance is halved between them"),
    SupportRow(
      operations: ["Div", "PRelu"], condition: .computedSecond, treatments: [.ratio, .relevance],
      reason: "the divisor or slope is computed, and no rule says what is due to it"),
    SupportRow(
      operations: ["Cast"], condition: .roundsComputed, treatments: [.ratio, .secant, .relevance],
      reason: "no signal goes back through a cast to whole numbers"),
  ]

  func fits(_ node: Node, computed: Set<String>) -> Bool {
    guard operations.contains(node.operation) else { return false }
    switch condition {
    case .always: return true
    case .severalComputed: return node.inputs.filter(computed.contains).count >= 2
    case .computedSecond: return node.input(1).map(computed.contains) ?? false
    case .roundsComputed: return node.castsToWholeNumbers
    }
  }
}

extension Explainer {
  /// The nodes that a method treats in another way than its definition, in execution order.
  package func doubts(of method: GradientMethod) -> [SupportDoubt] {
    doubts(of: SignalTreatment(request(method).rules))
  }

  func doubts(of treatment: SignalTreatment) -> [SupportDoubt] {
    let graph = cut.model.graph
    let needed = graph.ancestors(of: scores)
    var computed = Set(sources.map(\.name))
    var doubts: [SupportDoubt] = []
    for node in graph.nodes where node.inputs.contains(where: computed.contains) {
      // Sizes do not depend on the numbers.
      if ["Shape", "Size"].contains(node.operation) { continue }
      if node.outputs.contains(where: needed.contains) {
        let row = SupportRow.table.first {
          $0.treatments.contains(treatment) && $0.fits(node, computed: computed)
        }
        if let row {
          doubts.append(
            SupportDoubt(node: node.label, operation: node.operation, reason: row.reason))
        }
      }
      if !node.castsToWholeNumbers { computed.formUnion(node.outputs.filter { !$0.isEmpty }) }
    }
    return doubts
  }
}

extension Node {
  /// ONNX's codes of the integer types and of truth values.
  fileprivate var castsToWholeNumbers: Bool {
    guard operation == "Cast", case .int(let code)? = attributes["to"] else { return false }
    return [2, 3, 4, 5, 6, 7, 9, 12, 13].contains(code)
  }
}

extension Graph {
  /// The values that `value` is computed from, and itself.
  fileprivate func ancestors(of value: String) -> Set<String> {
    var needed: Set<String> = [value]
    for node in nodes.reversed() where node.outputs.contains(where: needed.contains) {
      needed.formUnion(node.inputs.filter { !$0.isEmpty })
    }
    return needed
  }
}
