// The family slope: derivatives over the bit patterns, secants however close their ends, ratios, the rules
// for gradients, and the step in all variants.

import CLanes
import Testing

/// Pairs of numbers from equal to far apart, the distances spread over all orders of magnitude.
private func pairs<Element: LaneElement>(
  _ item: FunctionCase, _ count: Int
) -> (left: [Element], right: [Element]) {
  var random = TestRandom(23)
  var left: [Element] = []
  var right: [Element] = []
  let isPositive = item.id == LN_FUNCTION_log || item.id == LN_FUNCTION_sqrt
  // Kinks lie within reach.
  let centers = item.kinks + [0, 0, 0]
  for i in 0..<count {
    let center = centers[i % centers.count]
    let x = Element(i % 3 == 0 ? random.uniform(-8, 8) : center + random.uniform(-2, 2))
    let distance = WidestReal.exp(WidestReal(random.uniform(-38, 2.5)))
    let y = x + Element(i % 2 == 0 ? distance : -distance)
    left.append(isPositive ? abs(x) : x)
    right.append(isPositive ? abs(y) : y)
  }
  return (left, right)
}

@Suite(.serialized) struct SlopeTests {
  @Test("Every function has a reference of its derivative") func complete() {
    #expect(Set(slopeCases.map { $0.id.rawValue }) == Set(0..<LN_FUNCTION_COUNT.rawValue))
  }

  @Test("Derivatives keep their error limits in single precision", arguments: slopeCases)
  func single(_ item: FunctionCase) {
    let found = Accuracy.single(
      item, step: 4099, { applySlope(item.function, LN_SLOPE_DERIVATIVE, $0) },
      exact: { Double.slope(item.id, $0, item.a, item.b) })
    print("float32 slope of \(item): \(found.near) ulp near 0, \(found.far) ulp")
    #expect(found.faults.prefix(3) == [])
    #expect(found.near <= item.near && found.far <= item.far)
  }

  @Test("Derivatives keep their error limits in double precision", arguments: slopeCases)
  func double(_ item: FunctionCase) {
    let found = Accuracy.double(
      item, seed: 17, { applySlope(item.function, LN_SLOPE_DERIVATIVE, $0) },
      exact: { WidestReal.slope(item.id, $0, WidestReal(item.a), WidestReal(item.b)) })
    print("float64 slope of \(item): \(found.near) ulp near 0, \(found.far) ulp")
    #expect(found.faults.prefix(3) == [])
    #expect(found.near <= item.near && found.far <= item.far)
  }

  @Test("References are the limits of finite differences", arguments: slopeCases)
  func finiteDifferences(_ item: FunctionCase) {
    var random = TestRandom(29)
    let h = 0x1p-17
    for _ in 0..<2000 {
      let x = random.uniform(-6, 6)
      let jumps = item.kinks + (item.id == LN_FUNCTION_truncate ? [x.rounded()] : [])
      guard jumps.allSatisfy({ abs(x - $0) > 0.05 }) else { continue }
      let f = [x + h, x - h].map { Double.function(item.id, $0, item.a, item.b) }
      let slope = Double.slope(item.id, x, item.a, item.b)
      if slope.isNaN && f[0].isNaN { continue }
      #expect(abs((f[0] - f[1]) / (2 * h) - slope) < 1e-6 * max(1, abs(slope)), "\(item) at \(x)")
    }
  }

