// What tests of moment propagation share: exact moments by integration in double, and steps over values with
// factors.

import CLanes

/// Gauss-Legendre rule of ten nodes on [-1, 1].
private let gauss: [(place: Double, weight: Double)] = (1...10).map { index in
  var x = Double.cosine(Double.pi * (Double(index) - 0.25) / 10.5)
  var slope = 0.0
  for _ in 0..<50 {
    var (before, value) = (1.0, x)
    for n in 2...10 {
      (before, value) = (
        value, (Double(2 * n - 1) * x * value - Double(n - 1) * before) / Double(n)
      )
    }
    slope = 10 * (x * value - before) / (x * x - 1)
    x -= value / slope
  }
  return (x, 2 / ((1 - x * x) * slope * slope))
}

extension Double {
  /// By its series; of numbers up to pi.
  fileprivate static func cosine(_ x: Double) -> Double {
    var (term, sum) = (1.0, 1.0)
    for n in 1...20 {
      term *= -x * x / Double((2 * n - 1) * 2 * n)
      sum += term
    }
    return sum
  }

  static func normalDensity(_ x: Double) -> Double { exp(-x * x / 2) / (2 * pi).squareRoot() }

  /// The integral over [low, high], in pieces no wider than `step`.
  static func integral(_ low: Double, _ high: Double, step: Double, _ f: (Double) -> Double)
    -> Double
  {
    let pieces = Swift.max(1, Int(((high - low) / step).rounded(.up)))
    let half = (high - low) / Double(2 * pieces)
    var sum = 0.0
    for piece in 0..<pieces {
      for node in gauss {
        sum += node.weight * f(low + half * (Double(2 * piece + 1) + node.place))
      }
    }
    return sum * half
  }
}

extension FunctionCase {
  /// E f(z), E f'(z) and Var f(z) of a normal z.
  func moments(mean m: Double, deviation sd: Double) -> (
    mean: Double, slope: Double, variance: Double
  ) {
    func value(_ z: Double) -> Double { Double.function(id, z, a, b) }
    let center = value(m)
    // Near 0 the functions bend: pieces are short there.
    var cuts = kinks + [-20, 20, -4, 4]
    cuts = [-12] + cuts.map { ($0 - m) / sd }.filter { abs($0) < 12 }.sorted() + [12]
    var (first, second, product) = (0.0, 0.0, 0.0)
    for (low, high) in zip(cuts, cuts.dropFirst()) {
      let isNear = abs(m + sd * (low + high) / 2) < 20
      let step = isNear ? Swift.min(0.5, 0.7 / sd) : 0.5
      func integral(_ f: (Double, Double) -> Double) -> Double {
        Double.integral(low, high, step: step) { x in
          Double.normalDensity(x) * f(x, value(m + sd * x) - center)
        }
      }
      first += integral { $1 }
      second += integral { $1 * $1 }
      product += integral { $0 * $1 }
    }
    return (center + first, product / sd, second - first * first)
  }
}

/// Functions whose moments are known or integrated, with parameters.
let momentCases: [FunctionCase] =
  functionCases.filter { !tangentFunctions.contains($0.id) } + [
    .init(id: LN_FUNCTION_leaky_relu, a: -0.5, near: 0, far: 0),
    .init(id: LN_FUNCTION_clip, a: -0.5, b: 0.25, near: 0, far: 0),
    .init(id: LN_FUNCTION_clip, a: -1, b: .infinity, near: 0, far: 0),
    .init(id: LN_FUNCTION_swish, a: 1.7, near: 0, far: 0),
    .init(id: LN_FUNCTION_swish, a: -1, near: 0, far: 0),
  ]

/// Functions that stand for their tangent.
let tangentFunctions = [
  LN_FUNCTION_log, LN_FUNCTION_sqrt, LN_FUNCTION_truncate, LN_FUNCTION_stabilize,
  LN_FUNCTION_reciprocal,
]

let absentOperand = ln_ref(offset: 0, block: Int32(LN_ABSENT))

