// Analysis: what every value of a graph is, for given input shapes.
//
// One pass in execution order reads each node, infers shapes for one example, follows the example axis and folds
// what is constant. Sizes that depend on the number of examples are folded as for one example; the probe of
// `Constant` remembers where two would have made a difference.

package import CoalitionBase

package struct Analysis: Sendable {
  package let graph: Graph
  /// What is known of every value.
  package private(set) var values: [String: ValueInfo] = [:]
  /// Per node of the graph.
  package private(set) var operators: [any Operator] = []
  /// The first node that mixes examples: nil when the model can run many at once.
  package private(set) var mixingNode: String?
  /// Whether an input's example axis has no size in the file.
  private let hasOpenBatch: Bool
  /// Bytes that folded constants may take together.
  let memoryLimit: Int
  private var foldedByteCount = 0
  /// Arithmetic that folding has taken.
  private var foldingOperations = 0

  /// - Parameters:
  ///   - inputs: shape for one example and example axis of every input of the graph.
  ///   - memoryLimit: bytes that folded constants may take together.
  package init(
    _ graph: Graph, inputs: [String: (shape: [Int], axis: Int?)],
    memoryLimit: Int = PlanOptions.defaultMemoryLimit
  ) throws(CoalitionError) {
    self.graph = graph
    hasOpenBatch = graph.inputs.contains { port in
      guard let axis = inputs[port.name]?.axis, let shape = port.shape, axis < shape.count,
        case .symbolic = shape[axis]
      else { return false }
      return true
    }
    self.memoryLimit = memoryLimit
    for (name, tensor) in graph.constants {
      do throws(CoalitionError) {
        _ = try ValueInfo.checkedCount(tensor.shape)
      } catch {
        throw error.at(name)
      }
      values[name] = ValueInfo(
        shape: tensor.shape, elementType: tensor.elementType, constant: Constant(tensor))
    }
    for port in graph.inputs {
      guard let (shape, axis) = inputs[port.name] else {
        throw CoalitionError(.usage, "the input has no shape", node: port.name)
      }
      _ = try ValueInfo.checkedCount(shape)
      guard !shape.contains(0) else {
        throw CoalitionError(
          .unsupported, "the input has no elements", node: port.name, found: "\(shape)")
      }
      values[port.name] = ValueInfo(
        shape: shape, elementType: port.elementType, example: axis.map { .at($0) } ?? .none)
    }
    for node in graph.nodes {
      do throws(CoalitionError) {
        try add(node)
      } catch {
        throw error.at(node.label)
      }
    }
    for port in graph.outputs where values[port.name] == nil {
      throw CoalitionError(.invalidData, "no node makes this output", node: port.name)
    }
  }

  private mutating func add(_ node: Node) throws(CoalitionError) {
    let operation = try Catalogue.read(node, opsets: graph.opsets)
    operators.append(operation)
    let inputs = Inputs(
      node: node, values: node.inputs.map { $0.isEmpty ? nil : values[$0] },
      hasOpenBatch: hasOpenBatch)
    var outputs = try operation.infer(inputs)
    for (index, info) in outputs.enumerated() {
      let count = try ValueInfo.checkedCount(info.shape)
      guard count > 0 || info.constant != nil || inputs.allConstant else {
        throw CoalitionError(
          .unsupported, "\(node.operation) makes a tensor without elements", found: "\(info.shape)")
      }
      // A shape that depends on the number of examples stands for one of them. Used as data, it would give
      // results that differ from those of the same examples run together.
      if operation.kind != .shape, operation.kind != .movement, info.example != .none,
        inputs.values.contains(where: { $0?.constant?.probe != nil })
      {
        outputs[index].example = .mixed
      }
    }
    if inputs.allConstant, outputs.contains(where: { $0.constant == nil }) {
      try checkRoom(for: outputs, of: inputs)
      let folded = try constants(operation, inputs, outputs)
      for index in outputs.indices where index < folded.count {
        outputs[index].shape = folded[index].value.shape
        outputs[index].elementType = folded[index].value.elementType
        outputs[index].constant = folded[index]
        if let axis = folded[index].repeatedAxis, outputs[index].example == .none {
          outputs[index].example = .at(axis)
          outputs[index].constant = Constant(folded[index].value)
        }
        foldedByteCount += outputs[index].constant?.probe?.byteCount ?? 0
      }
    }
    for (name, info) in zip(node.outputs, outputs) where !name.isEmpty {
      values[name] = info
      if info.example == .mixed && mixingNode == nil { mixingNode = node.label }
    }
  }

  /// Checks, before a node is folded, that its outputs fit beside what has been folded so far. Folding works
  /// on copies of the inputs and on 64-bit places of the outputs' elements.
  private func checkRoom(for outputs: [ValueInfo], of inputs: Inputs) throws(CoalitionError) {
    var bytes = foldedByteCount
    for case let info? in inputs.values { bytes += info.count * info.elementType.byteCount }
    for info in outputs where info.constant == nil {
      bytes += info.count * (info.elementType.byteCount + MemoryLayout<Int>.size)
    }
    guard bytes <= memoryLimit else {
      throw CoalitionError(
        .memoryLimit,
        "the constants that follow from the model do not fit into the memory allowed",
        expected: "at most \(memoryLimit) bytes", found: "\(bytes)")
    }
  }

  /// The outputs of a node whose inputs are all constants, for one example and for two.
  private mutating func constants(
    _ operation: any Operator, _ inputs: Inputs, _ outputs: [ValueInfo]
  ) throws(CoalitionError) -> [Constant] {
    let values = try fold(operation, inputs.held { $0.value }, outputs)
    for value in values { foldedByteCount += value.byteCount }
    guard inputs.values.contains(where: { $0?.constant?.probe != nil }) else {
      return values.map { Constant($0) }
    }
    // What two examples would give; a tensor that equals nothing when that cannot be told.
    let probes = try? outputsOfTwo(operation, inputs.held { $0.probe ?? $0.value })
    return values.enumerated().map { index, value in
      Constant(value, probe: probes.map { $0[index] } ?? Tensor(.bool([])))
    }
  }

  /// The outputs for two examples.
  /// - Throws: also `memoryLimit` when they do not fit beside what has been folded so far.
  private mutating func outputsOfTwo(
    _ operation: any Operator, _ inputs: Inputs
  ) throws(CoalitionError) -> [Tensor] {
    let outputs = try operation.infer(inputs)
    for info in outputs { _ = try ValueInfo.checkedCount(info.shape) }
    try checkRoom(for: outputs, of: inputs)
    return try fold(operation, inputs, outputs)
  }

  /// The outputs of a node whose inputs hold nothing but one value each.
  private mutating func fold(
    _ operation: any Operator, _ inputs: Inputs, _ outputs: [ValueInfo]
  ) throws(CoalitionError) -> [Tensor] {
    if let folded = try operation.fold(inputs.values.map { $0?.constant?.value }) { return folded }
    return try Folding.run(
      operation, inputs.node, inputs, outputs, operations: &foldingOperations)
  }
}

extension Inputs {
  /// Whether every input that is given is known.
  var allConstant: Bool {
    !values.contains { $0 != nil && $0?.constant == nil } && !node.inputs.isEmpty
  }

  /// The inputs as constants that hold one of their two values each.
  fileprivate func held(_ choose: (Constant) -> Tensor) -> Inputs {
    Inputs(
      node: node,
      values: values.map { info in
        info?.constant.map { constant in
          let tensor = choose(constant)
          return ValueInfo(
            shape: tensor.shape, elementType: tensor.elementType, constant: Constant(tensor))
        }
      })
  }
}
