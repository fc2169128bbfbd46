// The reference: a naive interpreter of graphs in double precision on row-major arrays with the real batch.
//
// It shares no code with the package but `Graph`: it has its own shape logic and reads attributes itself.

import CoalitionBase
import CoalitionNet

struct Reference {
  let graph: Graph
  var values: [String: Grid] = [:]

  /// All values of the graph.
  static func run(_ graph: Graph, _ inputs: [String: Grid]) -> [String: Grid] {
    var reference = Reference(graph: graph)
    for (name, tensor) in graph.constants { reference.values[name] = Grid(tensor) }
    for (name, grid) in inputs { reference.values[name] = grid }
    for node in graph.nodes {
      let call = Call(
        node: node, opset: graph.opsets[""] ?? 0,
        inputs: node.inputs.map { $0.isEmpty ? nil : reference.values[$0] })
      for (name, grid) in zip(node.outputs, call.outputs()) { reference.values[name] = grid }
    }
    return reference.values
  }

  /// One node with its inputs.
  struct Call {
    let node: Node
    let opset: Int
    let inputs: [Grid?]

    func input(_ index: Int) -> Grid {
      guard let grid = optional(index) else {
        preconditionFailure("\(node.operation) lacks input \(index)")
      }
      return grid
    }

    func optional(_ index: Int) -> Grid? { index < inputs.count ? inputs[index] : nil }

    func integers(_ index: Int) -> [Int]? {
      optional(index)?.values.map { Int(max(min($0, 0x1p62), -0x1p62)) }
    }

    func int(_ name: String, _ fallback: Int) -> Int {
      if case .int(let value)? = node.attributes[name] { value } else { fallback }
    }

    func float(_ name: String, _ fallback: Double) -> Double {
      if case .float(let value)? = node.attributes[name] { Double(value) } else { fallback }
    }

    func ints(_ name: String) -> [Int]? {
      if case .ints(let values)? = node.attributes[name] { values } else { nil }
    }

    func string(_ name: String, _ fallback: String) -> String {
      if case .string(let value)? = node.attributes[name] { value } else { fallback }
    }

    func axis(_ value: Int, _ rank: Int) -> Int { value < 0 ? value + rank : value }

    func outputs() -> [Grid] {
      if let function = unary() {
        let x = input(0)
        return [Grid(x.shape, x.values.map(function))]
      }
      if let function = binary() {
        let operands = inputs.compactMap { $0 }
        let shape = Grid.broadcastShape(operands.map(\.shape))
        return [
          Grid(shape) { index in
            let numbers = operands.map { $0.broadcast(index) }
            let result = numbers.dropFirst().reduce(numbers[0], function)
            return node.operation == "Mean" ? result / Double(numbers.count) : result
          }
        ]
      }
      return layer() ?? movement() ?? shapes()
    }
  }
}
