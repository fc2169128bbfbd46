// The list of operator families. A new family is one file in Operators/, one in csrc/ops, and a row in each list.

import CoalitionBase

package enum Catalogue {
  static let families: [any Operator.Type] = [
    Convolution.self,
    Gemm.self,
    MatMul.self,
    Pointwise.self,
    Arithmetic.self,
    BatchNormalization.self,
    Pooling.self,
    Softmax.self,
    Reshape.self,
    Transpose.self,
    Identity.self,
    Cast.self,
    Slice.self,
    Split.self,
    Expand.self,
    Tile.self,
    Concat.self,
    Pad.self,
    Gather.self,
    ConstantNode.self,
    ConstantOfShape.self,
    RangeNode.self,
    ShapeOf.self,
    Comparison.self,
    Where.self,
    ConstantNumbers.self,
    Reduction.self,
  ]

  private static let byName: [String: any Operator.Type] = {
    var table: [String: any Operator.Type] = [:]
    for family in families {
      for operation in family.operations { table[operation] = family }
    }
    return table
  }()

  /// The operators that the package knows, by their ONNX names.
  package static var operations: [String] { byName.keys.sorted() }

  /// Reads a node.
  /// - Throws: `unsupported` with node, operator and opset when no family knows it.
  static func read(_ node: Node, opsets: [String: Int]) throws(CoalitionError) -> any Operator {
    let domain = node.domain == "ai.onnx" ? "" : node.domain
    let opset = opsets[domain] ?? opsets[node.domain] ?? 0
    guard domain.isEmpty, let family = byName[node.operation] else {
      let name = domain.isEmpty ? node.operation : "\(domain).\(node.operation)"
      throw CoalitionError(
        .unsupported, "the operator \(name) (opset \(opset)) is not supported", node: node.label)
    }
    return try family.init(reading: NodeReader(node, opset: opset))
  }
}
