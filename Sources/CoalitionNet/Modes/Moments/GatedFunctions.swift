// Products of a value with a function of itself, which exporters write as graphs: functions of one number again.
//
// Propagated as a product, x and its gate would count as independent but for their factors. With constants a and c
//     (c x) sigmoid(a x)                 = c swish_a(x)          (SiLU is written so)
//     (c x) (1 + erf(x / sqrt 2))        = 2 c gelu(x)

import CLanes
import CoalitionBase

struct GatedFunctions {
  /// The only step that writes a whole buffer, by buffer.
  private var writers: [Int: any Step] = [:]

  /// The steps with every gated product as a function; gates stay, whether somebody else reads them or not.
  static func joined(
    _ steps: [(step: any Step, label: String)], _ lowering: inout Lowering
  ) -> [(step: any Step, label: String)] {
    var gates = GatedFunctions()
    var parts: [Int: Int] = [:]
    for case let buffer? in steps.map({ $0.step.writes?.buffer }) { parts[buffer, default: 0] += 1 }
    for (step, _) in steps {
      if let buffer = step.writes?.buffer, parts[buffer] == 1 { gates.writers[buffer] = step }
    }
    return steps.flatMap { step, label -> [(step: any Step, label: String)] in
      guard let product = step as? BinaryStep, product.function == .multiply,
        let count = product.plainCount,
        let found = gates.gate(product.left, product.right, count, lowering)
          ?? gates.gate(product.right, product.left, count, lowering)
      else { return [(step, label)] }
      var gated = PointwiseStep(
        function: found.function, input: found.input, output: product.output, count: count)
      if found.scale == 1 { return [(gated, label)] }
      gated.output = lowering.buffer(count)
      let scale = lowering.constant(Tensor(.float64([found.scale])))
      var scaling = product
      (scaling.left, scaling.right) = (gated.output, scale)
      scaling.nest.strides[2] = scaling.nest.sizes.map { _ in 0 }
      return [(gated, label), (scaling, label)]
    }
  }

  /// What `factor` times `gate` is: scale times a function of one value.
  private func gate(
    _ factor: Operand, _ gate: Operand, _ count: Int, _ lowering: Lowering
  ) -> (function: Function, input: Operand, scale: Double)? {
    let factors = scaled(factor, count, lowering)
    if let argument = argument(of: Function(LN_FUNCTION_sigmoid), gate, count),
      let (own, inner) = Self.match(factors, scaled(argument, count, lowering))
    {
      return (Function(LN_FUNCTION_swish, inner.scale), own.operand, own.scale)
    }
    guard let sum = writer(of: gate) as? BinaryStep, sum.function == .add else { return nil }
    for (erf, constant, place) in [(sum.left, sum.right, 1), (sum.right, sum.left, 2)] {
      // One over the root of two, in as many digits as exporters write.
      if sum.isPlain(place, count), lowering.number(constant) == 1,
        let argument = argument(of: Function(LN_FUNCTION_erf), erf, count),
        let (own, inner) = Self.match(factors, scaled(argument, count, lowering)),
        abs(inner.scale * 2.0.squareRoot() - 1) < 1e-5
      {
        return (Function(LN_FUNCTION_gelu), own.operand, 2 * own.scale)
      }
    }
    return nil
  }

  private struct Scaled {
    var operand: Operand
    var scale: Double
  }

  /// A value as multiples of others: itself, and what it is a constant times of.
  private func scaled(_ operand: Operand, _ count: Int, _ lowering: Lowering) -> [Scaled] {
    let own = Scaled(operand: operand, scale: 1)
    guard let step = writer(of: operand) as? BinaryStep else { return [own] }
    switch step.function {
    case .multiply:
      for (value, constant, place) in [(step.left, step.right, 1), (step.right, step.left, 2)] {
        if step.isPlain(place, count), let number = lowering.number(constant) {
          return [own, Scaled(operand: value, scale: number)]
        }
      }
    case .divide:
      if step.isPlain(1, count), let number = lowering.number(step.right), number != 0 {
        return [own, Scaled(operand: step.left, scale: 1 / number)]
      }
    default: break
    }
    return [own]
  }

  private static func match(_ a: [Scaled], _ b: [Scaled]) -> (Scaled, Scaled)? {
    for one in a {
      if let other = b.first(where: { $0.operand == one.operand }) { return (one, other) }
    }
    return nil
  }

  private func argument(of function: Function, _ operand: Operand, _ count: Int) -> Operand? {
    guard let step = writer(of: operand) as? PointwiseStep, step.function == function,
      step.count == count
    else { return nil }
    return step.input
  }

  private func writer(of operand: Operand) -> (any Step)? {
    guard let step = operand.buffer.flatMap({ writers[$0] }), step.writes == operand else {
      return nil
    }
    return step
  }
}

extension BinaryStep {
  /// The number of elements, where all three values are walked from the first to the last one.
  fileprivate var plainCount: Int? {
    let count = nest.count
    return isPlain(1, count) && isPlain(2, count) ? count : nil
  }

  /// Whether the output and an operand (1: left, 2: right) are walked so.
  fileprivate func isPlain(_ place: Int, _ count: Int) -> Bool {
    var expected: [Int] = []
    var stride = 1
    for size in nest.sizes.reversed() {
      expected.insert(stride, at: 0)
      stride *= size
    }
    return stride == count && nest.strides[0] == expected && nest.strides[place] == expected
  }
}

extension Lowering {
  /// The number that a constant repeats.
  fileprivate func number(_ operand: Operand) -> Double? {
    guard case .constant(let index) = operand.space else { return nil }
    let source = draft.constants[index]
    guard source.layout == .rowMajor else { return nil }
    let numbers = source.doubles
    guard let first = numbers.first, numbers.allSatisfy({ $0 == first }) else { return nil }
    return first
  }
}
