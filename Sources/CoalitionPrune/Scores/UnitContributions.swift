// What every unit of a layer gives to the layer that reads it, by one convolution whose groups are the units.

import CoalitionBase
import CoalitionNet

/// With the weights W [O, U, ...] of a convolution, unit u alone gives the channels u O .. u O + O - 1 of a convolution with U groups
/// and the weights W'[u O + o] = W[o][u]: as much arithmetic as one pass, where a pass for every unit would take U. A dense layer
/// is the convolution whose taps are all elements of a unit.
struct UnitContributions: Sendable {
  private let units: String
  private let plan: Plan
  /// Per output channel, what batch normalisations behind the layer multiply by.
  private let scales: [Float]
  /// Elements of an output channel.
  private let inner: Int

  /// Operators in front of the layer that work on every channel by itself.
  private static let channelwise = UnitFronts.separate.union(["AveragePool", "GlobalAveragePool"])
  /// Those that leave all elements in their order.
  private static let reshaping: Set<String> = ["Flatten", "Reshape", "Squeeze", "Unsqueeze"]
  private static let idle: Set<String> = ["Dropout", "Identity"]

  /// Nil where something else than operators on single channels, one convolution without groups or dense layer, constant terms and batch
  /// normalisations lies between the units and the front.
  /// - Parameter limit: bytes that weights may take.
  init?(_ tail: LayerTail, front: Plan.Value, within limit: Int) throws(CoalitionError) {
    let graph = tail.cut.model.graph
    guard tail.axis == 0, let port = graph.inputs.first(where: { $0.name == tail.units }) else {
      return nil
    }
    var part = Graph(name: graph.name, inputs: [port], opsets: graph.opsets)
    // In the whole graph, and what of it the part makes.
    var (value, kept) = (tail.units, tail.units)
    var isReshaped = false
    var scales: [Float]?
    while value != front.name {
      let readers = graph.nodes.filter { $0.inputs.contains(value) }
      guard readers.count == 1, let node = readers.first, node.input(0) == value,
        let output = node.outputs.first, node.outputs.dropFirst().allSatisfy(\.isEmpty)
      else { return nil }
      switch node.operation {
      case "BatchNormalization":
        guard let known = scales, let own = Self.scales(node, graph.constants),
          own.count == known.count
        else { return nil }
        scales = zip(known, own).map { $0 * $1 }
      case "Add", "Sub":
        guard scales != nil, let term = node.input(1), graph.constants[term] != nil else {
          return nil
        }
      case "Conv", "Gemm", "MatMul":
        // Once as they are, once packed.
        guard scales == nil, let weight = node.input(1).flatMap({ graph.constants[$0] }),
          weight.byteCount <= limit / 2
        else { return nil }
        let layer =
          node.operation == "Conv"
          ? isReshaped ? nil : Self.convolution(node, weight, units: tail.unitCount)
          : Self.dense(node, weight, units: tail.unitCount)
        guard let layer,
          // Of a dense layer that reads more than one row of an example, there are several outputs for every unit.
          node.operation == "Conv" || front.count == layer.outputs
        else { return nil }
        part.add(layer, to: kept, units: tail.unitCount)
        scales = [Float](repeating: 1, count: layer.outputs)
      case _ where Self.idle.contains(node.operation): break
      case _ where Self.reshaping.contains(node.operation) && scales == nil: isReshaped = true
      case _ where Self.channelwise.contains(node.operation) && scales == nil && !isReshaped:
        var own = node
        own.inputs[0] = kept
        part.nodes.append(own)
        kept = output
      default: return nil
      }
      value = output
    }
    guard let scales, !scales.isEmpty, front.count % scales.count == 0 else { return nil }
    units = tail.units
    self.scales = scales
    inner = front.count / scales.count
    var options = tail.plan.options
    options.outputs = []
    plan = try Plan(try Model(part), options)
    // One output for each unit and element of the front: a dense layer has read all of an example's elements.
    guard plan.outputs.count == 1, plan.outputs[0].count == tail.unitCount * front.count else {
      return nil
    }
  }

  /// A layer that reads the units.
  fileprivate struct Layer {
    let outputs: Int
    /// [units * outputs, 1, ...]
    let weight: Tensor
    /// Of a convolution.
    var attributes: [String: Attribute]?
  }

