// Between the caller's rows and lanes (csrc/ops/input.c, csrc/ops/output.c).

import CLanes
import CoalitionBase

struct InputStep: Step {
  var slot: Int
  var output: Operand
  /// Elements of one example.
  var rowCount: Int
  /// Over output (row-major in memory order), row elements.
  var nest: Nest

  var reads: [Operand] { [] }
  var writes: Operand? { output }
  var summary: String { "input \(slot): \(nest.sizes)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_input.rawValue)
    step.input = ln_input(
      out: places(output), slot: Int32(slot), row_count: Int64(rowCount), nest: nest.encoded,
      in: nest.encodedStrides(1))
    return step
  }
}

struct OutputStep: Step {
  var slot: Int
  var input: Operand
  var rowCount: Int
  /// Over row elements (row-major), input.
  var nest: Nest

  var reads: [Operand] { [input] }
  var writes: Operand? { nil }
  var summary: String { "output \(slot): \(nest.sizes)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_output.rawValue)
    step.output = ln_output(
      in: places(input), slot: Int32(slot), row_count: Int64(rowCount), nest: nest.encoded,
      stride: nest.encodedStrides(1))
    return step
  }
}

extension Lowering {
  /// Brings an input of the model into lanes, its axes in memory order `order`.
  mutating func input(
    _ name: String, shape: [Int], order: [Int], slot: Int
  ) throws(CoalitionError) -> View {
    let count = try ValueInfo.checkedCount(shape)
    let rows = View(Operand(space: .constant(0)), shape: shape)
    let view = View(buffer(count), shape: shape, order: order)
    guard let nest = Nest(over: [view, rows]) else {
      throw CoalitionError(.internalFault, "an input has no loop nest")
    }
    try check(nest)
    emit(InputStep(slot: slot, output: view.operand, rowCount: count, nest: nest), label: name)
    return view
  }

  /// Writes a value to the caller's rows.
  mutating func output(_ name: String, _ view: View, slot: Int) throws(CoalitionError) {
    let rows = View(Operand(space: .constant(0)), shape: view.shape)
    guard let nest = Nest(over: [rows, view]) else {
      throw CoalitionError(.internalFault, "an output has no loop nest")
    }
    try check(nest)
    emit(OutputStep(slot: slot, input: view.operand, rowCount: view.count, nest: nest), label: name)
  }
}
