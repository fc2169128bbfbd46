// A reversal: the state while the steps of a forward pass are gone through from last to first.
//
// Every buffer of the forward pass may have a gradient buffer (a signal buffer, for relevance) with the same
// positions. Views of a value are then views of its gradient, so that transposing, reshaping and slicing need no
// reverse of their own, and a value that is read twice gets the sum of what its readers send back. A gradient buffer
// is never changed in place once it is handed out: a sum is a new buffer, which the arena plan lays over the old one
// when nobody needs that.

import CLanes
import CoalitionBase

/// A step that a signal can go back through.
protocol ReversibleStep: Step {
  /// The places that the step writes.
  var written: View { get }
  /// Sends the signal of the step's output to its inputs.
  func reverse(_ reversal: inout Reversal) throws(CoalitionError)
}

struct Reversal {
  var lowering: Lowering
  let rules: ReverseRules
  /// Buffers whose signal is wanted: those that depend on a source.
  private let wanted: Set<Int>
  /// Per forward buffer, where its signal is so far.
  private var signals: [Int: Operand] = [:]
  /// Buffers that hold the sum of parts and belong to no other value.
  private var owned = Set<Int>()
  /// Forward buffers whose values at the baseline are needed, in the order of their input slots.
  private(set) var referenced: [Int] = []
  private var references: [Int: Operand] = [:]
  private let firstReferenceSlot: Int
  /// Affine steps with one function behind them, for the rule that looks at both.
  let soleAffine: [Operand: ConvolutionStep]
  /// The residual of every step, when it is asked for.
  var ledger: Ledger?

  init(
    _ lowering: Lowering, rules: ReverseRules, wanted: Set<Int>, referenced: [Int] = [],
    firstReferenceSlot: Int, soleAffine: [Operand: ConvolutionStep] = [:], ledger: Ledger? = nil
  ) {
    self.soleAffine = soleAffine
    self.lowering = lowering
    self.rules = rules
    self.wanted = wanted
    self.referenced = referenced
    self.firstReferenceSlot = firstReferenceSlot
    self.ledger = ledger
  }

  // MARK: Signals

  /// Whether anybody wants the signal of an operand: parameters do that are trained.
  func wants(_ operand: Operand) -> Bool {
    operand.buffer.map(wanted.contains) ?? lowering.isParameter(operand)
  }

  /// The signal at a view of a forward value: nil when nothing reached it.
  func signal(_ view: View) -> View? {
    guard let buffer = view.operand.buffer, let place = signals[buffer] else { return nil }
    var copy = view
    copy.operand = Operand(space: place.space, offset: place.offset + view.operand.offset)
    return copy
  }

  func signal(_ operand: Operand, count: Int) -> Operand? {
    signal(View(operand, shape: [count]))?.operand
  }

  /// Adds to the signal of a forward value. `contribution` has the shape of `target`.
  mutating func send(_ contribution: View, to target: View) throws(CoalitionError) {
    guard let buffer = target.operand.buffer else {
      return try sendToParameter(contribution, to: target)
    }
    guard wanted.contains(buffer) else { return }
    try record(contribution, at: target, sign: -1)
    let (target, contribution) = try withoutRepeats(target, contribution)
    let size = lowering.draft.buffers[buffer]
    let isWhole = target.isDense && target.count == size && target.operand.offset == 0
    guard let place = signals[buffer] else {
      if isWhole {
        signals[buffer] = try laid(contribution, like: target)
      } else {
        let sum = lowering.buffer(size)
        try lowering.fill(sum, count: size, with: 0)
        signals[buffer] = sum
        owned.insert(buffer)
        try lowering.copy(contribution, to: moved(target, to: sum))
      }
      return
    }
    if isWhole {
      let sum = lowering.buffer(size)
      try lowering.combine(
        .add, moved(target, to: place), contribution, into: moved(target, to: sum))
      signals[buffer] = sum
      owned.insert(buffer)
    } else {
      var sum = place
      if !owned.contains(buffer) {
        sum = lowering.buffer(size)
        try lowering.copy(View(place, shape: [size]), to: View(sum, shape: [size]))
        signals[buffer] = sum
        owned.insert(buffer)
      }
      let part = moved(target, to: sum)
      try lowering.combine(.add, part, contribution, into: part)
    }
  }

