// The same bytes from every instruction set, lane count, thread count and split of a step: one program with
// all families but convolution, by 1, 7, 64 and 65 examples, so that tiles are ragged, fewer than threads
// (then a team shares each step) or more. A variant that is wrong on purpose must be found.

import CLanes
import Testing

@Suite(.serialized) struct SameBytesTests {
  /// [3][8][9] rows to channels last, activations, pools, a product of lanes, softmax, a table.
  private func mixture<Element: LaneElement>(examples: Int) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(examples))
    let count = 3 * 8 * 9
    let scale: [Element] = random.numbers(3), table: [Element] = random.numbers(6 * 11)
    var pool = PoolCase(
      height: 8, width: 9, channels: 3, kernel: (3, 2), stride: (1, 2), pads: (1, 0, 1, 1))
    let largest = pool
    pool.kind = LN_POOL_AVERAGE
    let average = pool
    let pooled = average.outCount
    let softmax = SoftmaxCase(outer: 8, axis: pooled / 24, inner: 3)
    return LaneExperiment(
      examples: examples,
      inputs: [random.numbers(count * examples), random.numbers(4 * examples, -7, 7)],
      outputRows: [pooled, pooled, 44]
    ) { program in
      let x = program.input(row: count, shape: [8, 9, 3], strides: [9, 1, 72])
      let scaled = program.value(count)
      let channelScale = program.constant(scale)
      program.add(LN_binary) {
        $0.binary = ln_binary(
          a: x, b: channelScale, out: scaled, function: Int32(LN_BINARY_multiply.rawValue),
          nest: makeNest([72, 3]), a_stride: makeStrides([3, 1]), b_stride: makeStrides([0, 1]),
          out_stride: makeStrides([3, 1]))
      }
      for id in [LN_FUNCTION_gelu, LN_FUNCTION_mish, LN_FUNCTION_tanh, LN_FUNCTION_softplus] {
        program.add(LN_pointwise) {
          $0.pointwise = ln_pointwise(
            in: scaled, out: scaled, count: Int64(count),
            function: ln_function(id: Int32(id.rawValue), a: 1, b: 1))
        }
      }
      let high = largest.add(to: &program, from: x)
      let mean = average.add(to: &program, from: scaled)
      let product = program.value(pooled)
      program.add(LN_binary) {
        $0.binary = ln_binary(
          a: high, b: mean, out: product, function: Int32(LN_BINARY_multiply.rawValue),
          nest: makeNest([pooled]), a_stride: makeStrides([1]), b_stride: makeStrides([1]),
          out_stride: makeStrides([1]))
      }
      let share = program.value(pooled)
      softmax.add(to: &program, from: product, into: share)
      let turned = program.value(pooled)
      program.add(LN_copy) {
        $0.copy = ln_copy(
          in: share, out: turned, nest: makeNest([3, pooled / 3]), in_stride: makeStrides([1, 3]),
          out_stride: makeStrides([pooled / 3, 1]))
      }
      let row = SoftmaxCase(outer: 1, axis: pooled, inner: 1, logarithm: true)
      let logarithms = program.value(pooled)
      row.add(to: &program, from: product, into: logarithms)
      let index = program.input(slot: 1, 4)
      let rows = program.value(44)
      let constants = program.constant(table)
      program.add(LN_gather) {
        $0.gather = ln_gather(
          index: index, out: rows, table: constants, count: 4, rows: 6, width: 11)
      }
      program.output(turned, slot: 0, pooled)
      program.output(logarithms, slot: 1, pooled)
      program.output(rows, slot: 2, 44)
    }
  }

  @Test("One program gives the same bytes in all variants", arguments: [1, 7, 64, 65])
  func sameBytes(examples: Int) {
    #expect(
      LaneInvariance().firstDifference(mixture(examples: examples) as LaneExperiment<Float>) == nil)
    #expect(
      LaneInvariance().firstDifference(mixture(examples: examples) as LaneExperiment<Double>) == nil
    )
  }

  @Test("Large steps are shared by a team without a trace", arguments: [1, 16, 64]) func largeSteps(
    lanes: Int
  ) {
    var random = TestRandom(5)
    let count = 9001
    let experiment = LaneExperiment<Float>(
      examples: 2, inputs: [random.numbers(count * 2)], outputRows: [count]
    ) { program in
      let x = program.input(count)
      let y = program.value(count)
      program.add(LN_pointwise) {
        $0.pointwise = ln_pointwise(
          in: x, out: y, count: Int64(count),
          function: ln_function(id: Int32(LN_FUNCTION_swish.rawValue), a: 1, b: 0))
      }
      program.add(LN_binary) {
        $0.binary = ln_binary(
          a: x, b: y, out: y, function: Int32(LN_BINARY_add.rawValue), nest: makeNest([count]),
          a_stride: makeStrides([1]), b_stride: makeStrides([1]), out_stride: makeStrides([1]))
      }
      program.output(y, count)
    }
    #expect(LaneInvariance(lanes: [lanes]).firstDifference(experiment) == nil)
  }

  /// A program with another constant in tiles of one width.
  @Test("A result that depends on the lane count is found") func mutant() {
    var random = TestRandom(9)
    let experiment = LaneExperiment<Float>(
      examples: 20, inputs: [random.numbers(20 * 8)], outputRows: [8]
    ) { program in
      let x = program.input(8)
      // One ulp away in tiles of 48 lanes only.
      let factor = program.constant([program.lanes == 48 ? Float(1).nextUp : 1])
      program.add(LN_binary) {
        $0.binary = ln_binary(
          a: x, b: factor, out: x, function: Int32(LN_BINARY_multiply.rawValue),
          nest: makeNest([8]),
          a_stride: makeStrides([1]), b_stride: makeStrides([0]), out_stride: makeStrides([1]))
      }
      program.output(x, 8)
    }
    #expect(LaneInvariance(threads: [1]).firstDifference(experiment)?.contains("48 lanes") == true)
    #expect(LaneInvariance(lanes: [1, 16, 64], threads: [1]).firstDifference(experiment) == nil)
  }

  /// The sum of each row of 33 numbers, from the first to the last or by halves.
  private func sums<Element: LaneElement>(
    _: Element.Type, byHalvesIn lanes: Int?
  ) -> LaneExperiment<Element> {
    var random = TestRandom(33)
    let count = 33
    return LaneExperiment(
      examples: 65, inputs: [random.numbers(count * 65)], outputRows: [1]
    ) { program in
      /// Adds `width` numbers to the ones at `target`.
      func add(_ numbers: ln_ref, to target: ln_ref, width: Int) {
        program.add(LN_binary) {
          $0.binary = ln_binary(
            a: target, b: numbers, out: target, function: Int32(LN_BINARY_add.rawValue),
            nest: makeNest([width]), a_stride: makeStrides([1]), b_stride: makeStrides([1]),
            out_stride: makeStrides([1]))
        }
      }
      let x = program.input(count)
      if program.lanes == lanes {
        var rest = count
        while rest > 1 {
          add(program.moved(x, by: (rest + 1) / 2), to: x, width: rest / 2)
          rest = (rest + 1) / 2
        }
      } else {
        for place in 1..<count { add(program.moved(x, by: place), to: x, width: 1) }
      }
      program.output(x, 1)
    }
  }

  /// What a vectorised reduction would do: partial sums whose order follows the width.
  @Test("A sum in another order is found") func reorderedSum() {
    func difference<Element: LaneElement>(_ type: Element.Type, byHalvesIn lanes: Int?) -> String? {
      LaneInvariance(threads: [1, 2]).firstDifference(sums(type, byHalvesIn: lanes))
    }
    for lanes in allLaneCounts.dropFirst() {
      #expect(difference(Float.self, byHalvesIn: lanes)?.contains("\(lanes) lanes") == true)
      #expect(difference(Double.self, byHalvesIn: lanes)?.contains("\(lanes) lanes") == true)
    }
    // The narrow form is what the others are compared with: the first of them differs.
    #expect(difference(Float.self, byHalvesIn: 1)?.contains("16 lanes") == true)
    #expect(difference(Float.self, byHalvesIn: nil) == nil)
    #expect(difference(Double.self, byHalvesIn: nil) == nil)
  }
}
