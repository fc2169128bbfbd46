// Slice and Split: parts of a tensor, as views where one can say it.

import CoalitionBase

/// Elements first, first + step, ... along one axis.
struct AxisSlice: Sendable, Equatable {
  var axis: Int
  var first: Int
  var step: Int
  var count: Int

  /// Everything in its order.
  func isWhole(_ shape: [Int]) -> Bool {
    first == 0 && count == shape[axis] && (step == 1 || count == 1)
  }

  /// numpy's reading of start, end and step: negative positions count from the end, what lies outside is clamped.
  init(axis: Int, size: Int, start: Int, end: Int, step: Int) throws(CoalitionError) {
    guard step != 0 else { throw CoalitionError(.invalidData, "a slice has a step of 0") }
    // Steps past the whole axis all mean: one element.
    let step = min(max(step, -size - 1), size + 1)
    func position(_ value: Int, _ range: ClosedRange<Int>) -> Int {
      let counted = value < 0 ? max(value, -size - 1) + size : value
      return min(max(counted, range.lowerBound), range.upperBound)
    }
    self.axis = axis
    self.step = step
    if size == 0 {
      (first, count) = (0, 0)
    } else if step > 0 {
      first = position(start, 0...size)
      count = max(0, (position(end, 0...size) - first + step - 1) / step)
    } else {
      first = position(start, 0...(size - 1))
      count = max(0, (first - position(end, -1...(size - 1)) - step - 1) / -step)
    }
  }

  init(axis: Int, first: Int, count: Int) {
    (self.axis, self.first, self.count) = (axis, first, count)
    step = 1
  }
}

struct Slice: Operator {
  static let operations = ["Slice"]

  /// The attributes of opsets before 10: nil when they are inputs.
  let written: (starts: [Int], ends: [Int], axes: [Int]?)?

  init(reading node: NodeReader) throws(CoalitionError) {
    guard node.opset < 10 else {
      written = nil
      return
    }
    guard let starts = try node.ints("starts"), let ends = try node.ints("ends") else {
      throw CoalitionError(
        .invalidData, "Slice has no starts or ends", node: node.node.label)
    }
    written = (starts, ends, try node.ints("axes"))
  }

  var kind: OperatorKind { .movement }

  /// - Parameter parameters: starts, ends, axes and steps.
  func slices(
    _ shape: [Int], _ parameters: [[Int]?]
  ) throws(CoalitionError) -> [AxisSlice] {
    func parameter(_ index: Int) -> [Int]? { index < parameters.count ? parameters[index] : nil }
    guard let starts = written?.starts ?? parameter(0), let ends = written?.ends ?? parameter(1)
    else {
      throw CoalitionError(.invalidData, "Slice has no starts or ends")
    }
    let axes = (written == nil ? parameter(2) : written?.axes) ?? Array(starts.indices)
    let steps = parameter(3) ?? starts.map { _ in 1 }
    guard [ends, axes, steps].allSatisfy({ $0.count == starts.count }) else {
      throw CoalitionError(
        .invalidData, "starts, ends, axes and steps of Slice have different lengths",
        found: "\(starts.count), \(ends.count), \(axes.count) and \(steps.count)")
    }
    var result: [AxisSlice] = []
    for index in starts.indices {
      let axis = try resolveAxis(axes[index], rank: shape.count)
      guard axis < shape.count, !result.contains(where: { $0.axis == axis }) else {
        throw CoalitionError(.invalidData, "Slice cuts an axis that is not there, or one twice")
      }
      result.append(
        try AxisSlice(
          axis: axis, size: shape[axis], start: starts[index], end: ends[index],
          step: steps[index]))
    }
    return result
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    var parameters: [[Int]?] = []
    for index in 1..<5 { parameters.append(try inputs.constantIntegers(index, "range")) }
    let slices = try slices(x.shape, parameters)
    var shape = x.shape
    for slice in slices { shape[slice.axis] = slice.count }
    var example = x.example
    if let axis = x.example.anyAxis {
      if let cut = slices.first(where: { $0.axis == axis }), !cut.isWhole(x.shape) {
        example = .mixed
      }
      // With two examples every slice must stay as it is and take them all. Where the file is written for one example,
      // a range from the first one on takes it, and is read as taking all of them; the last one, or a reversed
      // order, is not.
      var two = x.shape
      two[axis] *= 2
      let probes = (1..<5).map { inputs[optional: $0]?.constant }.map {
        ($0?.probe ?? $0?.value)?.integers
      }
      let isProbed = (1..<5).contains { inputs[optional: $0]?.constant?.probe != nil }
      let isForOne = !inputs.hasOpenBatch && !isProbed
      let doubled = (try? self.slices(two, probes)) ?? []
      let agree =
        doubled.count == slices.count
        && zip(doubled, slices).allSatisfy {
          guard $0.axis == $1.axis, $0.axis == axis else { return $0 == $1 }
          return $0.first == 0 && $0.step == 1 && (isForOne || $0.isWhole(two))
        }
      if !agree { example = .mixed }
    }
    return [ValueInfo(shape: shape, elementType: x.elementType, example: example)]
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard let tensor = inputs.first ?? nil else { return nil }
    var view = HostView(tensor)
    for slice in try slices(tensor.shape, inputs.dropFirst().map { $0?.integers }) {
      view = view.sliced(slice.axis, start: slice.first, step: slice.step, count: slice.count)
    }
    return [view.materialised()]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let inputs = lowering.inputs
    var view = try lowering.view(0)
    let parameters = (1..<5).map { inputs[optional: $0]?.constant?.value.integers }
    for slice in try slices(view.shape, parameters) { view = try lowering.sliced(view, slice) }
    lowering.set(view)
  }
}

