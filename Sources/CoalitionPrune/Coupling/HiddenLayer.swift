// Layers whose units can be scored and removed: convolutions and dense layers with constant weights.

import CoalitionBase
package import CoalitionNet

/// A layer and its units: the channels of a convolution, the neurons of a dense layer.
public struct HiddenLayer: Sendable, Hashable {
  /// The node's name, or its output tensor where it has none or another layer has the same. Names of layers differ even
  /// without slashes in front, which files leave out.
  public internal(set) var name: String
  public let operation: String
  /// The tensor that the node makes.
  public let output: String
  /// The axis of the output that counts units.
  public let axis: Int
  public let unitCount: Int
  /// The tensor behind the batch normalisation and activations that follow the layer and are read by nothing else: a unit
  /// that is removed takes them along, so it is there that its absence is a zero.
  public let evaluation: String
  /// Whether a batch normalisation lies on the way to `evaluation`.
  public var hasNormalisation: Bool { normalisation != nil }
  /// The node of the batch normalisation on the way to `evaluation`, by its output.
  package let normalisation: String?
  /// The constant with the incoming weights, and its axis that counts units.
  package let weight: String
  package let weightAxis: Int
  /// The computed input.
  package let input: String
  /// Axes of the output.
  package let rank: Int
}

extension HiddenLayer {
  /// The layers of a graph, in its order.
  package static func all(in analysis: Analysis) -> [HiddenLayer] {
    let graph = analysis.graph
    let readers = graph.readers
    var layers: [HiddenLayer] = graph.nodes.compactMap { node in
      guard let place = Place(node, analysis), let output = node.outputs.first,
        let info = analysis.values[output], info.constant == nil
      else { return nil }
      let walk = evaluation(of: output, axis: place.axis, readers, analysis)
      return HiddenLayer(
        name: bare(node.name).isEmpty ? output : node.name, operation: node.operation,
        output: output, axis: place.axis, unitCount: info.shape[place.axis],
        evaluation: walk.value, normalisation: walk.normalisation, weight: place.weight,
        weightAxis: place.weightAxis, input: place.input, rank: info.shape.count)
    }
    var counts: [Substring: Int] = [:]
    for layer in layers { counts[bare(layer.name), default: 0] += 1 }
    var taken = Set(counts.filter { $0.value == 1 }.keys)
    for index in layers.indices where counts[bare(layers[index].name)] != 1 {
      layers[index].name = layers[index].output
      while !taken.insert(bare(layers[index].name)).inserted { layers[index].name += "'" }
    }
    return layers
  }

  private static func bare(_ name: String) -> Substring { name.drop { $0 == "/" } }

  /// The layer's name in files, where names of arrays do not begin with a slash.
  package var arrayName: String {
    let name = Self.bare(name)
    return name.isEmpty ? self.name : String(name)
  }

  /// Where a node keeps its units: nil for nodes that are no layers.
  private struct Place {
    var axis: Int
    var weight: String
    var weightAxis: Int
    var input: String

    init?(_ node: Node, _ analysis: Analysis) {
      guard node.domain.isEmpty || node.domain == "ai.onnx", let left = node.input(0),
        let right = node.input(1), let a = analysis.values[left], let b = analysis.values[right]
      else { return nil }
      let isRight = b.constant != nil
      guard isRight != (a.constant != nil) else { return nil }
      weight = isRight ? right : left
      input = isRight ? left : right
      func isSet(_ name: String) -> Bool { node.attributes[name] == .int(1) }
      switch node.operation {
      case "Conv" where isRight: (axis, weightAxis) = (1, 0)
      case "Gemm" where isRight: (axis, weightAxis) = (1, isSet("transB") ? 0 : 1)
      case "Gemm": (axis, weightAxis) = (0, isSet("transA") ? 1 : 0)
      case "MatMul" where isRight && b.shape.count == 2:
        (axis, weightAxis) = (max(a.shape.count - 1, 0), 1)
      case "MatMul" where !isRight && a.shape.count == 2:
        (axis, weightAxis) = (max(b.shape.count - 2, 0), 0)
      default: return nil
      }
    }
  }