  /// The same for a contribution in the layout of a dense operand.
  mutating func send(
    _ contribution: Operand, to target: Operand, count: Int
  ) throws(CoalitionError) {
    try send(View(contribution, shape: [count]), to: View(target, shape: [count]))
  }

  private func moved(_ view: View, to operand: Operand) -> View {
    var copy = view
    copy.operand = Operand(space: operand.space, offset: operand.offset + view.operand.offset)
    return copy
  }

  /// The contribution's elements in the memory order of `target`: as they are when they lie like that.
  private mutating func laid(
    _ contribution: View, like target: View
  ) throws(CoalitionError) -> Operand {
    if moved(target, to: contribution.operand) == contribution, contribution.operand.offset == 0,
      let buffer = contribution.operand.buffer,
      lowering.draft.buffers[buffer] == target.count
    {
      return contribution.operand
    }
    let copy = lowering.buffer(target.count)
    try lowering.copy(contribution, to: moved(target, to: copy))
    return copy
  }

  /// A value that was repeated along an axis gets the sum over that axis.
  mutating func withoutRepeats(
    _ target: View, _ contribution: View
  ) throws(CoalitionError) -> (View, View) {
    guard target.digits.contains(where: { $0.stride == 0 }) else { return (target, contribution) }
    guard let nest = Nest(over: [contribution, target]) else {
      throw CoalitionError(
        .internalFault, "a repeated value has no loop nest", node: lowering.currentLabel)
    }
    let repeats = nest.sizes.indices.filter { nest.strides[1][$0] == 0 }
    let kept = nest.sizes.indices.filter { nest.strides[1][$0] != 0 }
    let times = repeats.reduce(1) { $0 * nest.sizes[$1] }
    let count = kept.reduce(1) { $0 * nest.sizes[$1] }
    let rows = try lowering.copied(
      nest.view(0, of: contribution.operand, axes: repeats + kept))
    let sum = lowering.sum(rows.operand, rows: times, columns: count)
    let shape = kept.map { nest.sizes[$0] }
    return (nest.view(1, of: target.operand, axes: kept), View(sum, shape: shape))
  }

  // MARK: Reference values

  /// The value of a forward operand at the baseline.
  mutating func reference(_ operand: Operand) throws(CoalitionError) -> Operand {
    guard let buffer = operand.buffer else { return operand }
    let place: Operand
    if let known = references[buffer] {
      place = known
    } else {
      let count = lowering.draft.buffers[buffer]
      let index = referenced.firstIndex(of: buffer) ?? referenced.count
      if index == referenced.count { referenced.append(buffer) }
      place = try lowering.input(
        lowering.currentLabel, shape: [count], order: [0], slot: firstReferenceSlot + index
      ).operand
      references[buffer] = place
    }
    return Operand(space: place.space, offset: place.offset + operand.offset)
  }

  mutating func reference(_ view: View) throws(CoalitionError) -> View {
    var copy = view
    copy.operand = try reference(view.operand)
    return copy
  }

  // MARK: Going through steps

  mutating func reverse(_ step: any Step, label: String) throws(CoalitionError) {
    // A step that reads nothing wanted has nobody to send to: the constant around a padded value.
    let hasSignal = step.allWrites.contains { output in
      output.buffer.map { wanted.contains($0) && signals[$0] != nil } ?? false
    }
    guard hasSignal, step.reads.contains(where: wants) else { return }
    guard let step = step as? any ReversibleStep else {
      throw CoalitionError(
        .unsupported, "nothing goes back through this step: \(step.summary)", node: label)
    }
    lowering.label = label
    do throws(CoalitionError) {
      if let signal = signal(step.written) { try record(signal, at: step.written, sign: 1) }
      try step.reverse(&self)
    } catch {
      throw error.at(label)
    }
  }

  /// Puts down what enters (sign +1) or leaves (sign -1) the current step, weighted by the value's change from
  /// the baseline.
  mutating func record(
    _ signal: View, at target: View, sign: Double
  ) throws(CoalitionError) {
    guard var ledger else { return }
    var change: View?
    if case .multiplier = rules.signal {
      change = target
      if rules.isComplete {
        change = try lowering.combined(
          .subtract, target, try reference(target), shape: target.shape)
      }
    }
    try ledger.record(
      signal, times: change, sign: sign, label: lowering.currentLabel, &lowering)
    self.ledger = ledger
  }
}
