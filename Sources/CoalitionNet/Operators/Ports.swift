// Between the caller's rows and lanes (csrc/ops/input.c, csrc/ops/output.c, csrc/ops/sum.c).

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

/// Sums of rows over examples (csrc/ops/sum.c).
struct SumStep: Step {
  var slot: Int
  var input: Operand
  var rowCount: Int
  /// Over row elements (row-major), input.
  var nest: Nest

  var reads: [Operand] { [input] }
  var writes: Operand? { nil }
  var summary: String { "sums \(slot): \(nest.sizes)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_sum.rawValue)
    step.sum = ln_sum(
      in: places(input), slot: Int32(slot), row_count: Int64(rowCount), nest: nest.encoded,
      stride: nest.encodedStrides(1))
    return step
  }
}

extension Lowering {
  /// Brings rows of the caller into lanes: a value of `shape`, its axes in memory order `order`.
  /// - Parameter rowAxes: the rows hold the last so many axes only, and are repeated over the others.
  mutating func input(
    _ name: String, shape: [Int], order: [Int], slot: Int, rowAxes: Int? = nil
  ) throws(CoalitionError) -> View {
    let view = View(buffer(try ValueInfo.checkedCount(shape)), shape: shape, order: order)
    let rowShape = Array(shape.suffix(rowAxes ?? shape.count))
    let nest = try nest(over: [view, Self.rows(rowShape).broadcast(to: shape)])
    emit(
      InputStep(slot: slot, output: view.operand, rowCount: rowShape.reduce(1, *), nest: nest),
      label: name)
    return view
  }

  /// Writes a value to the caller's rows, one per example, or one per segment of examples when they are summed.
  mutating func output(
    _ name: String, _ view: View, slot: Int, isSummed: Bool = false
  ) throws(CoalitionError) {
    let nest = try nest(over: [Self.rows(view.shape), view])
    let (input, count) = (view.operand, view.count)
    if isSummed {
      emit(SumStep(slot: slot, input: input, rowCount: count, nest: nest), label: name)
    } else {
      emit(OutputStep(slot: slot, input: input, rowCount: count, nest: nest), label: name)
    }
  }

  /// The elements of a caller's row. A port's nest tells their strides; where the row lies, a call says.
  private static func rows(_ shape: [Int]) -> View {
    View(Operand(space: .constant(0)), shape: shape)
  }
}
