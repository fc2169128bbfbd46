// Cast and CastLike.
//
// Lanes hold floating-point numbers whatever the type says: a cast to a floating-point type changes nothing (half
// precision is computed as single), one to an integer type drops the fraction.

import CLanes
import CoalitionBase

struct Cast: Operator {
  static let operations = ["Cast", "CastLike"]

  private let operation: String
  /// The type of ONNX's numbering: nil for CastLike.
  private let target: Target?

  private struct Target: Sendable {
    var elementType: ElementType
    /// For integers that tensors keep in a wider type: bits, and whether there is a sign.
    var bits: Int?
    var isSigned = true

    /// Whether every number of a type fits, so that none would wrap.
    func holds(_ type: ElementType) -> Bool {
      type == .bool || type == .uint8 && (elementType == .uint8 || (bits ?? 64) > 8)
    }
  }

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    guard operation == "Cast" else {
      target = nil
      return
    }
    let code = try node.int("to", 0)
    switch code {
    case 1, 10, 16: target = Target(elementType: .float32)
    case 11: target = Target(elementType: .float64)
    case 2: target = Target(elementType: .uint8)
    case 3: target = Target(elementType: .int32, bits: 8)
    case 4: target = Target(elementType: .int32, bits: 16, isSigned: false)
    case 5: target = Target(elementType: .int32, bits: 16)
    case 6: target = Target(elementType: .int32)
    case 7, 13: target = Target(elementType: .int64)
    case 12: target = Target(elementType: .int64, bits: 32, isSigned: false)
    case 9: target = Target(elementType: .bool)
    default: throw node.unsupported("the element type \(code)")
    }
  }

  var kind: OperatorKind { .movement }

  private func target(_ inputs: Inputs) throws(CoalitionError) -> Target {
    if let target { return target }
    return Target(elementType: try inputs.required(1).elementType)
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    var x = try inputs.required(0)
    let type = try target(inputs).elementType
    if x.constant == nil && type == .bool && x.elementType != .bool {
      throw CoalitionError(
        .unsupported, "a cast of computed values to truth values is not supported")
    }
    let narrow = try target(inputs)
    if x.constant == nil, narrow.bits != nil || narrow.elementType == .uint8,
      !narrow.holds(x.elementType)
    {
      throw CoalitionError(
        .unsupported,
        "a cast of computed values to a narrow whole number, which would wrap, is not supported",
        expected: "int32 or int64")
    }
    x.constant = nil
    x.elementType = type
    return [x]
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard let tensor = inputs.first ?? nil else { return nil }
    guard let target else {
      return [tensor.converted(to: (inputs.count > 1 ? inputs[1]?.elementType : nil) ?? .float32)]
    }
    guard let bits = target.bits else { return [tensor.converted(to: target.elementType)] }
    // Only the lowest bits remain.
    let numbers = tensor.wholeNumbers.map { number in
      let low = number & ((1 << bits) - 1)
      return target.isSigned && low >= 1 << (bits - 1) ? low - (1 << bits) : low
    }
    return [Tensor.integers(numbers, shape: tensor.shape, like: target.elementType)]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let inputs = lowering.inputs
    let view = try lowering.lanes(0)
    let isInteger = [.int32, .int64, .uint8].contains(try target(inputs).elementType)
    let wasFloat = [.float32, .float64].contains(try inputs.required(0).elementType)
    lowering.set(
      isInteger && wasFloat
        ? try lowering.applied(Function(LN_FUNCTION_truncate), to: view) : view)
  }
}
