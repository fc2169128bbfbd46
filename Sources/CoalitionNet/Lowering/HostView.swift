// Views of constants: the same algebra as for lanes, with elements that can be read now.

import CoalitionBase

/// A tensor seen through a strided view. Used to fold movement of constants and to bring weights into the order that
/// a step wants.
struct HostView: Sendable {
  private let elements: Tensor.Elements
  private var view: View

  init(_ tensor: Tensor) {
    elements = tensor.elements
    view = View(Operand(space: .constant(0)), shape: tensor.shape)
  }

  private init(_ elements: Tensor.Elements, _ view: View) {
    self.elements = elements
    self.view = view
  }

  var shape: [Int] { view.shape }
  var count: Int { view.count }
  var elementType: ElementType { elements.elementType }

  var firstDouble: Double? {
    guard view.count > 0, case .float64(let values) = elements else { return nil }
    return values[view.operand.offset]
  }

  func transposed(_ permutation: [Int]) -> HostView {
    HostView(elements, view.transposed(permutation))
  }

  func broadcast(to shape: [Int]) -> HostView { HostView(elements, view.broadcast(to: shape)) }

  func tiled(to shape: [Int]) -> HostView { HostView(elements, view.tiled(to: shape)) }

  /// Copies when the view cannot say it.
  func reshaped(to shape: [Int]) throws(CoalitionError) -> HostView {
    if view.count == 0 { return HostView(try materialised().reshaped(to: shape)) }
    if let view = view.reshaped(to: shape) { return HostView(elements, view) }
    return HostView(try materialised().reshaped(to: shape))
  }

  func sliced(_ axis: Int, start: Int, step: Int, count: Int) -> HostView {
    if let view = view.sliced(axis, start: start, step: step, count: count) {
      return HostView(elements, view)
    }
    // A materialised tensor has one digit per axis, which every slice can cut.
    let copy = HostView(materialised())
    return HostView(
      copy.elements, copy.view.sliced(axis, start: start, step: step, count: count) ?? copy.view)
  }

  /// One element along the leading axes, which are dropped.
  func element(_ index: [Int]) -> HostView {
    var result = self
    for (axis, position) in index.enumerated() {
      result = result.sliced(axis, start: position, step: 1, count: 1)
    }
    return HostView(
      result.elements,
      View(result.view.operand, axes: Array(result.view.axes.dropFirst(index.count))))
  }

  /// The elements of `axis` in the order in which a lane view keeps them in memory.
  func inDigitOrder(axis: Int, _ digits: DigitOrder) throws(CoalitionError) -> HostView {
    var shape = shape
    let rank = shape.count
    shape.replaceSubrange(axis...axis, with: digits.sizes)
    let split = try reshaped(to: shape)
    var permutation = Array(0..<axis)
    permutation += digits.order.map { $0 + axis }
    permutation += Array((axis + 1)..<rank).map { $0 - 1 + digits.sizes.count }
    return try split.transposed(permutation).reshaped(to: self.shape)
  }

  /// A row-major tensor of the elements: no copy where they are seen as they are.
  func materialised() -> Tensor {
    let shape = shape
    let result: Tensor.Elements
    switch elements {
    case .float32(let values): result = .float32(gather(values))
    case .float64(let values): result = .float64(gather(values))
    case .int32(let values): result = .int32(gather(values))
    case .int64(let values): result = .int64(gather(values))
    case .uint8(let values): result = .uint8(gather(values))
    case .bool(let values): result = .bool(gather(values))
    }
    return Tensor(filling: shape, with: result)
  }

  private func gather<Element>(_ values: [Element]) -> [Element] {
    if view.count == 0 { return [] }
    let digits = View.merge(view.digits)
    if digits.isEmpty { return [values[view.operand.offset]] }
    let inner = digits[digits.count - 1]
    if digits.count == 1, inner.stride == 1, inner.size == values.count { return values }
    let outer = digits.dropLast()
    var result: [Element] = []
    result.reserveCapacity(view.count)
    for row in 0..<outer.reduce(1, { $0 * $1.size }) {
      var rest = row
      var offset = view.operand.offset
      for digit in outer.reversed() {
        offset += rest % digit.size * digit.stride
        rest /= digit.size
      }
      for index in 0..<inner.size { result.append(values[offset + index * inner.stride]) }
    }
    return result
  }
}

/// All index tuples of a shape in row-major order.
func indices(of shape: [Int]) -> [[Int]] {
  shape.reduce([[]]) { tuples, size in tuples.flatMap { tuple in (0..<size).map { tuple + [$0] } } }
}

/// numpy's broadcasting of several shapes.
func broadcastShape(_ shapes: [[Int]]) throws(CoalitionError) -> [Int] {
  let rank = shapes.map(\.count).max() ?? 0
  var result = [Int](repeating: 1, count: rank)
  for shape in shapes {
    for (axis, size) in zip((rank - shape.count)..<rank, shape) where size != 1 {
      guard result[axis] == 1 || result[axis] == size else {
        throw CoalitionError(
          .shapeMismatch, "shapes do not broadcast",
          found: shapes.map { "\($0)" }.joined(separator: " and "))
      }
      result[axis] = size
    }
  }
  return result
}
