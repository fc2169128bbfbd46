// Functions of two numbers with broadcasting, and sums and means of many (csrc/ops/binary.c).

import CLanes
import CoalitionBase

enum BinaryFunction: String, Sendable {
  case add, subtract, multiply, divide, maximum, minimum, prelu
  /// 1 where the left number is at least, or is greater than, the right one; else 0.
  case atLeast, greater

  var encoded: Int32 {
    let id =
      switch self {
      case .add: LN_BINARY_add
      case .subtract: LN_BINARY_subtract
      case .multiply: LN_BINARY_multiply
      case .divide: LN_BINARY_divide
      case .maximum: LN_BINARY_maximum
      case .minimum: LN_BINARY_minimum
      case .prelu: LN_BINARY_prelu
      case .atLeast: LN_BINARY_at_least
      case .greater: LN_BINARY_greater
      }
    return Int32(id.rawValue)
  }
}

struct Arithmetic: Operator {
  static let operations = ["Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu", "Sum", "Mean"]

  private let operation: String
  private let function: BinaryFunction

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    switch node.operation {
    case "Add", "Sum", "Mean": function = .add
    case "Sub": function = .subtract
    case "Mul": function = .multiply
    case "Div": function = .divide
    case "Max": function = .maximum
    case "Min": function = .minimum
    case "PRelu": function = .prelu
    default: throw node.unsupported("this operator")
    }
  }

  var kind: OperatorKind {
    switch function {
    case .add, .subtract: .affine
    case .multiply, .divide: .product
    case .maximum, .minimum: .select
    case .prelu: .pointwise
    case .atLeast, .greater: .product
    }
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let variadic = ["Sum", "Mean", "Max", "Min"].contains(operation)
    guard variadic ? !inputs.values.isEmpty : inputs.values.count == 2 else {
      throw CoalitionError(
        .invalidData, "\(operation) has a wrong number of inputs", found: "\(inputs.values.count)")
    }
    var infos: [ValueInfo] = []
    for index in inputs.values.indices { infos.append(try inputs.required(index)) }
    if [.add, .subtract, .multiply].contains(function) { try inputs.checkBytes(infos[0]) }
    let shape = try broadcastShape(infos.map(\.shape))
    if function == .prelu && shape != infos[0].shape {
      throw CoalitionError(
        .shapeMismatch, "the slope of PRelu does not broadcast to its input",
        expected: "\(infos[0].shape)", found: "\(infos[1].shape)")
    }
    let place = ExampleAxis.common(
      infos.map { info in info.example.moved { $0 + shape.count - info.shape.count } })
    // An axis of examples that is broadcast against another size would stand for that many examples.
    if let axis = place.axis, shape[axis] != 1 {
      return [ValueInfo(shape: shape, elementType: infos[0].elementType, example: .mixed)]
    }
    return [ValueInfo(shape: shape, elementType: infos[0].elementType, example: place)]
  }

  /// The constant that this node adds to `value`, when it has one number per element of the last axis.
  func bias(_ inputs: Inputs, of value: String) -> String? {
    guard function == .add, operation != "Mean", inputs.values.count == 2,
      let place = inputs.node.inputs.firstIndex(where: { $0 != value }),
      let product = inputs.values[1 - place], let bias = inputs.values[place],
      let constant = bias.constant, constant.probe == nil, let outputs = product.shape.last,
      constant.value.count == outputs, bias.shape.last == outputs,
      bias.shape.count <= product.shape.count
    else { return nil }
    return inputs.node.inputs[place]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let inputs = lowering.inputs
    let shape = try lowering.outputInfo().shape
    // A value that enters a sum twice is one value times two: added as independent it would get a wrong
    // variance in a moment pass.
    if function == .add, inputs.node.inputs.count == 2,
      inputs.node.inputs[0] == inputs.node.inputs[1]
    {
      if operation == "Mean" { return lowering.set(try lowering.lanes(0)) }
      let two = View(lowering.constant(Tensor(.float64([2]))), shape: [])
      return lowering.set(
        try lowering.combined(.multiply, try lowering.lanes(0), two, shape: shape))
    }
    var result = try lowering.view(0)
    for index in inputs.values.indices.dropFirst() {
      result = try lowering.combined(function, result, try lowering.view(index), shape: shape)
    }
    if inputs.values.count == 1 { result = try lowering.lanes(0) }
    if operation == "Mean" {
      let count = View(
        lowering.constant(Tensor(.float64([Double(inputs.values.count)]))), shape: [])
      result = try lowering.combined(.divide, result, count, shape: shape)
    }
    // Lanes are floating-point numbers: a quotient of whole numbers loses its fraction here.
    if function == .divide,
      [.int32, .int64, .uint8].contains(try lowering.outputInfo().elementType)
    {
      result = try lowering.applied(Function(LN_FUNCTION_truncate), to: result)
    }
    lowering.set(result)
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    let tensors = inputs.compactMap { $0 }
    guard tensors.count == inputs.count, tensors.allSatisfy({ $0.integers != nil }) else {
      return nil
    }
    let shape = try broadcastShape(tensors.map(\.shape))
    var operands: [[Int]] = []
    for tensor in tensors {
      operands.append(HostView(tensor).broadcast(to: shape).materialised().integers ?? [])
    }
    guard operation != "Mean", function != .prelu else { return nil }
    var result = operands[0]
    for operand in operands.dropFirst() {
      for index in result.indices {
        result[index] = try integer(result[index], operand[index])
      }
    }
    // Narrow types wrap; the sum of truth values is a number.
    let type = tensors[0].elementType
    return [Tensor.integers(result, shape: shape, like: type == .bool ? .int64 : type)]
  }

  private func integer(_ left: Int, _ right: Int) throws(CoalitionError) -> Int {
    let (value, overflow) =
      switch function {
      case .add: left.addingReportingOverflow(right)
      case .subtract: left.subtractingReportingOverflow(right)
      case .multiply: left.multipliedReportingOverflow(by: right)
      case .divide: left.dividedReportingOverflow(by: right)
      case .maximum: (max(left, right), false)
      case .minimum: (min(left, right), false)
      case .prelu: (left < 0 ? left * right : left, false)
      case .atLeast: (left >= right ? 1 : 0, false)
      case .greater: (left > right ? 1 : 0, false)
      }
    if overflow {
      throw CoalitionError(
        .invalidData, "\(operation) of whole numbers overflows", found: "\(left) and \(right)")
    }
    return value
  }
}

