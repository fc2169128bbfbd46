// From layers to a graph.

import CoalitionBase
import CoalitionNet

struct ArchitectureBuilder {
  private var graph = Graph(name: "coalition")
  private var value = ""
  /// Of one example.
  private var shape: [Int] = []
  private var isTokens = false
  private var counts: [String: Int] = [:]
  private let seed: UInt64
  private let memoryLimit: Int
  private var weightCount: UInt64 = 0
  private var byteCount = 0

  init(seed: UInt64, memoryLimit: Int) {
    self.seed = seed
    self.memoryLimit = memoryLimit
  }

  /// The graph; its output is called `output`.
  var finished: Graph {
    var copy = graph
    if let last = copy.nodes.indices.last { copy.nodes[last].outputs = ["output"] }
    copy.outputs = [Port("output", shape: [.symbolic("N")] + shape.map { .fixed($0) })]
    return copy
  }

  mutating func append(_ layer: ArchitectureLayer) throws(CoalitionError) {
    if layer.kind != .input, layer.kind != .tokens, isTokens != (layer.kind == .embedding) {
      throw CoalitionError(
        .usage,
        isTokens ? "tokens go into an embedding first" : "an embedding stands right behind tokens")
    }
    switch layer.kind {
    case .input, .tokens: try begin(layer)
    case .embedding: try embed(rows: try layer.integer(0), width: try layer.integer(1))
    case .conv: try convolve(layer)
    case .depthwise: try convolve(layer)
    case .maxpool: try pool(layer, "MaxPool")
    case .avgpool: try pool(layer, "AveragePool")
    case .globalavgpool:
      try requireMap()
      add("GlobalAveragePool", layer)
      shape = [shape[0]] + shape.dropFirst().map { _ in 1 }
    case .flatten:
      add("Flatten", layer, attributes: ["axis": .int(1)])
      shape = [shape.reduce(1, *)]
    case .dense: try connect(layer)
    case .batchnorm: normalize(layer)
    case .dropout:
      let share = Float(try layer.number(0, 0..<1))
      guard share < 1 else {
        throw CoalitionError(.usage, "a dropout leaves something", expected: "a ratio below 1")
      }
      let ratio = constant("ratio", Tensor(scalar: share))
      add("Dropout", layer, [ratio])
    case .prelu:
      let perChannel = [shape[0]] + shape.dropFirst().map { _ in 1 }
      let slope = Tensor(
        filling: perChannel, with: .float32([Float](repeating: 0.25, count: shape[0])))
      add("PRelu", layer, [constant("slope", slope)])
    case .leakyrelu:
      let slope = Float(try layer.number(0, -1..<1))
      add("LeakyRelu", layer, attributes: ["alpha": .float(slope)])
    case .softmax: add("Softmax", layer, attributes: ["axis": .int(-1)])
    case .relu: add("Relu", layer)
    case .elu: add("Elu", layer)
    case .selu: add("Selu", layer)
    case .gelu: add("Gelu", layer)
    case .tanh: add("Tanh", layer)
    case .sigmoid: add("Sigmoid", layer)
    case .softplus: add("Softplus", layer)
    }
    guard let count = Tensor.count(of: shape), count <= 1 << 40 else {
      throw CoalitionError(
        .limitExceeded, "the layer's values are too many", expected: "at most \(1 << 40)",
        found: "\(shape)")
    }
  }

  // MARK: Layers

  private mutating func begin(_ layer: ArchitectureLayer) throws(CoalitionError) {
    guard value.isEmpty else {
      throw CoalitionError(.usage, "an architecture has one input, and begins with it")
    }
    isTokens = layer.kind == .tokens
    shape = isTokens ? [try layer.integer(0)] : try layer.sizes(0)
    guard shape.count <= 3 else {
      throw CoalitionError(
        .usage, "an example has at most three axes", expected: "channels x height x width",
        found: "\(shape)")
    }
    value = "input"
    graph.inputs = [
      Port(value, isTokens ? .int64 : .float32, shape: [.symbolic("N")] + shape.map { .fixed($0) })
    ]
  }

