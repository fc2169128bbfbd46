// Constant folding by the engine itself: a node whose inputs are all known is a program without inputs.

import CoalitionBase

enum Folding {
  /// The outputs of one node whose inputs are all constants.
  static func run(
    _ operation: any Operator, _ node: Node, _ inputs: Inputs, _ outputs: [ValueInfo]
  ) throws(CoalitionError) -> [Tensor] {
    var values: [String: ValueInfo] = [:]
    var isDouble = false
    for (name, info) in zip(node.inputs, inputs.values) {
      values[name] = info
      if info?.elementType == .float64 { isDouble = true }
    }
    for (name, info) in zip(node.outputs, outputs) { values[name] = info }
    var lowering = Lowering(values)
    try lowering.lower(node, operation)
    var wanted: [(slot: Int, info: ValueInfo)] = []
    for (index, info) in outputs.enumerated() where node.outputs[index] != "" {
      let view = try lowering.view(of: node.outputs[index])
      try lowering.output(
        node.outputs[index], view.operand.isConstant ? try lowering.copied(view) : view,
        slot: wanted.count)
      wanted.append((index, info))
    }
    let precision = isDouble ? Precision.double : .single
    let program = try Program(
      lowering.draft, ArenaPlan(lowering.draft), lanes: 1, precision: precision, store: nil)
    var call = ProgramCall(
      inputs: [], outputs: wanted.map { SlotResult(count: $0.info.count, precision) }, examples: 1)
    _ = try program.run(
      &call, threads: 1, instructionSet: try .selected(), control: CallControl())
    let results = call.outputs.map(\.elements)
    // Outputs that nobody wants stay empty.
    var tensors = outputs.map { Tensor(filling: $0.shape.map { _ in 0 } + [0], with: .float32([])) }
    for (result, (slot, info)) in zip(results, wanted) {
      tensors[slot] = try Tensor(shape: info.shape, elements: result)
    }
    return tensors
  }
}
