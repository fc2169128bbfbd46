// How far the vector functions are from the exact ones: single precision over a dense sample of all bit
// patterns, double precision over random patterns and over the ranges where the functions live. Exact
// means Double, or the processor's 80-bit type where there is one. And the edges: limits, NaN, signs of zero.

import CLanes
import Testing

@Suite(.serialized) struct MathAccuracyTests {
  /// The functions of math.h are sampled more densely than those that are made of them.
  private static let core: Set<UInt32> = Set(
    [LN_FUNCTION_exp, LN_FUNCTION_log, LN_FUNCTION_tanh, LN_FUNCTION_erf].map(\.rawValue))

  @Test("Single precision keeps its error limits over the bit patterns", arguments: functionCases)
  func single(_ item: FunctionCase) {
    let found = Accuracy.single(
      item, step: Self.core.contains(item.id.rawValue) ? 257 : 4099,
      { applyFunction(item.function, $0) }, exact: { Double.function(item.id, $0, item.a, item.b) })
    print("float32 \(item): \(found.near) ulp near 0, \(found.far) ulp")
    #expect(found.faults.prefix(3) == [])
    #expect(found.near <= item.near && found.far <= item.far)
  }

  @Test("Double precision keeps its error limits", arguments: functionCases)
  func double(_ item: FunctionCase) {
    let found = Accuracy.double(
      item, seed: 7, { applyFunction(item.function, $0) },
      exact: { WidestReal.function(item.id, $0, WidestReal(item.a), WidestReal(item.b)) })
    print("float64 \(item): \(found.near) ulp near 0, \(found.far) ulp")
    #expect(found.faults.prefix(3) == [])
    // gelu_tanh: the argument of the exponential carries the rounding of a cubic.
    #expect(found.near <= item.near && found.far <= item.far)
  }

  private func checkEdges<Element: LaneElement>(_: Element.Type) {
    let infinity = Element.infinity
    let tiny = Element.leastNonzeroMagnitude
    func f(_ id: ln_function_id, _ x: Element, a: Double = 1, b: Double = 1) -> Element {
      applyFunction(ln_function(id: Int32(id.rawValue), a: a, b: b), [x])[0]
    }
    #expect(f(LN_FUNCTION_exp, infinity) == infinity && f(LN_FUNCTION_exp, -infinity) == 0)
    #expect(f(LN_FUNCTION_exp, 0) == 1 && f(LN_FUNCTION_exp, tiny) == 1)
    #expect(f(LN_FUNCTION_log, 0) == -infinity && f(LN_FUNCTION_log, -0.0) == -infinity)
    #expect(f(LN_FUNCTION_log, infinity) == infinity && f(LN_FUNCTION_log, 1) == 0)
    #expect(f(LN_FUNCTION_log, -1).isNaN && f(LN_FUNCTION_log, -tiny).isNaN)
    #expect(f(LN_FUNCTION_log, -infinity).isNaN)
    for id in [LN_FUNCTION_tanh, LN_FUNCTION_erf, LN_FUNCTION_softsign] {
      #expect(f(id, infinity) == 1 && f(id, -infinity) == -1)
      #expect(f(id, 0).sign == .plus && f(id, -0.0).sign == .minus)
      #expect(f(id, tiny) >= tiny && f(id, -tiny) <= -tiny)
    }
    #expect(f(LN_FUNCTION_elu, -0.0) == 0 && f(LN_FUNCTION_elu, -tiny) == -tiny)
    #expect(f(LN_FUNCTION_elu, -infinity) == -1 && f(LN_FUNCTION_celu, -infinity) == -1)
    #expect(f(LN_FUNCTION_celu, infinity) == infinity)
    for id in [
      LN_FUNCTION_gelu, LN_FUNCTION_gelu_tanh, LN_FUNCTION_swish, LN_FUNCTION_mish,
      LN_FUNCTION_hard_swish, LN_FUNCTION_softplus, LN_FUNCTION_relu,
    ] {
      #expect(f(id, infinity) == infinity && f(id, -infinity) == 0, "\(functionName(id))")
    }
    #expect(f(LN_FUNCTION_sigmoid, infinity) == 1 && f(LN_FUNCTION_sigmoid, -infinity) == 0)
    #expect(f(LN_FUNCTION_softplus, -80) > 0 && f(LN_FUNCTION_sigmoid, -80) > 0)
    #expect(f(LN_FUNCTION_truncate, -1.75) == -1 && f(LN_FUNCTION_truncate, 1e9) == 1e9)
  }

  @Test("Limits, signs of zero and smallest numbers come out right in single precision")
  func edgesOfSingle() { checkEdges(Float.self) }

  @Test("Limits, signs of zero and smallest numbers come out right in double precision")
  func edgesOfDouble() { checkEdges(Double.self) }

  private func checkNaN<Element: LaneElement>(_: Element.Type) {
    for item in functionCases {
      for isa in availableISAs {
        let found = applyFunction(item.function, [1, Element.nan, -1], isa: isa)
        #expect(found[1].isNaN && !found[2].isInfinite, "\(item), \(isaName(isa))")
      }
    }
  }

  @Test("A NaN goes through every function, and through no neighbour") func nan() {
    checkNaN(Float.self)
    checkNaN(Double.self)
  }

  private func checkSameBits<Element: LaneElement>(
    _ numbers: [Element], _ item: FunctionCase
  ) {
    CLanesTests.checkSameBits("\(item)", count: numbers.count) { isa, count in
      applyFunction(item.function, Array(numbers[..<count]), isa: isa)
    }
  }

  @Test("Every function has a reference")
  func complete() {
    let ids = Set(functionCases.map { $0.id.rawValue })
    #expect(ids == Set(0..<LN_FUNCTION_COUNT.rawValue))
  }

  @Test("All instruction sets and tails give the same bits", arguments: functionCases)
  func sameBits(_ item: FunctionCase) {
    var random = TestRandom(3)
    let edges: [Double] = [
      0, -0.0, .infinity, -.infinity, .nan, 1, -1, 0.625, 88.8, -104, 710, -746,
    ]
    let singles = (0..<20_000).map { _ in
      Float(bitPattern: UInt32(truncatingIfNeeded: random.bits()))
    }
    let doubles = (0..<20_000).map { _ in Double(bitPattern: random.bits()) }
    checkSameBits(
      random.numbers(64) + edges.map { Float($0) } + singles + random.numbers(5000, -90, 90), item)
    checkSameBits(random.numbers(64) + edges + doubles + random.numbers(5000, -90, 90), item)
  }
}
