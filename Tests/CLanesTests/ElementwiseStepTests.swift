// The families pointwise and binary against the definitions, in every form that a span of positions takes.

import CLanes
import Testing

/// One step over a nest with two operands, either of which may be a constant.
struct BinaryCase: CustomStringConvertible, Sendable {
  var name: String
  var sizes: [Int]
  /// Strides of a, b and the result, in positions; the extents say how many positions each has.
  var a: [Int], b: [Int], out: [Int]
  var aExtent: Int, bExtent: Int, outExtent: Int
  var aConstant = false, bConstant = false

  var description: String { name }

  func experiment<Element: LaneElement>(
    _ function: ln_binary_id, examples: Int = 2
  ) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(aExtent * 1000 + bExtent))
    let aConstants: [Element] = random.numbers(aExtent),
      bConstants: [Element] = random.numbers(bExtent)
    return LaneExperiment(
      examples: examples,
      inputs: [random.numbers(aExtent * examples), random.numbers(bExtent * examples)],
      outputRows: [outExtent]
    ) { program in
      let x =
        aConstant ? program.constant(aConstants) : program.input(slot: 0, aExtent)
      let y =
        bConstant ? program.constant(bConstants) : program.input(slot: 1, bExtent)
      let result = program.value(outExtent)
      // What the step does not write is zero.
      let zero = program.constant([0])
      program.add(LN_copy) {
        $0.copy = ln_copy(
          in: zero, out: result, nest: makeNest([outExtent]), in_stride: makeStrides([0]),
          out_stride: makeStrides([1]))
      }
      program.add(LN_binary) {
        $0.binary = ln_binary(
          a: x, b: y, out: result, function: Int32(function.rawValue), nest: makeNest(sizes),
          a_stride: makeStrides(a), b_stride: makeStrides(b), out_stride: makeStrides(out))
      }
      program.output(result, outExtent)
    }
  }

  /// The results for one example, the constants of `experiment` included.
  func reference<Element: LaneElement>(
    _ function: ln_binary_id, _ rows: [[Double]], _: Element.Type
  ) -> [[Double]] {
    var random = TestRandom(UInt64(aExtent * 1000 + bExtent))
    let aConstants: [Element] = random.numbers(aExtent),
      bConstants: [Element] = random.numbers(bExtent)
    let x = aConstant ? aConstants.map { Double($0) } : rows[0]
    let y = bConstant ? bConstants.map { Double($0) } : rows[1]
    var result = [Double](repeating: 0, count: outExtent)
    let places = zip(zip(nestOffsets(sizes, a), nestOffsets(sizes, b)), nestOffsets(sizes, out))
    for ((i, j), k) in places { result[k] = .binary(function, x[i], y[j]) }
    return [result]
  }

  /// A flat pair of operands of a length.
  static func flat(_ count: Int, aConstant: Bool = false, bConstant: Bool = false) -> BinaryCase {
    BinaryCase(
      name: "flat \(count)\(aConstant ? ", a constant" : "")\(bConstant ? ", b constant" : "")",
      sizes: [count], a: [1], b: [1], out: [1], aExtent: count, bExtent: count, outExtent: count,
      aConstant: aConstant, bConstant: bConstant)
  }

  static let strided: [BinaryCase] = [
    flat(37, aConstant: true), flat(37, bConstant: true), flat(5, aConstant: true, bConstant: true),
    .init(
      name: "one number for all, on the right", sizes: [29], a: [1], b: [0], out: [1], aExtent: 29,
      bExtent: 1, outExtent: 29, bConstant: true),
    .init(
      name: "one number for all, on the left", sizes: [29], a: [0], b: [1], out: [1], aExtent: 1,
      bExtent: 29, outExtent: 29, aConstant: true),
    .init(
      name: "one value for all positions", sizes: [29], a: [1], b: [0], out: [1], aExtent: 29,
      bExtent: 1, outExtent: 29),
    .init(
      name: "a constant per channel", sizes: [7, 5], a: [5, 1], b: [0, 1], out: [5, 1], aExtent: 35,
      bExtent: 5, outExtent: 35, bConstant: true),
    .init(
      name: "a constant per position", sizes: [7, 5], a: [5, 1], b: [1, 0], out: [5, 1],
      aExtent: 35, bExtent: 7, outExtent: 35, bConstant: true),
    .init(
      name: "a value per channel over many positions", sizes: [300, 3], a: [3, 1], b: [0, 1],
      out: [3, 1], aExtent: 900, bExtent: 3, outExtent: 900),
    .init(
      name: "transposed operand, result with gaps", sizes: [4, 6], a: [1, 4], b: [6, 1],
      out: [16, 2], aExtent: 24, bExtent: 24, outExtent: 64),
    .init(
      name: "reversed axes of size 1 and 19", sizes: [1, 19, 1], a: [7, 1, 3], b: [5, 2, 9],
      out: [1, 3, 1], aExtent: 19, bExtent: 37, outExtent: 55),
    .init(
      name: "four axes", sizes: [2, 3, 4, 5], a: [60, 20, 5, 1], b: [0, 5, 0, 1],
      out: [60, 1, 15, 3], aExtent: 120, bExtent: 15, outExtent: 120),
  ]
}

