// Elements of host tensors, whatever their type: picking, joining and converting.
//
// Operators that only move elements (concat, gather, pad, where) say which flat index of their sources each element
// of the result comes from; the element type does not matter to them.

package import CoalitionBase

extension Tensor {
  /// Elements that a constant may have: what a file asks for is checked before it is allocated.
  static let constantLimit = 1 << 28

  /// The element count of a constant that is about to be made.
  /// - Throws: `limitExceeded` past `constantLimit`, `invalidData` for a negative size.
  static func checkedConstantCount(_ shape: [Int]) throws(CoalitionError) -> Int {
    guard shape.allSatisfy({ $0 >= 0 }) else {
      throw CoalitionError(.invalidData, "a size is negative", found: "\(shape)")
    }
    guard let count = Tensor.count(of: shape), count <= constantLimit else {
      throw CoalitionError(
        .limitExceeded, "a constant has too many elements", expected: "at most \(constantLimit)",
        found: "shape \(shape)")
    }
    return count
  }

  /// A tensor of the same type whose elements are taken from this one by flat index.
  func picking(_ indices: [Int], shape: [Int]) -> Tensor {
    func pick<Element>(_ values: [Element]) -> [Element] { indices.map { values[$0] } }
    let picked: Elements =
      switch elements {
      case .float32(let values): .float32(pick(values))
      case .float64(let values): .float64(pick(values))
      case .int32(let values): .int32(pick(values))
      case .int64(let values): .int64(pick(values))
      case .uint8(let values): .uint8(pick(values))
      case .bool(let values): .bool(pick(values))
      }
    return Tensor(filling: shape, with: picked)
  }

  /// The elements of several tensors one after the other, converted to the type of the first.
  package static func joining(_ tensors: [Tensor]) -> Tensor {
    guard let first = tensors.first else { return Tensor(.float32([])) }
    let type = first.elementType
    let elements: Elements =
      switch type {
      case .float32: .float32(tensors.flatMap(\.floats))
      case .float64: .float64(tensors.flatMap(\.doubles))
      case .int32:
        .int32(tensors.flatMap { $0.wholeNumbers.map { Int32(truncatingIfNeeded: $0) } })
      case .int64: .int64(tensors.flatMap { $0.wholeNumbers.map { Int64($0) } })
      case .uint8:
        .uint8(tensors.flatMap { $0.wholeNumbers.map { UInt8(truncatingIfNeeded: $0) } })
      case .bool: .bool(tensors.flatMap(\.truths))
      }
    return Tensor(elements)
  }

  /// Every element as a whole number: floating-point ones are truncated, and what does not fit becomes the nearest
  /// number that does (NaN becomes 0).
  var wholeNumbers: [Int] {
    if let integers { return integers }
    return doubles.map { value in
      if value.isNaN { return 0 }
      if value >= 0x1p63 { return .max }
      if value < -0x1p63 { return .min }
      return Int(value)
    }
  }

  /// Whether each element differs from zero.
  var truths: [Bool] {
    if case .bool(let values) = elements { return values }
    if let integers { return integers.map { $0 != 0 } }
    return doubles.map { $0 != 0 }
  }

  /// The same elements in another type.
  package func converted(to type: ElementType) -> Tensor {
    if type == elementType { return self }
    let result: Elements =
      switch type {
      case .float32: .float32(floats)
      case .float64: .float64(doubles)
      case .int32: .int32(wholeNumbers.map { Int32(truncatingIfNeeded: $0) })
      case .int64: .int64(wholeNumbers.map { Int64($0) })
      case .uint8: .uint8(wholeNumbers.map { UInt8(truncatingIfNeeded: $0) })
      case .bool: .bool(truths)
      }
    return Tensor(filling: shape, with: result)
  }

  /// A tensor of whole numbers in the type of `model`.
  static func integers(_ values: [Int], shape: [Int], like model: ElementType) -> Tensor {
    Tensor(filling: shape, with: .int64(values.map { Int64($0) })).converted(to: model)
  }
}
