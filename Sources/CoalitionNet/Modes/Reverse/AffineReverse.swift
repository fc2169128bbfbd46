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
    guard reversal.wants(input), var signal = reversal.signal(written)?.operand else { return }
    if let rule = reversal.rules.relevanceRule(reversal.label) {
      return try share(rule, signal, &reversal)
    }
    // Only functions whose slope can be told from their output are fused (ReverseMode.draft).
    if fusion.function != .identity {
      signal = try reversal.sloped(
        signal, fusion.function, at: output, count: geometry.outputCount)
    }
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
    var total: View?
    for group in rule.groups {
      var denominator: View?
      for pass in group.passes {
        let product = View(try forward(pass, &reversal), shape: outputs)
        if let sum = denominator {
          denominator = try reversal.lowering.combined(
            pass.sign > 0 ? .add : .subtract, sum, product, shape: outputs)
        } else {
          denominator =
            pass.sign > 0
            ? product
            : try reversal.lowering.applied(Function(LN_FUNCTION_negative), to: product)
        }
      }
      guard let denominator else { continue }
      var numerator = View(relevance, shape: outputs)
      if group.gate != .open {
        let z = View(
          try forward(RelevancePass(.identity, .identity, bias: .identity), &reversal),
          shape: outputs)
        let zero = View(reversal.lowering.constant(Tensor(.float64([0]))), shape: [])
        let open =
          group.gate == .positive
          ? try reversal.lowering.combined(.greater, z, zero, shape: outputs)
          : try reversal.lowering.combined(.greater, zero, z, shape: outputs)
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
        let x = try reversal.lowering.seen(View(input, shape: inputs), through: pass.input)
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

  /// lens(W) lens(x) [+ lens(bias)].
  private func forward(
    _ pass: RelevancePass, _ reversal: inout Reversal
  ) throws(CoalitionError) -> Operand {
    let x = try reversal.lowering.seen(View(input, shape: [inputCount]), through: pass.input)
    let seenWeights = try reversal.lowering.weights(weights, seenThrough: pass.weight)
    var seenBias: Operand?
    if let bias, let lens = pass.bias {
      let source = try reversal.lowering.constantSource(bias)
      seenBias = reversal.lowering.constant(source.tensor.seen(through: lens))
    }
    let output = reversal.lowering.buffer(geometry.outputCount)
    reversal.lowering.emit(
      ConvolutionStep(
        geometry: geometry, input: x.operand, output: output, weights: seenWeights, bias: seenBias,
        fusion: Lowering.Fusion()))
    return output
  }
}

extension Lowering {
  /// Packed weights under a lens.
  mutating func weights(
    _ operand: Operand, seenThrough lens: Lens
  ) throws(CoalitionError) -> Operand {
    if lens == .identity { return operand }
    let source = try constantSource(operand)
    return constant(
      source.tensor.seen(through: lens), layout: source.layout,
      name: source.name.map {
        ConstantSource.Name(value: $0.value, form: "\($0.form) \(lens)")
      })
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
