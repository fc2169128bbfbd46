// Checks of indices before a run: those that go from an input of the model into a table by movement alone.
//
// The engine clamps indices to the table. What the caller passes is looked at here, so that a wrong index is an error
// as it would be in other runtimes. Indices that the model computes by arithmetic are not followed.

import CoalitionBase

/// The elements of an input that choose rows of a table.
struct IndexCheck: Sendable {
  let input: String
  let node: String
  /// Flat positions within one example, ascending.
  let positions: [Range<Int>]
  let rows: Int

  /// All checks of a graph.
  /// - Throws: `memoryLimit` for indices whose ways do not fit into the memory allowed.
  static func all(_ analysis: Analysis) throws(CoalitionError) -> [IndexCheck] {
    var maker: [String: Int] = [:]
    for (index, node) in analysis.graph.nodes.enumerated() {
      for output in node.outputs where !output.isEmpty { maker[output] = index }
    }
    var checks: [IndexCheck] = []
    for (node, operation) in zip(analysis.graph.nodes, analysis.operators) {
      guard let gather = operation as? Gather else { continue }
      do throws(CoalitionError) {
        if let check = try check(gather, node, analysis, maker) { checks.append(check) }
      } catch {
        throw error.at(node.label)
      }
    }
    return checks
  }

  private static func check(
    _ gather: Gather, _ node: Node, _ analysis: Analysis, _ maker: [String: Int]
  ) throws(CoalitionError) -> IndexCheck? {
    guard let data = node.input(0).flatMap({ analysis.values[$0] }), data.constant != nil,
      let indices = node.input(1), analysis.values[indices]?.constant == nil
    else { return nil }
    var name = indices
    var path: [Movement] = []
    while let made = maker[name] {
      guard let movement = Movement(making: name, by: made, analysis) else { return nil }
      path.append(movement)
      name = movement.source
    }
    guard let input = analysis.values[name],
      analysis.graph.inputs.contains(where: { $0.name == name })
    else { return nil }
    return IndexCheck(
      input: name, node: node.label,
      positions: try positions(along: path.reversed(), from: name, input, analysis),
      rows: data.shape[try gather.axis(data.shape)])
  }

  /// The elements of an input that are left at the end of a path: every element's position goes along it in place of
  /// its value.
  private static func positions(
    along path: [Movement], from name: String, _ input: ValueInfo, _ analysis: Analysis
  ) throws(CoalitionError) -> [Range<Int>] {
    guard path.contains(where: \.drops) else { return [0..<input.count] }
    // A step holds the positions before and after it and the places that it picks them from; the end marks elements.
    var held = 0
    var before = input.count
    for step in path {
      held = max(held, before + 2 * step.count)
      before = step.count
    }
    let bytes = held * MemoryLayout<Int64>.size + input.count
    guard bytes <= analysis.memoryLimit else {
      throw CoalitionError(
        .memoryLimit,
        "the way of the indices from input '\(name)' does not fit into the memory allowed",
        expected: "at most \(analysis.memoryLimit) bytes", found: "\(bytes)")
    }
    var places = Tensor(
      filling: input.shape, with: .int64((0..<Int64(input.count)).map { $0 }))
    for step in path where !(analysis.operators[step.node] is Cast) {
      let parameters = analysis.graph.nodes[step.node].inputs.dropFirst().map {
        analysis.values[$0]?.constant?.value
      }
      guard let moved = try analysis.operators[step.node].fold([places] + parameters),
        step.output < moved.count
      else { throw CoalitionError(.internalFault, "indices were lost on their way") }
      places = moved[step.output]
    }
    var isUsed = [Bool](repeating: false, count: input.count)
    if case .int64(let left) = places.elements {
      for place in left { isUsed[Int(place)] = true }
    }
    var ranges: [Range<Int>] = []
    for place in isUsed.indices where isUsed[place] {
      if let last = ranges.last, last.upperBound == place {
        ranges[ranges.count - 1] = last.lowerBound..<(place + 1)
      } else {
        ranges.append(place..<(place + 1))
      }
    }
    return ranges
  }

  /// - Parameter tensor: the input's rows for all examples, `count` elements each.
  /// - Throws: `invalidData` for the first index that lies outside of the table.
  func check(_ tensor: Tensor, count: Int) throws(CoalitionError) {
    let values = tensor.doubles
    for start in stride(from: 0, to: values.count, by: max(count, 1)) {
      for range in positions {
        for position in range {
          let value = values[start + position].rounded(.towardZero)
          guard value < Double(-rows) || value >= Double(rows) else { continue }
          throw CoalitionError(
            .invalidData,
            "element \(position) of input '\(input)', example \(start / max(count, 1)), "
              + "is no row of the table", node: node, expected: "-\(rows) to \(rows - 1)",
            found: "\(Int(exactly: value).map { "\($0)" } ?? "\(value)")")
        }
      }
    }
  }
}

/// A node that gives elements of its first input other places, and leaves their values.
private struct Movement {
  let node: Int
  /// Which of its outputs the path goes through.
  let output: Int
  /// Elements of that output.
  let count: Int
  let source: String
  /// Whether elements may be lost; otherwise all of them are moved or repeated.
  let drops: Bool

  /// nil when `value` is made in another way.
  init?(making value: String, by index: Int, _ analysis: Analysis) {
    let node = analysis.graph.nodes[index]
    let operation = analysis.operators[index]
    guard let info = analysis.values[value], let source = node.input(0),
      let output = node.outputs.firstIndex(of: value),
      node.inputs.dropFirst().allSatisfy({ $0.isEmpty || analysis.values[$0]?.constant != nil }),
      analysis.values[source]?.constant == nil
    else { return nil }
    drops = operation is Slice || operation is Split || operation is Gather
    // Casts of computed values to types that wrap are refused.
    guard
      drops || operation is Cast || operation is Reshape || operation is Transpose
        || operation is Identity || operation is Expand || operation is Tile,
      output == 0 || operation is Split
    else { return nil }
    (self.node, self.output, self.source) = (index, output, source)
    count = info.count
  }
}
