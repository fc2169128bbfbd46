// Dense arrays of host values: constants of a graph, inputs, outputs, members of result files.
//
// A tensor is row-major and owns its elements as a Swift array of its element type. Arithmetic on
// tensors happens in compiled programs (CoalitionNet); what stands here is storage and conversion.

/// The element types that a tensor can hold. Narrower integers are widened when they are read.
public enum ElementType: String, Hashable, Sendable, CaseIterable {
  case float32, float64, int32, int64, uint8, bool

  /// Bytes that one element occupies.
  public var byteCount: Int {
    switch self {
    case .uint8, .bool: 1
    case .float32, .int32: 4
    case .float64, .int64: 8
    }
  }
}

/// A dense row-major array with a shape.
public struct Tensor: Hashable, Sendable {
  /// The elements, in row-major order.
  public enum Elements: Hashable, Sendable {
    case float32([Float])
    case float64([Double])
    case int32([Int32])
    case int64([Int64])
    case uint8([UInt8])
    case bool([Bool])
  }

  public let shape: [Int]
  public let elements: Elements

  /// - Throws: `shapeMismatch` when the number of elements is not the product of `shape`, or a dimension
  ///   is negative.
  public init(shape: [Int], elements: Elements) throws(CoalitionError) {
    guard let count = Self.count(of: shape), count == elements.count else {
      throw CoalitionError(
        .shapeMismatch, "the elements do not fill the shape \(shape)",
        expected: Self.count(of: shape).map { "\($0) elements" }, found: "\(elements.count)")
    }
    self.shape = shape
    self.elements = elements
  }

  /// A tensor whose elements are known to fill the shape.
  package init(filling shape: [Int], with elements: Elements) {
    assert(Self.count(of: shape) == elements.count)
    self.shape = shape
    self.elements = elements
  }

  /// A tensor of one axis.
  public init(_ elements: Elements) {
    shape = [elements.count]
    self.elements = elements
  }

  /// A tensor without axes.
  public init(scalar: Float) {
    shape = []
    elements = .float32([scalar])
  }

  /// The same elements under another shape.
  public func reshaped(to shape: [Int]) throws(CoalitionError) -> Tensor {
    try Tensor(shape: shape, elements: elements)
  }

  /// Rows along the first axis, in any order and as often as wanted.
  /// - Throws: `shapeMismatch` for a tensor without axes, `usage` for rows that it does not have.
  package func rows(_ picked: [Int]) throws(CoalitionError) -> Tensor {
    guard let rows = shape.first else {
      throw CoalitionError(.shapeMismatch, "a tensor without axes has no rows")
    }
    if let wrong = picked.first(where: { !(0..<rows).contains($0) }) {
      throw CoalitionError(
        .usage, "the tensor has no such row", expected: "0 to \(rows - 1)", found: "\(wrong)")
    }
    let size = shape.dropFirst().reduce(1, *)
    func pick<Element>(_ values: [Element]) -> [Element] {
      var result: [Element] = []
      result.reserveCapacity(picked.count * size)
      guard size > 16 else {
        // Few numbers cost less one by one than as a slice.
        for row in picked {
          for place in row * size..<(row + 1) * size { result.append(values[place]) }
        }
        return result
      }
      for row in picked { result += values[row * size..<(row + 1) * size] }
      return result
    }
    let elements: Elements =
      switch elements {
      case .float32(let values): .float32(pick(values))
      case .float64(let values): .float64(pick(values))
      case .int32(let values): .int32(pick(values))
      case .int64(let values): .int64(pick(values))
      case .uint8(let values): .uint8(pick(values))
      case .bool(let values): .bool(pick(values))
      }
    return try Tensor(shape: [picked.count] + shape.dropFirst(), elements: elements)
  }

  public var count: Int { elements.count }
  public var rank: Int { shape.count }
  /// Bytes of the elements.
  public var byteCount: Int { count * elementType.byteCount }
  public var elementType: ElementType { elements.elementType }

  /// The number of elements that a shape describes: nil for a negative dimension or past `Int.max`.
  public static func count(of shape: [Int]) -> Int? {
    var product = 1
    // Without the zeros, which would hide an overflow of the other sizes: strides are their products.
    for size in shape where size != 0 {
      guard size >= 0 else { return nil }
      let (next, overflow) = product.multipliedReportingOverflow(by: size)
      if overflow { return nil }
      product = next
    }
    return shape.contains(0) ? 0 : product
  }
}

extension Tensor.Elements {
  public var count: Int {
    switch self {
    case .float32(let values): values.count
    case .float64(let values): values.count
    case .int32(let values): values.count
    case .int64(let values): values.count
    case .uint8(let values): values.count
    case .bool(let values): values.count
    }
  }

  public var elementType: ElementType {
    switch self {
    case .float32: .float32
    case .float64: .float64
    case .int32: .int32
    case .int64: .int64
    case .uint8: .uint8
    case .bool: .bool
    }
  }
}

// MARK: - Conversion

extension Tensor {
  /// All elements as single precision. Integers past 2^24 are rounded.
  public var floats: [Float] {
    switch elements {
    case .float32(let values): values
    case .float64(let values): values.map { Float($0) }
    case .int32(let values): values.map { Float($0) }
    case .int64(let values): values.map { Float($0) }
    case .uint8(let values): values.map { Float($0) }
    case .bool(let values): values.map { $0 ? 1 : 0 }
    }
  }

  /// All elements as double precision.
  public var doubles: [Double] {
    switch elements {
    case .float32(let values): values.map { Double($0) }
    case .float64(let values): values
    case .int32(let values): values.map { Double($0) }
    case .int64(let values): values.map { Double($0) }
    case .uint8(let values): values.map { Double($0) }
    case .bool(let values): values.map { $0 ? 1 : 0 }
    }
  }

  /// All elements as integers: nil when the tensor holds floating-point numbers.
  public var integers: [Int]? {
    switch elements {
    case .float32, .float64: nil
    case .int32(let values): values.map { Int($0) }
    case .int64(let values): values.map { Int($0) }
    case .uint8(let values): values.map { Int($0) }
    case .bool(let values): values.map { $0 ? 1 : 0 }
    }
  }

  /// The first element that is NaN or infinite, as a flat index.
  public var firstNonFinite: Int? {
    switch elements {
    case .float32(let values):
      Self.firstNonFinite(values, infinity: Float.infinity.bitPattern) { $0.magnitude.bitPattern }
    case .float64(let values):
      Self.firstNonFinite(values, infinity: Double.infinity.bitPattern) { $0.magnitude.bitPattern }
    case .int32, .int64, .uint8, .bool: nil
    }
  }

  /// Without their sign, numbers order like their bits, infinity and NaN last: blocks are searched only where the
  /// largest bits are those of no finite number, and finding these is a vector operation.
  @inline(__always)
  private static func firstNonFinite<Number, Bits: FixedWidthInteger>(
    _ values: [Number], infinity: Bits, _ bits: (Number) -> Bits
  ) -> Int? {
    let block = 4096
    for start in stride(from: 0, to: values.count, by: block) {
      let range = start..<min(start + block, values.count)
      var largest: Bits = 0
      for index in range { largest = max(largest, bits(values[index])) }
      if largest >= infinity { return range.first { bits(values[$0]) >= infinity } }
    }
    return nil
  }
}
