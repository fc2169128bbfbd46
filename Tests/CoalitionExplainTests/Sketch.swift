// Small models for the tests, in double precision, and their numbers.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionExplain

/// A graph under construction; all numbers are float64.
struct Sketch {
  var graph = Graph(opsets: ["": 21])

  mutating func input(_ name: String, _ sizes: [Int]) -> String {
    let shape = [Dimension.symbolic("N")] + sizes.map { .fixed($0) }
    graph.inputs.append(Port(name, .float64, shape: shape))
    return name
  }

  /// An input of whole numbers.
  mutating func wholeNumbers(_ name: String, _ sizes: [Int]) -> String {
    let shape = [Dimension.symbolic("N")] + sizes.map { .fixed($0) }
    graph.inputs.append(Port(name, .int64, shape: shape))
    return name
  }

  mutating func constant(_ shape: [Int], _ numbers: [Double]) -> String {
    let name = "c\(graph.constants.count)"
    graph.constants[name] = Tensor(filling: shape, with: .float64(numbers))
    return name
  }

  mutating func integers(_ numbers: [Int]) -> String {
    let name = "c\(graph.constants.count)"
    graph.constants[name] = Tensor(.int64(numbers.map { Int64($0) }))
    return name
  }

  mutating func add(
    _ operation: String, _ inputs: [String], _ attributes: [String: Attribute] = [:]
  ) -> String {
    let output = "v\(graph.nodes.count)"
    graph.nodes.append(
      Node(
        operation, name: "\(operation)\(graph.nodes.count)", inputs: inputs, outputs: [output],
        attributes: attributes))
    return output
  }

  /// x W^T + b.
  mutating func dense(_ x: String, _ layer: Layer) -> String {
    let weights = constant([layer.outputs, layer.inputs], layer.weights.flatMap { $0 })
    return add(
      "Gemm", [x, weights, constant([layer.outputs], layer.bias)], ["transB": .int(1)])
  }

  mutating func explainer(
    _ output: String, _ precision: Precision = .double, sources: [String] = []
  ) throws -> Explainer {
    graph.outputs = [Port(output, shape: nil)]
    var options = ExplainerOptions()
    options.plan.precision = precision
    options.sources = sources
    return try Explainer(try Model(graph), options)
  }
}

extension Seeded {
  mutating func tensor(_ shape: [Int], _ range: ClosedRange<Double> = -1...1) -> Tensor {
    Tensor(filling: shape, with: .float64(numbers(shape.reduce(1, *), range)))
  }

  mutating func layer(_ inputs: Int, _ outputs: Int, isBiased: Bool = true) -> Layer {
    Layer(
      weights: (0..<outputs).map { _ in numbers(inputs) },
      bias: isBiased ? numbers(outputs) : [Double](repeating: 0, count: outputs))
  }
}

extension Tensor {
  /// Rows of one number each, or of several.
  static func rows(_ rows: [[Double]]) -> Tensor {
    Tensor(filling: [rows.count, rows.first?.count ?? 0], with: .float64(rows.flatMap { $0 }))
  }
}

/// The largest difference of two lists of equal length.
func distance(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  return zip(a, b).reduce(0) { worst, pair in
    let difference = abs(pair.0 - pair.1)
    return difference.isNaN ? .infinity : max(worst, difference)
  }
}
