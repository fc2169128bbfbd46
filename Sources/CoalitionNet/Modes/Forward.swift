// The forward mode: values of the graph's outputs for every example.

import CLanes
import CoalitionBase

enum ForwardMode {
  /// Which nodes may be joined into one step.
  enum Fusing {
    case everything
    /// Rectifiers, whose slope can be told from their output.
    case rectifiers
    /// None: every node's output has a buffer of its own.
    case nothing
  }

  /// The steps that compute `outputs` from the graph's inputs, in the order of the graph.
  /// - Returns: the draft and, per output, nothing for an output that is constant: it has no rows.
  static func draft(
    _ analysis: Analysis, outputs: [String], convolvesDirectly: Bool
  ) throws(CoalitionError) -> (draft: Draft, outputSlots: [String: Int]) {
    var lowering = Lowering(analysis.values, named: Set(analysis.graph.constants.keys))
    lowering.convolvesDirectly = convolvesDirectly
    try feed(usedInputs(analysis), &lowering)
    try lower(analysis, &lowering)
    var slots: [String: Int] = [:]
    for name in outputs where analysis.values[name]?.constant == nil && slots[name] == nil {
      let view = try lowering.view(of: name)
      slots[name] = slots.count
      try lowering.output(name, view, slot: slots.count - 1)
    }
    return (lowering.draft, slots)
  }

  /// An input of the graph that some node reads.
  struct UsedInput {
    var name: String
    /// Of one example.
    var shape: [Int]
    /// The memory order of its axes that its readers like best.
    var order: [Int]
  }

  /// The inputs that some node reads, by their place among all inputs of the graph.
  static func usedInputs(_ analysis: Analysis) -> [(slot: Int, input: UsedInput)] {
    let graph = analysis.graph
    let uses = graph.uses()
    return graph.inputs.enumerated().compactMap { slot, port in
      guard uses[port.name] != nil, let info = analysis.values[port.name] else { return nil }
      let order =
        info.shape.count > 2 && isReadByWindows(port.name, graph, uses)
        ? channelsLast(rank: info.shape.count) : Array(info.shape.indices)
      return (slot, UsedInput(name: port.name, shape: info.shape, order: order))
    }
  }

  /// Brings the inputs' rows into lanes, each from the slot of its place in the graph.
  /// - Parameter change: what becomes of an input before nodes read it.
  static func feed(
    _ inputs: [(slot: Int, input: UsedInput)], _ lowering: inout Lowering,
    through change: (
      _ view: View, _ input: UsedInput, _ slot: Int, _ lowering: inout Lowering
    ) throws(CoalitionError) -> View = { view, _, _, _ in view }
  ) throws(CoalitionError) {
    for (slot, input) in inputs {
      let rows = try lowering.input(
        input.name, shape: input.shape, order: input.order, slot: slot)
      lowering.label = input.name
      lowering.set(value: input.name, try change(rows, input, slot, &lowering))
      lowering.label = nil
    }
  }

  /// Lowers all nodes that are not constant. The inputs' views are known to `lowering`.
  static func lower(
    _ analysis: Analysis, _ lowering: inout Lowering, fusing: Fusing = .everything
  ) throws(CoalitionError) {
    let graph = analysis.graph
    let uses = graph.uses()
    var done = Set<Int>()
    for (index, node) in graph.nodes.enumerated() where !done.contains(index) {
      let isConstant = node.outputs.allSatisfy {
        $0.isEmpty || analysis.values[$0]?.constant != nil
      }
      if isConstant { continue }
      let chain = try fusion(from: index, fusing, analysis, uses)
      done.formUnion(chain.nodes)
      try lowering.lower(
        node, analysis.operators[index], fusion: chain.fusion,
        outputs: chain.nodes.last.map { graph.nodes[$0].outputs })
    }
  }

