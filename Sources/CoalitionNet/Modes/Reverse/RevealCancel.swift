// DeepLIFT's RevealCancel rule (Shrikumar et al., 2017, section 3.5).
//
// At a function f of z = W x + b the change of z is split into what came from positive and from negative terms,
//   d+ = W+ (x - x')+ + W- (x - x')-,   d- = W+ (x - x')- + W- (x - x')+,
// and the change of f(z) is shared out between the two by their Shapley value. With secants
// S(u, v) = (f(u) - f(v)) / (u - v) the multipliers are
//   m+ = (S(z' + d+, z') + S(z, z' + d-)) / 2,   m- = (S(z' + d-, z') + S(z, z' + d+)) / 2,
// and an input receives W+ m+ + W- m- where it grew and W- m+ + W+ m- where it fell. A function whose input is not made
// by an affine step alone follows the Rescale rule, which is complete too.

import CLanes
import CoalitionBase

extension Reversal {
  /// Sends the signal of a function's output to the inputs of the affine step before it.
  /// - Returns: false when there is no such step, and nothing was sent.
  mutating func revealCancel(
    _ step: PointwiseStep, _ signal: Operand
  ) throws(CoalitionError) -> Bool {
    guard rules.slope == .revealCancel, let affine = soleAffine[step.input] else { return false }
    let geometry = affine.geometry
    let inputs = [affine.inputCount]
    let x = View(affine.input, shape: inputs)
    let change = try lowering.combined(.subtract, x, try reference(x), shape: inputs)
    let rise = try lowering.seen(change, through: .positive)
    let fall = try lowering.seen(change, through: .negative)

    let outputs = [step.count]
    let z = View(step.input, shape: outputs)
    let zReference = try reference(z)
    var splits: [View] = []
    for (up, down) in [(rise, fall), (fall, rise)] {
      let first = try lowering.product(affine, .positive, up)
      let second = try lowering.product(affine, .negative, down)
      let part = try lowering.combined(.add, first, second, shape: outputs)
      splits.append(try lowering.combined(.add, zReference, part, shape: outputs))
    }
    // Signals times m+ and m-.
    var signals: [View] = []
    for (own, other) in [(0, 1), (1, 0)] {
      let alone = sloped(
        signal, step.function, at: splits[own].operand, reference: zReference.operand,
        count: step.count)
      let last = sloped(
        signal, step.function, at: z.operand, reference: splits[other].operand, count: step.count)
      signals.append(
        try lowering.mean(View(alone, shape: outputs), View(last, shape: outputs)))
    }
    // W+ m+ + W- m- and W- m+ + W+ m-.
    var directions: [View] = []
    for lenses in [(Lens.positive, Lens.negative), (.negative, .positive)] {
      var parts: [View] = []
      for (lens, signal) in zip([lenses.0, lenses.1], signals) {
        parts.append(
          View(
            try lowering.transposedConvolution(
              geometry, weights: affine.weights, lens: lens, signal: signal.operand),
            shape: inputs))
      }
      directions.append(try lowering.combined(.add, parts[0], parts[1], shape: inputs))
    }
    let zero = View(lowering.constant(Tensor(.float64([0]))), shape: [])
    let grew = try lowering.combined(.greater, change, zero, shape: inputs)
    let gap = try lowering.combined(.subtract, directions[0], directions[1], shape: inputs)
    let chosen = try lowering.combined(.multiply, grew, gap, shape: inputs)
    try send(
      try lowering.combined(.add, directions[1], chosen, shape: inputs), to: x)
    return true
  }

  /// The affine steps whose output one function alone reads, by that output.
  static func soleAffine(_ steps: [any Step]) -> [Operand: ConvolutionStep] {
    var reads: [Int: Int] = [:]
    for step in steps {
      for operand in step.reads {
        if let buffer = operand.buffer { reads[buffer, default: 0] += 1 }
      }
    }
    var result: [Operand: ConvolutionStep] = [:]
    for case let step as ConvolutionStep in steps where step.fusion.function == .identity {
      if let buffer = step.output.buffer, reads[buffer] == 1 { result[step.output] = step }
    }
    return result
  }
}

extension Lowering {
  /// lens(W) x, without the bias.
  fileprivate mutating func product(
    _ affine: ConvolutionStep, _ lens: Lens, _ x: View
  ) throws(CoalitionError) -> View {
    let output = buffer(affine.geometry.outputCount)
    emit(
      ConvolutionStep(
        geometry: affine.geometry, input: x.operand, output: output,
        weights: try weights(affine.weights, seenThrough: lens), bias: nil, fusion: Fusion()))
    return View(output, shape: [affine.geometry.outputCount])
  }
}
