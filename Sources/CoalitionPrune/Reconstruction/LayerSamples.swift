// Samples of what a layer reads and makes: rows for least squares.

import CoalitionBase
import CoalitionNet

/// How a layer's weights meet its input: one matrix [units, size] per group of channels.
struct LayerMatrix: Sendable {
  let layer: HiddenLayer
  let patches: LayerPatches
  private let isTransposed: Bool
  /// Weights of one input channel.
  private let taps: Int

  /// Nil for a layer that is more than weights times input.
  init?(_ layer: HiddenLayer, _ analysis: Analysis) throws(CoalitionError) {
    let graph = analysis.graph
    guard let index = graph.nodes.firstIndex(where: { $0.outputs.first == layer.output }),
      let weight = analysis.values[layer.weight]?.shape,
      let input = analysis.values[layer.input]?.shape
    else { return nil }
    self.layer = layer
    let node = graph.nodes[index]
    if layer.operation == "Conv" {
      guard let patches = try LayerPatches(analysis, node: index) else { return nil }
      self.patches = patches
      isTransposed = false
      taps = patches.size / max(weight[1], 1)
      return
    }
    // Rows of numbers along the last axis, by a weight on the right.
    func isPlain(_ name: String, _ attribute: Attribute) -> Bool {
      node.attributes[name].map { $0 == attribute } ?? true
    }
    guard node.input(0) == layer.input, weight.count == 2, input.count >= 2,
      isPlain("alpha", .float(1)), isPlain("transA", .int(0)), layer.axis == layer.rank - 1
    else { return nil }
    let size = input[input.count - 1]
    patches = LayerPatches(rows: input.dropLast().reduce(1, *), inputs: size)
    isTransposed = layer.weightAxis == 1
    taps = 1
  }

  /// Units of one group.
  var unitCount: Int { layer.unitCount / patches.groups }

  /// The place of a weight among those of the constant.
  func place(group: Int, unit: Int, input: Int) -> Int {
    isTransposed
      ? input * layer.unitCount + unit : (group * unitCount + unit) * patches.size + input
  }

  /// Along which axis of the constant inputs are counted.
  var inputAxis: Int { isTransposed ? 0 : 1 }

  /// The weights of a group's unit that read a position along `inputAxis`.
  func inputs(at position: Int) -> Range<Int> { position * taps..<(position + 1) * taps }

  /// The place among a layer's outputs for one example, [unit, positions] or [positions, unit].
  func output(position: Int, unit: Int) -> Int {
    layer.operation == "Conv"
      ? unit * patches.positions + position : position * layer.unitCount + unit
  }
}

/// Which positions of which examples are looked at: all, or as many as serve a number of unknowns well, one drawn from each of
/// so many stretches of equal length (even steps would meet the same columns of every map).
package struct SamplePlaces: Sendable {
  /// (example, position), in order.
  package private(set) var places: [(example: Int, position: Int)] = []

  /// Numbers that the columns of inputs hold at most.
  private static let limit = 1 << 24

  /// - Parameters:
  ///   - positions: of an example's map.
  ///   - unknowns: that are to be found.
  package init(examples: Int, positions: Int, unknowns: Int) {
    let all = examples * positions
    let wanted = max(2048, 6 * unknowns)
    let count = min(all, wanted, max(1, Self.limit / max(unknowns, 1)))
    var random = CounterRandom(seed: 0, purpose: .samplePlaces, index: 0)
    places.reserveCapacity(count)
    for index in 0..<count {
      let stretch = index * all / count..<(index + 1) * all / count
      let place = Int.random(in: stretch, using: &random)
      places.append((place / positions, place % positions))
    }
  }
}

extension SamplePlaces {
  /// Appends the numbers that some elements of values hold at the places of a slice of the examples.
  /// - Parameters:
  ///   - elements: of one example's value at a position, one per column; nil stands for a zero.
  ///   - columns: those of the value.
  func append(
    _ numbers: [Double], of examples: Range<Int>, to columns: inout [[Double]],
    elements: (_ position: Int) -> [Int?]
  ) {
    let count = numbers.count / max(examples.count, 1)
    var known: [Int: [Int?]] = [:]
    for (example, position) in places where examples.contains(example) {
      let own = known[position] ?? elements(position)
      known[position] = own
      let start = (example - examples.lowerBound) * count
      for (column, element) in own.enumerated() {
        columns[column].append(element.map { numbers[start + $0] } ?? 0)
      }
    }
  }
}
