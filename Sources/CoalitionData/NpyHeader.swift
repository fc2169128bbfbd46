// The header of an npy file: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
//
// A strict reader of that one Python literal: the three keys once each, in any order, strings without
// escapes, non-negative decimal sizes. Anything else is refused with the place where it stands.

import CoalitionBase

struct NpyHeader {
  enum Item {
    case number(StoredType)
    /// Strings of this many code points.
    case text(width: Int)
  }

  private(set) var item = Item.number(.uint8)
  private(set) var bigEndian = false
  private(set) var fortranOrder = false
  private(set) var shape: [Int] = []
  private(set) var dataOffset = 0

  var itemSize: Int {
    switch item {
    case .number(let type): type.byteCount
    case .text(let width): 4 * width
    }
  }

  /// NumPy itself stops at 64 axes.
  private static let mostAxes = 64

  init(_ bytes: [UInt8]) throws(CoalitionError) {
    guard bytes.starts(with: Npy.magic) else {
      throw CoalitionError(.invalidData, "not an npy file", expected: "the bytes \\x93NUMPY")
    }
    guard let major = bytes.littleEndian(UInt8.self, at: 6) else { throw Self.truncated }
    let length: Int?
    switch major {
    case 1:
      length = bytes.littleEndian(UInt16.self, at: 8).map(Int.init)
      dataOffset = 10
    case 2, 3:
      length = bytes.littleEndian(UInt32.self, at: 8).map(Int.init)
      dataOffset = 12
    default:
      throw CoalitionError(
        .unsupported, "unknown version of the npy format", expected: "1, 2 or 3",
        found: "\(major)")
    }
    guard let length, length <= bytes.count - dataOffset else { throw Self.truncated }
    var literal = PythonLiteral(bytes[dataOffset..<dataOffset + length])
    dataOffset += length
    try read(&literal)
  }

  func elementCount() throws(CoalitionError) -> Int {
    guard let count = Tensor.count(of: shape) else {
      throw CoalitionError(.invalidData, "the shape is too large to count", found: "\(shape)")
    }
    return count
  }

  private static var truncated: CoalitionError {
    CoalitionError(.invalidData, "the file ends within the npy header")
  }

  private mutating func read(_ literal: inout PythonLiteral) throws(CoalitionError) {
    var seen: Set<String> = []
    try literal.expect("{")
    while !literal.take("}") {
      let key = try literal.string()
      guard seen.insert(key).inserted else {
        throw CoalitionError(.invalidData, "the npy header has the key '\(key)' twice")
      }
      try literal.expect(":")
      switch key {
      case "descr": try readType(&literal)
      case "fortran_order": fortranOrder = try literal.boolean()
      case "shape": shape = try literal.sizes(atMost: Self.mostAxes)
      default:
        throw CoalitionError(.invalidData, "the npy header has an unknown key", found: "'\(key)'")
      }
      if !literal.take(",") {
        try literal.expect("}")
        break
      }
    }
    try literal.expectEnd()
    guard seen.count == 3 else {
      throw CoalitionError(
        .invalidData, "the npy header is incomplete", expected: "descr, fortran_order, shape",
        found: seen.sorted().joined(separator: ", "))
    }
  }

  private mutating func readType(_ literal: inout PythonLiteral) throws(CoalitionError) {
    guard !literal.peek("[") else {
      throw CoalitionError(
        .unsupported, "structured arrays are not read", expected: "one number type")
    }
    let name = try literal.string()
    let order = name.first
    let code = String(name.dropFirst())
    let unknown = CoalitionError(
      .unsupported, "this type of array is not read",
      expected: "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1", found: "'\(name)'")
    let types: [String: StoredType] = [
      "f2": .float16, "f4": .float32, "f8": .float64, "i1": .int8, "i2": .int16, "i4": .int32,
      "i8": .int64, "u1": .uint8, "u2": .uint16, "u4": .uint32, "u8": .uint64, "b1": .bool,
    ]
    if let type = types[code] {
      item = .number(type)
    } else if code.first == "U", let width = Int(code.dropFirst()), 1...1_000_000 ~= width,
      code.dropFirst().allSatisfy({ $0.isASCII && $0.isNumber })
    {
      item = .text(width: width)
    } else {
      throw unknown
    }
    switch order {
    case "<", "=": bigEndian = false
    case ">": bigEndian = true
    case "|":
      // "Not applicable": right for single bytes only.
      guard itemSize == 1 else { throw unknown }
    default: throw unknown
    }
  }
}

