// Reader of the protobuf wire format: a message as a sequence of numbered fields.
//
// Promises: no read outside the message, nothing allocated from a length that was not compared with
// the bytes that are left, and `invalidData` with the byte's position for anything malformed.
// Groups (deprecated, never written for ONNX) are refused. Nothing here recurses: a caller descends
// into a message by asking for it, so depth is bounded by the caller's code.

import CoalitionBase

/// How the value of a field is laid out.
enum WireType: UInt8 {
  case varint = 0
  case fixed64 = 1
  case bytes = 2
  case fixed32 = 5
}

/// Steps through the fields of a message, which is a range of a file's bytes.
struct WireReader {
  let bytes: [UInt8]
  private(set) var position: Int
  let end: Int

  /// - Parameter range: lies within `bytes`; nil for all of them.
  init(_ bytes: [UInt8], _ range: Range<Int>? = nil) {
    self.bytes = bytes
    position = range?.lowerBound ?? 0
    end = range?.upperBound ?? bytes.count
  }

  var isAtEnd: Bool { position == end }

  /// The next field: nil at the end of the message.
  mutating func next() throws(CoalitionError) -> WireField? {
    guard position < end else { return nil }
    let start = position
    let key = try varint()
    let number = key >> 3
    guard number >= 1, number < 1 << 29 else {
      throw Self.malformed("a field number is out of range", at: start)
    }
    guard let type = WireType(rawValue: UInt8(key & 7)) else {
      throw Self.malformed("a field has wire type \(key & 7)", at: start)
    }
    let payload: Range<Int>
    switch type {
    case .varint:
      let first = position
      _ = try varint()
      payload = first..<position
    case .fixed64: payload = try take(8)
    case .fixed32: payload = try take(4)
    case .bytes:
      let length = try varint()
      guard length <= UInt64(end - position) else {
        throw CoalitionError(
          .invalidData,
          "the file is truncated or damaged: a field at byte \(start) is longer than its message",
          expected: "\(length) bytes", found: "\(end - position)")
      }
      payload = try take(Int(length))
    }
    return WireField(number: Int(number), type: type, payload: payload, bytes: bytes)
  }

  /// A base-128 number: seven bits a byte, low ones first, the top bit set on all bytes but the
  /// last.
  mutating func varint() throws(CoalitionError) -> UInt64 {
    let start = position
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while position < end {
      let byte = bytes[position]
      position += 1
      // The tenth byte holds the one bit that is left of 64.
      if shift == 63 && byte > 1 { break }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw Self.malformed("a number does not end", at: start)
  }

  private mutating func take(_ count: Int) throws(CoalitionError) -> Range<Int> {
    guard count <= end - position else {
      throw Self.malformed("a field is cut off", at: position)
    }
    defer { position += count }
    return position..<position + count
  }

  static func malformed(_ what: String, at position: Int) -> CoalitionError {
    CoalitionError(
      .invalidData, "the file is truncated or damaged: \(what) at byte \(position)")
  }
}

/// A field of a message. Values are decoded when they are asked for.
struct WireField {
  let number: Int
  let type: WireType
  /// The encoded value, without the length of a length-delimited one. So the payloads of a repeated
  /// number, one after the other, are the same bytes whether the writer packed them or not.
  let payload: Range<Int>
  let bytes: [UInt8]

  /// The value of a varint field in two's complement, as `int64`, `int32` and enumerations are
  /// written.
  func integer() throws(CoalitionError) -> Int {
    try require(.varint)
    var reader = WireReader(bytes, payload)
    return Int(truncatingIfNeeded: try reader.varint())
  }

  func float() throws(CoalitionError) -> Float {
    try require(.fixed32)
    return LittleEndian.numbers(Float.self, from: bytes, [payload])[0]
  }

  func string() throws(CoalitionError) -> String {
    guard let text = try stringIfValid() else {
      throw WireReader.malformed("a text is not UTF-8", at: payload.lowerBound)
    }
    return text
  }

  /// The text: nil when it is not UTF-8.
  func stringIfValid() throws(CoalitionError) -> String? {
    try require(.bytes)
    return String(validating: bytes[payload], as: UTF8.self)
  }

  func message() throws(CoalitionError) -> WireReader {
    try require(.bytes)
    return WireReader(bytes, payload)
  }

  /// The payload of a repeated number, packed or not.
  func repeated(_ element: WireType) throws(CoalitionError) -> Range<Int> {
    if type != .bytes { try require(element) }
    return payload
  }

  /// Appends the values of a repeated integer field.
  func appendIntegers(to values: inout [Int]) throws(CoalitionError) {
    var reader = WireReader(bytes, try repeated(.varint))
    while !reader.isAtEnd { values.append(Int(truncatingIfNeeded: try reader.varint())) }
  }

  /// Appends the values of a repeated float field.
  func appendFloats(to values: inout [Float]) throws(CoalitionError) {
    let range = try repeated(.fixed32)
    guard range.count % 4 == 0 else {
      throw WireReader.malformed("a list of floats is cut off", at: range.upperBound)
    }
    values += LittleEndian.numbers(Float.self, from: bytes, [range])
  }

  private func require(_ expected: WireType) throws(CoalitionError) {
    guard type == expected else {
      throw CoalitionError(
        .invalidData,
        "the file is damaged: field \(number) before byte \(payload.upperBound) has the wrong wire type",
        expected: "\(expected)", found: "\(type)")
    }
  }
}
