// Transpose: axes in another order, always a view.

import CoalitionBase

struct Transpose: Operator {
  static let operations = ["Transpose"]

  /// nil: the axes from last to first.
  private let permutation: [Int]?

  init(reading node: NodeReader) throws(CoalitionError) { permutation = try node.ints("perm") }

  var kind: OperatorKind { .movement }

  func order(_ rank: Int) throws(CoalitionError) -> [Int] {
    let order = permutation ?? Array((0..<rank).reversed())
    guard order.sorted() == Array(0..<rank) else {
      throw CoalitionError(
        .invalidData, "perm of Transpose is no order of the axes", expected: "0 to \(rank - 1)",
        found: "\(order)")
    }
    return order
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    let order = try order(x.shape.count)
    return [
      ValueInfo(
        shape: order.map { x.shape[$0] }, elementType: x.elementType,
        example: x.example.moved { order.firstIndex(of: $0) })
    ]
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard let tensor = inputs.first ?? nil else { return nil }
    return [HostView(tensor).transposed(try order(tensor.rank)).materialised()]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let view = try lowering.view(0)
    lowering.set(view.transposed(try order(view.axes.count)))
  }
}
