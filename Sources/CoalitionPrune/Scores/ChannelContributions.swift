// What every channel of a layer gives to the convolution that reads it, by one convolution whose groups are the channels.

import CoalitionBase
import CoalitionNet

/// With the weights W [O, C, ...] of the next convolution, channel c alone gives the channels c O .. c O + O - 1 of a convolution with C
/// groups and the weights W'[c O + o] = W[o][c]: as much arithmetic as one pass, where a pass for every channel would take C.
struct ChannelContributions: Sendable {
  private let units: String
  private let plan: Plan
  /// Per output channel, what batch normalisations behind the convolution multiply by.
  private let scales: [Float]
  /// Elements of an output channel.
  private let inner: Int

  /// Nil where something else than pools, one convolution without groups and batch normalisations lies between the units
  /// and the front.
  init?(_ tail: LayerTail, front: Plan.Value) throws(CoalitionError) {
    let graph = tail.cut.model.graph
    guard let port = graph.inputs.first(where: { $0.name == tail.units }) else { return nil }
    var part = Graph(name: graph.name, inputs: [port], opsets: graph.opsets)
    var value = tail.units
    var scales: [Float]?
    while value != front.name {
      let readers = graph.nodes.filter { $0.inputs.contains(value) }
      guard readers.count == 1, let node = readers.first, node.input(0) == value,
        let output = node.outputs.first, node.outputs.dropFirst().allSatisfy(\.isEmpty)
      else { return nil }
      if let known = scales {
        guard node.operation == "BatchNormalization",
          let own = Self.scales(node, graph.constants), own.count == known.count
        else { return nil }
        scales = zip(known, own).map { $0 * $1 }
      } else if node.operation == "Conv" {
        guard let weight = node.input(1).flatMap({ graph.constants[$0] }), weight.rank > 2,
          weight.shape[1] == tail.unitCount, let grouped = Self.grouped(weight)
        else { return nil }
        var own = node
        own.inputs = [value, "\(output)/channels"]
        own.attributes["group"] = .int(tail.unitCount)
        part.constants["\(output)/channels"] = grouped
        part.nodes.append(own)
        part.outputs = [Port(output, shape: nil)]
        scales = [Float](repeating: 1, count: weight.shape[0])
      } else {
        guard UnitFronts.separate.contains(node.operation), node.inputs.count == 1 else {
          return nil
        }
        part.nodes.append(node)
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
    guard plan.outputs.count == 1, plan.outputs[0].count == tail.unitCount * front.count else {
      return nil
    }
  }

  /// [C O, 1, ...]
  private static func grouped(_ weight: Tensor) -> Tensor? {
    let (outputs, channels) = (weight.shape[0], weight.shape[1])
    let taps = weight.count / max(outputs * channels, 1)
    let numbers = weight.floats
    var grouped: [Float] = []
    grouped.reserveCapacity(numbers.count)
    for channel in 0..<channels {
      for output in 0..<outputs {
        let start = (output * channels + channel) * taps
        grouped += numbers[start..<start + taps]
      }
    }
    return try? Tensor(
      shape: [channels * outputs, 1] + weight.shape[2...], elements: .float32(grouped))
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