  /// The nodes behind an affine one that its step can do in the same go: for a product without a bias, the addition of
  /// one; a function; then a max pool whose windows tile the map.
  private static func fusion(
    from index: Int, _ fusing: Fusing, _ analysis: Analysis, _ uses: [String: [Int?]]
  ) throws(CoalitionError) -> (fusion: Lowering.Fusion, nodes: [Int]) {
    let graph = analysis.graph
    var fusion = Lowering.Fusion()
    var nodes: [Int] = []
    var last = index
    func inputs(_ index: Int) -> Inputs {
      Inputs(
        node: graph.nodes[index], values: graph.nodes[index].inputs.map { analysis.values[$0] })
    }
    func next() -> Int? {
      soleReader(of: graph.nodes[last].outputs[0], uses).flatMap { reader in
        graph.nodes[reader].input(0) == graph.nodes[last].outputs[0] ? reader : nil
      }
    }
    let operation = analysis.operators[index]
    guard operation is any FusesFunction,
      (operation as? any FusesFunction)?.fusesFunction(inputs(index)) == true
    else { return (fusion, nodes) }
    let isProduct = operation is MatMul || operation is Gemm && graph.nodes[index].input(2) == nil
    // Behind a product with a vector the last axis has the rows, not the outputs.
    if isProduct, let weight = inputs(index)[optional: 1], weight.constant != nil,
      weight.shape.count >= 2,
      let reader = soleReader(of: graph.nodes[last].outputs[0], uses),
      let addition = analysis.operators[reader] as? Arithmetic,
      let bias = addition.bias(inputs(reader), of: graph.nodes[last].outputs[0])
    {
      fusion.bias = bias
      nodes.append(reader)
      last = reader
    }
    if fusing != .nothing, let reader = next(),
      let pointwise = analysis.operators[reader] as? Pointwise
    {
      let function = try pointwise.function(inputs(reader))
      guard fusing == .everything || function == Function(LN_FUNCTION_relu) else {
        return (fusion, nodes)
      }
      fusion.function = function
      nodes.append(reader)
      last = reader
    }
    if fusing == .everything, let convolution = operation as? Convolution, let reader = next(),
      let pool = analysis.operators[reader] as? Pooling,
      graph.nodes[reader].outputs.dropFirst().allSatisfy(\.isEmpty),
      let window = try pool.tiling(inputs(reader)),
      try convolution.geometry(inputs(index)).takes(pool: window)
    {
      fusion.pool = window
      nodes.append(reader)
    }
    return (fusion, nodes)
  }

  /// Whether an input goes, perhaps through functions of one number, into an operator that works channels-last.
  private static func isReadByWindows(
    _ name: String, _ graph: Graph, _ uses: [String: [Int?]]
  ) -> Bool {
    var open = [name]
    var seen = Set(open)
    while let value = open.popLast() {
      for case let reader? in uses[value] ?? [] {
        let node = graph.nodes[reader]
        if Convolution.operations.contains(node.operation)
          || Pooling.operations.contains(node.operation)
        {
          return true
        }
        let keepsOrder =
          Pointwise.operations.contains(node.operation)
          || Arithmetic.operations.contains(node.operation)
          || BatchNormalization.operations.contains(node.operation)
        if keepsOrder {
          for output in node.outputs where seen.insert(output).inserted { open.append(output) }
        }
      }
    }
    return false
  }
}

/// An operator whose step can apply a function to its output.
protocol FusesFunction: Operator {
  func fusesFunction(_ inputs: Inputs) -> Bool
}

extension Convolution: FusesFunction {
  func fusesFunction(_ inputs: Inputs) -> Bool { true }
}

extension MatMul: FusesFunction {
  func fusesFunction(_ inputs: Inputs) -> Bool {
    // A stack of matrices takes several steps.
    inputs[optional: 1].map(isOneMatrix) ?? false
  }
}

extension Gemm: FusesFunction {
  func fusesFunction(_ inputs: Inputs) -> Bool {
    // A term that is added after the step keeps the function from going into it.
    guard let c = inputs[optional: 2], beta != 0 else { return true }
    let outputs = inputs[optional: 1].map { $0.shape[transposesB ? 0 : 1] } ?? 0
    let isRight = inputs[optional: 1]?.constant != nil
    return isRight && DenseTerm(info: c, index: 2, scale: beta).perOutput(outputs) != nil
  }
}
