// The completeness ledger: per node, what of the signal, weighted by the change of the values, was lost or made up.
//
// A step whose output changes by dy under the multiplier m passes m dy on to its inputs when the method keeps
// completeness: the residual sum(m dy) - sum over inputs of sum(m_i dx_i) is 0. For relevance the sums are of the
// relevance itself.

import CoalitionBase

struct Ledger {
  /// Nodes in the order in which the signal reached them.
  private(set) var nodes: [String] = []
  private var sums: [String: View] = [:]

  /// Adds sign * sum(signal * weights).
  mutating func record(
    _ signal: View, times weights: View?, sign: Double, label: String, _ lowering: inout Lowering
  ) throws(CoalitionError) {
    var product = signal
    if let weights {
      product = try lowering.combined(.multiply, signal, weights, shape: signal.shape)
    }
    let dense = try lowering.copied(product)
    let sum = View(lowering.sum(dense.operand, rows: dense.count, columns: 1), shape: [1])
    if let old = sums[label] {
      sums[label] = try lowering.combined(sign > 0 ? .add : .subtract, old, sum, shape: [1])
    } else {
      nodes.append(label)
      let zero = View(lowering.constant(Tensor(.float64([0]))), shape: [1])
      sums[label] = try lowering.combined(sign > 0 ? .add : .subtract, zero, sum, shape: [1])
    }
  }

  /// All residuals as one vector, in the order of `nodes`.
  func vector(_ lowering: inout Lowering) throws(CoalitionError) -> View {
    let vector = View(lowering.buffer(nodes.count), shape: [nodes.count])
    for (index, node) in nodes.enumerated() {
      guard let sum = sums[node] else { continue }
      let slice = AxisSlice(axis: 0, first: index, count: 1)
      try lowering.copy(sum, to: try lowering.sliced(vector, slice))
    }
    return vector
  }
}