  /// The last tensor on the way from `value` through sums and products with constants, batch normalisation and functions of
  /// one number, as long as each is read by the next one alone, with pools between them or in front. `x * sigmoid(x)`, as
  /// exporters write it, is such a function.
  private static func evaluation(
    of value: String, axis: Int, _ readers: [String: [Int?]], _ analysis: Analysis
  ) -> (value: String, normalisation: String?) {
    let graph = analysis.graph
    var (found, normalisation) = (value, nil as String?)
    // Ahead of what was found by pools, behind which nothing may come.
    var value = value
    while let next = readers[value] {
      let nodes = next.compactMap { $0 }
      guard nodes.count == next.count, let first = nodes.first,
        let result = graph.nodes[first].outputs.first
      else { break }
      let node = graph.nodes[first]
      if nodes.count == 1 {
        let joinsConstant =
          ["Add", "Sub", "Mul", "Div"].contains(node.operation)
          && node.inputs.contains { analysis.values[$0]?.constant != nil }
          && analysis.values[result]?.shape == analysis.values[value]?.shape
        let isNormalisation = node.operation == "BatchNormalization" && axis == 1
        let changes =
          joinsConstant || isNormalisation || analysis.operators[first].kind == .pointwise
        guard changes || keepsUnits(node, value) else { break }
        if isNormalisation { normalisation = result }
        value = result
        if changes { found = result }
      } else if let gated = gate(value, nodes, readers, analysis) {
        value = gated
        found = gated
      } else {
        break
      }
    }
    return (found, normalisation)
  }

  /// Operators that keep units, along the axis where they are, and 0 where there was 0.
  private static let separate: Set<String> = [
    "MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "Relu", "LeakyRelu", "Dropout",
    "Identity",
  ]

  /// The last tensor behind `value` in which a unit that is absent is still a zero and every element a unit's own, as far as
  /// each is read by the next operator alone: behind pools there are fewer elements, and what follows is often affine.
  /// - Parameter scores: the walk ends in front of them.
  package static func lastSeparate(
    _ value: String, before scores: String, in analysis: Analysis
  ) -> String {
    let readers = analysis.graph.readers
    var value = value
    while let next = readers[value], next.count == 1, let index = next[0] {
      let node = analysis.graph.nodes[index]
      guard keepsUnits(node, value), let output = node.outputs.first, output != scores
      else { break }
      value = output
    }
    return value
  }

  /// Whether a node reads units from `value` and makes one value, in which they are where they were, 0 where they were 0.
  private static func keepsUnits(_ node: Node, _ value: String) -> Bool {
    separate.contains(node.operation) && node.input(0) == value
      && node.outputs.dropFirst().allSatisfy(\.isEmpty)
  }

  /// The product of a value with a function of itself.
  private static func gate(
    _ value: String, _ nodes: [Int], _ readers: [String: [Int?]], _ analysis: Analysis
  ) -> String? {
    let graph = analysis.graph
    guard nodes.count == 2,
      let product = nodes.first(where: { graph.nodes[$0].operation == "Mul" }),
      let function = nodes.first(where: { analysis.operators[$0].kind == .pointwise }),
      let factor = graph.nodes[function].outputs.first, readers[factor] == [product],
      Set(graph.nodes[product].inputs) == [value, factor]
    else { return nil }
    return graph.nodes[product].outputs.first
  }
}

extension Graph {
  /// Per value, the nodes that read it; nil stands for the outside, which reads the outputs.
  fileprivate var readers: [String: [Int?]] {
    var readers: [String: [Int?]] = [:]
    for (index, node) in nodes.enumerated() {
      for input in node.inputs where !input.isEmpty { readers[input, default: []].append(index) }
    }
    for port in outputs { readers[port.name, default: []].append(nil) }
    return readers
  }
}
