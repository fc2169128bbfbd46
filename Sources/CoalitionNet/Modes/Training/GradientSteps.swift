// Gradients of parameters: where a signal reaches a constant that is trained, its sum over the examples is written out.

import CLanes
import CoalitionBase

/// The gradient of a layer's weights (csrc/ops/weight_gradient.c).
struct WeightGradientStep: Step {
  var geometry: ConvolutionGeometry
  var input: Operand
  var signal: Operand
  var slot: Int

  var reads: [Operand] { [input, signal] }
  var writes: Operand? { nil }
  var operations: Int { geometry.operations }
  var summary: String {
    let weights =
      geometry.groups * geometry.outChannels * geometry.inChannels * geometry.vertical.kernel
      * geometry.horizontal.kernel
    return "gradient \(slot) of \(weights) weights"
  }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_weight_gradient.rawValue)
    step.weight_gradient = ln_weight_gradient(
      in: places(input), gradient: places(signal), slot: Int32(slot), shape: geometry.encoded)
    return step
  }
}

/// The gradient of a table (csrc/ops/table_gradient.c).
struct TableGradientStep: Step {
  var gather: GatherStep
  var signal: Operand
  var slot: Int

  var reads: [Operand] { [gather.indices, signal] }
  var writes: Operand? { nil }
  var summary: String { "gradient \(slot) of \(gather.rows) rows of \(gather.width)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_table_gradient.rawValue)
    step.table_gradient = ln_table_gradient(
      index: places(gather.indices), gradient: places(signal), slot: Int32(slot),
      count: Int64(gather.count), rows: Int64(gather.rows), width: Int64(gather.width))
    return step
  }
}

extension GatherStep: ReversibleStep {
  var written: View { View(output, shape: [count * width]) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    guard reversal.wants(table), let signal = reversal.signal(written)?.operand,
      let origin = try reversal.lowering.origin(of: table)
    else { return }
    if let slot = reversal.lowering.noteGradient(origin, .tiles(rows * width)) {
      reversal.lowering.emit(TableGradientStep(gather: self, signal: signal, slot: slot))
    }
  }
}

extension ConvolutionStep {
  /// Sends the signal of the sums to the weights and the bias, where they are trained.
  func sendToParameters(
    _ signal: Operand, _ reversal: inout Reversal
  ) throws(CoalitionError) {
    let outputs = geometry.groups * geometry.outChannels
    if let bias, reversal.wants(bias) {
      let rows = geometry.outputCount / outputs
      let sum =
        rows == 1 ? signal : reversal.lowering.sum(signal, rows: rows, columns: outputs)
      try reversal.send(View(sum, shape: [outputs]), to: View(bias, shape: [outputs]))
    }
    guard reversal.wants(weights), var origin = try reversal.lowering.origin(of: weights) else {
      return
    }
    // [G][O][C][KH][KW] in the order of the step's rows, [G][KH][KW][C][O].
    let shape = [
      geometry.groups, geometry.outChannels, geometry.inChannels, geometry.vertical.kernel,
      geometry.horizontal.kernel,
    ]
    let order = View(weights, shape: shape).transposed([0, 3, 4, 2, 1])
    origin.elements = order.positions.map { [elements = origin.elements] in elements[$0] }
    if let slot = reversal.lowering.noteGradient(origin, .tiles(origin.elements.count)) {
      reversal.lowering.emit(
        WeightGradientStep(geometry: geometry, input: input, signal: signal, slot: slot))
    }
  }
}

extension Reversal {
  /// Writes out what reaches a constant that is trained. `contribution` has the shape of `target`.
  mutating func sendToParameter(
    _ contribution: View, to target: View
  ) throws(CoalitionError) {
    guard let origin = try lowering.origin(of: target.operand) else { return }
    let (target, contribution) = try withoutRepeats(target, contribution)
    let elements = target.positions.map { origin.elements[$0] }
    guard
      let slot = lowering.noteGradient((origin.parameter, elements), .segments(elements.count))
    else { return }
    try lowering.output(lowering.currentLabel, contribution, slot: slot, isSummed: true)
  }
}

extension Lowering {
  /// A slot for the gradient of some elements of a parameter.
  fileprivate mutating func noteGradient(
    _ origin: (parameter: Int, elements: [Int32]), _ slot: TrainingSlot
  ) -> Int? {
    guard let number = training?.slot(slot) else { return nil }
    training?.sources.append(
      GradientSource(slot: number, parameter: origin.parameter, elements: origin.elements))
    return number
  }
}
