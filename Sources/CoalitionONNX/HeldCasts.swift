// Casts as they are written: to the types that tensors are held in.
//
// Reading widens 16-bit floats and narrow integers, of weights, inputs and outputs alike, and
// writing gives the wide types. A cast that still named the narrow type would bring it back beside
// operands of the wide one, which no runtime takes. Where only the low bits of whole numbers remain,
// the cast is more than a type: it stays as it is when its result goes into nothing but further
// casts and shapes, and is refused elsewhere.

import CoalitionBase
import CoalitionNet

extension Graph {
  /// The graph with every cast to a type that tensors are held in, but for those that wrap.
  /// - Throws: `unsupported` for a cast that wraps and whose result meets wider numbers.
  func withHeldCasts() throws(CoalitionError) -> Graph {
    var copy = self
    var held: [String: ElementType] = constants.mapValues(\.elementType)
    for port in inputs { held[port.name] = port.elementType }
    // Values that are more than the input of a cast or of a shape.
    var met = Set(outputs.map(\.name))
    for node in nodes where !(node.isStandard && Self.takesAnyType.contains(node.operation)) {
      met.formUnion(node.inputs)
    }
    for (index, node) in nodes.enumerated() {
      guard let type = node.castType, let wide = type.held else { continue }
      if let output = node.outputs.first { held[output] = wide }
      guard wide.dataType != type else { continue }
      if !type.wraps(node.input(0).flatMap { held[$0] }) {
        copy.nodes[index].attributes["to"] = .int(wide.dataType.rawValue)
      } else if !met.isDisjoint(with: node.outputs) {
        throw CoalitionError(
          .unsupported,
          "a cast to \(type) cannot be written where its result meets numbers of another type",
          node: node.label, expected: "\(wide.dataType)")
      }
    }
    return copy
  }

  /// Operators whose result has the same type whatever that of their input.
  private static let takesAnyType: Set = ["Cast", "Shape", "Size"]
}

extension Node {
  fileprivate var isStandard: Bool { Version.domain(domain).isEmpty }

  /// The type that a Cast names: nil for other nodes.
  fileprivate var castType: DataType? {
    guard isStandard, operation == "Cast", case .int(let number)? = attributes["to"] else {
      return nil
    }
    return DataType(rawValue: number)
  }
}

extension DataType {
  /// Whether a cast from a type may keep no more than the low bits of a whole number.
  fileprivate func wraps(_ source: ElementType?) -> Bool {
    switch self {
    case .int8: source != .bool
    case .int16, .uint16, .uint32: source != .bool && source != .uint8
    default: false
    }
  }
}
