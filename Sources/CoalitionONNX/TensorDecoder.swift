// TensorProto -> Tensor: the elements from `raw_data`, from the typed fields or from a file beside the model.
//
// The first pass over the message notes where things lie, the second copies or converts the elements once:
// fields may come in any order. The number of elements that the shape asks for is compared with
// the data before anything is allocated for them.

import CoalitionBase

/// What a TensorProto says, with the data still in the file's bytes.
struct TensorRecord {
  var name = ""
  private var dims: [Int] = []
  private var dataType = 0
  private let bytes: [UInt8]
  private var raw: Range<Int>?
  /// Payloads by field number, for the fields `float_data`, `int32_data`, ...
  private var typed: [Int: [Range<Int>]] = [:]
  private var external: [String: String] = [:]
  private var isExternal = false
  private var isSegment = false

  init(_ message: WireReader, budget: inout MemoryBudget) throws(CoalitionError) {
    bytes = message.bytes
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case Schema.Tensor.name: name = try field.string()
      case Schema.Tensor.dims:
        try budget.charge(field.payload.count, of: MemoryLayout<Int>.stride)
        try field.appendIntegers(to: &dims)
      case Schema.Tensor.dataType: dataType = try field.integer()
      case Schema.Tensor.segment: isSegment = true
      case Schema.Tensor.rawData: raw = try field.message().position..<field.payload.upperBound
      case Schema.Tensor.floatData: try note(field, .fixed32, &budget)
      case Schema.Tensor.doubleData: try note(field, .fixed64, &budget)
      case Schema.Tensor.int32Data, Schema.Tensor.int64Data, Schema.Tensor.uint64Data:
        try note(field, .varint, &budget)
      case Schema.Tensor.externalData:
        let (key, value) = try Self.entry(try field.message())
        try budget.charge(field.payload.count + 64)
        external[key] = value
      case Schema.Tensor.dataLocation: isExternal = try field.integer() == 1
      default: break
      }
    }
  }

  private mutating func note(
    _ field: WireField, _ element: WireType, _ budget: inout MemoryBudget
  ) throws(CoalitionError) {
    let payload = try field.repeated(element)
    if payload.isEmpty { return }
    try budget.charge(MemoryLayout<Range<Int>>.stride)
    typed[field.number, default: []].append(payload)
  }

  private static func entry(_ message: WireReader) throws(CoalitionError) -> (String, String) {
    var reader = message
    var key = ""
    var value = ""
    while let field = try reader.next() {
      switch field.number {
      case Schema.Entry.key: key = try field.string()
      case Schema.Entry.value: value = try field.string()
      default: break
      }
    }
    return (key, value)
  }
}

// MARK: - Elements

extension TensorRecord {
  private var subject: String { name.isEmpty ? "the tensor" : "the tensor '\(name)'" }

  /// The tensor itself.
  /// - Parameter folder: where external data may lie.
  func tensor(folder: String?, budget: inout MemoryBudget) throws(CoalitionError) -> Tensor {
    let (type, held) = try DataType.held(number: dataType, subject: subject)
    guard !isSegment else {
      throw CoalitionError(.unsupported, "\(subject) is stored in segments")
    }
    guard let count = Tensor.count(of: dims) else {
      throw CoalitionError(
        .invalidData, "\(subject) has a negative or too large size", found: "\(dims)")
    }
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: type.byteCount)
    guard !overflow else {
      throw CoalitionError(.invalidData, "\(subject) has a too large size", found: "\(dims)")
    }
    let hasRaw = raw.map { !$0.isEmpty || typed.isEmpty } ?? false
    guard [isExternal, hasRaw, !typed.isEmpty].count(where: { $0 }) <= 1 else {
      throw CoalitionError(.invalidData, "\(subject) has its data in more than one place")
    }
    try budget.charge(count, of: held.byteCount)

