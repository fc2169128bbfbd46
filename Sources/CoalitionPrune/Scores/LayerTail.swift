// The part of a model behind a layer: its units are inputs, the payoff is the output.
//
// Everything in front of the layer, and whatever else the tail reads of the front, is computed once per example.

package import CoalitionBase
package import CoalitionExplain
package import CoalitionNet

package struct LayerTail: Sendable {
  /// The value that holds the units.
  package let units: String
  /// Its axis of units in one example.
  package let axis: Int
  package let unitCount: Int
  package let cut: CutModel
  package let plan: Plan

  /// - Parameter value: of the layer: its evaluation tensor or its output.
  package init(
    _ layer: HiddenLayer, at value: String, _ payoff: PayoffGraph, _ analysis: Analysis,
    _ batching: Model.Batching, _ options: PlanOptions
  ) throws(CoalitionError) {
    var axes: [String: Int] = [:]
    if case .together(let given) = batching {
      axes = given
      axes[PayoffGraph.targets] = 0
    }
    let whole = try Model(payoff.graph, exampleAxes: axes, oneByOne: axes.isEmpty)
    cut = try CutModel(
      whole, at: [value] + Self.crossing([value], payoff.graph, analysis),
      target: PayoffGraph.payoff, options)
    var tail = options
    tail.outputs = [PayoffGraph.payoff]
    // The front has resolved every open size.
    if cut.front != nil { tail.inputShapes = [:] }
    plan = try Plan(cut.model, tail)
    units = value
    unitCount = layer.unitCount
    // One example has no axis of examples.
    var exampleAxis = Int.max
    if case .together(let given) = plan.batching { exampleAxis = given[value] ?? .max }
    axis = layer.axis - (exampleAxis < layer.axis ? 1 : 0)
  }

  /// Inner values that do not depend on `values` and are read by nodes that do.
  static func crossing(
    _ values: Set<String>, _ graph: Graph, _ analysis: Analysis
  ) -> [String] {
    let outer = Set(graph.inputs.map(\.name) + graph.constants.keys)
    var dependent = values
    var crossing: [String] = []
    for node in graph.nodes where !node.outputs.contains(where: values.contains) {
      guard node.inputs.contains(where: dependent.contains) else { continue }
      // What is known beforehand, such as a shape, stays known.
      let isKnown = node.outputs.allSatisfy { analysis.values[$0]?.constant != nil }
      if isKnown { continue }
      dependent.formUnion(node.outputs.filter { !$0.isEmpty })
      for input in node.inputs where !input.isEmpty {
        if dependent.contains(input) || outer.contains(input) || crossing.contains(input)
          || analysis.values[input]?.constant != nil
        {
          continue
        }
        crossing.append(input)
      }
    }
    return crossing
  }

  /// Rows of the tail's inputs.
  package func rows(
    _ inputs: [String: Tensor], _ targets: Tensor, _ run: RunOptions
  ) async throws(CoalitionError) -> [String: Tensor] {
    var all = inputs
    all[PayoffGraph.targets] = targets
    var rows = try await cut.inputs(all, run)
    for input in plan.inputs {
      guard let tensor = rows[input.name], tensor.rank > 0 else { continue }
      rows[input.name] = try tensor.reshaped(to: [targets.shape[0]] + input.shape)
    }
    return rows
  }

  /// The game of the units for all examples: a unit that is absent is a zero.
  package func game(_ rows: [String: Tensor]) throws(CoalitionError) -> MaskedGame {
    try game(rows, plan, output: PayoffGraph.payoff, elements: 1)
  }

  /// The same with all elements of another value of the tail as targets.
  func game(
    _ rows: [String: Tensor], output: String, elements: Int
  ) throws(CoalitionError) -> MaskedGame {
    var options = plan.options
    options.outputs = [output]
    return try game(rows, try Plan(cut.model, options), output: output, elements: elements)
  }

  private func game(
    _ rows: [String: Tensor], _ plan: Plan, output: String, elements: Int
  ) throws(CoalitionError) -> MaskedGame {
    let examples = try plan.check(rows)
    guard let input = plan.inputs.first(where: { $0.name == units }) else {
      throw CoalitionError(.internalFault, "the units are no input of the tail", node: units)
    }
    let players = try PlayerSet(others: .axis(axis), inputs: [(units, input.shape)])
    return try MaskedGame(
      plan, output: output, players: players, inputs: rows,
      targets: [[Int]](repeating: Array(0..<elements), count: examples))
  }
}