  private func checkKinks<Element: LaneElement>(_: Element.Type) {
    func slope(_ id: ln_function_id, _ x: Element, a: Double = 0, b: Double = 0) -> Element {
      applySlope(ln_function(id: Int32(id.rawValue), a: a, b: b), LN_SLOPE_DERIVATIVE, [x])[0]
    }
    for zero in [Element(0), -0.0] {
      #expect(slope(LN_FUNCTION_relu, zero) == 0 && slope(LN_FUNCTION_absolute, zero) == 0)
      #expect(slope(LN_FUNCTION_leaky_relu, zero, a: 0.25) == 0.25)
      #expect(slope(LN_FUNCTION_elu, zero, a: 2, b: 3) == 6)
      #expect(slope(LN_FUNCTION_celu, zero, a: 2) == 1)
      #expect(slope(LN_FUNCTION_sqrt, zero) == .infinity)
      #expect(slope(LN_FUNCTION_log, zero) == .infinity)
      #expect(slope(LN_FUNCTION_reciprocal, zero) == -.infinity)
    }
    #expect([-1, 0, 2, 3].map { slope(LN_FUNCTION_clip, $0, a: 0, b: 2) } == [0, 1, 1, 0])
    #expect([-2, 2].map { slope(LN_FUNCTION_hard_sigmoid, $0, a: 0.25, b: 0.5) } == [0, 0])
    #expect([-3, 3].map { slope(LN_FUNCTION_hard_swish, $0) } == [0, 1])
    for id in [
      LN_FUNCTION_gelu, LN_FUNCTION_gelu_tanh, LN_FUNCTION_swish, LN_FUNCTION_mish,
      LN_FUNCTION_softplus, LN_FUNCTION_hard_swish, LN_FUNCTION_relu,
    ] {
      #expect(slope(id, .infinity, a: 1) == 1 && slope(id, -.infinity, a: 1) == 0, "\(id)")
      let large = Element.greatestFiniteMagnitude
      #expect(slope(id, large, a: 1) == 1 && slope(id, -large, a: 1) == 0, "\(id)")
    }
    for id in [
      LN_FUNCTION_tanh, LN_FUNCTION_sigmoid, LN_FUNCTION_erf, LN_FUNCTION_softsign,
      LN_FUNCTION_reciprocal,
    ] {
      #expect(slope(id, .infinity) == 0 && slope(id, -.infinity) == 0)
    }
  }

  @Test("Kinks, poles and limits") func kinks() {
    checkKinks(Float.self)
    checkKinks(Double.self)
  }

  /// The worst errors of secants: of themselves and of (x - y) secant = f(x) - f(y), in ulp.
  private func secantErrors<Element: LaneElement>(
    _ item: FunctionCase, _: Element.Type
  ) -> (slope: Double, completeness: Double, place: String) {
    let (left, right): ([Element], [Element]) = pairs(item, 30_000)
    let found = applySlope(item.function, LN_SLOPE_SECANT, left, references: right)
    var worst = 0.0
    var incomplete = 0.0
    var place = ""
    var gap = ""
    let gated: Set<UInt32> = Set(
      [
        LN_FUNCTION_hard_swish, LN_FUNCTION_gelu, LN_FUNCTION_gelu_tanh, LN_FUNCTION_swish,
        LN_FUNCTION_mish,
      ].map(\.rawValue))
    for i in found.indices {
      let x = WidestReal(left[i])
      let y = WidestReal(right[i])
      let exact = WidestReal.secant(item, x, y)
      // The reference of erf is not made for its steep tail.
      let tail: WidestReal = item.id == LN_FUNCTION_erf ? 1e-4 : 0
      let floor = gated.contains(item.id.rawValue) ? 0.5 : tail
      let error = Double(
        abs(WidestReal(found[i]) - exact) / Element.spacing(at: max(abs(exact), floor)))
      if !(error <= worst) {
        worst = error
        place = "\(left[i]), \(right[i]): \(found[i]) for \(exact)"
      }
      let values = [x, y].map {
        WidestReal.function(item.id, $0, WidestReal(item.a), WidestReal(item.b))
      }
      let rise = WidestReal(found[i]) * (x - y) - (values[0] - values[1])
      // The values of hard_swish themselves are good to that.
      let least: WidestReal = item.id == LN_FUNCTION_hard_swish ? 1 : 0
      let size = max(abs(values[0]), abs(values[1]), least)
      let missing = Double(abs(rise) / Element.spacing(at: size))
      if !(missing <= incomplete) {
        incomplete = missing
        gap = "\(left[i]), \(right[i])"
      }
    }
    return (worst, incomplete, "\(place); \(gap)")
  }

  @Test("Secants are exact to a few ulp and complete at every distance", arguments: slopeCases)
  func secants(_ item: FunctionCase) {
    let single = secantErrors(item, Float.self)
    let double = secantErrors(item, Double.self)
    print("secant of \(item), float32: \(single)")
    print("secant of \(item), float64: \(double)")
    let limit = item.secantLimits
    #expect(max(single.slope, double.slope) <= limit.slope)
    #expect(max(single.completeness, double.completeness) <= limit.completeness)
  }

