// Concat: tensors one behind the other along an axis.

import CoalitionBase

struct Concat: Operator {
  static let operations = ["Concat"]

  let axis: Int

  init(reading node: NodeReader) throws(CoalitionError) {
    guard node.opset < 4 || node.node.attributes["axis"] != nil else {
      throw CoalitionError(.invalidData, "Concat has no axis", node: node.node.label)
    }
    axis = try node.int("axis", 1)
  }

  var kind: OperatorKind { .movement }

  private func shape(_ shapes: [[Int]]) throws(CoalitionError) -> (axis: Int, shape: [Int]) {
    guard var result = shapes.first, !result.isEmpty else {
      throw CoalitionError(.invalidData, "Concat takes tensors with axes")
    }
    let axis = try resolveAxis(axis, rank: result.count)
    for shape in shapes.dropFirst() {
      let fits =
        shape.count == result.count
        && shape.indices.allSatisfy { $0 == axis || shape[$0] == result[$0] }
      guard fits else {
        throw CoalitionError(
          .shapeMismatch, "the inputs of Concat differ along another axis than \(axis)",
          found: shapes.map { "\($0)" }.joined(separator: " and "))
      }
      let (size, overflow) = result[axis].addingReportingOverflow(shape[axis])
      guard !overflow else {
        throw CoalitionError(.limitExceeded, "Concat makes an axis that is too large")
      }
      result[axis] = size
    }
    return (axis, result)
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    var infos: [ValueInfo] = []
    for index in inputs.values.indices { infos.append(try inputs.required(index)) }
    let (axis, shape) = try shape(infos.map(\.shape))
    var example = ExampleAxis.common(infos.map(\.example))
    if example.anyAxis == axis && infos.count > 1 { example = .mixed }
    // A part that depends on the number of examples without having an axis for them.
    if example != .none && infos.contains(where: { $0.constant?.probe != nil }) { example = .mixed }
    return [ValueInfo(shape: shape, elementType: infos[0].elementType, example: example)]
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    let tensors = inputs.compactMap { $0 }
    guard tensors.count == inputs.count else { return nil }
    let (axis, shape) = try shape(tensors.map(\.shape))
    let outer = shape[..<axis].reduce(1, *)
    let count = try Tensor.checkedConstantCount(shape)
    // Blocks of each input that lie together in the result.
    let blocks = tensors.map { $0.shape[axis...].reduce(1, *) }
    var indices: [Int] = []
    indices.reserveCapacity(count)
    for row in 0..<outer {
      var start = 0
      for (tensor, block) in zip(tensors, blocks) {
        indices += (start + row * block)..<(start + (row + 1) * block)
        start += tensor.count
      }
    }
    return [Tensor.joining(tensors).picking(indices, shape: shape)]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let shape = try lowering.outputInfo().shape
    let axis = try resolveAxis(axis, rank: shape.count)
    var parts: [View] = []
    for index in lowering.inputs.values.indices { parts.append(try lowering.view(index)) }
    let leader = parts.first { !$0.operand.isConstant }
    let target = View(
      lowering.buffer(shape.reduce(1, *)), shape: shape,
      order: leader?.memoryOrder ?? Array(shape.indices))
    var first = 0
    for part in parts {
      let size = part.shape[axis]
      if size > 0 {
        try lowering.copy(
          part, to: try lowering.sliced(target, AxisSlice(axis: axis, first: first, count: size)))
      }
      first += size
    }
    lowering.set(target)
  }
}

extension View {
  /// The axes from the one with the largest steps in memory to the one with the smallest. An axis of size 1 has no
  /// steps and goes with the axis behind it.
  var memoryOrder: [Int] {
    var steps = [Int](repeating: 0, count: axes.count)
    for axis in axes.indices.reversed() {
      let behind = axis + 1 < axes.count ? steps[axis + 1] : 0
      steps[axis] = axes[axis].map { abs($0.stride) }.max() ?? behind
    }
    return axes.indices.sorted { (steps[$0], $1) > (steps[$1], $0) }
  }
}
