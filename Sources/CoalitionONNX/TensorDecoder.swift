// TensorProto -> Tensor: the elements from `raw_data`, from the typed fields or from a file beside
// the model.
//
// The first pass over the message notes where things lie, the second copies or converts the
// elements once: fields may come in any order. The number of elements that the shape asks for is
// compared with the data before anything is allocated for them.

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
    guard let count = Tensor.count(of: dims),
      case let (byteCount, overflow) = count.multipliedReportingOverflow(by: type.byteCount),
      !overflow
    else {
      throw CoalitionError(
        .invalidData, "\(subject) has a negative or too large size", found: "\(dims)")
    }
    // Some writers add an empty `raw_data` to typed data.
    let raw = raw.flatMap { $0.isEmpty && !typed.isEmpty ? nil : $0 }
    guard [isExternal, raw != nil, !typed.isEmpty].count(where: { $0 }) <= 1 else {
      throw CoalitionError(.invalidData, "\(subject) has its data in more than one place")
    }

    let elements: Tensor.Elements
    if isExternal {
      let file = try ExternalData(external).read(
        expected: byteCount, folder: folder, budget: &budget)
      try budget.charge(count, of: held.byteCount)
      elements = try FixedElements(bytes: file, ranges: [file.indices], subject: subject)
        .decode(type)
      budget.refund(file.count)
    } else if raw != nil || type == .float || type == .double {
      // `float_data` and `double_data` hold the same bytes as `raw_data` would.
      let ranges = raw.map { [$0] } ?? payloads(of: type)
      let found = ranges.reduce(0) { $0 + $1.count }
      guard found == byteCount else { throw unfilled("\(byteCount) bytes of \(type)", "\(found)") }
      try budget.charge(count, of: held.byteCount)
      elements = try FixedElements(bytes: bytes, ranges: ranges, subject: subject).decode(type)
    } else {
      let ranges = payloads(of: type)
      // The last byte of each varint has its top bit clear.
      let found = ranges.reduce(0) { $0 + bytes[$1].count { $0 < 0x80 } }
      guard found == count else { throw unfilled("\(count) elements", "\(found)") }
      try budget.charge(count, of: held.byteCount)
      elements = try variableElements(type, ranges, count: count)
    }
    return try Tensor(shape: dims, elements: elements)
  }

  /// Where the elements lie in the typed field that belongs to the type.
  private func payloads(of type: DataType) -> [Range<Int>] {
    let field =
      switch type {
      case .float: Schema.Tensor.floatData
      case .double: Schema.Tensor.doubleData
      case .int64: Schema.Tensor.int64Data
      case .uint32, .uint64: Schema.Tensor.uint64Data
      default: Schema.Tensor.int32Data
      }
    return typed[field] ?? []
  }

  private func unfilled(_ expected: String, _ found: String) -> CoalitionError {
    CoalitionError(
      .invalidData, "the data of \(subject) do not fill its shape \(dims)", expected: expected,
      found: found)
  }

  /// Elements that stand as varints in `int32_data`, `int64_data` or `uint64_data`.
  private func variableElements(
    _ type: DataType, _ ranges: [Range<Int>], count: Int
  ) throws(CoalitionError) -> Tensor.Elements {
    // Writers extend a negative `int32` to ten bytes, or do not: its low half is what counts.
    func int32<Number: FixedWidthInteger>() throws(CoalitionError) -> [Number] {
      try integers(ranges, count) { Number(exactly: Int32(truncatingIfNeeded: $0)) }
    }
    switch type {
    case .int8: return .int32((try int32() as [Int8]).map { Int32($0) })
    case .int16: return .int32((try int32() as [Int16]).map { Int32($0) })
    case .uint16: return .int32((try int32() as [UInt16]).map { Int32($0) })
    case .int32: return .int32(try int32())
    case .uint8: return .uint8(try int32())
    case .bool: return .bool((try int32() as [UInt8]).map { $0 != 0 })
    case .float16: return .float32((try int32() as [UInt16]).map(HalfPrecision.float16))
    case .bfloat16: return .float32((try int32() as [UInt16]).map(HalfPrecision.bfloat16))
    case .int64: return .int64(try integers(ranges, count) { Int64(bitPattern: $0) })
    case .uint32:
      return .int64(try integers(ranges, count) { UInt32(exactly: $0).map { Int64($0) } })
    case .uint64: return .int64(try integers(ranges, count) { Int64(exactly: $0) })
    default:
      throw CoalitionError(.internalFault, "\(subject) has elements of type \(type)")
    }
  }

  /// The varints of `ranges`, `count` of them, converted.
  private func integers<Number>(
    _ ranges: [Range<Int>], _ count: Int, _ convert: (UInt64) -> Number?
  ) throws(CoalitionError) -> [Number] {
    var values: [Number] = []
    values.reserveCapacity(count)
    for range in ranges {
      var reader = WireReader(bytes, range)
      while !reader.isAtEnd {
        let bits = try reader.varint()
        guard let value = convert(bits) else {
          throw CoalitionError(
            .invalidData, "an element of \(subject) does not fit its type", found: "\(bits)")
        }
        values.append(value)
      }
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
