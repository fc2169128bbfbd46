// A graph with positions removed from the axes of its values.
//
// Constants lose their rows, columns, channels; nodes that have sizes written down (targets of Reshape, parts of Split,
// numbers of groups) get the new ones. Everything else follows by inference, which is also the check: every value of
// the new graph must have the shape that is left of the old one.

package import CoalitionBase

/// A node on its way into a smaller graph.
package struct ShrunkNode {
  package var node: Node
  let inputs: Inputs
  let outputs: [ValueInfo]
  let opset: Int
  /// Whether shapes that the model computes are to be written down.
  fileprivate let writesShapes: Bool
  fileprivate let kept: [String: [[Int]?]]
  fileprivate let constants: Set<String>
  /// Constants that the node has got.
  fileprivate var added: [String: Tensor] = [:]

  func shape(_ port: PortAxis.Port) -> [Int]? {
    switch port {
    case .input(let index): inputs[optional: index]?.shape
    case .output(let index): index < outputs.count ? outputs[index].shape : nil
    }
  }

  /// The positions that are left of an axis: nil when it stays whole.
  func kept(_ axis: PortAxis) -> [Int]? {
    let name: String? =
      switch axis.port {
      case .input(let index): inputs.node.input(index)
      case .output(let index):
        index < inputs.node.outputs.count ? inputs.node.outputs[index] : nil
      }
    return name.flatMap { kept[$0] }?[axis.axis]
  }

  /// A constant of the node's own in place of an input; others may read the old one.
  mutating func setIntegers(_ index: Int, _ values: [Int], _ role: String) {
    let name = "\(node.outputs.first { !$0.isEmpty } ?? node.name)/\(role)"
    var unused = name
    while constants.contains(unused) || added[unused] != nil { unused += "'" }
    added[unused] = Tensor(.int64(values.map { Int64($0) }))
    while node.inputs.count <= index { node.inputs.append("") }
    node.inputs[index] = unused
  }

  /// Makes the shape that input `index` holds that of the smaller output: entries 0 and -1 stay as they are. A shape
  /// that the model computes stays too, unless it is to be written down.
  mutating func rewriteShape(_ index: Int) throws(CoalitionError) {
    guard let output = outputs.first, let name = inputs.node.input(index),
      let target = try inputs.constantIntegers(index, "shape"), target.count <= output.shape.count
    else { return }
    let offset = output.shape.count - target.count
    let sizes = output.shape.indices.map { kept(.output($0))?.count ?? output.shape[$0] }
    guard sizes != output.shape else { return }
    var shape = target
    if constants.contains(name) {
      for axis in shape.indices where shape[axis] == output.shape[axis + offset] {
        shape[axis] = sizes[axis + offset]
      }
    } else if writesShapes {
      shape = Array(sizes[offset...])
      if node.operation == "Reshape", let axis = output.example.anyAxis { shape[axis] = -1 }
    }
    if shape != target || !constants.contains(name) && writesShapes {
      setIntegers(index, shape, "shape")
    }
  }
}

extension Operator {
  package func shrink(_ node: inout ShrunkNode) throws(CoalitionError) {}
}

extension Model {
  /// The graph without the positions that `kept` leaves out.
  /// - Parameters:
  ///   - analysis: of the graph with its constants lifted, for `shapes`.
  ///   - kept: as `AxisClasses.kept`.
  /// - Throws: `unsupported` for a value that would not have the shape that is left of it.
  package func shrunk(
    _ analysis: Analysis, keeping kept: [String: [[Int]?]], shapes: [String: [Int]] = [:]
  ) throws(CoalitionError) -> Graph {
    do throws(CoalitionError) {
      return try checked(analysis, keeping: kept, writesShapes: false, shapes)
    } catch  where error.code != .memoryLimit {
      // Shapes that are computed from others and from written sizes follow only in part.
      return try checked(analysis, keeping: kept, writesShapes: true, shapes)
    }
  }

  private func checked(
    _ analysis: Analysis, keeping kept: [String: [[Int]?]], writesShapes: Bool,
    _ shapes: [String: [Int]]
  ) throws(CoalitionError) -> Graph {
    let graph = try analysis.shrunk(keeping: kept, writesShapes: writesShapes)
    let check = try rebuilt(graph).analysed(shapes).analysis
    for node in check.graph.nodes {
      for output in node.outputs where !output.isEmpty {
        guard let old = analysis.values[output]?.shape, let new = check.values[output]?.shape
        else { continue }
        let expected = old.indices.map { axis in
          kept[output]?[axis]?.count ?? old[axis]
        }
        guard new == expected else {
          throw CoalitionError(
            .unsupported, "the node cannot be made to fit the removed units", node: node.label,
            expected: "\(expected)", found: "\(new)")
        }
      }
    }
    return graph
  }
}

extension Analysis {
  fileprivate func shrunk(
    keeping kept: [String: [[Int]?]], writesShapes: Bool
  ) throws(CoalitionError) -> Graph {
    var result = graph
    for (name, axes) in kept {
      guard var tensor = result.constants[name] else { continue }
      for (axis, positions) in axes.enumerated() {
        if let positions { tensor = tensor.keeping(positions, axis: axis) }
      }
      result.constants[name] = tensor
    }
    let names = Set(graph.constants.keys)
    for (index, (node, operation)) in zip(graph.nodes, operators).enumerated() {
      let domain = node.domain == "ai.onnx" ? "" : node.domain
      var shrunk = ShrunkNode(
        node: node, inputs: inputs(of: node),
        outputs: node.outputs.map { values[$0] ?? ValueInfo(shape: []) },
        opset: graph.opsets[domain] ?? graph.opsets[node.domain] ?? 0, writesShapes: writesShapes,
        kept: kept, constants: names)
      do throws(CoalitionError) {
        try operation.shrink(&shrunk)
      } catch {
        throw error.at(node.label)
      }
      result.nodes[index] = shrunk.node
      result.constants.merge(shrunk.added) { $1 }
    }
    return result.withoutDeadNodes()
  }
}

extension Tensor {
  /// Some positions of an axis, in their order.
  func keeping(_ positions: [Int], axis: Int) -> Tensor {
    let inner = shape[(axis + 1)...].reduce(1, *)
    let row = shape[axis] * inner
    var indices: [Int] = []
    for start in stride(from: 0, to: count, by: max(row, 1)) {
      for position in positions {
        let first = start + position * inner
        indices += first..<first + inner
      }
    }
    var shape = shape
    shape[axis] = positions.count
    return picking(indices, shape: shape)
  }
}
