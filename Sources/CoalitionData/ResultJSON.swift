// The JSON form of results. Numbers go to and from text directly: a tree of values would take many times
// the memory of the arrays.

import CoalitionBase

extension ResultFile {
  var json: [UInt8] {
    var out = Array("{\n  \"metadata\": ".utf8)
    metadata.append(to: &out, depth: 1)
    out += Array(",\n  \"arrays\": {".utf8)
    for (index, array) in arrays.enumerated() {
      if index > 0 { out.append(UInt8(ascii: ",")) }
      JSONValue.appendLine(to: &out, depth: 2)
      JSONValue.append(array.name, to: &out)
      out += Array(": {\"dtype\": \"\(array.contents.jsonType)\", \"shape\": ".utf8)
      JSONValue.array(array.contents.shape.map { .integer($0) }).append(to: &out, depth: 3)
      out += Array(", \"data\": [".utf8)
      array.contents.appendData(to: &out)
      out += Array("]}".utf8)
    }
    if !arrays.isEmpty { JSONValue.appendLine(to: &out, depth: 1) }
    out += Array("}\n}\n".utf8)
    return out
  }

  init(json bytes: [UInt8]) throws(CoalitionError) {
    let value = try JSONValue(parsing: bytes)
    guard let metadata = value["metadata"] else {
      throw CoalitionError(.invalidData, "not a result: there is no metadata")
    }
    try self.init(checking: metadata)
    guard case .object(let members) = value["arrays"] else {
      throw CoalitionError(.invalidData, "not a result: there are no arrays")
    }
    // The parser has seen to it that no name comes twice.
    var read: [(name: String, contents: ResultArray)] = []
    for member in members {
      do throws(CoalitionError) {
        read.append((member.name, try ResultArray(json: member.value)))
      } catch {
        throw error.at("array \(member.name)")
      }
    }
    arrays = read
  }
}

extension ResultArray {
  fileprivate var jsonType: String {
    switch self {
    case .tensor(let tensor): tensor.elementType.rawValue
    case .strings: "string"
    }
  }

  fileprivate func appendData(to out: inout [UInt8]) {
    switch self {
    case .strings(let strings): Self.append(strings, to: &out) { JSONValue.append($0, to: &$1) }
    case .tensor(let tensor):
      switch tensor.elements {
      case .float32(let values): Self.append(values, to: &out) { JSONValue.append($0, to: &$1) }
      case .float64(let values): Self.append(values, to: &out) { JSONValue.append($0, to: &$1) }
      case .int32(let values): Self.append(values, to: &out) { $1 += String($0).utf8 }
      case .int64(let values): Self.append(values, to: &out) { $1 += String($0).utf8 }
      case .uint8(let values): Self.append(values, to: &out) { $1 += String($0).utf8 }
      case .bool(let values): Self.append(values, to: &out) { $1 += ($0 ? "true" : "false").utf8 }
      }
    }
  }

  private static func append<T>(
    _ values: [T], to out: inout [UInt8], _ one: (T, inout [UInt8]) -> Void
  ) {
    for (index, value) in values.enumerated() {
      if index > 0 { out += [UInt8(ascii: ","), UInt8(ascii: " ")] }
      one(value, &out)
    }
  }

  // MARK: Reading

  fileprivate init(json value: JSONValue) throws(CoalitionError) {
    guard let type = value["dtype"]?.text, case .array(let sizes) = value["shape"],
      case .array(let data) = value["data"]
    else {
      throw CoalitionError(.invalidData, "an array has no dtype, shape and data")
    }
    let shape = try Self.all(sizes, "a size") { value -> Int? in
      if case .integer(let size) = value, size >= 0 { size } else { nil }
    }
    if type == "string" {
      let strings = try Self.all(data, "a string") { $0.text }
      guard shape == [strings.count] else {
        throw CoalitionError(
          .shapeMismatch, "the strings do not fill the shape \(shape)", found: "\(strings.count)")
      }
      self = .strings(strings)
      return
    }
    guard let elementType = ElementType(rawValue: type) else {
      throw CoalitionError(
        .unsupported, "unknown dtype",
        expected: ElementType.allCases.map(\.rawValue).joined(separator: ", "), found: type)
    }
    self = .tensor(try Tensor(shape: shape, elements: try Self.elements(data, elementType)))
  }

  private static func elements(
    _ data: [JSONValue], _ type: ElementType
  ) throws(CoalitionError) -> Tensor.Elements {
    switch type {
    case .float32: .float32(try all(data, "a number") { $0.real.map { Float($0) } })
    case .float64: .float64(try all(data, "a number") { $0.real })
    case .int32:
      .int32(try all(data, "a 32-bit integer") { $0.whole.flatMap(Int32.init(exactly:)) })
    case .int64: .int64(try all(data, "an integer") { $0.whole.flatMap(Int64.init(exactly:)) })
    case .uint8: .uint8(try all(data, "a byte") { $0.whole.flatMap(UInt8.init(exactly:)) })
    case .bool:
      .bool(try all(data, "true or false") { if case .bool(let value) = $0 { value } else { nil } })
    }
  }

  private static func all<T>(
    _ values: [JSONValue], _ expected: String, _ convert: (JSONValue) -> T?
  ) throws(CoalitionError) -> [T] {
    var converted: [T] = []
    converted.reserveCapacity(values.count)
    for (index, value) in values.enumerated() {
      guard let element = convert(value) else {
        throw CoalitionError(
          .invalidData, "value \(index) has the wrong type", expected: expected)
      }
      converted.append(element)
    }
    return converted
  }
}

extension JSONValue {
  fileprivate var whole: Int? {
    if case .integer(let value) = self { value } else { nil }
  }

  /// A floating-point number with the forms that stand for those JSON does not have.
  fileprivate var real: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    case .null: .nan
    case .string("Infinity"): .infinity
    case .string("-Infinity"): -.infinity
    default: nil
    }
  }
}