struct Split: Operator {
  static let operations = ["Split"]

  private let axis: Int
  private let outputCount: Int
  /// nil: the second input, or equal parts.
  let written: [Int]?

  init(reading node: NodeReader) throws(CoalitionError) {
    axis = try node.int("axis", 0)
    outputCount = node.node.outputs.count
    written = node.opset < 13 ? try node.ints("split") : nil
    if node.opset >= 18 {
      let wanted = try node.int("num_outputs", outputCount)
      guard wanted == outputCount else {
        throw CoalitionError(
          .invalidData, "Split has another number of outputs than num_outputs says",
          node: node.node.label, expected: "\(wanted)", found: "\(outputCount)")
      }
    }
  }

  var kind: OperatorKind { .movement }

  func parts(_ shape: [Int], _ parameter: [Int]?) throws(CoalitionError) -> [AxisSlice] {
    let axis = try resolveAxis(axis, rank: shape.count)
    guard axis < shape.count else {
      throw CoalitionError(.shapeMismatch, "Split takes no scalar")
    }
    let sizes: [Int]
    if let given = written ?? parameter {
      sizes = given
    } else {
      // Equal parts; the last one is smaller when they do not divide.
      let size = outputCount == 0 ? 0 : (shape[axis] + outputCount - 1) / outputCount
      sizes = (0..<outputCount).map { max(0, min(size, shape[axis] - $0 * size)) }
    }
    guard sizes.count == outputCount, sizes.allSatisfy({ $0 >= 0 && $0 <= shape[axis] }),
      sizes.reduce(0, +) == shape[axis]
    else {
      throw CoalitionError(
        .shapeMismatch, "the parts of Split do not make up the axis",
        expected: "\(outputCount) parts of \(shape[axis])", found: "\(sizes)")
    }
    var first = 0
    return sizes.map { size in
      defer { first += size }
      return AxisSlice(axis: axis, first: first, count: size)
    }
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    let mixes = inputs[optional: 1]?.constant?.probe != nil
    return try parts(x.shape, try inputs.constantIntegers(1, "split")).map { part in
      var shape = x.shape
      shape[part.axis] = part.count
      let isCut = x.example.anyAxis == part.axis && !part.isWhole(x.shape)
      return ValueInfo(
        shape: shape, elementType: x.elementType,
        example: (isCut || mixes) && x.example != .none ? .mixed : x.example)
    }
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard let tensor = inputs.first ?? nil else { return nil }
    let parameter = inputs.count > 1 ? inputs[1]?.integers : nil
    return try parts(tensor.shape, parameter).map { part in
      HostView(tensor).sliced(part.axis, start: part.first, step: 1, count: part.count)
        .materialised()
    }
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let view = try lowering.view(0)
    let parameter = lowering.inputs[optional: 1]?.constant?.value.integers
    for (index, part) in try parts(view.shape, parameter).enumerated() {
      lowering.set(output: index, try lowering.sliced(view, part))
    }
  }
}

extension Lowering {
  /// A part of a view: a copy of all of it where the slice would cut a digit.
  mutating func sliced(_ view: View, _ slice: AxisSlice) throws(CoalitionError) -> View {
    func cut(_ view: View) -> View? {
      view.sliced(slice.axis, start: slice.first, step: slice.step, count: slice.count)
    }
    if let part = cut(view) { return part }
    guard let part = cut(try copied(view)) else {
      throw CoalitionError(.internalFault, "a slice of a row-major copy is not a view")
    }
    return part
  }
}
