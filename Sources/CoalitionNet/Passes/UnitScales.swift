// Factors of products taken into their constants: Y = alpha A B + beta C becomes Y = A B' + C'.
//
// Training changes weights as they are stored, which is possible when nothing stands between them and the product.

import CoalitionBase

extension Graph {
  /// The graph with alpha = beta = 1 in every Gemm whose constants allow it.
  package func withUnitScales() -> Graph {
    var copy = self
    for (index, node) in nodes.enumerated() where node.operation == "Gemm" && node.domain.isEmpty {
      for (attribute, places) in [("alpha", [1, 0]), ("beta", [2])] {
        guard case .float(let factor)? = node.attributes[attribute], factor != 1,
          let place = places.first(where: { node.input($0).map { constants[$0] != nil } ?? false }),
          let tensor = node.input(place).flatMap({ constants[$0] })
        else { continue }
        let name = "\(node.outputs[0])/\(attribute)"
        copy.constants[name] = Tensor(
          filling: tensor.shape,
          with: tensor.elementType == .float64
            ? .float64(tensor.doubles.map { $0 * Double(factor) })
            : .float32(tensor.floats.map { $0 * factor }))
        copy.nodes[index].inputs[place] = name
        copy.nodes[index].attributes[attribute] = .float(1)
      }
    }
    return copy.withoutDeadNodes()
  }
}
