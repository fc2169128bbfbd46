// JSON (RFC 8259) as values whose objects keep the order of their keys, so that files are reproducible.
//
// Numbers print as the shortest text that reads back to the same bits. JSON has no other numbers than
// finite ones: NaN is written as null, infinities as the strings "Infinity" and "-Infinity".

public indirect enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// A number without fraction and exponent.
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([Member])

  public struct Member: Hashable, Sendable {
    public var name: String
    public var value: JSONValue

    public init(_ name: String, _ value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  /// An object with these members, in this order.
  public static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
    .object(members.map { Member($0.key, $0.value) })
  }

  /// The member `name` of an object.
  public subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  public var text: String? {
    if case .string(let text) = self { text } else { nil }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { Member($0.0, $0.1) })
  }
}

// MARK: - Writing

extension JSONValue {
  /// The value as text, members of objects on lines of their own, two spaces deeper each.
  public var utf8: [UInt8] {
    var out: [UInt8] = []
    append(to: &out, depth: 0)
    return out
  }

  func append(to out: inout [UInt8], depth: Int) {
    switch self {
    case .null: out += Array("null".utf8)
    case .bool(let value): out += Array((value ? "true" : "false").utf8)
    case .integer(let value): out += Array(String(value).utf8)
    case .number(let value): Self.append(value, to: &out)
    case .string(let text): Self.append(text, to: &out)
    case .array(let values):
      out.append(UInt8(ascii: "["))
      for (index, value) in values.enumerated() {
        if index > 0 { out += [UInt8(ascii: ","), UInt8(ascii: " ")] }
        value.append(to: &out, depth: depth + 1)
      }
      out.append(UInt8(ascii: "]"))
    case .object(let members):
      out.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        Self.appendLine(to: &out, depth: depth + 1)
        Self.append(member.name, to: &out)
        out += [UInt8(ascii: ":"), UInt8(ascii: " ")]
        member.value.append(to: &out, depth: depth + 1)
      }
      if !members.isEmpty { Self.appendLine(to: &out, depth: depth) }
      out.append(UInt8(ascii: "}"))
    }
  }

  static func appendLine(to out: inout [UInt8], depth: Int) {
    out.append(0x0A)
    out += Array(repeating: 0x20, count: 2 * depth)
  }

  /// A number of either precision; its `description` is the shortest text that reads back.
  static func append<F: BinaryFloatingPoint & CustomStringConvertible>(
    _ value: F, to out: inout [UInt8]
  ) {
    if value.isFinite {
      out.append(contentsOf: value.description.utf8)
    } else if value.isNaN {
      out.append(contentsOf: "null".utf8)
    } else {
      out.append(contentsOf: (value > 0 ? "\"Infinity\"" : "\"-Infinity\"").utf8)
    }
  }

  static func append(_ text: String, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
      case 0x0A: out += Array("\\n".utf8)
      case 0x09: out += Array("\\t".utf8)
      case 0x0D: out += Array("\\r".utf8)
      case 0..<0x20:
        out += Array((byte < 0x10 ? "\\u000" : "\\u00").utf8)
        out += Array(String(byte, radix: 16).utf8)
      default: out.append(byte)
      }
    }
    out.append(UInt8(ascii: "\""))
  }
}
