// The family moments: against integration in double over all widths of the distribution, far tails, limits, scales,
// factors, and all variants.

import CLanes
import Testing

@Suite(.serialized) struct MomentTests {
  private static let means: [Double] = [
    -30, -20, -12.3, -8, -5, -3.01, -2, -1, -0.3, -1e-3, 0, 0.2, 0.5, 1.2, 2, 3, 4.5, 5.99, 6.01, 8,
    12, 20, 30,
  ]
  private static let deviations: [Double] = [
    1e-4, 1e-3, 0.01, 0.03, 0.035, 0.1, 0.3, 0.5, 0.7, 0.99, 1.01, 1.3, 1.6, 2.1, 2.6, 3, 5, 10, 30,
  ]

  /// The largest errors, relative to the scale of the value, and where.
  private func errors<Element: LaneElement>(_ item: FunctionCase, _: Element.Type) -> (
    mean: Double, slope: Double, variance: Double, places: String
  ) {
    // What grows without bound overflows.
    let grows = item.id == LN_FUNCTION_exp
    let means = Self.means.filter { !grows || abs($0) <= 8 }
    let deviations = Self.deviations.filter { !grows || $0 <= 2.1 }
    let pairs = means.flatMap { m in deviations.map { (m, $0) } }
    let rows: [[Element]] = [
      pairs.map { Element($0.0) }, pairs.map { Element(0.75 * $0.1 * $0.1) },
      pairs.map { Element(0.5 * $0.1) },
    ]
    let found = momentExperiment(
      item.function, pairs.count, rank: 1, examples: 1, rows: rows
    ).run(bestVariant)
    var worst = (0.0, 0.0, 0.0)
    var places = ("", "", "")
    func note(_ error: Double, _ worst: inout Double, _ place: inout String, _ text: String) {
      if !(error <= worst) { (worst, place) = (error, text) }
    }
    for i in pairs.indices {
      let m = Double(rows[0][i])
      let factor = Double(rows[2][i])
      let s = Double(rows[1][i]) + factor * factor
      let sd = s.squareRoot()
      let exact = item.moments(mean: m, deviation: sd)
      let slope = Double(found[2][i]) / factor
      let variance = Double(found[1][i]) + Double(found[2][i]) * Double(found[2][i])
      let spread = max(exact.variance, 0).squareRoot()
      let text = "m \(m), sd \(sd)"
      note(
        abs(Double(found[0][i]) - exact.mean) / max(abs(exact.mean), spread, min(sd, 1)),
        &worst.0, &places.0, text)
      note(abs(slope - exact.slope) / max(1, abs(exact.slope)), &worst.1, &places.1, text)
      note(
        abs(variance - exact.variance) / max(exact.variance, 0.01 * min(1, s)), &worst.2, &places.2,
        text)
    }
    return (worst.0, worst.1, worst.2, "\(places)")
  }

  @Test("Moments keep their error limits", arguments: momentCases)
  func accuracy(_ item: FunctionCase) {
    let single = errors(item, Float.self)
    let double = errors(item, Double.self)
    print("moments of \(item), float32: \(single)")
    print("moments of \(item), float64: \(double)")
    let limits = item.momentLimits
    for (found, limit) in [(single, limits.single), (double, limits.double)] {
      #expect(found.mean <= limit[0] && found.slope <= limit[1] && found.variance <= limit[2])
    }
  }

  /// Q, E relu(x - t) and E relu(x - t)^2 for a standard normal x, relatively exact.
  private func tails(_ t: Double) -> (above: Double, mean: Double, square: Double) {
    let end = min(10, 45 / max(t, 1e-3))
    func tail(_ power: (Double) -> Double) -> Double {
      Double.normalDensity(t)
        * Double.integral(0, end, step: end / 40) { power($0) * Double.exp(-t * $0 - $0 * $0 / 2) }
    }
    return (tail { _ in 1 }, tail { $0 }, tail { $0 * $0 })
  }