  @Test("The secant between equal numbers is the derivative", arguments: slopeCases)
  func equalEnds(_ item: FunctionCase) {
    var numbers: [Double] = [0, -0.0, 1, -1, 3, -3, 6, 300, -300, 1e30, -1e30]
    var random = TestRandom(31)
    numbers += random.numbers(50, -20, 20)
    let slopes = applySlope(item.function, LN_SLOPE_DERIVATIVE, numbers)
    let secants = applySlope(item.function, LN_SLOPE_SECANT, numbers, references: numbers)
    for (x, (slope, secant)) in zip(numbers, zip(slopes, secants)) {
      if slope == secant || (slope.isNaN && secant.isNaN) { continue }
      #expect(abs(slope - secant) <= 1e-14 * max(abs(slope), abs(x) > 1e6 ? 0 : 0.5), "at \(x)")
    }
  }

  private func checkRatio<Element: LaneElement>(_ item: FunctionCase, _: Element.Type) {
    var random = TestRandom(37)
    let numbers: [Element] = [0, -0.0] + random.numbers(500)
    let epsilon = 0.0078125
    let found = applySlope(item.function, LN_SLOPE_RATIO, parameter: epsilon, numbers)
    let values = applyFunction(item.function, numbers)
    for (i, x) in numbers.enumerated() {
      let expected = values[i] / (x < 0 ? x - Element(epsilon) : x + Element(epsilon))
      #expect(found[i] == expected || (found[i].isNaN && expected.isNaN), "\(item) at \(x)")
    }
  }

  @Test("Ratios push the denominator away from 0", arguments: slopeCases)
  func ratios(_ item: FunctionCase) {
    checkRatio(item, Float.self)
    checkRatio(item, Double.self)
  }

