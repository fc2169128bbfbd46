// Where the contributions of units end to add up: the fronts behind a layer.

import CoalitionBase
import CoalitionExplain
import CoalitionNet

extension UnitFronts {
  private enum Sum {
    /// Every element depends on one unit alone, and is 0 without it.
    case apart
    /// A fixed number and one of each unit.
    case together
  }

  /// Operators that leave every unit's elements to it, and 0 where there was 0.
  static let separate: Set<String> = [
    "MaxPool", "GlobalMaxPool", "Relu", "LeakyRelu",
  ]
  /// Operators that are linear in their first input, and move no unit into another's elements.
  private static let linear: Set<String> = [
    "AveragePool", "GlobalAveragePool", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose",
    "Identity", "Dropout",
  ]

  /// The values where sums of units end: nil when something else than a sum is read there.
  static func fronts(of units: String, _ graph: Graph) -> [String]? {
    var sums: [String: Sum] = [units: .apart]
    var fronts: [String] = []
    var behind: Set<String> = []
    let constants = Set(graph.constants.keys)
    for node in graph.nodes {
      let read = node.inputs.filter { sums[$0] != nil }
      let isBehind = node.inputs.contains(where: behind.contains)
      if isBehind { behind.formUnion(node.outputs) }
      guard let first = read.first, let state = sums[first] else { continue }
      // Places of maxima, and masks, are no sums.
      if node.outputs.dropFirst().contains(where: { !$0.isEmpty }) { return nil }
      if !isBehind, let output = node.outputs.first,
        let next = Self.sum(node, state, read, constants)
      {
        sums[output] = next
        continue
      }
      behind.formUnion(node.outputs)
      for name in read where !fronts.contains(name) { fronts.append(name) }
    }
    guard !fronts.isEmpty, fronts.allSatisfy({ sums[$0] == .together }) else { return nil }
    return fronts
  }

  private static func sum(
    _ node: Node, _ state: Sum, _ read: [String], _ constants: Set<String>
  ) -> Sum? {
    let isFirstAlone = read == [node.input(0)]
    switch node.operation {
    case _ where Self.separate.contains(node.operation):
      return isFirstAlone && state == .apart ? .apart : nil
    case _ where Self.linear.contains(node.operation): return isFirstAlone ? state : nil
    case "Conv", "Gemm", "MatMul":
      let isConstant = node.inputs.dropFirst().allSatisfy { $0.isEmpty || constants.contains($0) }
      return isFirstAlone && isConstant ? .together : nil
    case "BatchNormalization": return isFirstAlone ? .together : nil
    case "Add", "Sub": return .together
    case "Mul", "Div":
      let isConstant = node.input(1).map(constants.contains) ?? false
      return isFirstAlone && isConstant ? .together : nil
    default: return nil
    }
  }
}

/// The part of a tail behind some of its values.
struct BehindFronts {
  let cut: CutModel
  let plan: Plan

  init?(_ tail: LayerTail, _ fronts: [String]) throws(CoalitionError) {
    let model = tail.cut.model
    let analysis = try model.analysed(tail.plan.options.inputShapes) { $0 }.analysis
    let crossing = LayerTail.crossing(Set(fronts), model.graph, analysis)
    cut = try CutModel(
      model, at: fronts + crossing, target: PayoffGraph.payoff, tail.plan.options)
    guard cut.front != nil else { return nil }
    var options = tail.plan.options
    options.outputs = [PayoffGraph.payoff]
    options.inputShapes = [:]
    plan = try Plan(cut.model, options)
  }
}
