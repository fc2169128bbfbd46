// Back through functions of one and of two numbers.
//
// Under the DeepLIFT rules a change of the output is shared out completely: a function of one number by its secant; a
// product or a maximum of two computed values by the Shapley value of its two factors, so that
//   a b - a' b' = (a - a') (b + b') / 2 + (b - b') (a + a') / 2
// and max(a, b) = b + relu(a - b) goes to a by the mean of two secants of relu, with b and with b' held fixed.

import CLanes
import CoalitionBase

/// The reverse of a function of one number (csrc/ops/slope.c).
struct SlopeStep: Step {
  var function: Function
  var rule: SlopeRule
  var signal: Operand
  var input: Operand
  var reference: Operand?
  var output: Operand
  var count: Int

  var reads: [Operand] { [signal, input] + (reference.map { [$0] } ?? []) }
  var writes: Operand? { output }
  var overwrites: Operand? { signal }
  var operations: Int { count }

  private var kind: (id: ln_slope_kind, parameter: Double, name: String) {
    switch rule {
    case .derivative: (LN_SLOPE_DERIVATIVE, 0, "slope")
    case .ratio(let epsilon): (LN_SLOPE_RATIO, epsilon, "ratio")
    case .secant, .revealCancel: (LN_SLOPE_SECANT, 0, "secant")
    case .guided: (LN_SLOPE_GUIDED, 0, "guided slope")
    case .deconvnet: (LN_SLOPE_DECONVNET, 0, "rectified signal")
    }
  }

  var summary: String { "\(kind.name) of \(function.name) \(count)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_slope.rawValue)
    step.slope = ln_slope(
      gradient: places(signal), in: places(input), out: places(output),
      reference: places(reference), count: Int64(count), function: function.encoded,
      kind: Int32(kind.id.rawValue), parameter: kind.parameter)
    return step
  }
}

extension Reversal {
  /// signal * slope at the dense operand `input`, by the slope rule.
  mutating func sloped(
    _ signal: Operand, _ function: Function, at input: Operand, count: Int
  ) throws(CoalitionError) -> Operand {
    let reference = rules.slope.needsReference ? try reference(input) : nil
    return sloped(signal, function, at: input, reference: reference, count: count)
  }

  mutating func sloped(
    _ signal: Operand, _ function: Function, at input: Operand, reference: Operand?, count: Int
  ) -> Operand {
    let output = lowering.buffer(count)
    lowering.emit(
      SlopeStep(
        function: function, rule: rules.slope, signal: signal, input: input, reference: reference,
        output: output, count: count))
    return output
  }
}

extension PointwiseStep: ReversibleStep {
  var written: View { View(output, shape: [count]) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    guard reversal.wants(input), let signal = reversal.signal(written)?.operand else { return }
    if try reversal.revealCancel(self, signal) { return }
    var sent = signal
    // Relevance passes through a function of one number as it is.
    if case .multiplier = reversal.rules.signal {
      sent = try reversal.sloped(signal, function, at: input, count: count)
    }
    try reversal.send(sent, to: input, count: count)
  }
}

extension BinaryStep: ReversibleStep {
  var written: View { nest.view(0, of: output) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    guard let signal = reversal.signal(written) else { return }
    let a = nest.view(1, of: left)
    let b = nest.view(2, of: right)
    if case .relevance = reversal.rules.signal { return try share(signal, a, b, &reversal) }
    if reversal.wants(left), let sent = try sent(to: a, other: b, signal, isLeft: true, &reversal) {
      try reversal.send(sent, to: a)
    }
    if reversal.wants(right),
      let sent = try sent(to: b, other: a, signal, isLeft: false, &reversal)
    {
      try reversal.send(sent, to: b)
    }
  }

  /// signal * (a change of the output by one of `own`).
  private func sent(
    to own: View, other: View, _ signal: View, isLeft: Bool, _ reversal: inout Reversal
  ) throws(CoalitionError) -> View? {
    let shape = nest.sizes
    switch function {
    case .add: return signal
    case .subtract:
      return isLeft ? signal : try reversal.negated(signal)
    case .multiply:
      let factor = try reversal.halfWay(other)
      return try reversal.lowering.combined(.multiply, signal, factor, shape: shape)
    case .divide where isLeft:
      guard reversal.rules.isComplete, reversal.wants(other.operand) else {
        return try reversal.lowering.combined(.divide, signal, other, shape: shape)
      }
      let reciprocal = try reversal.lowering.reciprocal(other)
      let reference = try reversal.lowering.reciprocal(try reversal.reference(other))
      let factor = try reversal.lowering.mean(reciprocal, reference)
      return try reversal.lowering.combined(.multiply, signal, factor, shape: shape)
    case .divide:
      // d(a / b) / db = -a / b^2; between b' and b the secant of 1 / b is -1 / (b b').
      let last = reversal.rules.isComplete ? try reversal.reference(own) : own
      let square = try reversal.lowering.combined(.multiply, own, last, shape: shape)
      let factor = try reversal.lowering.combined(
        .divide, try reversal.halfWay(other), square, shape: shape)
      return try reversal.negated(
        try reversal.lowering.combined(.multiply, signal, factor, shape: shape))
    case .maximum, .minimum:
      return try sentThroughSelection(to: own, other: other, signal, isLeft: isLeft, &reversal)
    case .prelu where isLeft: return try sentThroughPRelu(own, slope: other, signal, &reversal)
    case .prelu:
      // x < 0 ? y x : x is relu(x) + y min(x, 0).
      var negative = try reversal.lowering.seen(other, through: .negative)
      if reversal.rules.isComplete, reversal.wants(other.operand) {
        let reference = try reversal.lowering.seen(
          try reversal.reference(other), through: .negative)
        negative = try reversal.lowering.mean(negative, reference)
      }
      return try reversal.lowering.combined(.multiply, signal, negative, shape: shape)
    case .atLeast, .greater: return nil
    }
  }

