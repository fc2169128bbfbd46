// Constant, ConstantOfShape and Range: values that a model is written with.

import CoalitionBase

struct ConstantNode: Operator {
  static let operations = ["Constant"]

  private let value: Tensor

  init(reading node: NodeReader) throws(CoalitionError) {
    let attributes = node.node.attributes
    let forms = attributes.keys.filter { $0.hasPrefix("value") || $0 == "sparse_value" }
    guard let form = forms.first, forms.count == 1, let attribute = attributes[form] else {
      throw CoalitionError(
        .invalidData, "Constant must have one value", node: node.node.label,
        found: "\(forms.sorted())")
    }
    switch (form, attribute) {
    case ("value", .tensor(let tensor)): value = tensor
    case ("value_float", .float(let number)): value = Tensor(scalar: number)
    case ("value_floats", .floats(let numbers)): value = Tensor(.float32(numbers))
    case ("value_int", .int(let number)):
      value = Tensor(filling: [], with: .int64([Int64(number)]))
    case ("value_ints", .ints(let numbers)): value = Tensor(.int64(numbers.map { Int64($0) }))
    // A list without elements does not say what it lists.
    case ("value_floats", .ints(let none)) where none.isEmpty: value = Tensor(.float32([]))
    case ("value_ints", .floats(let none)) where none.isEmpty: value = Tensor(.int64([]))
    default: throw node.unsupported("the attribute '\(form)'")
    }
  }

  var kind: OperatorKind { .shape }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    [ValueInfo(shape: value.shape, elementType: value.elementType, constant: Constant(value))]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    throw CoalitionError(.internalFault, "Constant was not folded")
  }
}

struct ConstantOfShape: ConstantOperator {
  static let operations = ["ConstantOfShape"]

  let operation = "ConstantOfShape"
  private let element: Tensor

  init(reading node: NodeReader) throws(CoalitionError) {
    switch node.node.attributes["value"] {
    case nil: element = Tensor(.float32([0]))
    case .tensor(let tensor)? where tensor.count == 1: element = tensor
    case let other?:
      throw CoalitionError(
        .invalidData, "value of ConstantOfShape must have one element", node: node.node.label,
        found: "\(other)")
    }
  }

  func shape(_ inputs: [Tensor?]) throws(CoalitionError) -> [Int] {
    guard let shape = try inputs.required(0).integers else {
      throw CoalitionError(.invalidData, "a shape must be made of whole numbers")
    }
    _ = try Tensor.checkedConstantCount(shape)
    return shape
  }

  func value(_ inputs: [Tensor?]) throws(CoalitionError) -> Tensor {
    let shape = try shape(inputs)
    let count = shape.reduce(1, *)
    return element.picking([Int](repeating: 0, count: count), shape: shape)
  }
}

struct RangeNode: ConstantOperator {
  static let operations = ["Range"]

  let operation = "Range"

  init(reading node: NodeReader) throws(CoalitionError) {}

  func shape(_ inputs: [Tensor?]) throws(CoalitionError) -> [Int] {
    let (start, limit, delta) = (
      try inputs.required(0), try inputs.required(1), try inputs.required(2)
    )
    guard [start, limit, delta].allSatisfy({ $0.count == 1 }) else {
      throw CoalitionError(.shapeMismatch, "Range takes three scalars")
    }
    if let first = start.integers?[0], let last = limit.integers?[0], let step = delta.integers?[0]
    {
      let (span, overflow) = last.subtractingReportingOverflow(first)
      guard step != 0, !overflow else {
        throw CoalitionError(.invalidData, "Range has a step of 0 or too far a limit")
      }
      if (span < 0) != (step < 0) || span == 0 { return [0] }
      // Of up to 2^63 numbers: one less than their count always fits.
      let rest = Int((span.magnitude - 1) / step.magnitude)
      return [try Tensor.checkedConstantCount([rest]) + 1]
    }
    let (first, last, step) = (start.doubles[0], limit.doubles[0], delta.doubles[0])
    let steps = ((last - first) / step).rounded(.up)
    guard step != 0, steps.isFinite else {
      throw CoalitionError(
        .invalidData, "Range has a wrong step", found: "from \(first) to \(last) by \(step)")
    }
    guard steps <= Double(Tensor.constantLimit) else {
      throw CoalitionError(
        .limitExceeded, "Range has too many elements", expected: "at most \(Tensor.constantLimit)",
        found: "from \(first) to \(last) by \(step)")
    }
    return [Int(max(0, steps))]
  }

  func value(_ inputs: [Tensor?]) throws(CoalitionError) -> Tensor {
    let shape = try shape(inputs)
    let (start, delta) = (try inputs.required(0), try inputs.required(2))
    if let first = start.integers?[0], let step = delta.integers?[0],
      inputs.optional(1)?.integers != nil
    {
      return Tensor.integers(
        (0..<shape[0]).map { first + $0 * step }, shape: shape, like: start.elementType)
    }
    let (first, step) = (start.doubles[0], delta.doubles[0])
    return Tensor(filling: shape, with: .float64((0..<shape[0]).map { first + Double($0) * step }))
      .converted(to: start.elementType)
  }
}
