// Shape and Size: what a tensor's shape is, as a constant.
//
// Shapes are those of one example; the probe says what two examples would give, and so where a reshape that uses the
// shape has to put them.

import CoalitionBase

struct ShapeOf: Operator {
  static let operations = ["Shape", "Size"]

  private let isSize: Bool
  private let start: Int
  private let end: Int

  init(reading node: NodeReader) throws(CoalitionError) {
    isSize = node.operation == "Size"
    start = node.opset < 15 ? 0 : try node.int("start", 0)
    end = node.opset < 15 ? .max : try node.int("end", .max)
  }

  var kind: OperatorKind { .shape }

  private func value(_ shape: [Int]) -> Tensor {
    if isSize {
      return Tensor(filling: [], with: .int64([Int64(shape.reduce(1, *))]))
    }
    func place(_ value: Int) -> Int {
      min(max(value < 0 ? max(value, -shape.count) + shape.count : value, 0), shape.count)
    }
    let (first, last) = (place(start), place(end))
    return Tensor(.int64(shape[first..<max(first, last)].map { Int64($0) }))
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    var probe: Tensor?
    if let known = x.constant?.probe {
      probe = value(known.shape)
    } else if let axis = x.example.anyAxis {
      var two = x.shape
      two[axis] *= 2
      probe = value(two)
    }
    let shape = value(x.shape)
    return [
      ValueInfo(shape: shape.shape, elementType: .int64, constant: Constant(shape, probe: probe))
    ]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    throw CoalitionError(.internalFault, "a shape was not folded")
  }
}
