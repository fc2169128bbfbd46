// The copy step: elements from one strided view to another (csrc/ops/copy.c).

import CLanes

extension Nest {
  static let axisLimit = Int(LN_AXIS_LIMIT)
}

struct CopyStep: Step {
  var input: Operand
  var output: Operand
  /// Over output, input.
  var nest: Nest

  var reads: [Operand] { [input] }
  var writes: Operand? { output }
  var summary: String { "copy \(nest.sizes)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_copy.rawValue)
    step.copy = ln_copy(
      in: places(input), out: places(output), nest: nest.encoded,
      in_stride: nest.encodedStrides(1), out_stride: nest.encodedStrides(0))
    return step
  }
}