  private mutating func embed(rows: Int, width: Int) throws(CoalitionError) {
    let table = constant("embedding", try weights([rows, width], inputs: rows, outputs: width))
    let node = name("embedding")
    graph.nodes.append(Node("Gather", name: node, inputs: [table, value], outputs: [node]))
    // [tokens, numbers] to channels in front, as all other layers have them.
    let turned = name("transpose")
    graph.nodes.append(
      Node(
        "Transpose", name: turned, inputs: [node], outputs: [turned],
        attributes: ["perm": .ints([0, 2, 1])]))
    (value, shape, isTokens) = (turned, [width] + shape, false)
  }

  private mutating func convolve(_ layer: ArchitectureLayer) throws(CoalitionError) {
    try requireMap()
    let axes = shape.count - 1
    let isDepthwise = layer.kind == .depthwise
    let filters = isDepthwise ? shape[0] : try layer.integer(0)
    let kernel = try layer.kernel(isDepthwise ? 0 : 1, axes: axes)
    let strides = try layer.sizes(named: "stride", axes: axes, default: ones(axes))
    let dilations = try layer.sizes(named: "dilation", axes: axes, default: ones(axes))
    let groups =
      isDepthwise ? shape[0] : try layer.sizes(named: "groups", axes: 1, default: [1])[0]
    guard shape[0] % groups == 0, filters % groups == 0 else {
      throw CoalitionError(
        .usage, "the groups do not divide the channels",
        expected: "a divisor of \(shape[0]) and \(filters)", found: "\(groups)")
    }
    let pads = try self.pads(layer, kernel, strides, dilations)
    let taps = kernel.reduce(1, *)
    let weight = try weights(
      [filters, shape[0] / groups] + kernel, inputs: shape[0] / groups * taps,
      outputs: filters / groups * taps)
    let bias = Tensor(.float32([Float](repeating: 0, count: filters)))
    let size = try sizes(kernel, strides, dilations, pads)
    add(
      "Conv", layer, [constant("weight", weight), constant("bias", bias)],
      attributes: [
        "kernel_shape": .ints(kernel), "strides": .ints(strides), "dilations": .ints(dilations),
        "pads": .ints(pads), "group": .int(groups),
      ])
    shape = [filters] + size
  }

  private mutating func pool(
    _ layer: ArchitectureLayer, _ operation: String
  ) throws(CoalitionError) {
    try requireMap()
    let axes = shape.count - 1
    let kernel = try layer.kernel(0, axes: axes)
    let strides = try layer.sizes(named: "stride", axes: axes, default: kernel)
    let pads = try self.pads(layer, kernel, strides, ones(axes))
    for axis in 0..<axes where max(pads[axis], pads[axis + axes]) >= kernel[axis] {
      throw CoalitionError(
        .usage, "a window would see nothing but padding",
        expected: "a pad below \(kernel[axis])", found: "\(max(pads[axis], pads[axis + axes]))")
    }
    let size = try sizes(kernel, strides, ones(axes), pads)
    add(
      operation, layer,
      attributes: [
        "kernel_shape": .ints(kernel), "strides": .ints(strides), "pads": .ints(pads),
      ])
    shape = [shape[0]] + size
  }

  private mutating func connect(_ layer: ArchitectureLayer) throws(CoalitionError) {
    guard shape.count == 1 else {
      throw CoalitionError(
        .usage, "a dense layer takes features in a row: put flatten before it",
        found: "shape \(shape)")
    }
    let outputs = try layer.integer(0)
    let weight = try weights([outputs, shape[0]], inputs: shape[0], outputs: outputs)
    let bias = Tensor(.float32([Float](repeating: 0, count: outputs)))
    add(
      "Gemm", layer, [constant("weight", weight), constant("bias", bias)],
      attributes: ["transB": .int(1)])
    shape = [outputs]
  }

