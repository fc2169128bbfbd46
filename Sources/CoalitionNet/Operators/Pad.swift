// Pad: borders of a constant, of the edge, of the mirrored or of the repeated interior; negative borders crop.

import CoalitionBase

struct Pad: Operator {
  static let operations = ["Pad"]

  enum Mode: String, Sendable { case constant, reflect, edge, wrap }

  let mode: Mode
  /// The attributes of opsets before 11: nil when they are inputs.
  let written: (pads: [Int], value: Double)?

  init(reading node: NodeReader) throws(CoalitionError) {
    let name = try node.string("mode", "constant")
    guard let mode = Mode(rawValue: name) else { throw node.unsupported("mode '\(name)'") }
    self.mode = mode
    guard node.opset < 11 else {
      written = nil
      return
    }
    guard let pads = try node.ints("pads") else {
      throw CoalitionError(.invalidData, "Pad has no pads", node: node.node.label)
    }
    written = (pads, try node.float("value", 0))
  }

  var kind: OperatorKind { .movement }

  /// Elements before and after an axis.
  struct Border: Equatable { var before = 0, after = 0 }

  func borders(
    _ rank: Int, pads: [Int]?, axes: [Int]?
  ) throws(CoalitionError) -> [Border] {
    let axes = axes ?? Array(0..<rank)
    guard let pads = written?.pads ?? pads, pads.count == 2 * axes.count,
      pads.allSatisfy({ abs($0 / 2) < 1 << 30 })
    else {
      throw CoalitionError(
        .invalidData, "the pads of Pad do not fit its input", expected: "\(2 * axes.count) numbers",
        found: "\(written?.pads ?? pads ?? [])")
    }
    var borders = [Border](repeating: Border(), count: rank)
    for (index, axis) in axes.enumerated() {
      let axis = try resolveAxis(axis, rank: rank)
      borders[axis] = Border(before: pads[index], after: pads[index + axes.count])
    }
    return borders
  }

  /// What is left of an axis of `size` elements once negative borders are cropped.
  private func interior(
    _ size: Int, _ border: Border
  ) throws(CoalitionError) -> (start: Int, count: Int) {
    let start = max(0, -border.before)
    let kept = size - start - max(0, -border.after)
    guard kept >= 0, kept > 0 || mode == .constant || max(border.before, border.after) <= 0 else {
      throw CoalitionError(
        .invalidData, "Pad crops away more than there is", expected: "at most \(size)",
        found: "\(border.before) and \(border.after)")
    }
    return (start, kept)
  }

  /// A padded axis whose borders are copies of the interior, as stretches of even steps.
  private func stretches(
    _ size: Int, _ border: Border, axis: Int
  ) throws(CoalitionError) -> [AxisSlice] {
    let (start, kept) = try interior(size, border)
    let end = kept + max(0, border.after)
    var result: [AxisSlice] = []
    var place = -max(0, border.before)
    while place < end {
      guard result.count < Lowering.pieceLimit else {
        throw CoalitionError(
          .limitExceeded, "the borders of Pad repeat the interior too often",
          expected: "at most \(Lowering.pieceLimit) times",
          found: "\(border.before) and \(border.after) elements around \(kept)")
      }
      let (first, step, length) = piece(at: place, kept)
      var slice = AxisSlice(axis: axis, first: start + first, count: min(length, end - place))
      slice.step = step
      result.append(slice)
      place += slice.count
    }
    return result
  }

  /// The stretch that begins at `place`, counted from the interior's first element, and how far it goes.
  private func piece(at place: Int, _ kept: Int) -> (first: Int, step: Int, length: Int) {
    if kept == 1 { return (0, 0, .max) }
    switch mode {
    case .constant, .edge:
      if place < 0 { return (0, 0, -place) }
      return place < kept ? (place, 1, kept - place) : (kept - 1, 0, .max)
    case .wrap:
      let phase = ((place % kept) + kept) % kept
      return (phase, 1, kept - phase)
    case .reflect:
      // The mirror image does not repeat the edge.
      let period = 2 * (kept - 1)
      let phase = ((place % period) + period) % period
      return phase < kept - 1
        ? (phase, 1, kept - 1 - phase) : (period - phase, -1, period - phase)
    }
  }

