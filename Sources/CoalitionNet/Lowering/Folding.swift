// Constant folding by the engine itself: a node whose inputs are all known is a program without inputs.

import CoalitionBase

enum Folding {
  /// Floating-point operations that folding may take for a model, some seconds: the few bytes of a file can ask for
  /// years.
  private static let operationLimit = 1 << 36

  /// The outputs of one node whose inputs are all constants.
  /// - Parameter operations: those that folding has taken for the model so far.
  /// - Throws: `limitExceeded` past the operations that are allowed, before any is done.
  static func run(
    _ operation: any Operator, _ node: Node, _ inputs: Inputs, _ outputs: [ValueInfo],
    operations: inout Int
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
    let work = lowering.draft.steps.map(\.operations).saturatingSum
    guard work <= operationLimit - operations else {
      throw CoalitionError(
        .limitExceeded, "the constants that follow from the model take too much arithmetic",
        expected: "at most \(operationLimit) operations", found: "\(operations) and another \(work)"
      )
    }
    operations += work
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