  private func checkTails<Element: LaneElement>(_: Element.Type, to end: Double, within: Double) {
    let relu = ln_function(id: Int32(LN_FUNCTION_relu.rawValue), a: 0, b: 0)
    let distances = (0...200).map { Double(Element(end * Double($0) / 200)) }
    let means = distances.map { Element(-$0) } + distances.map { Element($0) }
    let count = means.count
    for rank in [0, 1] {
      let rows: [[Element]] = [
        means, .init(repeating: rank == 0 ? 1 : 0, count: count), .init(repeating: 1, count: count),
      ]
      let found = momentExperiment(
        relu, count, rank: rank, examples: 1, rows: Array(rows[..<(2 + rank)])
      ).run(bestVariant)
      var worst = WorstError()
      for (i, t) in distances.enumerated() {
        let exact = tails(t)
        let variance = exact.square - exact.mean * exact.mean
        let cut = rank == 0 ? 0 : exact.above * exact.above
        // Left of 0, relative to what is left; right of it the line's own moments.
        let left = [exact.mean, variance - cut, exact.above]
        let right = [
          t + exact.mean, rank == 0 ? 1 - 2 * exact.above + variance : variance - cut,
          1 - exact.above,
        ]
        for (place, values) in [(i, left), (i + distances.count, right)] {
          for slot in 0..<(2 + rank) {
            worst.note(
              found: Double(found[slot][place]), reference: values[slot],
              allowed: within * values[slot], "slot \(slot), t \(t), rank \(rank)")
          }
        }
      }
      print("tails of relu, \(Element.self), rank \(rank): \(worst)")
      #expect(worst.ratio <= 1)
    }
  }

  @Test("Rectifiers are relatively exact in their far tails") func farTails() {
    checkTails(Float.self, to: 12, within: 1e-5)
    checkTails(Double.self, to: 30, within: 1e-11)
  }

  private func checkTangents<Element: LaneElement>(_: Element.Type) {
    for id in tangentFunctions {
      let function = ln_function(id: Int32(id.rawValue), a: 0.5, b: 0)
      let means: [Element] = [0.3, 1.2, 2.5, 7]
      let rows: [[Element]] = [means, [0.1, 1, 0, 4], [0.5, 0, 0.25, 1]]
      let found = momentExperiment(function, 4, rank: 1, examples: 1, rows: rows).run(bestVariant)
      let slopes = applySlope(function, LN_SLOPE_DERIVATIVE, means)
      #expect(found[0] == applyFunction(function, means), "\(functionName(id))")
      #expect(found[1] == zip(slopes, rows[1]).map { $0 * ($0 * $1) }, "\(functionName(id))")
      #expect(found[2] == zip(slopes, rows[2]).map(*), "\(functionName(id))")
    }
  }

  @Test("Functions without moments stand for their tangents") func tangents() {
    checkTangents(Float.self)
    checkTangents(Double.self)
  }

  private func checkCertain<Element: LaneElement>(_ item: FunctionCase, _: Element.Type) {
    var random = TestRandom(3)
    // At 0 some slopes are infinite.
    let means: [Element] = random.numbers(40, 0.1, 5) + random.numbers(40, -5, -0.1) + [0]
    let isPositive = item.hasPole
    let numbers = isPositive ? means.map { abs($0) } : means
    for tiny in [0, Element.leastNormalMagnitude / 4] {
      let rows: [[Element]] = [
        numbers, .init(repeating: tiny, count: 81), .init(repeating: 0, count: 162),
      ]
      let found = momentExperiment(
        item.function, 81, rank: 2, examples: 1, rows: rows
      ).run(bestVariant)
      #expect(found[0] == applyFunction(item.function, numbers), "\(item)")
      #expect(found[1].allSatisfy { $0 == 0 } && found[2].allSatisfy { $0 == 0 }, "\(item)")
    }
  }

  @Test("Certain values have the function's value, for certain", arguments: functionCases)
  func certain(_ item: FunctionCase) {
    checkCertain(item, Float.self)
    checkCertain(item, Double.self)
  }

  private func checkFactors<Element: LaneElement>(_: Element.Type, within: Double) {
    for (rank, count, examples) in [(0, 7, 3), (1, 15, 2), (3, 33, 5), (8, 17, 2)] {
      for item in momentCases {
        let rows: [[Element]] = momentRows(
          count, rank: rank, examples: examples, seed: UInt64(rank), scale: 0.9)
        let step = momentExperiment(
          item.function, count, rank: rank, examples: examples, rows: rows,
          inPlace: rank == 3)
        let found = step.run(bestVariant)
        for example in 0..<examples {
          for i in 0..<count {
            let at = example * count + i
            let factors = (0..<rank).map {
              Double(rows[2][example * rank * count + $0 * count + i])
            }
            let q = factors.reduce(0) { $0 + $1 * $1 }
            let exact = item.moments(
              mean: Double(rows[0][at]), deviation: (Double(rows[1][at]) + q).squareRoot())
            let scale = max(1, abs(exact.mean), exact.variance)
            #expect(abs(Double(found[0][at]) - exact.mean) <= within * scale, "\(item)")
            let rest = exact.variance - exact.slope * exact.slope * q
            #expect(abs(Double(found[1][at]) - rest) <= within * scale, "\(item), rank \(rank)")
            #expect(found[1][at] >= 0)
            for a in 0..<rank {
              let factor = Double(found[2][example * rank * count + a * count + i])
              #expect(abs(factor - exact.slope * factors[a]) <= within * scale, "\(item)")
            }
          }
        }
      }
    }
  }

