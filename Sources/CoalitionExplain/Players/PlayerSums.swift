// Between numbers per element and numbers per player.
//
// The value of a player is the sum over its elements; a map shows a player's value in equal parts on its elements, so
// that maps sum to values.

public import CoalitionBase

extension PlayerSet {
  /// The values of players, [example][player], from attributions to elements.
  /// - Parameter attributions: per input, [N, one example's shape].
  /// - Throws: `usage` for an input without attributions, `shapeMismatch`, and `notFinite`.
  public func sums(
    of attributions: [String: Tensor], examples: Int
  ) throws(CoalitionError) -> [[Double]] {
    var sums = [[Double]](
      repeating: [Double](repeating: 0, count: playerCount), count: examples)
    for (name, map) in zip(names, maps) {
      guard let tensor = attributions[name] else {
        throw CoalitionError(.usage, "the input has no attributions", node: name)
      }
      guard tensor.shape == [examples] + map.shape else {
        throw CoalitionError(
          .shapeMismatch, "the attributions have another shape than the input", node: name,
          expected: "\([examples] + map.shape)", found: "\(tensor.shape)")
      }
      if let place = tensor.firstNonFinite {
        throw CoalitionError(
          .notFinite, "the attributions are not finite at element \(place)", node: name)
      }
      let numbers = tensor.doubles
      let width = map.elementCount
      for example in 0..<examples {
        for (element, id) in zip(0..., map.ids(ofExample: example)) where id >= 0 {
          sums[example][Int(id)] += numbers[example * width + element]
        }
      }
    }
    return sums
  }

  /// Attributions to elements, per input [N, one example's shape], from the values of players.
  /// - Parameter values: [example][player].
  public func maps(of values: [[Double]]) throws(CoalitionError) -> [String: Tensor] {
    let sizes = (0..<(differsByExample ? values.count : 1)).map { self.sizes(ofExample: $0) }
    var result: [String: Tensor] = [:]
    for (name, map) in zip(names, maps) {
      var numbers: [Double] = []
      numbers.reserveCapacity(values.count * map.elementCount)
      for (example, row) in values.enumerated() {
        let sizes = sizes[differsByExample ? example : 0]
        for id in map.ids(ofExample: example) {
          numbers.append(id < 0 ? 0 : row[Int(id)] / Double(sizes[Int(id)]))
        }
      }
      result[name] = try Tensor(
        shape: [values.count] + map.shape, elements: .float64(numbers))
    }
    return result
  }
}