  private func checkGradients<Element: LaneElement>(_: Element.Type) {
    let relu = ln_function(id: Int32(LN_FUNCTION_relu.rawValue), a: 0, b: 0)
    let tanh = ln_function(id: Int32(LN_FUNCTION_tanh.rawValue), a: 0, b: 0)
    let sqrt = ln_function(id: Int32(LN_FUNCTION_sqrt.rawValue), a: 0, b: 0)
    for isa in availableISAs {
      func reversed(
        _ f: ln_function, _ kind: ln_slope_kind, _ x: [Element], _ gradients: [Element]
      ) -> [Element] {
        applySlope(f, kind, x, references: x, gradients: gradients, isa: isa)
      }
      #expect(
        reversed(relu, LN_SLOPE_GUIDED, [1, 1, -1, -1], [2, -2, 2, -2]) == [2, 0, 0, 0])
      #expect(
        reversed(relu, LN_SLOPE_DECONVNET, [1, 1, -1, -1], [2, -2, 2, -2]) == [2, 0, 2, 0])
      #expect(reversed(tanh, LN_SLOPE_GUIDED, [0, 0], [2, -2]) == [2, 0])
      // A factor of 0 wins.
      for kind in [LN_SLOPE_DERIVATIVE, LN_SLOPE_SECANT, LN_SLOPE_GUIDED] {
        #expect(reversed(sqrt, kind, [0, 0, -1], [0, 1, 0]) == [0, .infinity, 0])
        #expect(reversed(relu, kind, [-1, 1], [.infinity, .infinity]) == [0, .infinity])
        let mixed = reversed(relu, kind, [.nan, -1, 1, .nan], [1, .nan, 3, 0])
        #expect(mixed[0].isNaN && mixed[1].isNaN && mixed[2] == 3 && mixed[3] == 0)
      }
      let reference = applySlope(
        relu, LN_SLOPE_SECANT, [1, 1] as [Element], references: [.nan, 0], isa: isa)
      #expect(reference[0].isNaN && reference[1] == 1)
    }
  }

  @Test("Rules for signs of gradients, factors of 0 and NaNs") func gradients() {
    checkGradients(Float.self)
    checkGradients(Double.self)
  }

  private func checkSameBits<Element: LaneElement>(_ item: FunctionCase, _ numbers: [Element]) {
    let references = Array(numbers.reversed())
    var random = TestRandom(41)
    let gradients: [Element] = random.numbers(numbers.count)
    for kind in [LN_SLOPE_DERIVATIVE, LN_SLOPE_RATIO, LN_SLOPE_SECANT] {
      CLanesTests.checkSameBits("\(item), kind \(kind)", count: numbers.count) { isa, count in
        applySlope(
          item.function, kind, parameter: 1e-3, Array(numbers[..<count]),
          references: Array(references[..<count]), gradients: Array(gradients[..<count]), isa: isa)
      }
    }
  }

  @Test("All instruction sets and tails give the same bits", arguments: slopeCases)
  func sameBits(_ item: FunctionCase) {
    var random = TestRandom(43)
    let edges: [Double] = [0, -0.0, .infinity, -.infinity, .nan, 1, -1, 3, -3, 88.8, -104, 710]
    let singles = (0..<5000).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.bits()))
    }
    let doubles = (0..<5000).map { _ in Double(bitPattern: random.bits()) }
    checkSameBits(item, random.numbers(64) + edges.map { Float($0) } + singles)
    checkSameBits(item, random.numbers(64) + edges + doubles)
  }

  /// A step over `count` positions: slots are gradients, inputs and references.
  private func experiment<Element: LaneElement>(
    _ id: ln_function_id, _ kind: ln_slope_kind, _ count: Int, examples: Int,
    constantReference: Bool = false, inPlace: Bool = false
  ) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(count))
    let constants: [Element] = random.numbers(count)
    return LaneExperiment(
      examples: examples,
      inputs: (0..<3).map { _ in random.numbers(count * examples) }, outputRows: [count]
    ) { program in
      let gradient = program.input(slot: 0, count)
      let x = program.input(slot: 1, count)
      let reference =
        constantReference ? program.constant(constants) : program.input(slot: 2, count)
      let absent = ln_ref(offset: 0, block: Int32(LN_ABSENT))
      let out = inPlace ? gradient : program.value(count)
      program.add(LN_slope) {
        $0.slope = ln_slope(
          gradient: gradient, in: kind == LN_SLOPE_DECONVNET ? absent : x, out: out,
          reference: kind == LN_SLOPE_SECANT ? reference : absent, count: Int64(count),
          function: ln_function(id: Int32(id.rawValue), a: 1, b: 1), kind: Int32(kind.rawValue),
          parameter: 0.01)
      }
      program.output(out, count)
    }
  }

  @Test("The step is the array function, with references of lanes and of constants")
  func steps() {
    for (count, examples) in [(1, 3), (37, 18), (701, 2)] {
      for constant in [false, true] {
        let step: LaneExperiment<Float> = experiment(
          LN_FUNCTION_swish, LN_SLOPE_SECANT, count, examples: examples,
          constantReference: constant, inPlace: count == 37)
        var random = TestRandom(UInt64(count))
        let constants: [Float] = random.numbers(count)
        let references =
          constant ? Array((0..<examples).map { _ in constants }.joined()) : step.inputs[2]
        let expected = applySlope(
          ln_function(id: Int32(LN_FUNCTION_swish.rawValue), a: 1, b: 1), LN_SLOPE_SECANT,
          step.inputs[1], references: references, gradients: step.inputs[0])
        let found = step.run(LaneVariant(isa: ln_isa_best(), lanes: 48, threads: 1))[0]
        #expect(zip(expected, found).allSatisfy { $0.matches($1) }, "\(count), \(constant)")
        #expect(LaneInvariance().firstDifference(step) == nil)
      }
    }
  }

  @Test("All kinds give the same bytes in all variants")
  func sameBytes() {
    for kind in [
      LN_SLOPE_DERIVATIVE, LN_SLOPE_RATIO, LN_SLOPE_SECANT, LN_SLOPE_GUIDED, LN_SLOPE_DECONVNET,
    ] {
      let single: LaneExperiment<Float> = experiment(LN_FUNCTION_gelu, kind, 301, examples: 35)
      #expect(LaneInvariance().firstDifference(single) == nil)
      let double: LaneExperiment<Double> = experiment(LN_FUNCTION_tanh, kind, 77, examples: 35)
      #expect(LaneInvariance().firstDifference(double) == nil)
    }
  }
}

extension FunctionCase {
  /// Errors that secants may have, in ulp: of the slope (of 1/2 where it has a zero), and of the rise (of the
  /// larger value). They are the errors measured, rounded up; values of gelu_tanh are no better in its tail.
  fileprivate var secantLimits: (slope: Double, completeness: Double) {
    switch id {
    case LN_FUNCTION_tanh: (4.5, 8.5)
    case LN_FUNCTION_softplus: (11, 4.5)
    case LN_FUNCTION_swish: (9, 4.5)
    case LN_FUNCTION_gelu: (6, 9)
    case LN_FUNCTION_gelu_tanh: (4.5, 110)
    case LN_FUNCTION_erf: (36, 7.5)
    default: (4.5, 4.5)
    }
  }
}
