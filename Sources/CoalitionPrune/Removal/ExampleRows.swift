// Rows that networks are compared on: those that are given, or random numbers.

import CoalitionBase
import CoalitionNet

enum ExampleRows {
  /// - Parameters:
  ///   - inputs: examples, of which the first are taken; random numbers for inputs that are not given.
  ///   - count: examples, at most.
  /// - Throws: `usage` for inputs of whole numbers that are not given.
  static func of(
    _ plan: Plan, _ inputs: [String: Tensor], count: Int
  ) throws(CoalitionError) -> [String: Tensor] {
    let given = plan.inputs.compactMap {
      inputs[$0.name]?.shape == $0.shape ? nil : inputs[$0.name]
    }
    let examples = given.map { $0.shape.first ?? 0 }.min().map { min($0, count) } ?? count
    var rows: [String: Tensor] = [:]
    for (index, input) in plan.inputs.enumerated() {
      if let tensor = inputs[input.name] {
        rows[input.name] =
          tensor.shape == input.shape ? tensor : try tensor.rows(Array(0..<examples))
        continue
      }
      guard [.float32, .float64].contains(input.elementType) else {
        throw CoalitionError(
          .usage, "the model takes whole numbers: give examples to compare it on",
          node: input.name)
      }
      var random = CounterRandom(seed: 0, purpose: .unitScores, index: UInt64(1 << 32 + index))
      let numbers = (0..<examples * input.count).map { _ in random.normal() }
      rows[input.name] = try Tensor(
        shape: [examples] + input.shape, elements: .float64(numbers))
    }
    return rows
  }
}
