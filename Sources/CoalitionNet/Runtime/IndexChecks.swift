// Checks of indices before a run: those that go from an input of the model into a table by movement alone.
//
// The engine clamps indices to the table. What the caller passes is looked at here, so that a wrong index is an error
// as it would be in other runtimes. Indices that the model computes by arithmetic are not followed.

import CoalitionBase

/// The elements of an input that choose rows of a table.
struct IndexCheck: Sendable {
  let input: String
  let node: String
  /// Flat positions within one example: nil for all of them.
  let positions: [Int]?
  let rows: Int

  /// Elements of an input whose ways through slices are followed.
  private static let followedCount = 1 << 22

  /// All checks of a graph.
  static func all(_ analysis: Analysis) -> [IndexCheck] {
    var maker: [String: Int] = [:]
    for (index, node) in analysis.graph.nodes.enumerated() {
      for output in node.outputs where !output.isEmpty { maker[output] = index }
    }
    return analysis.graph.nodes.indices.compactMap { index in
      guard let gather = analysis.operators[index] as? Gather else { return nil }
      return check(gather, analysis.graph.nodes[index], analysis, maker)
    }
  }

  private static func check(
    _ gather: Gather, _ node: Node, _ analysis: Analysis, _ maker: [String: Int]
  ) -> IndexCheck? {
    guard let data = node.input(0).flatMap({ analysis.values[$0] }), data.constant != nil,
      let indices = node.input(1), analysis.values[indices]?.constant == nil,
      let axis = try? gather.axis(data.shape)
    else { return nil }
    // Back to the input, then forward again with every element's position in place of its value.
    var name = indices
    var path: [(node: Int, output: Int)] = []
    while let made = maker[name] {
      let node = analysis.graph.nodes[made]
      let operation = analysis.operators[made]
      let moves =
        operation is Reshape || operation is Transpose || operation is Identity
        || operation is Slice || operation is Split || operation is Gather || operation is Expand
        || operation is Tile || operation is Cast
      guard moves, let first = node.input(0), let output = node.outputs.firstIndex(of: name),
        node.inputs.dropFirst().allSatisfy({ $0.isEmpty || analysis.values[$0]?.constant != nil }),
        analysis.values[first]?.constant == nil
      else { return nil }
      path.append((made, output))
      name = first
    }
    guard let input = analysis.values[name],
      analysis.graph.inputs.contains(where: { $0.name == name })
    else { return nil }
    // Only these drop elements; the others move or repeat all of them.
    let drops = path.contains { step in
      let operation = analysis.operators[step.node]
      return operation is Slice || operation is Split || operation is Gather
    }
    guard drops else {
      return IndexCheck(input: name, node: node.label, positions: nil, rows: data.shape[axis])
    }
    guard input.count <= followedCount else { return nil }
    var places = Tensor(
      filling: input.shape, with: .int64((0..<Int64(input.count)).map { $0 }))
    for (made, output) in path.reversed() where !(analysis.operators[made] is Cast) {
      let parameters = analysis.graph.nodes[made].inputs.dropFirst().map {
        analysis.values[$0]?.constant?.value
      }
      guard let moved = try? analysis.operators[made].fold([places] + parameters),
        output < moved.count
      else { return nil }
      places = moved[output]
    }
    return IndexCheck(
      input: name, node: node.label, positions: Array(Set(places.integers ?? [])).sorted(),
      rows: data.shape[axis])
  }

  /// - Parameter tensor: the input's rows for all examples, `count` elements each.
  /// - Throws: `invalidData` for the first index that lies outside of the table.
  func check(_ tensor: Tensor, count: Int) throws(CoalitionError) {
    let values = tensor.doubles
    func check(_ place: Int) throws(CoalitionError) {
      let value = values[place].rounded(.towardZero)
      guard value < Double(-rows) || value >= Double(rows) else { return }
      throw CoalitionError(
        .invalidData,
        "element \(place % count) of input '\(input)', example \(place / count), "
          + "is no row of the table", node: node, expected: "-\(rows) to \(rows - 1)",
        found: "\(Int(exactly: value).map { "\($0)" } ?? "\(value)")")
    }
    guard let positions else {
      for place in values.indices { try check(place) }
      return
    }
    for start in stride(from: 0, to: values.count, by: max(count, 1)) {
      for position in positions { try check(start + position) }
    }
  }
}
