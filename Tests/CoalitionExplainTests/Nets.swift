// Small networks of the explaining tests, and examples for them.

import CoalitionBase
import CoalitionNet

/// Models A and B are those of the unit tests of Ancona et al.
enum Nets {
  private static func input(_ name: String, _ sizes: [Int]) -> Port {
    Port(name, shape: [.symbolic("N")] + sizes.map { .fixed($0) })
  }

  private static func plan(_ graph: Graph, _ precision: Precision) throws -> Plan {
    var options = PlanOptions()
    options.precision = precision
    return try Plan(try Model(graph), options)
  }

  /// relu(relu(x1 - 1) - relu(x2)).
  static func modelA(_ precision: Precision = .double) throws -> Plan {
    try plan(
      Graph(
        nodes: [
          Node("MatMul", inputs: ["x", "first"], outputs: ["x1"]),
          Node("Add", inputs: ["x1", "minus"], outputs: ["z1"]),
          Node("Relu", inputs: ["z1"], outputs: ["a1"]),
          Node("MatMul", inputs: ["x", "second"], outputs: ["x2"]),
          Node("Relu", inputs: ["x2"], outputs: ["a2"]),
          Node("Sub", inputs: ["a1", "a2"], outputs: ["z"]),
          Node("Relu", inputs: ["z"], outputs: ["y"]),
        ], inputs: [input("x", [2])], outputs: [Port("y", shape: nil)],
        constants: [
          "first": try Tensor(shape: [2, 1], elements: .float32([1, 0])),
          "second": try Tensor(shape: [2, 1], elements: .float32([0, 1])),
          "minus": Tensor(.float32([-1])),
        ]), precision)
  }

  /// relu(concat(3 x1, 2 x2)).
  static func modelB() throws -> Plan {
    try plan(
      Graph(
        nodes: [
          Node("Mul", inputs: ["x1", "three"], outputs: ["a"]),
          Node("Mul", inputs: ["x2", "two"], outputs: ["b"]),
          Node("Concat", inputs: ["a", "b"], outputs: ["c"], attributes: ["axis": .int(1)]),
          Node("Relu", inputs: ["c"], outputs: ["y"]),
        ], inputs: [input("x1", [2]), input("x2", [2])], outputs: [Port("y", shape: nil)],
        constants: ["three": Tensor(.float32([3])), "two": Tensor(.float32([2]))]), .double)
  }

  /// x . weights + bias, one output.
  static func linear(
    _ weights: [Double], bias: Double = 0, shape: [Int]? = nil, _ precision: Precision = .double
  ) throws -> Plan {
    try plan(
      Graph(
        nodes: [
          Node("Flatten", inputs: ["x"], outputs: ["flat"]),
          Node("Gemm", inputs: ["flat", "w", "b"], outputs: ["y"]),
        ], inputs: [input("x", shape ?? [weights.count])], outputs: [Port("y", shape: nil)],
        constants: [
          "w": try Tensor(
            shape: [weights.count, 1], elements: .float32(weights.map { Float($0) })),
          "b": Tensor(.float32([Float(bias)])),
        ]), precision)
  }

  /// The larger of two numbers.
  static func maximum() throws -> Plan {
    try plan(
      Graph(
        nodes: [
          Node(
            "Split", inputs: ["x"], outputs: ["a", "b"],
            attributes: ["axis": .int(1), "num_outputs": .int(2)]),
          Node("Max", inputs: ["a", "b"], outputs: ["y"]),
        ], inputs: [input("x", [2])], outputs: [Port("y", shape: nil)]), .double)
  }

  /// [2, height, width] -> convolution of 5 channels, relu, max pool -> dense layer of 3.
  static func convolutional(
    _ precision: Precision = .single, height: Int = 6, width: Int = 7
  ) throws -> Plan {
    var random = CounterRandom(seed: 11, purpose: .init(rawValue: 1000), index: 0)
    func numbers(_ shape: [Int]) throws -> Tensor {
      try Tensor(
        shape: shape,
        elements: .float32((0..<shape.reduce(1, *)).map { _ in Float(random.normal() * 0.4) }))
    }
    return try plan(
      Graph(
        nodes: [
          Node(
            "Conv", inputs: ["x", "k", "kb"], outputs: ["z"],
            attributes: ["kernel_shape": .ints([3, 3]), "pads": .ints([1, 1, 1, 1])]),
          Node("Relu", inputs: ["z"], outputs: ["a"]),
          Node(
            "MaxPool", inputs: ["a"], outputs: ["p"],
            attributes: ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
          Node("Flatten", inputs: ["p"], outputs: ["f"]),
          Node("Gemm", inputs: ["f", "w", "b"], outputs: ["y"]),
        ], inputs: [input("x", [2, height, width])], outputs: [Port("y", shape: nil)],
        constants: [
          "k": try numbers([5, 2, 3, 3]), "kb": try numbers([5]),
          "w": try numbers([5 * (height / 2) * (width / 2), 3]), "b": try numbers([3]),
        ]), precision)
  }

  static func rows(_ shape: [Int], seed: UInt64) throws -> Tensor {
    var random = CounterRandom(seed: seed, purpose: .init(rawValue: 1001), index: 0)
    return try Tensor(
      shape: shape,
      elements: .float32((0..<shape.reduce(1, *)).map { _ in Float(random.normal()) }))
  }

  static func doubles(_ shape: [Int], _ numbers: [Double]) throws -> Tensor {
    try Tensor(shape: shape, elements: .float64(numbers))
  }
}
