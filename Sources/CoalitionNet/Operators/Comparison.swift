// Comparisons, truth values and Where, on constants.

import CoalitionBase

struct Comparison: ConstantOperator {
  static let operations = [
    "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor", "Not",
  ]

  let operation: String
  let isElementwise = true

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    if node.opset < 7, node.node.attributes["broadcast"] != nil {
      throw node.unsupported("the attribute broadcast")
    }
  }

  func value(_ inputs: [Tensor?]) throws(CoalitionError) -> Tensor {
    let left = try inputs.required(0)
    if operation == "Not" {
      return Tensor(filling: left.shape, with: .bool(left.truths.map { !$0 }))
    }
    let right = try inputs.required(1)
    let shape = try broadcastShape([left.shape, right.shape])
    _ = try Tensor.checkedConstantCount(shape)
    let a = HostView(left).broadcast(to: shape).materialised()
    let b = HostView(right).broadcast(to: shape).materialised()
    let results: [Bool]
    if ["And", "Or", "Xor"].contains(operation) {
      results = zip(a.truths, b.truths).map { a, b in
        operation == "And" ? a && b : operation == "Or" ? a || b : a != b
      }
    } else if let a = a.integers, let b = b.integers {
      results = zip(a, b).map(holds)
    } else {
      results = zip(a.doubles, b.doubles).map(holds)
    }
    return Tensor(filling: shape, with: .bool(results))
  }

  private func holds<Number: Comparable>(_ a: Number, _ b: Number) -> Bool {
    switch operation {
    case "Equal": a == b
    case "Less": a < b
    case "Greater": a > b
    case "LessOrEqual": a <= b
    default: a >= b
    }
  }
}

struct Where: ConstantOperator {
  static let operations = ["Where"]

  let operation = "Where"
  let isElementwise = true

  init(reading node: NodeReader) throws(CoalitionError) {}

  func value(_ inputs: [Tensor?]) throws(CoalitionError) -> Tensor {
    let (condition, x, y) = (
      try inputs.required(0), try inputs.required(1), try inputs.required(2)
    )
    let shape = try broadcastShape([condition.shape, x.shape, y.shape])
    let count = try Tensor.checkedConstantCount(shape)
    let choices = HostView(condition).broadcast(to: shape).materialised().truths
    let both = Tensor.joining([
      HostView(x).broadcast(to: shape).materialised(),
      HostView(y).broadcast(to: shape).materialised(),
    ])
    return both.picking(
      choices.indices.map { choices[$0] ? $0 : $0 + count }, shape: shape)
  }
}
