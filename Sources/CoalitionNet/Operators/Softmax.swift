// Softmax and LogSoftmax (csrc/ops/softmax.c).
//
// Before opset 13 the input is seen as a matrix, cut at `axis`, and its rows are normalised; since then one axis is.

import CLanes
import CoalitionBase

struct Softmax: Operator {
  static let operations = ["Softmax", "LogSoftmax"]

  private let operation: String
  private let isLogarithm: Bool
  /// Whether everything from `axis` on is normalised together.
  private let isMatrixForm: Bool
  private let axis: Int

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    isLogarithm = node.operation == "LogSoftmax"
    isMatrixForm = node.opset < 13
    axis = try node.int("axis", isMatrixForm ? 1 : -1)
  }

  var kind: OperatorKind { .product }

  /// The axes that are normalised together.
  func normalised(_ shape: [Int]) throws(CoalitionError) -> Range<Int> {
    // A matrix may also be cut behind the last axis: its rows then have one element.
    if isMatrixForm && axis == shape.count { return axis..<axis }
    // A scalar is a row of one element.
    if shape.isEmpty && (-1...0).contains(axis) { return 0..<0 }
    let axis = try resolveAxis(axis, rank: shape.count)
    return axis..<(isMatrixForm ? shape.count : axis + 1)
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    let axes = try normalised(x.shape)
    return [
      ValueInfo(
        shape: x.shape, elementType: x.elementType,
        example: x.example.moved { axes.contains($0) ? nil : $0 })
    ]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let axes = try normalised(try lowering.outputInfo().shape)
    var source = try lowering.lanes(0)
    func digits() -> [Digit] { View.merge(axes.flatMap { source.axes[$0] }) }
    if !source.isDense || digits().count > 1 { source = try lowering.copied(source) }
    let axis = digits().first ?? Digit(size: 1, stride: 1)
    let output = lowering.buffer(source.count)
    lowering.emit(
      SoftmaxStep(
        isLogarithm: isLogarithm, outer: source.count / (axis.size * axis.stride), axis: axis.size,
        inner: axis.stride, input: source.operand, output: output))
    lowering.set(View(output, axes: source.axes))
  }
}

/// Over [outer][axis][inner].
struct SoftmaxStep: Step {
  var isLogarithm: Bool
  var outer: Int
  var axis: Int
  var inner: Int
  var input: Operand
  var output: Operand

  var reads: [Operand] { [input] }
  var writes: Operand? { output }
  var operations: Int { 4 * outer * axis * inner }
  var summary: String {
    "\(isLogarithm ? "log softmax" : "softmax") \(outer) x \(axis) x \(inner)"
  }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_softmax.rawValue)
    step.softmax = ln_softmax(
      in: places(input), out: places(output), logarithm: isLogarithm ? 1 : 0, outer: Int64(outer),
      axis: Int64(axis), inner: Int64(inner))
    return step
  }
}
