// A strict JSON reader: RFC 8259 and nothing more, each key of an object once, at most 64 levels deep.

public import CoalitionBase

extension JSONValue {
  /// The value that the UTF-8 text holds.
  /// - Throws: `invalidData` with the offset of the first byte that does not fit.
  public init(parsing bytes: [UInt8]) throws(CoalitionError) {
    var parser = JSONParser(bytes: bytes)
    self = try parser.document()
  }
}

private struct JSONParser {
  let bytes: [UInt8]
  var position = 0

  private static let deepest = 64

  mutating func document() throws(CoalitionError) -> JSONValue {
    let value = try value(depth: 0)
    skipSpaces()
    guard position == bytes.count else { throw malformed("the end of the text") }
    return value
  }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpaces() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }

  private mutating func take(_ mark: Unicode.Scalar) -> Bool {
    skipSpaces()
    guard current == UInt8(ascii: mark) else { return false }
    position += 1
    return true
  }

  private func malformed(_ expected: String) -> CoalitionError {
    CoalitionError(
      .invalidData, "malformed JSON at byte \(position)", expected: expected,
      found: current.map { 0x20..<0x7F ~= $0 ? "'\(Unicode.Scalar($0))'" : "byte \($0)" }
        ?? "the end")
  }

  // MARK: Values

  private mutating func value(depth: Int) throws(CoalitionError) -> JSONValue {
    guard depth <= Self.deepest else { throw malformed("at most \(Self.deepest) levels") }
    skipSpaces()
    switch current {
    case UInt8(ascii: "{"): return .object(try members(depth: depth))
    case UInt8(ascii: "["): return .array(try elements(depth: depth))
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func word(
    _ word: String, _ value: JSONValue
  ) throws(CoalitionError) -> JSONValue {
    guard bytes[position...].starts(with: word.utf8) else { throw malformed("'\(word)'") }
    position += word.utf8.count
    return value
  }

  private mutating func members(depth: Int) throws(CoalitionError) -> [JSONValue.Member] {
    position += 1
    var members: [JSONValue.Member] = []
    if take("}") { return members }
    var names: Set<String> = []
    repeat {
      skipSpaces()
      guard current == UInt8(ascii: "\"") else { throw malformed("a name in quotes") }
      let name = try string()
      guard names.insert(name).inserted else { throw malformed("the name '\(name)' only once") }
      guard take(":") else { throw malformed("':'") }
      members.append(JSONValue.Member(name, try value(depth: depth + 1)))
    } while take(",")
    guard take("}") else { throw malformed("',' or '}'") }
    return members
  }

  private mutating func elements(depth: Int) throws(CoalitionError) -> [JSONValue] {
    position += 1
    var elements: [JSONValue] = []
    if take("]") { return elements }
    repeat { elements.append(try value(depth: depth + 1)) } while take(",")
    guard take("]") else { throw malformed("',' or ']'") }
    return elements
  }

  // MARK: Numbers

  private mutating func digits() throws(CoalitionError) {
    guard let first = current, 0x30...0x39 ~= first else { throw malformed("a digit") }
    while let byte = current, 0x30...0x39 ~= byte { position += 1 }
  }

  private mutating func number() throws(CoalitionError) -> JSONValue {
    let start = position
    guard let first = current, first == UInt8(ascii: "-") || 0x30...0x39 ~= first else {
      throw malformed("a value")
    }
    if first == UInt8(ascii: "-") { position += 1 }
    if current == UInt8(ascii: "0") {
      position += 1
      if let byte = current, 0x30...0x39 ~= byte { throw malformed("no digit after a leading 0") }
    } else {
      try digits()
    }
    var whole = true
    if current == UInt8(ascii: ".") {
      whole = false
      position += 1
      try digits()
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      whole = false
      position += 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
      try digits()
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if whole, let integer = Int(text) { return .integer(integer) }
    guard let number = Double(text), number.isFinite else {
      position = start
      throw malformed("a number in the range of double precision")
    }
    return .number(number)
  }

  // MARK: Strings

  private mutating func string() throws(CoalitionError) -> String {
    position += 1
    var text: [UInt8] = []
    while true {
      guard let byte = current, byte >= 0x20 else { throw malformed("the rest of a string") }
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: text, as: UTF8.self) else {
          throw malformed("a string in UTF-8")
        }
        return string
      case UInt8(ascii: "\\"): text += try escape()
      default: text.append(byte)
      }
    }
  }

  /// The UTF-8 of an escape, whose backslash has been read.
  private mutating func escape() throws(CoalitionError) -> [UInt8] {
    guard let byte = current else { throw malformed("an escape") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"): return try codePoint()
    default:
      position -= 1
      throw malformed("one of \" \\ / b f n r t u")
    }
  }

  private mutating func codePoint() throws(CoalitionError) -> [UInt8] {
    var code = try hexadecimal()
    if 0xD800..<0xDC00 ~= code {
      guard bytes[position...].starts(with: "\\u".utf8) else {
        throw malformed("the second half of a surrogate pair")
      }
      position += 2
      let low = try hexadecimal()
      guard 0xDC00..<0xE000 ~= low else { throw malformed("the second half of a surrogate pair") }
      code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw malformed("a code point") }
    return Array(String(scalar).utf8)
  }

  private mutating func hexadecimal() throws(CoalitionError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = current, let digit = hexDigit(byte) else {
        throw malformed("four hexadecimal digits")
      }
      code = code << 4 | digit
      position += 1
    }
    return code
  }

  private func hexDigit(_ byte: UInt8) -> UInt32? {
    switch byte {
    case 0x30...0x39: UInt32(byte) - 0x30
    case 0x41...0x46: UInt32(byte) - 0x41 + 10
    case 0x61...0x66: UInt32(byte) - 0x61 + 10
    default: nil
    }
  }
}