  private mutating func normalize(_ layer: ArchitectureLayer) {
    let parts = [("scale", Float(1)), ("shift", 0), ("mean", 0), ("variance", 1)].map {
      part, number in
      constant(part, Tensor(.float32([Float](repeating: number, count: shape[0]))))
    }
    add("BatchNormalization", layer, parts)
  }

  // MARK: Parts

  private func ones(_ axes: Int) -> [Int] { [Int](repeating: 1, count: axes) }

  private func requireMap() throws(CoalitionError) {
    guard shape.count >= 2 else {
      throw CoalitionError(
        .usage, "the layer takes channels with one or two axes of space", found: "shape \(shape)")
    }
  }

  /// Begins of all axes, then ends.
  private func pads(
    _ layer: ArchitectureLayer, _ kernel: [Int], _ strides: [Int], _ dilations: [Int]
  ) throws(CoalitionError) -> [Int] {
    let axes = kernel.count
    guard layer.padsToSame else {
      let pads = try layer.sizes(
        named: "pad", axes: axes, default: [Int](repeating: 0, count: axes))
      return pads + pads
    }
    let totals = (0..<axes).map { axis in
      let size = shape[axis + 1]
      let outputs = (size + strides[axis] - 1) / strides[axis]
      return max(
        0, (outputs - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - size)
    }
    return totals.map { $0 / 2 } + totals.map { $0 - $0 / 2 }
  }

  private func sizes(
    _ kernel: [Int], _ strides: [Int], _ dilations: [Int], _ pads: [Int]
  ) throws(CoalitionError) -> [Int] {
    var sizes: [Int] = []
    for axis in kernel.indices {
      let room =
        shape[axis + 1] + pads[axis] + pads[axis + kernel.count] - (kernel[axis] - 1)
        * dilations[axis] - 1
      guard room >= 0 else {
        throw CoalitionError(
          .usage, "the window is larger than the map", expected: "at most \(shape[axis + 1])",
          found: "\(kernel[axis])")
      }
      sizes.append(room / strides[axis] + 1)
    }
    return sizes
  }

  private mutating func add(
    _ operation: String, _ layer: ArchitectureLayer, _ constants: [String] = [],
    attributes: [String: Attribute] = [:]
  ) {
    let node = name(layer.kind.rawValue)
    graph.nodes.append(
      Node(
        operation, name: node, inputs: [value] + constants, outputs: [node],
        attributes: attributes))
    value = node
  }

  /// conv1, conv2, ...
  private mutating func name(_ kind: String) -> String {
    counts[kind, default: 0] += 1
    return "\(kind)\(counts[kind] ?? 0)"
  }

  /// A constant of the layer that comes next.
  private mutating func constant(_ part: String, _ tensor: Tensor) -> String {
    let name = "layer\(graph.nodes.count + 1).\(part)"
    graph.constants[name] = tensor
    return name
  }

  /// Uniform within sqrt(6 / (inputs + outputs)) of 0.
  private mutating func weights(
    _ shape: [Int], inputs: Int, outputs: Int
  ) throws(CoalitionError) -> Tensor {
    guard let count = Tensor.count(of: shape), count <= 1 << 28 else {
      throw CoalitionError(
        .limitExceeded, "the layer has too many weights", expected: "at most \(1 << 28)",
        found: "\(shape)")
    }
    byteCount += 4 * count
    guard byteCount <= memoryLimit else {
      throw CoalitionError(
        .memoryLimit, "the weights need more memory than allowed",
        expected: "at most \(memoryLimit) bytes", found: "\(byteCount)")
    }
    weightCount += 1
    var random = CounterRandom(seed: seed, purpose: .initialWeights, index: weightCount)
    let limit = (6 / Double(inputs + outputs)).squareRoot()
    let numbers = (0..<count).map { _ in Float((2 * random.uniform() - 1) * limit) }
    return Tensor(filling: shape, with: .float32(numbers))
  }
}
