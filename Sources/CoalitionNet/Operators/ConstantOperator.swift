// Operators that exist only while a model is read: their inputs must be constants, and they are folded away.

import CoalitionBase

protocol ConstantOperator: Operator {
  var operation: String { get }
  /// Whether the axis of examples of the inputs, aligned at their last axes, is that of the output.
  var isElementwise: Bool { get }
  /// The output's shape, told before the output is made.
  func shape(_ inputs: [Tensor?]) throws(CoalitionError) -> [Int]
  /// The only output.
  func value(_ inputs: [Tensor?]) throws(CoalitionError) -> Tensor
}

extension ConstantOperator {
  var kind: OperatorKind { .shape }
  var isElementwise: Bool { false }

  /// That of a function of elements.
  func shape(_ inputs: [Tensor?]) throws(CoalitionError) -> [Int] {
    try broadcastShape(inputs.compactMap { $0?.shape })
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    guard inputs.allConstant else {
      throw CoalitionError(
        .unsupported,
        "\(operation) of values that are computed while the model runs is not supported")
    }
    // The type is that of the folded value.
    var example = ExampleAxis.common(
      inputs.values.compactMap { info in
        info.map { info in
          info.example.moved { $0 + (inputs.greatestRank - info.shape.count) }
        }
      })
    if !isElementwise && example != .none { example = .mixed }
    return [
      ValueInfo(shape: try shape(inputs.values.map { $0?.constant?.value }), example: example)
    ]
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? { [try value(inputs)] }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    throw CoalitionError(.internalFault, "\(operation) was not folded")
  }
}

extension Inputs {
  fileprivate var greatestRank: Int { values.compactMap { $0?.shape.count }.max() ?? 0 }
}

extension Array where Element == Tensor? {
  /// - Throws: `invalidData` when the input is left out.
  func required(_ index: Int) throws(CoalitionError) -> Tensor {
    guard index < count, let tensor = self[index] else {
      throw CoalitionError(.invalidData, "input \(index) is missing")
    }
    return tensor
  }

  func optional(_ index: Int) -> Tensor? { index < count ? self[index] : nil }
}
