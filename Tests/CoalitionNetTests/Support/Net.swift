// Building graphs in tests.

import CoalitionBase
import CoalitionNet

struct Net {
  var graph: Graph

  init(opset: Int = 21) { graph = Graph(opsets: ["": opset]) }

  /// An input whose axis `axis` counts examples; the sizes are those of the others. nil: no such axis.
  mutating func input(
    _ sizes: [Int], axis: Int? = 0, _ type: ElementType = .float32
  ) -> String {
    let name = "x\(graph.inputs.count)"
    var shape = sizes.map { Dimension.fixed($0) }
    if let axis { shape.insert(.symbolic("N"), at: axis) }
    graph.inputs.append(Port(name, type, shape: shape))
    return name
  }

  mutating func constant(_ tensor: Tensor) -> String {
    let name = "c\(graph.constants.count)"
    graph.constants[name] = tensor
    return name
  }

  mutating func integers(_ values: [Int]) -> String {
    constant(Tensor(.int64(values.map { Int64($0) })))
  }

  mutating func integer(_ value: Int) -> String {
    constant(Tensor(filling: [], with: .int64([Int64(value)])))
  }

  mutating func add(
    _ operation: String, _ inputs: [String], _ attributes: [String: Attribute] = [:]
  ) -> String {
    add(operation, inputs, attributes, outputs: 1)[0]
  }

  mutating func add(
    _ operation: String, _ inputs: [String], _ attributes: [String: Attribute] = [:], outputs: Int
  ) -> [String] {
    let names = (0..<outputs).map { "v\(graph.nodes.count).\($0)" }
    graph.nodes.append(
      Node(
        operation, name: "\(operation)\(graph.nodes.count)", inputs: inputs, outputs: names,
        attributes: attributes))
    return names
  }

  mutating func output(_ names: String...) {
    graph.outputs += names.map { Port($0, shape: nil) }
  }
}
