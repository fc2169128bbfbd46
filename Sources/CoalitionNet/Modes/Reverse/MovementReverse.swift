// Back through copies, pools and softmax.

import CLanes
import CoalitionBase

extension CopyStep: ReversibleStep {
  var written: View { nest.view(0, of: output) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    guard reversal.wants(input), let signal = reversal.signal(written) else { return }
    try reversal.send(signal, to: nest.view(1, of: input))
  }
}

/// The reverse of pooling (csrc/ops/unpool.c).
struct UnpoolStep: Step {
  enum Kind: Sendable, Equatable { case winner, average, sum, pair }

  var kind: Kind
  var signal: Operand
  var reference: Operand?
  var pool: PoolStep
  var output: Operand

  var reads: [Operand] {
    [signal] + (kind == .winner || kind == .pair ? [pool.input] : [])
      + (reference.map { [$0] } ?? [])
  }
  var writes: Operand? { output }
  var summary: String { "back through \(pool.summary)" }

  func encoded(_ places: Places) -> ln_step {
    let id =
      switch kind {
      case .winner: LN_UNPOOL_WINNER
      case .average: LN_UNPOOL_AVERAGE
      case .sum: LN_UNPOOL_SUM
      case .pair: LN_UNPOOL_PAIR
      }
    var step = ln_step()
    step.family = Int32(LN_unpool.rawValue)
    step.unpool = ln_unpool(
      gradient: places(signal), out: places(output), reference: places(reference),
      kind: Int32(id.rawValue), pool: pool.encoded(places).pool)
    return step
  }
}

extension PoolStep: ReversibleStep {
  private var inputCount: Int { images * channels * vertical.size * horizontal.size }

  var written: View {
    View(output, shape: [images * channels * vertical.outputSize * horizontal.outputSize])
  }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    guard reversal.wants(input), var signal = reversal.signal(written)?.operand else { return }
    var back: UnpoolStep.Kind
    switch kind {
    case .maximum: back = reversal.rules.isComplete ? .pair : .winner
    case .average: back = .average
    case .sum: back = .sum
    case .winner: return
    }
    let isSum = kind == .average || kind == .sum
    if isSum, let rule = reversal.rules.relevanceRule(reversal.lowering.currentLabel) {
      let stable = try reversal.lowering.applied(
        Function(LN_FUNCTION_stabilize, rule.epsilon), to: written)
      signal = try reversal.lowering.combined(
        .divide, View(signal, shape: written.shape), stable, shape: written.shape
      ).operand
    }
    let output = reversal.lowering.buffer(inputCount)
    reversal.lowering.emit(
      UnpoolStep(
        kind: back, signal: signal,
        reference: back == .pair ? try reversal.reference(input) : nil, pool: self, output: output))
    var sent = View(output, shape: [inputCount])
    if isSum, case .relevance = reversal.rules.signal {
      sent = try reversal.lowering.combined(
        .multiply, sent, View(input, shape: [inputCount]), shape: sent.shape)
    }
    try reversal.send(sent, to: View(input, shape: [inputCount]))
  }
}

extension SoftmaxStep: ReversibleStep {
  private var shape: [Int] { [outer, axis, inner] }

  var written: View { View(output, shape: shape) }

  /// Softmax: y (s - sum(s y)); its logarithm: s - exp(y) sum(s). For relevance the same with s = R / y, times x.
  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    guard reversal.wants(input), let signal = reversal.signal(written) else { return }
    let y = written
    var sent: View
    switch (reversal.rules.signal, isLogarithm) {
    case (.multiplier, false):
      let weighted = try reversal.lowering.combined(.multiply, signal, y, shape: shape)
      let total = try total(weighted, &reversal)
      let centred = try reversal.lowering.combined(.subtract, signal, total, shape: shape)
      sent = try reversal.lowering.combined(.multiply, y, centred, shape: shape)
    case (.multiplier, true):
      let share = try reversal.lowering.applied(Function(LN_FUNCTION_exp), to: y)
      let spread = try reversal.lowering.combined(
        .multiply, share, try total(signal, &reversal), shape: shape)
      sent = try reversal.lowering.combined(.subtract, signal, spread, shape: shape)
    case (.relevance, false):
      let spread = try reversal.lowering.combined(
        .multiply, y, try total(signal, &reversal), shape: shape)
      let centred = try reversal.lowering.combined(.subtract, signal, spread, shape: shape)
      sent = try reversal.lowering.combined(
        .multiply, View(input, shape: shape), centred, shape: shape)
    case (.relevance, true):
      sent = signal
    }
    try reversal.send(sent, to: View(input, shape: shape))
  }

  /// The sum along the axis, of size 1 there.
  private func total(_ view: View, _ reversal: inout Reversal) throws(CoalitionError) -> View {
    let dense = try reversal.lowering.copied(view)
    let sums = reversal.lowering.sum(
      dense.operand, blocks: outer, rows: axis, columns: inner)
    return View(sums, shape: [outer, 1, inner])
  }
}

extension Lowering {
  /// Sums of `blocks` x `rows` x `columns` positions over the rows.
  mutating func sum(_ operand: Operand, blocks: Int = 1, rows: Int, columns: Int) -> Operand {
    var window = PlacedWindow.point
    window.size = rows
    window.kernel = rows
    let output = buffer(blocks * columns)
    emit(
      PoolStep(
        kind: .sum, countsPadding: false, images: blocks, channels: columns, vertical: window,
        horizontal: .point, input: operand, output: output))
    return output
  }

  /// The same number at every position.
  mutating func fill(
    _ operand: Operand, count: Int, with value: Double
  ) throws(CoalitionError) {
    let number = View(constant(Tensor(.float64([value]))), axes: [[Digit(size: count, stride: 0)]])
    try copy(number, to: View(operand, shape: [count]))
  }

  /// f(left, right) into a place that exists: all views of one shape.
  mutating func combine(
    _ function: BinaryFunction, _ left: View, _ right: View, into target: View
  ) throws(CoalitionError) {
    var right = right
    if Nest(over: [target, left, right]) == nil { right = try copied(right) }
    let nest = try nest(over: [target, left, right])
    emit(
      BinaryStep(
        function: function, left: left.operand, right: right.operand, output: target.operand,
        nest: nest))
  }
}
