// Constants out of nodes: what a Constant node holds, or an Identity repeats, becomes a constant of the graph.
//
// Passes that read weights, and the store of packed blocks, then find them under one roof.

import CoalitionBase

extension Graph {
  /// The graph without Constant nodes and without Identity nodes of constants. Outputs of the graph stay nodes.
  package func liftingConstants() -> Graph {
    let exposed = Set(outputs.map(\.name))
    var copy = self
    copy.nodes = []
    for node in nodes {
      let isStandard = node.domain.isEmpty || node.domain == "ai.onnx"
      if isStandard, node.outputs.count == 1, !exposed.contains(node.outputs[0]) {
        if node.operation == "Constant", node.attributes.count == 1,
          case .tensor(let tensor)? = node.attributes["value"]
        {
          copy.constants[node.outputs[0]] = tensor
          continue
        }
        if node.operation == "Identity", let name = node.input(0), let tensor = copy.constants[name]
        {
          copy.constants[node.outputs[0]] = tensor
          continue
        }
      }
      copy.nodes.append(node)
    }
    return copy
  }
}
