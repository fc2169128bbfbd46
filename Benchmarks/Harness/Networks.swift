// The networks that are measured, with random weights.
//
// Throughput depends on shapes, not on what a network knows. Weights follow He's rule, so that activations stay of
// order one and no engine is slowed by denormal numbers; batch normalisation keeps its own nodes, as exporters write
// them, and every engine may fold them.

import Coalition
import Glibc

struct Network {
  var name: String
  var graph: Graph
  /// One example.
  var inputShape: [Int]

  @Sendable static func mlp() -> Network { dense("mlp", [64, 128, 128, 10]) }

  @Sendable static func tabular() -> Network { dense("tabular", [18, 100, 100, 1]) }

  private static func dense(_ name: String, _ sizes: [Int]) -> Network {
    var net = NetworkBuilder(name, input: [sizes[0]])
    for (index, size) in sizes.enumerated().dropFirst() {
      net.dense(size)
      if index < sizes.count - 1 { net.relu() }
    }
    return net.network()
  }

  /// Two 5x5 convolutions of 32 and 64 channels without padding, each with ReLU and 2x2 max pooling; one dense layer.
  @Sendable static func lenet() -> Network {
    var net = NetworkBuilder("lenet", input: [1, 28, 28])
    for channels in [32, 64] {
      net.convolution(channels, kernel: 5, bias: true)
      net.relu()
      net.maxPool()
    }
    net.flatten()
    net.dense(10)
    return net.network()
  }

  /// VGG16 with batch normalisation for 32x32 images.
  @Sendable static func vgg16() -> Network {
    var net = NetworkBuilder("vgg16", input: [3, 32, 32])
    for (channels, layers) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
      for _ in 0..<layers {
        net.convolution(channels, kernel: 3, padding: 1, bias: true)
        net.batchNormalization()
        net.relu()
      }
      net.maxPool()
    }
    net.flatten()
    for _ in 0..<2 {
      net.dense(512)
      net.relu()
    }
    net.dense(10)
    return net.network()
  }

  /// ResNet-18 for 32x32 images: a 3x3 stem without pooling, four stages of two blocks.
  @Sendable static func resnet18() -> Network {
    var net = NetworkBuilder("resnet18", input: [3, 32, 32])
    net.convolution(64, kernel: 3, padding: 1, bias: false)
    net.batchNormalization()
    net.relu()
    for (stage, channels) in [64, 128, 256, 512].enumerated() {
      for block in 0..<2 {
        let stride = stage > 0 && block == 0 ? 2 : 1
        let entry = net.current
        net.convolution(channels, kernel: 3, stride: stride, padding: 1, bias: false)
        net.batchNormalization()
        net.relu()
        net.convolution(channels, kernel: 3, padding: 1, bias: false)
        net.batchNormalization()
        let main = net.current
        net.current = entry
        if stride != 1 {
          net.convolution(channels, kernel: 1, stride: stride, bias: false)
          net.batchNormalization()
        }
        net.add(main)
        net.relu()
      }
    }
    net.globalAveragePool()
    net.flatten()
    net.dense(10)
    return net.network()
  }
}

/// Builds a chain of layers, keeping track of the shape of one example.
struct NetworkBuilder {
  /// The value that the next layer reads.
  var current: (name: String, shape: [Int])
  private var graph: Graph
  private let input: [Int]
  private var random: NormalNumbers

  init(_ name: String, input: [Int]) {
    self.input = input
    current = ("input", input)
    random = NormalNumbers(seed: UInt64(name.utf8.reduce(7) { $0 &* 31 &+ Int($1) }))
    graph = Graph(
      name: name,
      inputs: [Port("input", shape: [.symbolic("N")] + input.map { .fixed($0) })], opsets: ["": 17])
  }

  func network() -> Network {
    var graph = graph
    graph.outputs = [
      Port(current.name, shape: [.symbolic("N")] + current.shape.map { .fixed($0) })
    ]
    return Network(name: graph.name, graph: graph, inputShape: input)
  }

  mutating func dense(_ outputs: Int) {
    let inputs = current.shape[0]
    add(
      "Gemm",
      [
        constant("weight", [outputs, inputs], scale: (2 / Double(inputs)).squareRoot()),
        constant("bias", [outputs], scale: 0.1),
      ], shape: [outputs], ["transB": .int(1)])
  }

  mutating func convolution(
    _ channels: Int, kernel: Int, stride: Int = 1, padding: Int = 0, bias: Bool
  ) {
    let inputs = current.shape[0]
    var parameters = [
      constant(
        "weight", [channels, inputs, kernel, kernel],
        scale: (2 / Double(inputs * kernel * kernel)).squareRoot())
    ]
    if bias { parameters.append(constant("bias", [channels], scale: 0.1)) }
    let space = current.shape[1...].map { ($0 + 2 * padding - kernel) / stride + 1 }
    add(
      "Conv", parameters, shape: [channels] + space,
      [
        "kernel_shape": .ints([kernel, kernel]), "strides": .ints([stride, stride]),
        "pads": .ints([padding, padding, padding, padding]),
      ])
  }

  mutating func batchNormalization() {
    let channels = [current.shape[0]]
    add(
      "BatchNormalization",
      [
        constant("scale", channels, scale: 0.1, around: 1), constant("shift", channels, scale: 0.1),
        constant("mean", channels, scale: 0.1),
        constant("variance", channels, scale: 0.05, around: 1),
      ], shape: current.shape)
  }

  mutating func relu() { add("Relu", [], shape: current.shape) }

  mutating func maxPool() {
    add(
      "MaxPool", [], shape: [current.shape[0]] + current.shape[1...].map { $0 / 2 },
      ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
  }

  mutating func globalAveragePool() {
    add("GlobalAveragePool", [], shape: [current.shape[0]] + current.shape[1...].map { _ in 1 })
  }

  mutating func flatten() { add("Flatten", [], shape: [current.shape.reduce(1, *)]) }

  mutating func add(_ other: (name: String, shape: [Int])) {
    add("Add", [other.name], shape: current.shape)
  }

  private mutating func add(
    _ operation: String, _ inputs: [String], shape: [Int], _ attributes: [String: Attribute] = [:]
  ) {
    let name = "\(operation.lowercased())\(graph.nodes.count + 1)"
    graph.nodes.append(
      Node(
        operation, name: name, inputs: [current.name] + inputs, outputs: [name],
        attributes: attributes))
    current = (name, shape)
  }

  private mutating func constant(
    _ role: String, _ shape: [Int], scale: Double, around centre: Double = 0
  ) -> String {
    let name = "\(role)\(graph.constants.count + 1)"
    let numbers = (0..<shape.reduce(1, *)).map { _ in Float(centre + scale * random.next()) }
    graph.constants[name] = try? Tensor(shape: shape, elements: .float32(numbers))
    return name
  }
}

/// Normal numbers from SplitMix64 by the method of Box and Muller.
struct NormalNumbers {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  private mutating func uniform() -> Double {
    state &+= 0x9E37_79B9_7F4A_7C15
    var bits = state
    bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
    bits ^= bits >> 31
    return (Double(bits >> 11) + 0.5) / 9_007_199_254_740_992
  }

  mutating func next() -> Double {
    (-2 * log(uniform())).squareRoot() * cos(2 * Double.pi * uniform())
  }
}
