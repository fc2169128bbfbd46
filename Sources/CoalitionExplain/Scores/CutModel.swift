// A model cut at inner values, which become its inputs.

package import CoalitionBase
package import CoalitionNet

/// A model whose inputs are some of another model's values, and the plan that computes them.
package struct CutModel: Sendable {
  package let model: Model
  /// Computes the new inputs from the old ones: nil when nothing was cut.
  package let front: Plan?
  /// Old inputs that the part behind the cut still reads.
  package let kept: [String]

  /// - Parameter values: where to cut; none for the whole model.
  package init(
    _ model: Model, at values: [String], target: String, _ options: PlanOptions
  ) throws(CoalitionError) {
    let inputs = model.graph.inputs.map(\.name)
    let inner = values.filter { !inputs.contains($0) }
    guard !inner.isEmpty else {
      (self.model, front, kept) = (model, nil, inputs)
      return
    }
    var frontOptions = options
    frontOptions.outputs = inner
    let front = try Plan(model, frontOptions)
    var graph = model.graph
    var axes: [String: Int] = [:]
    for name in inner {
      let (port, axis) = try front.port(name)
      graph.inputs.append(port)
      if let axis { axes[name] = axis }
    }
    // What made the values is dropped with them.
    graph.nodes = graph.nodes.compactMap { node in
      var node = node
      node.outputs = node.outputs.map { inner.contains($0) ? "" : $0 }
      return node.outputs.allSatisfy(\.isEmpty) ? nil : node
    }
    graph.outputs = [Port(target, shape: nil)]
    graph = graph.withoutDeadNodes()
    let read = Set(graph.nodes.flatMap(\.inputs))
    graph.inputs.removeAll { !read.contains($0.name) }
    for name in inner where !read.contains(name) {
      throw CoalitionError(.usage, "the target does not depend on this value", node: name)
    }
    kept = graph.inputs.map(\.name).filter { inputs.contains($0) }
    if case .together(let given) = front.batching {
      for name in kept { axes[name] = given[name] }
    }
    self.model = try Model(graph, exampleAxes: axes)
    self.front = front
  }

  /// The inputs of the cut model for inputs of the whole one.
  package func inputs(
    _ tensors: [String: Tensor], _ options: RunOptions
  ) async throws(CoalitionError) -> [String: Tensor] {
    guard let front else { return tensors }
    var rows = try await front.run(tensors, options)
    for name in kept { rows[name] = tensors[name] }
    return rows
  }

  /// The rows of a cut value when every token of the inputs is `id`: [1, shape].
  func embedding(
    ofToken id: Int, _ name: String, _ options: RunOptions
  ) async throws(CoalitionError) -> Tensor {
    guard let front, let value = front.outputs.first(where: { $0.name == name }) else {
      throw CoalitionError(
        .usage, "a token is a baseline for embeddings only", node: name)
    }
    var tokens: [String: Tensor] = [:]
    for input in front.inputs {
      tokens[input.name] = Tensor(
        filling: [1] + input.shape, with: .int64([Int64](repeating: Int64(id), count: input.count)))
    }
    guard let rows = try await front.run(tokens, options)[name] else {
      throw CoalitionError(.internalFault, "the embedding was not computed", node: name)
    }
    return try rows.reshaped(to: [1] + value.shape)
  }
}
