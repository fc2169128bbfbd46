// Dropout in training (csrc/ops/dropout.c): what is dropped is a function of the example's key, so that the way back drops
// the same.

import CLanes
import CoalitionBase

struct DropoutStep: Step {
  var input: Operand
  var output: Operand
  var count: Int
  /// The share of elements that become 0.
  var ratio: Double
  var keySlot: Int
  /// Tells the dropouts of a program apart.
  var number: Int

  var reads: [Operand] { [input] }
  var writes: Operand? { output }
  var overwrites: Operand? { input }
  var summary: String { "dropout \(ratio) of \(count)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_dropout.rawValue)
    step.dropout = ln_dropout(
      in: places(input), out: places(output), slot: Int32(keySlot), salt: UInt32(number),
      limit: UInt32(min(((1 - ratio) * 0x1p32).rounded(), 0xffff_ffff)), count: Int64(count),
      scale: 1 / (1 - ratio))
    return step
  }
}

extension DropoutStep: ReversibleStep {
  var written: View { View(output, shape: [count]) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    guard reversal.wants(input), let signal = reversal.signal(written)?.operand else { return }
    var step = self
    step.input = signal
    step.output = reversal.lowering.buffer(count)
    reversal.lowering.emit(step)
    try reversal.send(step.output, to: input, count: count)
  }
}

extension Lowering {
  /// The elements with some of them dropped. nil where the program does not train.
  mutating func dropped(_ view: View, ratio: Double) throws(CoalitionError) -> View? {
    guard let notes = training, ratio > 0 else { return nil }
    guard ratio < 1 else {
      throw CoalitionError(
        .unsupported, "a dropout of everything cannot be trained", expected: "a ratio below 1",
        found: "\(ratio)")
    }
    training?.dropoutCount += 1
    let source = view.isDense && !view.operand.isConstant ? view : try copied(view)
    let output = buffer(source.count)
    emit(
      DropoutStep(
        input: source.operand, output: output, count: source.count, ratio: ratio,
        keySlot: notes.keySlot, number: notes.dropoutCount))
    return source.denseLike(output)
  }
}
