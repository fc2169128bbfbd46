// Batch normalisation folded into the affine map before it.
//
//     BN(W x + b) = s (W x + b - mean) + beta = (s W) x + (s (b - mean) + beta),   s = gamma / sqrt(var + epsilon)
//
// The new weights are kept in double precision. Methods that need the node (LRP rules, pruning scores) leave it in.

import CoalitionBase

extension Graph {
  /// The graph with every BatchNormalization in inference form that alone reads the output of a Conv or Gemm with
  /// constant weights folded into it.
  package func foldingBatchNormalization() -> Graph {
    let uses = uses()
    var copy = self
    var removed = Set<Int>()
    for (index, node) in nodes.enumerated()
    where node.operation == "Conv" || node.operation == "Gemm" {
      guard node.domain.isEmpty, let next = soleReader(of: node.outputs[0], uses),
        nodes[next].operation == "BatchNormalization", nodes[next].domain.isEmpty,
        nodes[next].input(0) == node.outputs[0],
        let scaling = BatchNormalization.Scaling(nodes[next], constants: constants),
        let folded = scaling.folded(into: node, constants: constants)
      else { continue }
      var affine = node
      affine.outputs = [nodes[next].outputs[0]]
      let stem = "\(nodes[next].outputs[0])/folded"
      affine.inputs = [node.inputs[0], "\(stem)/weight", "\(stem)/bias"]
      if node.operation == "Gemm" { affine.attributes["beta"] = .float(1) }
      copy.constants["\(stem)/weight"] = folded.weight
      copy.constants["\(stem)/bias"] = folded.bias
      copy.nodes[index] = affine
      removed.insert(next)
    }
    copy.nodes = copy.nodes.enumerated().filter { !removed.contains($0.offset) }.map(\.element)
    return copy
  }
}

extension BatchNormalization.Scaling {
  /// The weight and bias of an affine node with this scaling behind it.
  fileprivate func folded(
    into node: Node, constants: [String: Tensor]
  ) -> (weight: Tensor, bias: Tensor)? {
    guard let name = node.input(1), let weight = constants[name] else { return nil }
    // One number per unit: none, a row of them, or one for all. A bias per row of a Gemm is none of these.
    var old: [Double]?
    if let bias = node.input(2) {
      guard let value = constants[bias] else { return nil }
      if value.count == 1 {
        old = Array(repeating: value.doubles[0], count: scale.count)
      } else if value.shape.last == scale.count, value.count == scale.count {
        old = value.doubles
      } else {
        return nil
      }
    }
    var axis = 0
    var factor = 1.0
    if node.operation == "Gemm" {
      axis = node.attributes["transB"] == .int(1) ? 0 : 1
      if case .float(let beta)? = node.attributes["beta"] { factor = Double(beta) }
      guard node.attributes["transA"] != .int(1) else { return nil }
    }
    guard weight.rank > axis, weight.shape[axis] == scale.count else { return nil }
    let inner = weight.shape[(axis + 1)...].reduce(1, *)
    let numbers = weight.doubles.enumerated().map { index, value in
      value * scale[index / inner % scale.count]
    }
    let biases = scale.indices.map { unit in
      (old.map { $0[unit] * factor } ?? 0) * scale[unit] + shift[unit]
    }
    return (
      Tensor(filling: weight.shape, with: .float64(numbers)), Tensor(.float64(biases))
    )
  }
}
