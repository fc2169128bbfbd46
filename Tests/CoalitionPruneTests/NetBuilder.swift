// Networks with random weights, node by node.

import CoalitionBase
import CoalitionNet
import TestSupport

/// Every method adds nodes and returns the name of the value that they make. Shapes are followed through.
struct NetBuilder {
  private(set) var graph: Graph
  /// Sizes of one example's axes behind the axis of examples.
  private(set) var shapes: [String: [Int]]
  private var random: Seeded
  private var count = 0

  init(input: [Int], opset: Int = 21, seed: Int = 1) {
    graph = Graph(
      name: "net", inputs: [Port("x", shape: [.symbolic("N")] + input.map { .fixed($0) })],
      opsets: ["": opset])
    shapes = ["x": input]
    random = Seeded(seed)
  }

  mutating func constant(_ name: String, _ shape: [Int], _ range: ClosedRange<Double>) -> String {
    let numbers = random.numbers(shape.reduce(1, *), range)
    graph.constants[name] = Tensor(filling: shape, with: .float32(numbers.map { Float($0) }))
    return name
  }

  mutating func integers(_ name: String, _ values: [Int]) -> String {
    graph.constants[name] = Tensor(.int64(values.map { Int64($0) }))
    return name
  }

  @discardableResult
  mutating func node(
    _ operation: String, _ inputs: [String], shape: [Int], name: String? = nil,
    _ attributes: [String: Attribute] = [:]
  ) -> String {
    count += 1
    let name = name ?? "\(operation.lowercased())\(count)"
    graph.nodes.append(
      Node(operation, name: name, inputs: inputs, outputs: ["\(name).y"], attributes: attributes))
    shapes["\(name).y"] = shape
    return "\(name).y"
  }

  /// A node with several outputs.
  mutating func node(
    _ operation: String, _ inputs: [String], shapes: [[Int]], name: String,
    _ attributes: [String: Attribute] = [:]
  ) -> [String] {
    let outputs = shapes.indices.map { "\(name).y\($0)" }
    graph.nodes.append(
      Node(operation, name: name, inputs: inputs, outputs: outputs, attributes: attributes))
    for (output, shape) in zip(outputs, shapes) { self.shapes[output] = shape }
    return outputs
  }

  func shape(_ value: String) -> [Int] { shapes[value] ?? [] }

  // MARK: Layers

  /// Padded so that a stride of 1 keeps the map's size.
  mutating func conv(
    _ x: String, _ units: Int, kernel: Int = 3, stride: Int = 1, groups: Int = 1,
    bias: Bool = true, name: String
  ) -> String {
    let input = shape(x)
    let scale = 1.5 / Double(input[0] / groups * kernel * kernel).squareRoot()
    var inputs = [
      x, constant("\(name).w", [units, input[0] / groups, kernel, kernel], -scale...scale),
    ]
    if bias { inputs.append(constant("\(name).b", [units], -0.5...0.5)) }
    let pad = kernel / 2
    return node(
      "Conv", inputs,
      shape: [units] + input.dropFirst().map { ($0 + 2 * pad - kernel) / stride + 1 }, name: name,
      [
        "kernel_shape": .ints([kernel, kernel]), "strides": .ints([stride, stride]),
        "pads": .ints([pad, pad, pad, pad]), "group": .int(groups),
      ])
  }

  mutating func norm(_ x: String, name: String) -> String {
    let channels = shape(x)[0]
    return node(
      "BatchNormalization",
      [
        x, constant("\(name).scale", [channels], 0.5...1.5),
        constant("\(name).shift", [channels], -0.5...0.5),
        constant("\(name).mean", [channels], -0.3...0.3),
        constant("\(name).variance", [channels], 0.5...1.5),
      ], shape: shape(x), name: name)
  }

  mutating func relu(_ x: String) -> String { node("Relu", [x], shape: shape(x)) }

  /// Convolution, batch normalisation, relu.
  mutating func block(
    _ x: String, _ units: Int, kernel: Int = 3, stride: Int = 1, groups: Int = 1, name: String
  ) -> String {
    let y = conv(
      x, units, kernel: kernel, stride: stride, groups: groups, bias: false, name: name)
    return relu(norm(y, name: "\(name).bn"))
  }

  mutating func pool(_ x: String, _ operation: String = "MaxPool") -> String {
    let input = shape(x)
    return node(
      operation, [x], shape: [input[0], input[1] / 2, input[2] / 2],
      ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
  }

  mutating func globalPool(_ x: String) -> String {
    node("GlobalAveragePool", [x], shape: [shape(x)[0], 1, 1])
  }

  mutating func flatten(_ x: String) -> String {
    node("Flatten", [x], shape: [shape(x).reduce(1, *)])
  }

  mutating func dense(_ x: String, _ units: Int, transposed: Bool = true, name: String) -> String {
    let inputs = shape(x)[0]
    let scale = 1.5 / Double(inputs).squareRoot()
    return node(
      "Gemm",
      [
        x,
        constant("\(name).w", transposed ? [units, inputs] : [inputs, units], -scale...scale),
        constant("\(name).b", [units], -0.5...0.5),
      ], shape: [units], name: name, ["transB": .int(transposed ? 1 : 0)])
  }

  mutating func add(_ a: String, _ b: String) -> String { node("Add", [a, b], shape: shape(a)) }

  mutating func concat(_ values: [String]) -> String {
    var result = shape(values[0])
    result[0] = values.reduce(0) { $0 + shape($1)[0] }
    return node("Concat", values, shape: result, ["axis": .int(1)])
  }

  /// The graph with its output.
  func finished(_ output: String) -> Graph {
    var graph = graph
    graph.outputs = [Port(output, shape: nil)]
    return graph
  }

  /// Random rows of the input.
  func rows(_ examples: Int, seed: Int = 7) -> Tensor {
    var random = Seeded(seed)
    let input = shape("x")
    return Tensor(
      filling: [examples] + input,
      with: .float32(random.numbers(examples * input.reduce(1, *)).map { Float($0) }))
  }
}
