// Which tensor of a model holds the scores.

public import CoalitionBase
public import CoalitionNet

extension Model {
  /// The value whose elements are explained by default: the output, or what enters the softmax or sigmoid that makes it.
  ///
  /// Behind a softmax the classes share one sum, so that what speaks for one class counts against the others.
  /// - Parameter output: which output; nil: the only one.
  /// - Throws: `usage` when the model has several outputs and none is named, or no output of that name.
  public func scoreTensor(
    of output: String? = nil, afterSoftmax: Bool = false
  ) throws(CoalitionError) -> String {
    let named = graph.outputs.filter { output == nil || $0.name == output }
    guard let output = named.first, named.count == 1 else {
      let names = graph.outputs.map(\.name).joined(separator: ", ")
      guard output == nil else {
        throw CoalitionError(.usage, "the model has no such output", node: output, expected: names)
      }
      throw CoalitionError(
        .usage, "the model has several outputs: name the one that is meant", expected: names)
    }
    if afterSoftmax { return output.name }
    var name = output.name
    // Between the softmax and the output there may be nodes that only rename or reshape.
    let passing = ["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast"]
    while let node = graph.nodes.first(where: { $0.outputs.contains(name) }) {
      guard let input = node.input(0) else { break }
      if ["Softmax", "LogSoftmax", "Sigmoid"].contains(node.operation) { return input }
      guard passing.contains(node.operation) else { break }
      name = input
    }
    return output.name
  }

  /// The values that hold embeddings: rows of constant tables chosen by whole-number inputs.
  package func embeddings() -> [String] {
    let integers = Set(
      graph.inputs.filter { [.int32, .int64].contains($0.elementType) }.map(\.name))
    var indices = integers
    var found: [String] = []
    for node in graph.nodes {
      guard let first = node.input(0), let output = node.outputs.first else { continue }
      if ["Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Transpose"]
        .contains(node.operation), indices.contains(first)
      {
        indices.insert(output)
      }
      if node.operation == "Gather", graph.constants[first] != nil,
        let index = node.input(1), indices.contains(index)
      {
        found.append(output)
      }
    }
    return found
  }
}
