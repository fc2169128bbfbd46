// What values of a model are over examples and positions, unit by unit.

import CoalitionBase
import CoalitionNet

/// A model on examples, slice by slice.
struct ModelOnExamples: Sendable {
  let model: Model
  let inputs: [String: Tensor]
  var plan = PlanOptions()
  var run = RunOptions()

  /// Bytes of values that are held at a time.
  private static let bytesPerCall = 256 << 20

  /// Runs `body` on values, [examples of the slice, one example's shape], and the numbers of the examples.
  func forEachSlice(
    of names: [String],
    _ body: (_ examples: Range<Int>, _ values: [Tensor]) throws(CoalitionError) -> Void
  ) async throws(CoalitionError) {
    var options = plan
    options.outputs = names
    let forward = try Plan(model, options)
    let examples = try forward.check(inputs)
    let bytes = forward.outputs.reduce(0) { $0 + $1.count * 8 }
    let size = max(1, min(examples, Self.bytesPerCall / max(1, bytes)))
    for first in stride(from: 0, to: examples, by: size) {
      let picked = first..<min(first + size, examples)
      var rows: [String: Tensor] = [:]
      for input in forward.inputs {
        guard let tensor = inputs[input.name] else { continue }
        rows[input.name] = tensor.shape == input.shape ? tensor : try tensor.rows(Array(picked))
      }
      let results = try await forward.run(rows, run)
      let values = names.compactMap { results[$0] }
      guard values.count == names.count else {
        throw CoalitionError(.internalFault, "a value was not computed", node: names.first)
      }
      try body(picked, values)
    }
  }

  /// - Parameter axis: of the units, in one example.
  func statistics(
    of name: String, axis: Int
  ) async throws(CoalitionError) -> UnitStatistics {
    var sums: [Double] = []
    var squares: [Double] = []
    // Distances to the first number: variances do not cancel.
    var shift: [Double] = []
    var count = 0.0
    try await forEachSlice(of: [name]) { _, values throws(CoalitionError) in
      let numbers = values[0].doubles
      let shape = values[0].shape.dropFirst()
      let inner = shape.dropFirst(axis + 1).reduce(1, *)
      let units = shape[shape.startIndex + axis]
      if sums.isEmpty {
        sums = [Double](repeating: 0, count: units)
        squares = sums
        shift = (0..<units).map { numbers[$0 * inner] }
      }
      for (place, number) in numbers.enumerated() {
        let unit = place / inner % units
        let distance = number - shift[unit]
        sums[unit] += distance
        squares[unit] += distance * distance
      }
      count += Double(numbers.count / units)
    }
    let means = sums.map { $0 / max(count, 1) }
    return UnitStatistics(
      means: zip(means, shift).map { $0 + $1 },
      variances: zip(squares, means).map { max(0, $0 / max(count, 1) - $1 * $1) })
  }
}

struct UnitStatistics: Sendable {
  let means: [Double]
  /// Mean squares of the distances to the means.
  let variances: [Double]
}

extension Analysis {
  /// An axis of a value's shape in one example, which may lack the axis of examples.
  func axis(_ axis: Int, of value: String) -> Int {
    let exampleAxis = values[value]?.example.axis ?? .max
    return axis - (exampleAxis < axis ? 1 : 0)
  }
}
