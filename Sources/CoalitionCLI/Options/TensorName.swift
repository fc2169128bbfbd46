// Tensors inside of a model, as users name them: by the tensor itself, or by the node that makes it.

import CoalitionBase
import CoalitionNet

extension Graph {
  /// The tensor that `name` stands for: a node's name means its first output.
  /// - Throws: `usage` with the nearest name when there is none.
  func tensor(named name: String, option: OptionDeclaration) throws(CoalitionError) -> String {
    if nodes.contains(where: { $0.outputs.contains(name) }) { return name }
    if !name.isEmpty, let node = nodes.first(where: { $0.name == name }),
      let output = node.outputs.first(where: { !$0.isEmpty })
    {
      return output
    }
    let known = nodes.flatMap { $0.outputs + [$0.name] }.filter { !$0.isEmpty }
    let advice = suggestion(
      for: name, in: known, otherwise: "coalition inspect --nodes lists them")
    throw CoalitionError(
      .usage, "--\(option.name): the model has no node or tensor '\(name)'\(advice)")
  }
}
