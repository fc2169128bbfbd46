// Back through convolutions and dense layers: the transposed product, or a relevance rule made of such products.

import CLanes
import CoalitionBase

extension ConvolutionStep: ReversibleStep {
  var inputCount: Int {
    geometry.images * geometry.vertical.size * geometry.horizontal.size * geometry.groups
      * geometry.inChannels
  }

  var written: View { View(output, shape: [geometry.outputCount]) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    guard reads.contains(where: reversal.wants), var signal = reversal.signal(written)?.operand
    else { return }
    if let rule = reversal.rules.relevanceRule(reversal.lowering.currentLabel) {
      return try share(rule, signal, &reversal)
    }
    // Only functions whose slope can be told from their output are fused (ReverseMode.draft).
    if fusion.function != .identity {
      signal = try reversal.sloped(
        signal, fusion.function, at: output, count: geometry.outputCount)
    }
    try sendToParameters(signal, &reversal)
    guard reversal.wants(input) else { return }
    var geometry = geometry
    geometry.isDirect = geometry.isDirect || transposesDirectly
    let sent = try reversal.lowering.transposedConvolution(
      geometry, weights: weights, lens: .identity, signal: signal)
    try reversal.send(sent, to: input, count: inputCount)
  }

  /// R_in = sum over groups and passes of coefficient * sign * lens(x) (lens(W)^T s), s = gate(R) / stabilised(sum of
  /// the group's passes).
  private func share(
    _ rule: RelevanceRule, _ relevance: Operand, _ reversal: inout Reversal
  ) throws(CoalitionError) {
    let outputs = [geometry.outputCount]
    let inputs = [inputCount]
    var lensed = LensedAffine(step: self)
    var total: View?
    for group in rule.groups {
      guard let denominator = try lensed.sum(of: group.passes, &reversal.lowering) else { continue }
      var numerator = View(relevance, shape: outputs)
      if let open = try lensed.open(group.gate, &reversal.lowering) {
        numerator = try reversal.lowering.combined(.multiply, numerator, open, shape: outputs)
      }
      let stable = try reversal.lowering.applied(
        Function(LN_FUNCTION_stabilize, rule.epsilon), to: denominator)
      let share = try reversal.lowering.combined(.divide, numerator, stable, shape: outputs)
      for pass in group.passes {
        let back = View(
          try reversal.lowering.transposedConvolution(
            geometry, weights: weights, lens: pass.weight, signal: share.operand),
          shape: inputs)
        let x = try lensed.input(pass.input, &reversal.lowering)
        var part = try reversal.lowering.combined(.multiply, back, x, shape: inputs)
        let factor = group.coefficient * pass.sign
        if factor != 1 {
          let scale = View(reversal.lowering.constant(Tensor(.float64([factor]))), shape: [])
          part = try reversal.lowering.combined(.multiply, part, scale, shape: inputs)
        }
        total =
          try total.map { sum throws(CoalitionError) in
            try reversal.lowering.combined(.add, sum, part, shape: inputs)
          } ?? part
      }
    }
    if let total { try reversal.send(total, to: View(input, shape: inputs)) }
  }
}

/// An affine step seen through lenses. What several passes of a rule need is computed once.
private struct LensedAffine {
  let step: ConvolutionStep
  private var inputs: [Lens: View] = [:]
  private var preactivation: View?

  init(step: ConvolutionStep) { self.step = step }

  /// lens(x).
  mutating func input(_ lens: Lens, _ lowering: inout Lowering) throws(CoalitionError) -> View {
    if let known = inputs[lens] { return known }
    let view = try lowering.seen(View(step.input, shape: [step.inputCount]), through: lens)
    inputs[lens] = view
    return view
  }

  /// lens(W) lens(x) [+ lens(bias)].
  private mutating func product(
    _ pass: RelevancePass, _ lowering: inout Lowering
  ) throws(CoalitionError) -> View {
    let x = try input(pass.input, &lowering)
    let weights = try lowering.weights(step.weights, seenThrough: pass.weight)
    var seenBias: Operand?
    if let bias = step.bias, let lens = pass.bias {
      let source = try lowering.constantSource(bias)
      seenBias = lowering.constant(source.seen(through: lens))
    }
    let output = lowering.buffer(step.geometry.outputCount)
    lowering.emit(
      ConvolutionStep(
        geometry: step.geometry, input: x.operand, output: output, weights: weights,
        bias: seenBias, fusion: Lowering.Fusion()))
    return View(output, shape: [step.geometry.outputCount])
  }

  /// The sum of sign * product: nil for no passes.
  mutating func sum(
    of passes: [RelevancePass], _ lowering: inout Lowering
  ) throws(CoalitionError) -> View? {
    var sum: View?
    for pass in passes {
      let product = try product(pass, &lowering)
      if let terms = sum {
        sum = try lowering.combined(
          pass.sign > 0 ? .add : .subtract, terms, product, shape: product.shape)
      } else {
        sum =
          pass.sign > 0
          ? product : try lowering.applied(Function(LN_FUNCTION_negative), to: product)
      }
    }
    return sum
  }

  /// 1 at the outputs that a gate lets through, else 0: nil when it lets all of them through.
  mutating func open(
    _ gate: RelevanceGroup.Gate, _ lowering: inout Lowering
  ) throws(CoalitionError) -> View? {
    if gate == .open { return nil }
    let z: View
    if let known = preactivation {
      z = known
    } else {
      z = try product(RelevancePass(.identity, .identity, bias: .identity), &lowering)
      preactivation = z
    }
    let zero = View(lowering.constant(Tensor(.float64([0]))), shape: [])
    return gate == .positive
      ? try lowering.combined(.greater, z, zero, shape: z.shape)
      : try lowering.combined(.greater, zero, z, shape: z.shape)
  }
}

extension Lowering {
  /// Packed weights under a lens.
  mutating func weights(
    _ operand: Operand, seenThrough lens: Lens
  ) throws(CoalitionError) -> Operand {
    if lens == .identity { return operand }
    return constant(try constantSource(operand).seen(through: lens))
  }

  /// A lane value under a lens, dense in the memory order of `view`.
  mutating func seen(_ view: View, through lens: Lens) throws(CoalitionError) -> View {
    switch lens {
    case .identity: return view
    case .positive: return try applied(Function(LN_FUNCTION_relu), to: view)
    case .negative: return try applied(Function(LN_FUNCTION_clip, -.infinity, 0), to: view)
    case .square: return try combined(.multiply, view, view, shape: view.shape)
    case .favouringPositive(let gamma), .favouringNegative(let gamma):
      let part = try seen(view, through: lens == .favouringPositive(gamma) ? .positive : .negative)
      let scale = View(constant(Tensor(.float64([gamma]))), shape: [])
      let scaled = try combined(.multiply, part, scale, shape: view.shape)
      return try combined(.add, view, scaled, shape: view.shape)
    case .one, .constant:
      let result = View(buffer(view.count), shape: view.shape)
      try fill(result.operand, count: view.count, with: lens(0))
      return result
    }
  }
}
