// Expand and Tile: elements repeated, as views with strides of 0.

import CoalitionBase

struct Expand: Operator {
  static let operations = ["Expand"]

  init(reading node: NodeReader) throws(CoalitionError) {}

  var kind: OperatorKind { .movement }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    guard let target = try inputs.constantIntegers(1, "shape") else {
      throw CoalitionError(.invalidData, "Expand has no shape")
    }
    let shape = try Self.shape(x.shape, target)
    var example = x.example.moved { $0 + shape.count - x.shape.count }
    if let axis = example.anyAxis {
      var two = x.shape
      two[axis + x.shape.count - shape.count] *= 2
      let probe = inputs[optional: 1]?.constant?.probe?.integers
      if shape[axis] != x.shape[axis + x.shape.count - shape.count] {
        example = .mixed
      } else if let probe {
        var expected = shape
        expected[axis] *= 2
        if (try? Self.shape(two, probe)) != expected { example = .mixed }
      }
    }
    return [ValueInfo(shape: shape, elementType: x.elementType, example: example)]
  }

  private static func shape(_ shape: [Int], _ target: [Int]) throws(CoalitionError) -> [Int] {
    guard target.allSatisfy({ $0 >= 0 }) else {
      throw CoalitionError(.invalidData, "a size of Expand is negative", found: "\(target)")
    }
    return try broadcastShape([shape, target])
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard inputs.count == 2, let tensor = inputs[0], let target = inputs[1]?.integers else {
      return nil
    }
    let shape = try Self.shape(tensor.shape, target)
    let count = try Tensor.checkedConstantCount(shape)
    if count == 0 { return [tensor.picking([], shape: shape)] }
    return [HostView(tensor).broadcast(to: shape).materialised()]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    lowering.set(try lowering.lanes(0).broadcast(to: try lowering.outputInfo().shape))
  }
}

struct Tile: Operator {
  static let operations = ["Tile"]

  init(reading node: NodeReader) throws(CoalitionError) {
    guard node.opset >= 6 else { throw node.unsupported("tiles and axis as inputs") }
  }

  var kind: OperatorKind { .movement }

  private func shape(_ shape: [Int], _ repeats: [Int]?) throws(CoalitionError) -> [Int] {
    guard let repeats, repeats.count == shape.count, repeats.allSatisfy({ $0 >= 0 }) else {
      throw CoalitionError(
        .invalidData, "the repeats of Tile do not fit its input",
        expected: "\(shape.count) numbers",
        found: "\(repeats ?? [])")
    }
    var result: [Int] = []
    for (size, times) in zip(shape, repeats) {
      let (product, overflow) = size.multipliedReportingOverflow(by: times)
      guard !overflow else {
        throw CoalitionError(.limitExceeded, "Tile makes an axis that is too large")
      }
      result.append(product)
    }
    return result
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    let repeats = try inputs.constantIntegers(1, "repeats")
    let shape = try shape(x.shape, repeats)
    var example = x.example
    if let axis = example.anyAxis,
      repeats?[axis] != 1 || inputs[optional: 1]?.constant?.probe != nil
    {
      example = .mixed
    }
    return [ValueInfo(shape: shape, elementType: x.elementType, example: example)]
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard inputs.count == 2, let tensor = inputs[0] else { return nil }
    let shape = try shape(tensor.shape, inputs[1]?.integers)
    let count = try Tensor.checkedConstantCount(shape)
    if count == 0 { return [tensor.picking([], shape: shape)] }
    return [HostView(tensor).tiled(to: shape).materialised()]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    lowering.set(try lowering.lanes(0).tiled(to: try lowering.outputInfo().shape))
  }
}

extension View {
  /// Every axis repeated as a whole until `shape` is filled.
  func tiled(to shape: [Int]) -> View {
    let sizes = self.shape
    return View(
      operand,
      axes: shape.indices.map { axis in
        [Digit(size: shape[axis] / max(sizes[axis], 1), stride: 0)] + axes[axis]
      })
  }
}