extension Inputs {
  /// Refuses arithmetic on computed bytes: lanes hold floating-point numbers, which do not wrap at 256.
  func checkBytes(_ info: ValueInfo) throws(CoalitionError) {
    guard info.elementType == .uint8, !allConstant else { return }
    throw CoalitionError(
      .unsupported,
      "\(node.operation) of computed values in a narrow whole number, which would wrap, is not supported",
      expected: "a cast to int32 or int64 before it")
  }
}

struct BinaryStep: Step {
  var function: BinaryFunction
  var left: Operand
  var right: Operand
  var output: Operand
  /// Over output, left, right.
  var nest: Nest

  var reads: [Operand] { [left, right] }
  var writes: Operand? { output }
  var overwrites: Operand? {
    // Two different walks over one buffer: what one has overwritten the other would still read.
    if left.buffer != nil && left.buffer == right.buffer
      && (left != right || nest.strides[1] != nest.strides[2])
    {
      return nil
    }
    if !left.isConstant && nest.strides[0] == nest.strides[1] { return left }
    if !right.isConstant && nest.strides[0] == nest.strides[2] { return right }
    return nil
  }
  var summary: String { "\(function.rawValue) \(nest.sizes)" }
  var operations: Int { nest.count }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_binary.rawValue)
    step.binary = ln_binary(
      a: places(left), b: places(right), out: places(output), function: function.encoded,
      nest: nest.encoded, a_stride: nest.encodedStrides(1), b_stride: nest.encodedStrides(2),
      out_stride: nest.encodedStrides(0))
    return step
  }
}

extension Lowering {
  /// f(left, right) with broadcasting to `shape`, in the memory order of the operand that fills it.
  mutating func combined(
    _ function: BinaryFunction, _ left: View, _ right: View, shape: [Int]
  ) throws(CoalitionError) -> View {
    var left = left
    if left.operand.isConstant && right.operand.isConstant { left = try copied(left) }
    var a = left.broadcast(to: shape)
    var b = right.broadcast(to: shape)
    let leader =
      [(left, a), (right, b)].first { !$0.0.operand.isConstant && $0.0.count == a.count }?.1 ?? a
    let place = buffer(a.count)
    var output = leader.denseLike(place)
    if Nest(over: [output, a, b]) == nil {
      // The operands cut an axis differently: bring all three to row-major order.
      a = try copied(left).broadcast(to: shape)
      b = right.operand.isConstant ? b : try copied(right).broadcast(to: shape)
      output = View(place, shape: shape)
    }
    let nest = try nest(over: [output, a, b])
    emit(
      BinaryStep(function: function, left: a.operand, right: b.operand, output: place, nest: nest))
    return output
  }

  /// start + weight (end - start), and end - start; the weight may be broadcast.
  mutating func interpolated(
    from start: View, to end: View, by weight: View
  ) throws(CoalitionError) -> (view: View, change: View) {
    let shape = end.shape
    let change = try combined(.subtract, end, start, shape: shape)
    let part = try combined(.multiply, change, weight, shape: shape)
    return (try combined(.add, start, part, shape: shape), change)
  }
}
