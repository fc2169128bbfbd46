// BatchNormalization: one scale and one shift per channel. In inference form they are constants; in training form they
// come from the batch itself, which mixes its examples. A program that trains takes the inference form over its batch
// (Modes/Training/BatchStatistics.swift).

import CLanes
import CoalitionBase

struct BatchNormalization: Operator {
  static let operations = ["BatchNormalization"]

  private let epsilon: Double
  private let isTraining: Bool
  /// Share of the old running statistics in the new ones.
  private let momentum: Double

  init(reading node: NodeReader) throws(CoalitionError) {
    isTraining = try node.flag("training_mode", false)
    momentum = try node.float("momentum", 0.9)
    if node.node.outputs.dropFirst().contains(where: { !$0.isEmpty }) && !isTraining {
      throw node.unsupported("running statistics as outputs, but without training_mode")
    }
    if node.opset < 9, try node.int("spatial", 1) != 1 { throw node.unsupported("spatial = 0") }
    epsilon = try node.float("epsilon", 1e-5)
  }

  var kind: OperatorKind { .affine }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    guard x.shape.count >= 2 else {
      throw CoalitionError(
        .shapeMismatch, "BatchNormalization takes [N, C, ...]", found: "\(x.shape)")
    }
    for (index, role) in [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")] {
      guard let tensor = try inputs.constant(index, role), tensor.shape == [x.shape[1]] else {
        throw CoalitionError(
          .shapeMismatch, "the \(role) of BatchNormalization has a wrong shape",
          expected: "[\(x.shape[1])]", found: "\(inputs[optional: index]?.shape ?? [])")
      }
    }
    if isTraining {
      let example: ExampleAxis = x.example == .none ? .none : .mixed
      return [x.shape, [x.shape[1]], [x.shape[1]]].prefix(inputs.outputCount).map {
        ValueInfo(shape: $0, elementType: x.elementType, example: example)
      }
    }
    return [
      ValueInfo(
        shape: x.shape, elementType: x.elementType, example: x.example.moved { $0 == 1 ? nil : $0 })
    ]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    if isTraining { return try lowerTraining(&lowering) }
    if lowering.training != nil { return try lowerOverBatch(&lowering) }
    let shape = try lowering.outputInfo().shape
    let inputs = lowering.inputs
    var parameters: [[Double]] = []
    for index in 1...4 { parameters.append(try inputs.constant(index, "parameter")?.doubles ?? []) }
    let scaling = Scaling(
      gamma: parameters[0], beta: parameters[1], mean: parameters[2], variance: parameters[3],
      epsilon: epsilon)
    // [C] against [N, C, spatial...]: one number per channel.
    let perChannel = [shape[1]] + shape.dropFirst(2).map { _ in 1 }
    let scale = View(lowering.constant(Tensor(.float64(scaling.scale))), shape: perChannel)
    let shift = View(lowering.constant(Tensor(.float64(scaling.shift))), shape: perChannel)
    let scaled = try lowering.combined(.multiply, try lowering.lanes(0), scale, shape: shape)
    lowering.set(try lowering.combined(.add, scaled, shift, shape: shape))
  }

  /// y = gamma (x - m) / sqrt(v + epsilon) + beta with the mean m and variance v of the batch, and the running
  /// statistics momentum * old + (1 - momentum) * new.
  private func lowerTraining(_ lowering: inout Lowering) throws(CoalitionError) {
    let shape = try lowering.outputInfo().shape
    let channels = shape[1]
    let order = shape.count == 2 ? [0, 1] : channelsLast(rank: shape.count)
    let x = try lowering.lanes(0, inOrder: order)
    func numbers(_ values: [Double]) -> View {
      View(lowering.constant(Tensor(.float64(values))), shape: [values.count])
    }
    let inputs = lowering.inputs
    var parameters: [View] = []
    for index in 1...4 {
      parameters.append(numbers(try inputs.constant(index, "parameter")?.doubles ?? []))
    }
    let mean = lowering.averages(x, channels)
    let centred = try lowering.combined(
      .subtract, x, try lowering.column(mean, like: shape), shape: shape)
    let variance = lowering.averages(
      try lowering.combined(.multiply, centred, centred, shape: shape), channels)
    let shifted = try lowering.combined(.add, variance, numbers([epsilon]), shape: [channels])
    let deviation = try lowering.applied(Function(LN_FUNCTION_sqrt), to: shifted)
    let scale = try lowering.combined(.divide, parameters[0], deviation, shape: [channels])
    let scaled = try lowering.combined(
      .multiply, centred, try lowering.column(scale, like: shape), shape: shape)
    lowering.set(
      try lowering.combined(
        .add, scaled, try lowering.column(parameters[1], like: shape), shape: shape))
    for (index, statistic) in [(1, mean), (2, variance)] where lowering.wants(output: index) {
      let old = try lowering.combined(
        .multiply, parameters[index + 1], numbers([momentum]), shape: [channels])
      let new = try lowering.combined(
        .multiply, statistic, numbers([1 - momentum]), shape: [channels])
      lowering.set(output: index, try lowering.combined(.add, old, new, shape: [channels]))
    }
  }

  /// The same over the batch that a program trains on, whose examples lie in many lanes.
  private func lowerOverBatch(_ lowering: inout Lowering) throws(CoalitionError) {
    let shape = try lowering.outputInfo().shape
    let inputs = lowering.inputs
    guard let mean = inputs.node.input(3), let variance = inputs.node.input(4) else {
      throw CoalitionError(.invalidData, "BatchNormalization has no statistics")
    }
    let order = shape.count == 2 ? [0, 1] : channelsLast(rank: shape.count)
    let x = try lowering.lanes(0, inOrder: order)
    let normal = try lowering.normalized(
      x,
      RunningStatistics(
        mean: mean, variance: variance, epsilon: epsilon, momentum: momentum,
        positions: x.count / shape[1]))
    let scale = try lowering.column(try lowering.view(1), like: shape)
    let shift = try lowering.column(try lowering.view(2), like: shape)
    let scaled = try lowering.combined(.multiply, normal, scale, shape: shape)
    lowering.set(try lowering.combined(.add, scaled, shift, shape: shape))
  }

  /// y = scale x + shift, per channel.
  struct Scaling {
    var scale: [Double]
    var shift: [Double]

    init(gamma: [Double], beta: [Double], mean: [Double], variance: [Double], epsilon: Double) {
      let factors = zip(gamma, variance).map { $0 / ($1 + epsilon).squareRoot() }
      scale = factors
      shift = factors.indices.map { beta[$0] - factors[$0] * mean[$0] }
    }

    /// The scaling of a node whose parameters are constants: nil for the training form.
    init?(_ node: Node, constants: [String: Tensor]) {
      guard node.attributes["training_mode"] != .int(1),
        node.outputs.dropFirst().allSatisfy(\.isEmpty)
      else { return nil }
      let parameters = (1...4).map { index in node.input(index).flatMap { constants[$0]?.doubles } }
      guard let gamma = parameters[0], let beta = parameters[1], let mean = parameters[2],
        let variance = parameters[3],
        [beta, mean, variance].allSatisfy({ $0.count == gamma.count })
      else { return nil }
      var epsilon = 1e-5
      if case .float(let value)? = node.attributes["epsilon"] { epsilon = Double(value) }
      self.init(gamma: gamma, beta: beta, mean: mean, variance: variance, epsilon: epsilon)
    }
  }
}
