// Gather: slices of a tensor by index (csrc/ops/gather.c).
//
// A constant table with computed indices is an embedding: each lane chooses its own rows. Computed data with constant
// indices is movement. Indices outside of the table are refused when a run starts (Runtime/IndexChecks.swift), where
// they come from an input of the model.

import CLanes
import CoalitionBase

struct Gather: Operator {
  static let operations = ["Gather"]

  private let axis: Int

  init(reading node: NodeReader) throws(CoalitionError) { axis = try node.int("axis", 0) }

  var kind: OperatorKind { .movement }

  func axis(_ shape: [Int]) throws(CoalitionError) -> Int {
    guard !shape.isEmpty else {
      throw CoalitionError(.shapeMismatch, "Gather takes no scalar as data")
    }
    return try resolveAxis(axis, rank: shape.count)
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let data = try inputs.required(0)
    let indices = try inputs.required(1)
    let axis = try axis(data.shape)
    let shape = Array(data.shape[..<axis]) + indices.shape + Array(data.shape[(axis + 1)...])
    let moved = data.example.moved { place in
      place == axis ? nil : place < axis ? place : place + indices.shape.count - 1
    }
    var example = ExampleAxis.common([moved, indices.example.moved { $0 + axis }])
    if example != .none,
      data.constant?.probe != nil || indices.constant?.probe != nil
    {
      example = .mixed
    }
    if let known = indices.constant?.value {
      _ = try Self.resolved(known, size: data.shape[axis])
    } else if data.constant == nil {
      throw CoalitionError(
        .unsupported, "Gather of computed data by computed indices is not supported")
    } else if data.shape[axis] > 1 << 24 || data.count == 0 {
      // Lanes hold single precision, in which larger indices are not exact.
      throw CoalitionError(
        .unsupported, "a table of so many rows is not supported", expected: "1 to \(1 << 24)",
        found: "\(data.shape[axis])")
    }
    return [ValueInfo(shape: shape, elementType: data.elementType, example: example)]
  }

  /// Constant indices counted from the start.
  private static func resolved(_ indices: Tensor, size: Int) throws(CoalitionError) -> [Int] {
    guard let integers = indices.integers else {
      throw CoalitionError(
        .invalidData, "the indices of Gather must be whole numbers",
        found: "\(indices.elementType)")
    }
    if let outside = integers.first(where: { $0 < -size || $0 >= size }) {
      throw CoalitionError(
        .invalidData, "an index of Gather lies outside of the data",
        expected: "\(-size) to \(size - 1)", found: "\(outside)")
    }
    return integers.map { $0 < 0 ? $0 + size : $0 }
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard inputs.count == 2, let data = inputs[0], let indices = inputs[1] else { return nil }
    let axis = try axis(data.shape)
    let rows = try Self.resolved(indices, size: data.shape[axis])
    let inner = data.shape[(axis + 1)...].reduce(1, *)
    let shape = Array(data.shape[..<axis]) + indices.shape + Array(data.shape[(axis + 1)...])
    var picked: [Int] = []
    picked.reserveCapacity(try Tensor.checkedConstantCount(shape))
    for outer in 0..<data.shape[..<axis].reduce(1, *) {
      for row in rows {
        let start = (outer * data.shape[axis] + row) * inner
        picked += start..<(start + inner)
      }
    }
    return [data.picking(picked, shape: shape)]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let inputs = lowering.inputs
    let data = try inputs.required(0)
    let axis = try axis(data.shape)
    let shape = try lowering.outputInfo().shape
    if let known = inputs[optional: 1]?.constant?.value {
      let rows = try Self.resolved(known, size: data.shape[axis])
      let picked = try lowering.picked(try lowering.lanes(0), axis: axis, rows)
      return lowering.set(try lowering.reshaped(picked, to: shape))
    }
    guard let table = data.constant?.value else {
      throw CoalitionError(.internalFault, "Gather has no constant")
    }
    var indices = try lowering.view(1)
    if !indices.isRowMajor { indices = try lowering.copied(indices) }
    // The axis that is gathered becomes the first one, and comes back to its place as a view.
    let others = data.shape.indices.filter { $0 != axis }
    let rows = HostView(table).transposed([axis] + others).materialised()
    let width = others.reduce(1) { $0 * data.shape[$1] }
    let count = indices.count
    let output = lowering.buffer(count * width)
    let name = inputs.node.input(0).flatMap {
      lowering.name(of: $0, form: "rows of axis \(axis)")
    }
    lowering.emit(
      GatherStep(
        indices: indices.operand, table: lowering.constant(rows, name: name), output: output,
        count: count, rows: data.shape[axis], width: width))
    let rank = indices.axes.count
    let gathered = View(output, shape: indices.shape + others.map { data.shape[$0] })
    let order =
      Array(rank..<(rank + axis)) + Array(0..<rank) + Array((rank + axis)..<(rank + others.count))
    lowering.set(gathered.transposed(order))
  }
}

struct GatherStep: Step {
  var indices: Operand
  var table: Operand
  var output: Operand
  var count: Int
  var rows: Int
  var width: Int

  var reads: [Operand] { [indices, table] }
  var writes: Operand? { output }
  var summary: String { "gather \(count) of \(rows) rows of \(width)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_gather.rawValue)
    step.gather = ln_gather(
      index: places(indices), out: places(output), table: places(table), count: Int64(count),
      rows: Int64(rows), width: Int64(width))
    return step
  }
}

extension Lowering {
  /// The elements of an axis at the given places, in their order: a view when they step evenly, else copies, one per
  /// stretch that does.
  mutating func picked(
    _ view: View, axis: Int, _ places: [Int]
  ) throws(CoalitionError) -> View {
    try picked(view, axis: axis, stretches: evenStretches(places, axis: axis))
  }

  /// The elements of stretches of an axis, one stretch after the other.
  mutating func picked(
    _ view: View, axis: Int, stretches: [AxisSlice]
  ) throws(CoalitionError) -> View {
    if let whole = stretches.first, stretches.count == 1 { return try sliced(view, whole) }
    guard stretches.count <= Self.pieceLimit else {
      throw CoalitionError(
        .limitExceeded, "elements are picked from too many places",
        expected: "at most \(Self.pieceLimit) stretches of even steps",
        found: "\(stretches.count)")
    }
    var shape = view.shape
    shape[axis] = stretches.reduce(0) { $0 + $1.count }
    let target = View(buffer(shape.reduce(1, *)), shape: shape, order: view.memoryOrder)
    var first = 0
    for stretch in stretches {
      try copy(
        try sliced(view, stretch),
        to: try sliced(target, AxisSlice(axis: axis, first: first, count: stretch.count)))
      first += stretch.count
    }
    return target
  }
}

/// Places as the fewest stretches of even steps that a walk from left to right finds.
private func evenStretches(_ places: [Int], axis: Int) -> [AxisSlice] {
  var stretches: [AxisSlice] = []
  for place in places {
    if var last = stretches.last {
      let step = place - (last.first + (last.count - 1) * last.step)
      if last.count == 1 || step == last.step {
        last.step = step
        last.count += 1
        stretches[stretches.count - 1] = last
        continue
      }
    }
    stretches.append(AxisSlice(axis: axis, first: place, count: 1))
  }
  return stretches
}
