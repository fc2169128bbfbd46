// Identity, and Dropout: the input as it is, but in training (Modes/Training/DropoutStep.swift).

import CoalitionBase

struct Identity: Operator {
  static let operations = ["Identity", "Dropout"]

  private let operation: String
  private let outputCount: Int
  /// Of Dropout, where it is no input.
  private let ratio: Double

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    outputCount = node.node.outputs.count
    ratio = try node.float("ratio", 0.5)
    guard outputCount <= (operation == "Dropout" ? 2 : 1) else {
      throw node.unsupported("\(outputCount) outputs")
    }
  }

  var kind: OperatorKind { .movement }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    var x = try inputs.required(0)
    x.constant = nil
    guard operation == "Dropout" else { return [x] }
    let trains = try inputs.constant(2, "training_mode")?.truths.first ?? false
    let ratio = try ratio(inputs)
    guard !trains || ratio == 0 else {
      throw CoalitionError(
        .unsupported, "Dropout in training mode is not supported: export the model for inference",
        expected: "training_mode false, or ratio 0", found: "ratio \(ratio)")
    }
    var infos = [x]
    if outputCount == 2 {
      let count = try Tensor.checkedConstantCount(x.shape)
      let mask = Tensor(
        filling: x.shape, with: .bool([Bool](repeating: true, count: count)))
      infos.append(
        ValueInfo(
          shape: x.shape, elementType: .bool, example: x.example, constant: Constant(mask)))
    }
    return infos
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard let tensor = inputs.first ?? nil else { return nil }
    guard outputCount == 2 else { return [tensor] }
    let mask = [Bool](repeating: true, count: tensor.count)
    return [tensor, Tensor(filling: tensor.shape, with: .bool(mask))]
  }

  private func ratio(_ inputs: Inputs) throws(CoalitionError) -> Double {
    try inputs.constant(1, "ratio")?.doubles.first ?? ratio
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let x = try lowering.view(0)
    guard operation == "Dropout" else { return lowering.set(x) }
    let ratio = try ratio(lowering.inputs)
    lowering.set(try lowering.dropped(x, ratio: ratio) ?? x)
  }
}