/// A cursor over the few forms of Python literals that a header has.
private struct PythonLiteral {
  private var rest: ArraySlice<UInt8>

  init(_ text: ArraySlice<UInt8>) { rest = text }

  private mutating func skipSpaces() {
    while let byte = rest.first, byte == 0x20 || byte == 0x0A || byte == 0x09 || byte == 0x0D {
      rest.removeFirst()
    }
  }

  mutating func peek(_ mark: Unicode.Scalar) -> Bool {
    skipSpaces()
    return rest.first == UInt8(ascii: mark)
  }

  mutating func take(_ mark: Unicode.Scalar) -> Bool {
    guard peek(mark) else { return false }
    rest.removeFirst()
    return true
  }

  mutating func expect(_ mark: Unicode.Scalar) throws(CoalitionError) {
    guard take(mark) else { throw malformed("'\(mark)'") }
  }

  mutating func expectEnd() throws(CoalitionError) {
    skipSpaces()
    guard rest.isEmpty else { throw malformed("the end of the header") }
  }

  mutating func string() throws(CoalitionError) -> String {
    skipSpaces()
    guard let quote = rest.first, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
      throw malformed("a string")
    }
    rest.removeFirst()
    guard let end = rest.firstIndex(of: quote) else { throw malformed("the end of a string") }
    let text = rest[..<end]
    guard text.allSatisfy({ 0x20..<0x7F ~= $0 && $0 != UInt8(ascii: "\\") }) else {
      throw malformed("plain text in a string")
    }
    rest = rest[(end + 1)...]
    return String(decoding: text, as: UTF8.self)
  }

  mutating func boolean() throws(CoalitionError) -> Bool {
    skipSpaces()
    for (word, value) in [("True", true), ("False", false)] where rest.starts(with: word.utf8) {
      rest.removeFirst(word.utf8.count)
      return value
    }
    throw malformed("True or False")
  }

  /// `()`, `(3,)`, `(3, 4)`, with the `L` that Python 2 put after long integers.
  mutating func sizes(atMost limit: Int) throws(CoalitionError) -> [Int] {
    var sizes: [Int] = []
    try expect("(")
    while !take(")") {
      guard sizes.count < limit else { throw malformed("at most \(limit) axes") }
      sizes.append(try size())
      if !take(",") {
        try expect(")")
        // `(3)` is a number to Python, not a tuple.
        if sizes.count == 1 { throw malformed("',' after the only size") }
        break
      }
    }
    return sizes
  }

  private mutating func size() throws(CoalitionError) -> Int {
    skipSpaces()
    let digits = rest.prefix { 0x30...0x39 ~= $0 }
    guard !digits.isEmpty, let size = Int(String(decoding: digits, as: UTF8.self)) else {
      throw malformed("a size from 0 to \(Int.max)")
    }
    rest.removeFirst(digits.count)
    if rest.first == UInt8(ascii: "L") { rest.removeFirst() }
    return size
  }

  private func malformed(_ expected: String) -> CoalitionError {
    let found = rest.prefix(12).map { 0x20..<0x7F ~= $0 ? String(Unicode.Scalar($0)) : "?" }
    return CoalitionError(
      .invalidData, "the npy header is malformed", expected: expected,
      found: rest.isEmpty ? "its end" : "'\(found.joined())'")
  }
}
