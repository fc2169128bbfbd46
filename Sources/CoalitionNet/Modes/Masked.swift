// The masked mode: a forward pass of which parts of the input are replaced by a baseline.
//
// A variant has a row of every input, a row of its baseline, and a mask: a coalition of players (what is absent is the
// baseline's, bit by bit), or a number between 0 and 1 per position (x m + b (1 - m)). After the mask the draft is
// the forward mode's. Slots, for I inputs of the graph:
//     0 ..< I inputs, I ..< 2 I baselines, 2 I ..< 3 I players where they differ by example, 3 I the mask.

import CLanes
import CoalitionBase

/// What is masked.
package enum Masking: Sendable {
  /// Coalitions of players, in rows of `words` 32-bit words; per input, the players of its elements.
  case coalitions(players: [String: ElementPlayers], words: Int)
  /// A number per position of the last axes of one input; leading axes share it.
  case weights(input: String, axes: Int)

  /// The players of one input: ids from 0, or -1 for elements that are always present.
  package struct ElementPlayers: Sendable {
    /// Of one example's elements, row-major; with rows, of every example's, one after the other.
    package var ids: [Int32]
    /// Whether examples differ.
    package var hasRows: Bool

    package init(ids: [Int32], hasRows: Bool) {
      self.ids = ids
      self.hasRows = hasRows
    }
  }
}

enum MaskedMode {
  /// Where the rows of a masked draft lie.
  struct Slots {
    /// Inputs of the graph.
    let inputs: Int
    func input(_ index: Int) -> Int { index }
    func baseline(_ index: Int) -> Int { inputs + index }
    func players(_ index: Int) -> Int { 2 * inputs + index }
    var mask: Int { 3 * inputs }
    var count: Int { 3 * inputs + 1 }
  }

  static func draft(
    _ analysis: Analysis, output: String, masking: Masking
  ) throws(CoalitionError) -> Draft {
    let slots = Slots(inputs: analysis.graph.inputs.count)
    var lowering = Lowering(analysis.values, named: Set(analysis.graph.constants.keys))
    try ForwardMode.feed(ForwardMode.usedInputs(analysis), &lowering) {
      present, input, slot, lowering throws(CoalitionError) in
      try lowering.masked(present, input, by: masking, slots, index: slot)
    }
    try ForwardMode.lower(analysis, &lowering)
    try lowering.output(output, try lowering.view(of: output), slot: 0)
    return lowering.draft
  }
}

extension Lowering {
  /// An input behind its mask; `index` is its place in the graph.
  fileprivate mutating func masked(
    _ present: View, _ input: ForwardMode.UsedInput, by masking: Masking,
    _ slots: MaskedMode.Slots, index: Int
  ) throws(CoalitionError) -> View {
    let (name, shape, order) = (input.name, input.shape, input.order)
    switch masking {
    case .coalitions(let players, let words):
      guard let players = players[name] else { return present }
      return try selected(present, input, players, words: words, slots, index: index).view
    case .weights(let wanted, let axes):
      guard name == wanted else { return present }
      let absent = try self.input(name, shape: shape, order: order, slot: slots.baseline(index))
      let weights = try self.input(
        name, shape: shape, order: order, slot: slots.mask, rowAxes: axes)
      return try interpolated(from: absent, to: present, by: weights).view
    }
  }

  /// An input of which coalitions are present, and what it is made from.
  mutating func selected(
    _ present: View, _ input: ForwardMode.UsedInput, _ players: Masking.ElementPlayers, words: Int,
    _ slots: MaskedMode.Slots, index: Int
  ) throws(CoalitionError) -> (view: View, absent: View, players: Operand) {
    let (name, shape, order) = (input.name, input.shape, input.order)
    let absent = try self.input(name, shape: shape, order: order, slot: slots.baseline(index))
    let ids: Operand
    if players.hasRows {
      ids = try self.input(name, shape: shape, order: order, slot: slots.players(index)).operand
    } else {
      let tensor = try Tensor(shape: shape, elements: .int32(players.ids))
      ids = constant(HostView(tensor).transposed(order).materialised())
    }
    let result = present.denseLike(buffer(present.count))
    emit(
      MaskStep(
        present: present.operand, absent: absent.operand, players: ids, output: result.operand,
        slot: slots.mask, count: present.count, words: words), label: name)
    return (result, absent, ids)
  }
}

/// Selects by a coalition (csrc/ops/mask.c).
struct MaskStep: Step {
  var present: Operand
  var absent: Operand
  var players: Operand
  var output: Operand
  var slot: Int
  var count: Int
  var words: Int

  var reads: [Operand] { [present, absent, players] }
  var writes: Operand? { output }
  var overwrites: Operand? { present }
  var summary: String { "mask \(count)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_mask.rawValue)
    step.mask = ln_mask(
      present: places(present), absent: places(absent), players: places(players),
      out: places(output), slot: Int32(slot), count: Int64(count), words: Int64(words))
    return step
  }
}
