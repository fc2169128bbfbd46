// BatchNormalization in inference form: one scale and one shift per channel.

import CoalitionBase

struct BatchNormalization: Operator {
  static let operations = ["BatchNormalization"]

  private let epsilon: Double

  init(reading node: NodeReader) throws(CoalitionError) {
    if try node.flag("training_mode", false) {
      throw node.unsupported(
        "training_mode: it mixes the examples of a batch; export the model for inference")
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
    return [
      ValueInfo(
        shape: x.shape, elementType: x.elementType, example: x.example.moved { $0 == 1 ? nil : $0 })
    ]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
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
