// The families that move numbers without arithmetic: input, output, copy and gather. Exact equality.

import CLanes
import Testing

@Suite(.serialized) struct MovementTests {
  /// Runs an experiment by every instruction set and lane count and compares with one reference.
  private func checkExact<Element: LaneElement>(
    _ experiment: LaneExperiment<Element>, _ name: String, _ reference: ([[Double]]) -> [[Double]]
  ) {
    var worst = WorstError()
    worstError(
      experiment, into: &worst, allowed: { _ in .leastNonzeroMagnitude }, reference: reference)
    #expect(worst.ratio == 0, "\(name), \(Element.self): \(worst)")
  }

  /// Rows in by a view, rows out by a view.
  private func checkRows<Element: LaneElement>(
    row: Int, shape: [Int], strides: [Int], outShape: [Int], outStrides: [Int], examples: Int,
    _: Element.Type
  ) {
    var random = TestRandom(UInt64(row + examples))
    let count = outShape.reduce(1, *)
    let experiment = LaneExperiment<Element>(
      examples: examples, inputs: [random.numbers(row * examples)], outputRows: [count]
    ) { program in
      let x = program.input(row: row, shape: shape, strides: strides)
      program.output(x, shape: outShape, strides: outStrides)
    }
    checkExact(experiment, "row \(row) as \(shape), \(examples) examples") { rows in
      let values = nestOffsets(shape, strides).map { rows[0][$0] }
      return [nestOffsets(outShape, outStrides).map { values[$0] }]
    }
  }

  @Test(
    "Rows of 1 to 35 elements come back, whatever the number of examples",
    arguments: [1, 2, 15, 16, 17, 33, 64, 65])
  func plainRows(examples: Int) {
    for count in 1...35 {
      checkRows(
        row: count, shape: [count], strides: [1], outShape: [count], outStrides: [1],
        examples: examples, Float.self)
      checkRows(
        row: count, shape: [count], strides: [1], outShape: [count], outStrides: [1],
        examples: examples, Double.self)
    }
  }

  @Test("Channels first become channels last and come back", arguments: [1, 3, 7])
  func channels(_ channels: Int) {
    for (height, width) in [(1, 1), (1, 19), (5, 1), (6, 7), (13, 17)] {
      let map = height * width
      for examples in [1, 20, 65] {
        checkRows(
          row: channels * map, shape: [height, width, channels], strides: [width, 1, map],
          outShape: [channels, height, width], outStrides: [1, width * channels, channels],
          examples: examples, Float.self)
        checkRows(
          row: channels * map, shape: [height, width, channels], strides: [width, 1, map],
          outShape: [height, width, channels], outStrides: [width * channels, channels, 1],
          examples: examples, Double.self)
      }
    }
  }

  @Test("Views of rows: parts, every second element, reversed results, one element many times")
  func views() {
    for examples in [1, 18] {
      checkRows(
        row: 50, shape: [4, 6], strides: [12, 2], outShape: [6, 4], outStrides: [1, 6],
        examples: examples, Float.self)
      checkRows(
        row: 9, shape: [3, 40], strides: [3, 0], outShape: [120], outStrides: [1],
        examples: examples, Float.self)
      checkRows(
        row: 700, shape: [700], strides: [1], outShape: [2, 300], outStrides: [400, 1],
        examples: examples, Double.self)
    }
  }

  private func checkCopy<Element: LaneElement>(
    _ name: String, sizes: [Int], from: [Int], to: [Int], inCount: Int, outCount: Int,
    start: Int = 0,
    constant: Bool = false, _: Element.Type
  ) {
    var random = TestRandom(UInt64(inCount))
    let numbers: [Element] = random.numbers(inCount)
    let experiment = LaneExperiment<Element>(
      examples: 3, inputs: [random.numbers(inCount * 3)], outputRows: [outCount]
    ) { program in
      let x = constant ? program.constant(numbers) : program.input(inCount)
      let y = program.value(outCount)
      let filling = program.constant([7])
      program.add(LN_copy) {
        $0.copy = ln_copy(
          in: filling, out: y, nest: makeNest([outCount]), in_stride: makeStrides([0]),
          out_stride: makeStrides([1]))
      }
      let first = program.moved(x, by: start)
      program.add(LN_copy) {
        $0.copy = ln_copy(
          in: first, out: y, nest: makeNest(sizes),
          in_stride: makeStrides(from),
          out_stride: makeStrides(to))
      }
      program.output(y, outCount)
    }
    checkExact(experiment, name) { rows in
      let source = constant ? numbers.map { Double($0) } : rows[0]
      var result = [Double](repeating: 7, count: outCount)
      for (i, j) in zip(nestOffsets(sizes, from), nestOffsets(sizes, to)) {
        result[j] = source[start + i]
      }
      return [result]
    }
  }

  private func checkCopies<Element: LaneElement>(_ type: Element.Type) {
    for constant in [false, true] {
      for count in 1...33 {
        checkCopy(
          "flat", sizes: [count], from: [1], to: [1], inCount: count, outCount: count,
          constant: constant, type)
      }
      checkCopy(
        "transposition", sizes: [5, 7], from: [1, 5], to: [7, 1], inCount: 35, outCount: 35,
        constant: constant, type)
      checkCopy(
        "reversal", sizes: [40], from: [-1], to: [1], inCount: 40, outCount: 40, start: 39,
        constant: constant, type)
      checkCopy(
        "interior of a padded map", sizes: [4, 5, 3], from: [15, 3, 1], to: [21, 3, 1], inCount: 60,
        outCount: 140, constant: constant, type)
      checkCopy(
        "broadcast", sizes: [6, 2, 9], from: [0, 1, 0], to: [18, 9, 1], inCount: 2, outCount: 108,
        constant: constant, type)
      checkCopy(
        "long", sizes: [3000], from: [1], to: [1], inCount: 3000, outCount: 3000,
        constant: constant,
        type)
    }
  }

  @Test("Copies by strided views, of values and of constants") func copies() {
    checkCopies(Float.self)
    checkCopies(Double.self)
  }

  private func checkGather<Element: LaneElement>(width: Int, _: Element.Type) {
    let rows = 9
    var random = TestRandom(UInt64(width))
    let table: [Element] = random.numbers(rows * width)
    // From the end, outside on both sides, and the largest row.
    let indices: [Element] = [0, 8, 3, -1, -9, -10, 9, 100, -100, 5, 1, 2]
    let experiment = LaneExperiment<Element>(
      examples: 4, inputs: [indices], outputRows: [3 * width]
    ) { program in
      let index = program.input(3)
      let y = program.value(3 * width)
      let constants = program.constant(table)
      program.add(LN_gather) {
        $0.gather = ln_gather(
          index: index, out: y, table: constants, count: 3, rows: Int64(rows), width: Int64(width))
      }
      program.output(y, 3 * width)
    }
    checkExact(experiment, "gather, width \(width)") { inputs in
      [
        inputs[0].flatMap { index -> [Double] in
          let wanted = Int(index) < 0 ? Int(index) + rows : Int(index)
          let row = min(max(wanted, 0), rows - 1)
          return table[row * width..<(row + 1) * width].map { Double($0) }
        }
      ]
    }
  }

  @Test("Rows of a table chosen by each lane, negative and outside indices included") func gather()
  {
    for width in 1...33 {
      checkGather(width: width, Float.self)
      checkGather(width: width, Double.self)
    }
  }
}