  /// max(a, b) = b + relu(a - b), min(a, b) = b - relu(b - a). Equal numbers: the left one.
  private func sentThroughSelection(
    to own: View, other: View, _ signal: View, isLeft: Bool, _ reversal: inout Reversal
  ) throws(CoalitionError) -> View {
    let shape = nest.sizes
    guard reversal.rules.isComplete else {
      let (low, high) = function == .maximum ? (other, own) : (own, other)
      let chosen = try reversal.lowering.combined(
        isLeft ? .atLeast : .greater, high, low, shape: shape)
      return try reversal.lowering.combined(.multiply, signal, chosen, shape: shape)
    }
    let ownReference = try reversal.reference(own)
    var halves: [View] = []
    for fixed in [other, try reversal.reference(other)] {
      var changes: [Operand] = []
      for value in [own, ownReference] {
        let difference =
          function == .maximum
          ? try reversal.lowering.combined(.subtract, value, fixed, shape: shape)
          : try reversal.lowering.combined(.subtract, fixed, value, shape: shape)
        changes.append(try reversal.lowering.copied(difference).operand)
      }
      let dense = try reversal.lowering.copied(signal)
      halves.append(
        View(
          reversal.sloped(
            dense.operand, Function(LN_FUNCTION_relu), at: changes[0], reference: changes[1],
            count: dense.count), shape: shape))
    }
    return try reversal.lowering.mean(halves[0], halves[1])
  }

  /// x < 0 ? y x : x is relu(x) - y relu(-x).
  private func sentThroughPRelu(
    _ x: View, slope y: View, _ signal: View, _ reversal: inout Reversal
  ) throws(CoalitionError) -> View {
    let shape = nest.sizes
    let dense = try reversal.lowering.copied(signal)
    let isComplete = reversal.rules.isComplete
    var parts: [View] = []
    for isPositive in [true, false] {
      func side(_ view: View, _ reversal: inout Reversal) throws(CoalitionError) -> Operand {
        let copy = try reversal.lowering.copied(view)
        return isPositive ? copy.operand : try reversal.negated(copy).operand
      }
      let reference = isComplete ? try side(try reversal.reference(x), &reversal) : nil
      let input = try side(x, &reversal)
      parts.append(
        View(
          reversal.sloped(
            dense.operand, Function(LN_FUNCTION_relu), at: input, reference: reference,
            count: dense.count), shape: shape))
    }
    let factor = try reversal.halfWay(y)
    let negative = try reversal.lowering.combined(.multiply, parts[1], factor, shape: shape)
    return try reversal.lowering.combined(.add, parts[0], negative, shape: shape)
  }

  /// Relevance of a sum goes to its terms in proportion to them; of a maximum to the larger one; of a product of two
  /// computed values to both in halves, and through a constant factor as it is.
  private func share(
    _ relevance: View, _ a: View, _ b: View, _ reversal: inout Reversal
  ) throws(CoalitionError) {
    let shape = nest.sizes
    switch function {
    case .add, .subtract:
      guard let rule = reversal.rules.relevanceRule(reversal.lowering.currentLabel) else { return }
      let total = try reversal.lowering.copied(written)
      let stable = try reversal.lowering.applied(
        Function(LN_FUNCTION_stabilize, rule.epsilon), to: total)
      let share = try reversal.lowering.combined(.divide, relevance, stable, shape: shape)
      for (view, isRight) in [(a, false), (b, true)] where reversal.wants(view.operand) {
        let part = try reversal.lowering.combined(.multiply, share, view, shape: shape)
        try reversal.send(
          isRight && function == .subtract ? try reversal.negated(part) : part, to: view)
      }
    case .maximum, .minimum:
      for (own, other, isLeft) in [(a, b, true), (b, a, false)] where reversal.wants(own.operand) {
        let (low, high) = function == .maximum ? (other, own) : (own, other)
        let chosen = try reversal.lowering.combined(
          isLeft ? .atLeast : .greater, high, low, shape: shape)
        try reversal.send(
          try reversal.lowering.combined(.multiply, relevance, chosen, shape: shape), to: own)
      }
    case .multiply, .divide:
      guard reversal.wants(left), reversal.wants(right) else {
        try reversal.send(relevance, to: reversal.wants(left) ? a : b)
        return
      }
      let half = View(reversal.lowering.constant(Tensor(.float64([0.5]))), shape: [])
      let part = try reversal.lowering.combined(.multiply, relevance, half, shape: shape)
      try reversal.send(part, to: a)
      try reversal.send(part, to: b)
    case .prelu: try reversal.send(relevance, to: a)
    case .atLeast, .greater: return
    }
  }
}

extension Reversal {
  mutating func negated(_ view: View) throws(CoalitionError) -> View {
    try lowering.applied(Function(LN_FUNCTION_negative), to: view)
  }

  /// What a factor counts as: its value, or half way from its reference when changes are shared out.
  fileprivate mutating func halfWay(_ view: View) throws(CoalitionError) -> View {
    guard rules.isComplete, wants(view.operand) else { return view }
    return try lowering.mean(view, try reference(view))
  }
}

extension Lowering {
  mutating func mean(_ a: View, _ b: View) throws(CoalitionError) -> View {
    let sum = try combined(.add, a, b, shape: a.shape)
    return try combined(
      .multiply, sum, View(constant(Tensor(.float64([0.5]))), shape: []), shape: a.shape)
  }

  fileprivate mutating func reciprocal(_ view: View) throws(CoalitionError) -> View {
    try combined(.divide, View(constant(Tensor(.float64([1]))), shape: []), view, shape: view.shape)
  }
}