  /// Per element of a padded axis: where it comes from, -1 for the constant.
  private func sources(_ size: Int, _ border: Border) throws(CoalitionError) -> [Int] {
    guard mode == .constant else {
      return try stretches(size, border, axis: 0).flatMap { slice in
        (0..<slice.count).map { slice.first + $0 * slice.step }
      }
    }
    let (start, kept) = try interior(size, border)
    return [Int](repeating: -1, count: max(0, border.before)) + (start..<(start + kept))
      + [Int](repeating: -1, count: max(0, border.after))
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    let borders = try borders(
      x.shape.count, pads: try inputs.constantIntegers(1, "pads"),
      axes: try inputs.constantIntegers(3, "axes"))
    try checkValue(try inputs.constant(2, "value"))
    var shape = x.shape
    for (axis, border) in borders.enumerated() {
      shape[axis] = x.shape[axis] + border.before + border.after
      guard shape[axis] >= 0 else {
        throw CoalitionError(
          .invalidData, "Pad crops away more than there is", expected: "at most \(x.shape[axis])",
          found: "\(border.before) and \(border.after)")
      }
    }
    var example = x.example
    if let axis = example.anyAxis, borders[axis] != Border() { example = .mixed }
    if example != .none, (1..<4).contains(where: { inputs[optional: $0]?.constant?.probe != nil }) {
      example = .mixed
    }
    return [ValueInfo(shape: shape, elementType: x.elementType, example: example)]
  }

  /// Checks what the borders are to be filled with, where it is given.
  private func checkValue(_ value: Tensor?) throws(CoalitionError) {
    guard let value, value.count != 1 else { return }
    throw CoalitionError(
      .invalidData, "the value of Pad must be one number", expected: "1",
      found: "\(value.count) numbers")
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard let tensor = inputs.first ?? nil else { return nil }
    func parameter(_ index: Int) -> Tensor? { index < inputs.count ? inputs[index] : nil }
    let borders = try borders(
      tensor.rank, pads: parameter(1)?.integers, axes: parameter(3)?.integers)
    var shape = tensor.shape
    for (axis, border) in borders.enumerated() { shape[axis] += border.before + border.after }
    _ = try Tensor.checkedConstantCount(shape)
    try checkValue(parameter(2))
    // The constant stands behind the elements.
    let value = Tensor(filling: [1], with: .float64([written?.value ?? 0]))
    let all = Tensor.joining([tensor, parameter(2) ?? value])
    var indices = [0]
    for (axis, border) in borders.enumerated() {
      let places = try sources(tensor.shape[axis], border)
      let size = tensor.shape[axis]
      var next: [Int] = []
      next.reserveCapacity(indices.count * places.count)
      for outer in indices {
        for inner in places { next.append(outer < 0 || inner < 0 ? -1 : outer * size + inner) }
      }
      indices = next
    }
    for index in indices.indices where indices[index] < 0 { indices[index] = tensor.count }
    return [all.picking(indices, shape: shape)]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let inputs = lowering.inputs
    let view = try lowering.lanes(0)
    let borders = try borders(
      view.axes.count, pads: inputs[optional: 1]?.constant?.value.integers,
      axes: inputs[optional: 3]?.constant?.value.integers)
    let sizes = view.shape
    guard mode == .constant else {
      var result = view
      for (axis, border) in borders.enumerated() where border != Border() {
        result = try lowering.picked(
          result, axis: axis, stretches: try stretches(sizes[axis], border, axis: axis))
      }
      return lowering.set(result)
    }
    let shape = try lowering.outputInfo().shape
    let target = View(
      lowering.buffer(shape.reduce(1, *)), shape: shape, order: view.memoryOrder)
    let value = inputs[optional: 2]?.constant?.value.doubles.first ?? written?.value ?? 0
    let fill = View(lowering.constant(Tensor(.float64([value]))), shape: [])
    try lowering.copy(fill.broadcast(to: shape), to: target)
    var (source, interior) = (view, target)
    for (axis, border) in borders.enumerated() {
      let kept = sizes[axis] + min(border.before, 0) + min(border.after, 0)
      if kept <= 0 { return lowering.set(target) }
      source = try lowering.sliced(
        source, AxisSlice(axis: axis, first: max(0, -border.before), count: kept))
      interior = try lowering.sliced(
        interior, AxisSlice(axis: axis, first: max(0, border.before), count: kept))
    }
    try lowering.copy(source, to: interior)
    lowering.set(target)
  }
}
