// Removal of nodes that no output depends on.

import CoalitionBase

extension Graph {
  /// The graph without nodes and constants that its outputs do not need. Inputs stay: they are the model's interface.
  package func withoutDeadNodes() -> Graph {
    var needed = Set(outputs.map(\.name))
    var kept: [Node] = []
    for node in nodes.reversed() where node.outputs.contains(where: needed.contains) {
      // "" is no value but an optional input that is left out, or an output that nobody wants.
      needed.formUnion(node.inputs.filter { !$0.isEmpty })
      kept.append(node)
    }
    var copy = self
    copy.nodes = kept.reversed()
    copy.constants = constants.filter { needed.contains($0.key) }
    return copy
  }
}
