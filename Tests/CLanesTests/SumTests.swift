// The family sum against chains of fused multiply-adds in double, bit by bit.

import CLanes
import Testing

/// Segments of examples within blocks of LN_LANE_UNIT, their rows, and some rows without examples.
private func segments(_ examples: Int, lengths: [Int]) -> [Int32] {
  var result: [Int32] = []
  var row: Int32 = 0
  var next = 0
  while result.count < examples {
    let room = LN_LANE_UNIT - result.count % LN_LANE_UNIT
    let length = min(lengths[next % lengths.count], room, examples - result.count)
    result += [Int32](repeating: row, count: length)
    // Every fourth row has no example.
    row += next % 4 == 2 ? 2 : 1
    next += 1
  }
  return result
}

@Suite(.serialized) struct SumTests {
  /// A row of shape `sizes` read through `strides` from `extent` positions.
  private func experiment<Element: LaneElement>(
    examples: Int, lengths: [Int], extent: Int, sizes: [Int], strides: [Int]
  ) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(examples + extent))
    let count = sizes.reduce(1, *)
    var experiment = LaneExperiment<Element>(
      examples: examples, inputs: [random.numbers(extent * examples)], outputRows: [count]
    ) { program in
      let x = program.input(extent)
      program.add(LN_sum) {
        $0.sum = ln_sum(
          in: x, slot: 0, row_count: Int64(count), nest: makeNest(sizes),
          stride: makeStrides(strides))
      }
    }
    experiment.segments = segments(examples, lengths: lengths)
    experiment.weights = random.numbers(examples, -1, 1)
    return experiment
  }

  private func reference<Element>(
    _ experiment: LaneExperiment<Element>, extent: Int, places: [Int]
  ) -> [Double] {
    let rows = Int(experiment.segments.last ?? -1) + 1
    var result = [Double](
      repeating: LaneExperiment<Element>.untouched, count: rows * places.count)
    for segment in Set(experiment.segments) {
      for (i, place) in places.enumerated() {
        var sum = 0.0
        for e in 0..<experiment.examples where experiment.segments[e] == segment {
          sum.addProduct(experiment.weights[e], Double(experiment.inputs[0][e * extent + place]))
        }
        result[Int(segment) * places.count + i] = sum
      }
    }
    return result
  }

  private func check<Element: LaneElement>(
    examples: Int, lengths: [Int], extent: Int, sizes: [Int], strides: [Int], _: Element.Type
  ) {
    let step: LaneExperiment<Element> = experiment(
      examples: examples, lengths: lengths, extent: extent, sizes: sizes, strides: strides)
    let expected = reference(step, extent: extent, places: nestOffsets(sizes, strides))
    for isa in availableISAs {
      for lanes in allLaneCounts where lanes > 1 || lengths == [1] {
        for threads in [1, 2, 3, 8] {
          let variant = LaneVariant(isa: isa, lanes: lanes, threads: threads)
          let found = step.sums(variant)[0]
          let same = zip(expected, found).allSatisfy { $0.matches($1) }
          #expect(same && found.count == expected.count, "\(examples) by \(lengths), \(variant)")
        }
      }
    }
  }

  @Test(
    "Sums are one chain in order, whatever the segments, tiles and threads",
    arguments: [
      (1, [1]), (16, [16]), (23, [1]), (65, [7]), (130, [3, 1, 5]), (100, [16, 2]),
    ])
  func chains(examples: Int, lengths: [Int]) {
    check(
      examples: examples, lengths: lengths, extent: 37, sizes: [37], strides: [1], Float.self)
    check(
      examples: examples, lengths: lengths, extent: 37, sizes: [37], strides: [1], Double.self)
  }

  @Test("Rows of 1 to 33 numbers, and of more than a unit") func lengths() {
    for count in Array(1...33) + [300] {
      check(examples: 20, lengths: [4, 9], extent: count, sizes: [count], strides: [1], Float.self)
    }
  }

  @Test("A row is read through strides: transposed, reversed, with gaps") func strided() {
    check(
      examples: 18, lengths: [5], extent: 24, sizes: [4, 6], strides: [1, 4], Float.self)
    check(
      examples: 18, lengths: [5], extent: 120, sizes: [3, 5, 4], strides: [40, 2, 10], Double.self)
  }

  @Test("A number that is not finite stays in its segment and position") func notFinite() {
    var step: LaneExperiment<Float> = experiment(
      examples: 32, lengths: [4], extent: 5, sizes: [5], strides: [1])
    let clean = step.sums(LaneVariant(isa: LN_GENERIC, lanes: 16, threads: 1))[0]
    step.inputs[0][9 * 5 + 2] = .nan
    for isa in availableISAs {
      for lanes in allLaneCounts where lanes > 1 {
        let found = step.sums(LaneVariant(isa: isa, lanes: lanes, threads: 1))[0]
        let bad = Int(step.segments[9]) * 5 + 2
        for i in found.indices { #expect(i == bad ? found[i].isNaN : found[i] == clean[i]) }
      }
    }
  }
}