/// The three operands of values with factors.
struct MomentOperands {
  var mean: ln_ref
  var rest: ln_ref
  var factors: ln_ref
}

extension ProgramBuilder {
  /// Slots `slot` to `slot + 2`.
  mutating func momentInput(slot: Int, _ count: Int, rank: Int) -> MomentOperands {
    MomentOperands(
      mean: input(slot: slot, count), rest: input(slot: slot + 1, count),
      factors: rank > 0 ? input(slot: slot + 2, rank * count) : absentOperand)
  }

  mutating func momentValue(_ count: Int, rank: Int) -> MomentOperands {
    MomentOperands(
      mean: value(count), rest: value(count),
      factors: rank > 0 ? value(rank * count) : absentOperand)
  }

  /// Slots 0 to 2, or 1 at rank 0.
  mutating func momentOutput(_ operands: MomentOperands, _ count: Int, rank: Int) {
    output(operands.mean, slot: 0, count)
    output(operands.rest, slot: 1, count)
    if rank > 0 { output(operands.factors, slot: 2, rank * count) }
  }
}

/// Means, rests and factors of examples: rows of [count], [count], [rank][count].
func momentRows<Element: LaneElement>(
  _ count: Int, rank: Int, examples: Int, seed: UInt64, scale: Double = 1
) -> [[Element]] {
  var random = TestRandom(seed)
  let rows: [[Element]] = [
    random.numbers(count * examples, -2 * scale, 2 * scale),
    random.numbers(count * examples, 0.01 * scale * scale, scale * scale),
    random.numbers(rank * count * examples, -scale, scale),
  ]
  return rank > 0 ? rows : Array(rows[..<2])
}

func momentOutputRows(_ count: Int, rank: Int) -> [Int] {
  rank > 0 ? [count, count, rank * count] : [count, count]
}

/// A step of the family moments over `count` positions.
func momentExperiment<Element: LaneElement>(
  _ function: ln_function, _ count: Int, rank: Int, examples: Int, rows: [[Element]],
  inPlace: Bool = false
) -> LaneExperiment<Element> {
  LaneExperiment(
    examples: examples, inputs: rows, outputRows: momentOutputRows(count, rank: rank)
  ) { program in
    let x = program.momentInput(slot: 0, count, rank: rank)
    let y = inPlace ? x : program.momentValue(count, rank: rank)
    program.add(LN_moments) {
      $0.moments = ln_moments(
        mean: x.mean, rest: x.rest, factors: x.factors, out_mean: y.mean, out_rest: y.rest,
        out_factors: y.factors, count: Int64(count), rank: Int32(rank), function: function)
    }
    program.momentOutput(y, count, rank: rank)
  }
}

/// A step of the family moment_slope: slots of the inputs, then of the signals that there are.
func momentSlopeExperiment<Element: LaneElement>(
  _ function: ln_function, _ count: Int, rank: Int, examples: Int, rows: [[Element]],
  signals: [[Element]], present: [Bool] = [true, true, true]
) -> LaneExperiment<Element> {
  LaneExperiment(
    examples: examples, inputs: rows + signals, outputRows: momentOutputRows(count, rank: rank)
  ) { program in
    let x = program.momentInput(slot: 0, count, rank: rank)
    var signal = program.momentInput(slot: rows.count, count, rank: rank)
    if !present[0] { signal.mean = absentOperand }
    if !present[1] { signal.rest = absentOperand }
    if !present[2] { signal.factors = absentOperand }
    let y = program.momentValue(count, rank: rank)
    program.add(LN_moment_slope) {
      $0.moment_slope = ln_moment_slope(
        mean: x.mean, rest: x.rest, factors: x.factors, signal_mean: signal.mean,
        signal_rest: signal.rest, signal_factors: signal.factors, out_mean: y.mean,
        out_rest: y.rest, out_factors: y.factors, count: Int64(count), rank: Int32(rank),
        function: function)
    }
    program.momentOutput(y, count, rank: rank)
  }
}

let bestVariant = LaneVariant(isa: ln_isa_best(), lanes: 16, threads: 1)