  @Test("Factors take part in the variance and follow the slope") func factors() {
    checkFactors(Float.self, within: 1e-3)
    checkFactors(Double.self, within: 1e-3)
  }

  @Test("Rectifiers scale with their input, to the last bit") func scales() {
    for (id, a) in [
      (LN_FUNCTION_relu, 0.0), (LN_FUNCTION_leaky_relu, 0.1), (LN_FUNCTION_absolute, 0),
    ] {
      let function = ln_function(id: Int32(id.rawValue), a: a, b: 0)
      let rows: [[Float]] = momentRows(100, rank: 2, examples: 1, seed: 9)
      let found = momentExperiment(function, 100, rank: 2, examples: 1, rows: rows).run(bestVariant)
      for scale in [0x1p20 as Float, 0x1p-20] {
        let scaled = [
          rows[0].map { $0 * scale }, rows[1].map { $0 * scale * scale },
          rows[2].map { $0 * scale },
        ]
        let results = momentExperiment(
          function, 100, rank: 2, examples: 1, rows: scaled
        ).run(bestVariant)
        #expect(results[0] == found[0].map { $0 * scale })
        #expect(results[1] == found[1].map { $0 * scale * scale })
        #expect(results[2] == found[2].map { $0 * scale })
      }
    }
  }

  @Test("NaNs stay", arguments: functionCases) func notNumbers(_ item: FunctionCase) {
    let rows: [[Float]] = [[.nan, 1, 1, 1], [1, .nan, 1, 0], [1, 1, .nan, 0]]
    let found = momentExperiment(
      item.function, 4, rank: 1, examples: 1, rows: rows
    ).run(bestVariant)
    for slot in 0..<3 {
      #expect(found[slot][0].isNaN && found[slot][1].isNaN && found[slot][2].isNaN, "\(item)")
      #expect(!found[slot][3].isNaN, "\(item)")
    }
  }

  @Test("All variants give the same bytes", arguments: functionCases)
  func sameBytes(_ item: FunctionCase) {
    let rows: [[Float]] = momentRows(37, rank: 3, examples: 18, seed: 5)
    #expect(
      LaneInvariance(threads: [1, 3]).firstDifference(
        momentExperiment(item.function, 37, rank: 3, examples: 18, rows: rows)) == nil)
    let doubles: [[Double]] = momentRows(9, rank: 1, examples: 17, seed: 6, scale: 3)
    #expect(
      LaneInvariance(threads: [1, 3]).firstDifference(
        momentExperiment(item.function, 9, rank: 1, examples: 17, rows: doubles)) == nil)
  }

  @Test("Long arrays are split into units") func long() {
    let relu = ln_function(id: Int32(LN_FUNCTION_relu.rawValue), a: 0, b: 0)
    let rows: [[Float]] = momentRows(301, rank: 2, examples: 35, seed: 8)
    #expect(
      LaneInvariance().firstDifference(
        momentExperiment(relu, 301, rank: 2, examples: 35, rows: rows)) == nil)
  }
}

extension FunctionCase {
  /// Errors that mean, slope and variance may have: what was measured, rounded up.
  fileprivate var momentLimits: (single: [Double], double: [Double]) {
    switch id {
    case LN_FUNCTION_identity, LN_FUNCTION_negative, LN_FUNCTION_relu, LN_FUNCTION_leaky_relu,
      LN_FUNCTION_absolute, LN_FUNCTION_square:
      ([1e-6, 3e-6, 5e-6], [1e-11, 1e-11, 1e-11])
    case LN_FUNCTION_exp: ([5e-6, 5e-6, 1e-5], [1e-9, 1e-9, 1e-9])
    case LN_FUNCTION_sigmoid, LN_FUNCTION_tanh, LN_FUNCTION_softplus, LN_FUNCTION_softsign,
      LN_FUNCTION_swish, LN_FUNCTION_mish:
      ([2e-5, 1.5e-5, 1.5e-4], [2e-5, 5e-6, 1.5e-4])
    // An infinite end: the reach of the rule shows, relative to what is left at 3 deviations from it.
    case LN_FUNCTION_clip where b == .infinity: ([1e-6, 2e-6, 5e-5], [2e-7, 2e-7, 5e-5])
    default: ([1e-6, 6e-6, 1e-5], [2e-7, 2e-7, 3e-6])
    }
  }
}
