// NodeProto -> Node, with all kinds of attributes.
//
// An attribute's value must agree with its declared kind. Kinds that no supported operator takes
// become `Attribute.unsupported` with the kind's name. Errors name the node and the attribute.

import CoalitionBase
import CoalitionNet

extension ModelDecoder {
  mutating func node(_ message: WireReader, index: Int) throws(CoalitionError) -> Node {
    var node = Node("", inputs: [], outputs: [])
    do throws(CoalitionError) {
      var reader = message
      while let field = try reader.next() {
        switch field.number {
        case Schema.Node.input: node.inputs.append(try text(field))
        case Schema.Node.output: node.outputs.append(try text(field))
        case Schema.Node.name: node.name = try text(field)
        case Schema.Node.operation: node.operation = try text(field)
        case Schema.Node.domain: node.domain = Version.domain(try text(field))
        case Schema.Node.attribute:
          try budget.charge(MemoryLayout<Attribute>.stride + 64)
          let (name, value) = try attribute(try field.message())
          guard node.attributes.updateValue(value, forKey: name) == nil else {
            throw CoalitionError(.invalidData, "two attributes have the name '\(name)'")
          }
        default: break
        }
      }
      guard !node.operation.isEmpty else {
        throw CoalitionError(.invalidData, "the node names no operator")
      }
    } catch {
      let isNameless = node.name.isEmpty && !node.outputs.contains { !$0.isEmpty }
      throw error.at(isNameless ? "node \(index)" : node.label)
    }
    return node
  }

  mutating func text(_ field: WireField) throws(CoalitionError) -> String {
    try budget.charge(MemoryLayout<String>.stride + field.payload.count)
    return try field.string()
  }

  private mutating func attribute(
    _ message: WireReader
  ) throws(CoalitionError) -> (name: String, value: Attribute) {
    var name = ""
    do throws(CoalitionError) {
      var declared: Int?
      var found: AttributeKind?
      var value: Attribute?
      var reader = message
      while let field = try reader.next() {
        switch field.number {
        case Schema.Attribute.name: name = try text(field)
        case Schema.Attribute.kind: declared = try field.integer()
        case Schema.Attribute.reference:
          throw CoalitionError(.invalidData, "it refers to a function's attribute outside of one")
        default:
          guard let kind = AttributeKind(field: field.number) else { break }
          guard found ?? kind == kind else {
            throw CoalitionError(.invalidData, "it has values of two kinds")
          }
          found = kind
          try add(field, kind, to: &value)
        }
      }
      guard !name.isEmpty else { throw CoalitionError(.invalidData, "an attribute has no name") }
      // Files of IR version 1 leave the kind to the field that is there; a 0 in later ones means
      // the same.
      let kind: AttributeKind?
      if let declared, declared != 0 {
        kind = AttributeKind(rawValue: declared)
        guard let kind, found ?? kind == kind else {
          throw CoalitionError(
            .invalidData, "its value is not of the declared kind",
            expected: kind.map { "\($0)" } ?? "a known kind",
            found: kind == nil ? "\(declared)" : found.map { "\($0)" })
        }
      } else {
        kind = found
      }
      if let value { return (name, value) }
      return (name, try Self.empty(kind))
    } catch {
      var described = error
      described.message = "attribute '\(name)': \(error.message)"
      throw described
    }
  }

  /// Takes another occurrence of an attribute's value: lists grow, of a single value the last one
  /// counts.
  private mutating func add(
    _ field: WireField, _ kind: AttributeKind, to value: inout Attribute?
  ) throws(CoalitionError) {
    switch kind {
    case .int: value = .int(try field.integer())
    case .float: value = .float(try field.float())
    case .string:
      try budget.charge(field.payload.count)
      value = try field.stringIfValid().map { .string($0) } ?? Self.notText
    case .ints:
      try budget.charge(field.payload.count, of: MemoryLayout<Int>.stride)
      var list: [Int] = []
      if case .ints(let before)? = value { list = before }
      value = nil
      try field.appendIntegers(to: &list)
      value = .ints(list)
    case .floats:
      try budget.charge(field.payload.count)
      var list: [Float] = []
      if case .floats(let before)? = value { list = before }
      value = nil
      try field.appendFloats(to: &list)
      value = .floats(list)
    case .strings:
      try budget.charge(MemoryLayout<String>.stride + field.payload.count)
      guard value != Self.notText else { break }
      var list: [String] = []
      if case .strings(let before)? = value { list = before }
      value = nil
      if let text = try field.stringIfValid() {
        list.append(text)
        value = .strings(list)
      } else {
        value = Self.notText
      }
    case .tensor:
      guard value == nil else { throw CoalitionError(.invalidData, "it has two tensors") }
      let record = try TensorRecord(try field.message(), budget: &budget)
      value = .tensor(try record.tensor(folder: folder, budget: &budget))
    case .graph, .graphs, .tensors, .sparseTensor, .sparseTensors, .typeProto, .typeProtos:
      value = .unsupported("\(kind)")
    }
  }

  /// Attribute texts are bytes to ONNX, and text to all operators that are supported.
  private static let notText = Attribute.unsupported("string that is not UTF-8")

  /// The value of an attribute whose value field is absent: writers leave out zeros and empty
  /// lists.
  private static func empty(_ kind: AttributeKind?) throws(CoalitionError) -> Attribute {
    switch kind {
    case .int: .int(0)
    case .float: .float(0)
    case .string: .string("")
    case .ints: .ints([])
    case .floats: .floats([])
    case .strings: .strings([])
    case .graphs, .tensors, .sparseTensors, .typeProtos: .unsupported(kind.map { "\($0)" } ?? "")
    case .tensor, .graph, .sparseTensor, .typeProto, nil:
      throw CoalitionError(.invalidData, "it has no value")
    }
  }
}