private let binaryFunctions: [ln_binary_id] = [
  LN_BINARY_add, LN_BINARY_subtract, LN_BINARY_multiply, LN_BINARY_divide, LN_BINARY_maximum,
  LN_BINARY_minimum, LN_BINARY_prelu, LN_BINARY_at_least, LN_BINARY_greater,
]

@Suite(.serialized) struct ElementwiseStepTests {
  private func pointwise<Element: LaneElement>(
    _ item: FunctionCase, _ count: Int, examples: Int = 2, inPlace: Bool = false
  ) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(count))
    // Away from 0 and above it for the logarithm and the root.
    let low = item.id == LN_FUNCTION_log || item.id == LN_FUNCTION_sqrt ? 1.25 : -4.0
    return LaneExperiment(
      examples: examples, inputs: [random.numbers(count * examples, low, 4)], outputRows: [count]
    ) { program in
      let x = program.input(count)
      let y = inPlace ? x : program.value(count)
      program.add(LN_pointwise) {
        $0.pointwise = ln_pointwise(in: x, out: y, count: Int64(count), function: item.function)
      }
      program.output(y, count)
    }
  }

  private func checkPointwise<Element: LaneElement>(_ item: FunctionCase, _: Element.Type) {
    var worst = WorstError()
    for count in 1...33 {
      let experiment: LaneExperiment<Element> = pointwise(item, count, inPlace: count % 2 == 0)
      worstError(
        experiment, into: &worst,
        allowed: { (item.near + 2) * Element.spacing(at: max(abs($0), item.floor)) },
        reference: { rows in
          [
            rows[0].map {
              Double(
                WidestReal.function(item.id, WidestReal($0), WidestReal(item.a), WidestReal(item.b))
              )
            }
          ]
        })
    }
    print("pointwise \(item), \(Element.self): \(worst)")
    #expect(worst.ratio <= 1, "\(worst)")
  }

  @Test("Every function over 1 to 33 positions, in place and not", arguments: functionCases)
  func pointwiseValues(_ item: FunctionCase) {
    checkPointwise(item, Float.self)
    checkPointwise(item, Double.self)
  }

  private func checkBinary<Element: LaneElement>(
    _ item: BinaryCase, _ function: ln_binary_id, into worst: inout WorstError, _: Element.Type
  ) {
    let experiment: LaneExperiment<Element> = item.experiment(function)
    // Each is one operation, rounded once.
    worstError(
      experiment, into: &worst, allowed: { 0.501 * Element.spacing(at: $0) },
      reference: { item.reference(function, $0, Element.self) })
  }

  @Test(
    "Every function of two numbers is rounded once over 1 to 33 positions",
    arguments: binaryFunctions)
  func binaryLengths(_ function: ln_binary_id) {
    var worst = WorstError()
    for count in 1...33 {
      checkBinary(.flat(count), function, into: &worst, Float.self)
      checkBinary(.flat(count), function, into: &worst, Double.self)
    }
    #expect(worst.ratio <= 1, "\(worst)")
  }

  @Test("Constants, broadcasts, steps and gaps", arguments: BinaryCase.strided)
  func binaryForms(_ item: BinaryCase) {
    var worst = WorstError()
    for function in binaryFunctions {
      checkBinary(item, function, into: &worst, Float.self)
      checkBinary(item, function, into: &worst, Double.self)
    }
    #expect(worst.ratio <= 1, "\(worst)")
  }

  @Test("Maximum and minimum hand on a NaN from either side") func notANumber() {
    for function in [LN_BINARY_maximum, LN_BINARY_minimum] {
      var experiment: LaneExperiment<Float> = BinaryCase.flat(3).experiment(function, examples: 1)
      experiment.inputs = [[.nan, 1, 2], [1, .nan, 3]]
      for lanes in allLaneCounts {
        for isa in availableISAs {
          let found = experiment.run(LaneVariant(isa: isa, lanes: lanes, threads: 1))[0]
          #expect(found[0].isNaN && found[1].isNaN)
          #expect(found[2] == (function == LN_BINARY_maximum ? 3 : 2))
        }
      }
    }
  }

  @Test("Names are those of the lists") func names() {
    #expect(functionName(LN_FUNCTION_gelu_tanh) == "gelu_tanh")
    #expect(String(cString: ln_binary_name(LN_BINARY_prelu)) == "prelu")
  }
}