  private static func convolution(_ node: Node, _ weight: Tensor, units: Int) -> Layer? {
    guard weight.rank > 2, weight.shape[1] == units else { return nil }
    let taps = weight.shape[2...].reduce(1, *)
    let numbers = weight.floats
    var layer = grouped(units: units, outputs: weight.shape[0], taps: Array(weight.shape[2...])) {
      numbers[($0 * units + $1) * taps + $2]
    }
    layer?.attributes = node.attributes
    return layer
  }

  /// Of all elements of an example.
  private static func dense(_ node: Node, _ weight: Tensor, units: Int) -> Layer? {
    guard weight.rank == 2, node.attributes["transA"] ?? .int(0) == .int(0) else { return nil }
    let isTransposed = node.attributes["transB"] ?? .int(0) != .int(0)
    let (inputs, outputs) =
      isTransposed ? (weight.shape[1], weight.shape[0]) : (weight.shape[0], weight.shape[1])
    guard inputs % max(units, 1) == 0 else { return nil }
    var alpha: Float = 1
    if case .float(let written)? = node.attributes["alpha"] { alpha = written }
    let taps = inputs / max(units, 1)
    let numbers = weight.floats
    return grouped(units: units, outputs: outputs, taps: [taps]) { output, unit, tap in
      let input = unit * taps + tap
      return alpha * numbers[isTransposed ? output * inputs + input : input * outputs + output]
    }
  }

  /// - Parameter weight: by output, unit and tap.
  private static func grouped(
    units: Int, outputs: Int, taps: [Int], _ weight: (Int, Int, Int) -> Float
  ) -> Layer? {
    let count = taps.reduce(1, *)
    var grouped: [Float] = []
    grouped.reserveCapacity(units * outputs * count)
    for unit in 0..<units {
      for output in 0..<outputs {
        for tap in 0..<count { grouped.append(weight(output, unit, tap)) }
      }
    }
    guard
      let tensor = try? Tensor(shape: [units * outputs, 1] + taps, elements: .float32(grouped))
    else { return nil }
    return Layer(outputs: outputs, weight: tensor)
  }

  private static func scales(_ node: Node, _ constants: [String: Tensor]) -> [Float]? {
    guard let scale = node.input(1).flatMap({ constants[$0] })?.doubles,
      let variance = node.input(4).flatMap({ constants[$0] })?.doubles,
      scale.count == variance.count
    else { return nil }
    var epsilon = 1e-5
    if case .float(let written)? = node.attributes["epsilon"] { epsilon = Double(written) }
    return zip(scale, variance).map { Float($0 / ($1 + epsilon).squareRoot()) }
  }

  /// [example of the group][unit][element of the front]
  func values(
    _ rows: [String: Tensor], _ group: Range<Int>, _ run: RunOptions
  ) async throws(CoalitionError) -> [Float] {
    guard let own = rows[units] else {
      throw CoalitionError(.internalFault, "the units are not there", node: units)
    }
    var options = run
    // Outputs are many: one example at a time needs the least room.
    options.lanes = 1
    let outputs = try await plan.run([units: try own.rows(Array(group))], options)
    guard var numbers = outputs[plan.outputs[0].name]?.floats else {
      throw CoalitionError(.internalFault, "the contributions were not computed", node: units)
    }
    guard scales.contains(where: { $0 != 1 }) else { return numbers }
    for place in numbers.indices { numbers[place] *= scales[place / inner % scales.count] }
    return numbers
  }
}

extension Graph {
  /// Adds what every unit gives to a layer as the graph's output.
  fileprivate mutating func add(_ layer: UnitContributions.Layer, to value: String, units: Int) {
    var input = value
    if layer.attributes == nil {
      input = "\(value)/units"
      constants["\(input)/shape"] = Tensor(.int64([0, Int64(units), -1]))
      nodes.append(
        Node("Reshape", inputs: [value, "\(input)/shape"], outputs: [input]))
    }
    let (weight, result) = ("\(value)/weights", "\(value)/contributions")
    constants[weight] = layer.weight
    var node = Node(
      "Conv", inputs: [input, weight], outputs: [result], attributes: layer.attributes ?? [:])
    node.attributes["group"] = .int(units)
    nodes.append(node)
    outputs = [Port(result, shape: nil)]
  }
}
