// Attributions of elements, added up over what belongs together: a token's embedding, a player's elements.

package import CoalitionBase

extension Explanation {
  /// The attributions of embeddings summed over their last axis: [N, (T,) tokens, E] to [N, (T,) tokens].
  package func summedOverEmbeddings() throws(CoalitionError) -> Explanation {
    var copy = self
    for (name, tensor) in attributions {
      guard let width = tensor.shape.last, width > 0 else { continue }
      let values = tensor.doubles
      let sums = stride(from: 0, to: values.count, by: width).map { start in
        values[start..<start + width].reduce(0, +)
      }
      copy.attributions[name] = try Tensor(
        shape: Array(tensor.shape.dropLast()), elements: .float64(sums))
    }
    return copy
  }

  /// The sums of attributions over players, [N, (T,) P], and attributions that share them out evenly over the
  /// elements.
  package func grouped(
    by players: PlayerSet
  ) throws(CoalitionError) -> (values: Tensor, attributions: [String: Tensor]) {
    let examples = output.shape.first ?? 1
    let targets = output.rank > 1 ? output.shape[1] : 1
    var perTarget: [[[Double]]] = []
    for target in 0..<targets {
      perTarget.append(
        try players.sums(
          of: try attributions(ofTarget: target, of: targets, players), examples: examples))
    }
    let values = try Tensor(
      shape: output.shape + [players.playerCount],
      elements: .float64(
        (0..<examples).flatMap { example in perTarget.flatMap { $0[example] } }))
    return (
      values, try players.attributions(of: values, targets: output.rank > 1 ? targets : nil)
    )
  }

  /// Per input [N, shape] of one of the targets.
  private func attributions(
    ofTarget target: Int, of targets: Int, _ players: PlayerSet
  ) throws(CoalitionError) -> [String: Tensor] {
    guard targets > 1 || output.rank > 1 else { return attributions }
    var result: [String: Tensor] = [:]
    for (name, map) in zip(players.names, players.maps) {
      guard let tensor = attributions[name] else { continue }
      let values = tensor.doubles
      let size = map.elementCount
      let examples = output.shape.first ?? 1
      let picked = (0..<examples).flatMap { example in
        let start = (example * targets + target) * size
        return values[start..<start + size]
      }
      result[name] = try Tensor(shape: [examples] + map.shape, elements: .float64(picked))
    }
    return result
  }
}

extension PlayerSet {
  /// Values [N, (T,) P] in equal parts on the elements, per input.
  package func attributions(
    of values: Tensor, targets: Int?
  ) throws(CoalitionError) -> [String: Tensor] {
    let numbers = values.doubles
    let count = targets ?? 1
    let examples = values.shape[0]
    var parts: [[String: [Double]]] = []
    for target in 0..<count {
      let rows = (0..<examples).map { example in
        let start = (example * count + target) * playerCount
        return Array(numbers[start..<start + playerCount])
      }
      parts.append(try maps(of: rows).mapValues(\.doubles))
    }
    var result: [String: Tensor] = [:]
    for (name, map) in zip(names, maps) {
      let size = map.elementCount
      let merged = (0..<examples).flatMap { example in
        parts.flatMap { $0[name]?[example * size..<(example + 1) * size] ?? [] }
      }
      result[name] = try Tensor(
        shape: [examples] + (targets.map { [$0] } ?? []) + map.shape, elements: .float64(merged))
    }
    return result
  }
}