    let elements: Tensor.Elements
    if isExternal {
      try budget.charge(byteCount)
      let file = try ExternalData(external).read(expected: byteCount, folder: folder)
      elements = try FixedElements(bytes: file, ranges: [file.indices], subject: subject)
        .decode(type)
      budget.refund(byteCount)
    } else if hasRaw || count == 0 || type == .float || type == .double {
      // `float_data` and `double_data` hold the same bytes as `raw_data` would.
      let ranges =
        hasRaw
        ? raw.map { [$0] }
        : typed[type == .float ? Schema.Tensor.floatData : Schema.Tensor.doubleData]
      let found = (ranges ?? []).reduce(0) { $0 + $1.count }
      guard found == byteCount else {
        throw CoalitionError(
          .invalidData, "the data of \(subject) do not fill its shape \(dims)",
          expected: "\(byteCount) bytes of \(type)", found: "\(found)")
      }
      elements = try FixedElements(bytes: bytes, ranges: ranges ?? [], subject: subject)
        .decode(type)
    } else {
      elements = try variableElements(type, count: count)
    }
    return try Tensor(shape: dims, elements: elements)
  }

  /// Elements that stand as varints in `int32_data`, `int64_data` or `uint64_data`.
  private func variableElements(
    _ type: DataType, count: Int
  ) throws(CoalitionError) -> Tensor.Elements {
    switch type {
    case .int8: .int32(try integers(Int8.self, count).map { Int32($0) })
    case .int16: .int32(try integers(Int16.self, count).map { Int32($0) })
    case .uint16: .int32(try integers(UInt16.self, count).map { Int32($0) })
    case .int32: .int32(try integers(Int32.self, count))
    case .uint8: .uint8(try integers(UInt8.self, count))
    case .bool: .bool(try integers(UInt8.self, count).map { $0 != 0 })
    case .float16: .float32(try integers(UInt16.self, count).map(HalfPrecision.float16))
    case .bfloat16: .float32(try integers(UInt16.self, count).map(HalfPrecision.bfloat16))
    case .int64: .int64(try integers(Int64.self, count, field: Schema.Tensor.int64Data))
    case .uint32:
      .int64(
        try integers(UInt32.self, count, field: Schema.Tensor.uint64Data).map { Int64($0) })
    case .uint64: .int64(try integers(Int64.self, count, field: Schema.Tensor.uint64Data))
    default:
      throw CoalitionError(.internalFault, "\(subject) has elements of type \(type)")
    }
  }

  private func integers<Number: FixedWidthInteger>(
    _ number: Number.Type, _ count: Int, field: Int = Schema.Tensor.int32Data
  ) throws(CoalitionError) -> [Number] {
    var values: [Number] = []
    let ranges = typed[field] ?? []
    // A varint takes a byte at least, so that the file bounds what is reserved.
    values.reserveCapacity(min(count, ranges.reduce(0) { $0 + $1.count }))
    var found = 0
    for range in ranges {
      var reader = WireReader(bytes, range)
      while !reader.isAtEnd {
        let bits = try reader.varint()
        found += 1
        let value: Number? =
          switch field {
          case Schema.Tensor.int32Data: Number(exactly: Int32(truncatingIfNeeded: bits))
          case Schema.Tensor.uint64Data: Number(exactly: bits)
          default: Number(exactly: Int64(bitPattern: bits))
          }
        guard let value else {
          throw CoalitionError(
            .invalidData, "an element of \(subject) does not fit \(number)", found: "\(bits)")
        }
        if found <= count { values.append(value) }
      }
    }
    guard found == count else {
      throw CoalitionError(
        .invalidData, "the data of \(subject) do not fill its shape \(dims)",
        expected: "\(count) elements", found: "\(found)")
    }
    return values
  }
}

/// Elements of a fixed width, whose bytes fill the shape.
private struct FixedElements {
  let bytes: [UInt8]
  let ranges: [Range<Int>]
  let subject: String

  func decode(_ type: DataType) throws(CoalitionError) -> Tensor.Elements {
    switch type {
    case .float: .float32(numbers())
    case .double: .float64(numbers())
    case .int32: .int32(numbers())
    case .int64: .int64(numbers())
    case .uint8: .uint8(numbers())
    case .bool: .bool(numbers(UInt8.self).map { $0 != 0 })
    case .float16: .float32(numbers().map(HalfPrecision.float16))
    case .bfloat16: .float32(numbers().map(HalfPrecision.bfloat16))
    case .int8: .int32(numbers(Int8.self).map { Int32($0) })
    case .int16: .int32(numbers(Int16.self).map { Int32($0) })
    case .uint16: .int32(numbers(UInt16.self).map { Int32($0) })
    case .uint32: .int64(numbers(UInt32.self).map { Int64($0) })
    case .uint64: .int64(try signed(numbers()))
    default:
      throw CoalitionError(.internalFault, "\(subject) has elements of type \(type)")
    }
  }

  private func numbers<Number: PlainNumber>(_ type: Number.Type = Number.self) -> [Number] {
    LittleEndian.numbers(type, from: bytes, ranges)
  }

  private func signed(_ values: [UInt64]) throws(CoalitionError) -> [Int64] {
    if let large = values.first(where: { $0 > UInt64(Int64.max) }) {
      throw CoalitionError(
        .invalidData, "an element of \(subject) does not fit Int64", found: "\(large)")
    }
    return values.map { Int64(bitPattern: $0) }
  }
}
