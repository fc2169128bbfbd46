// The delta mode: a masked forward pass, and what changes when players change sides, turn by turn.
//
// In a turn every lane of a tile, each with a coalition of its own, toggles one player: all lanes the same one, or each
// its own out of up to 16 that lie near each other. So only what depends on these is computed again, exactly: a box of
// positions per value (BufferGrid.swift), from which the next step's box follows. The base pass keeps the values that the players' steps read, the sums of affine layers before their
// function among them. Slots: those of the masked mode, then a bit per player, which says whether it needs to be
// toggled at all: whether any of its elements differs from the baseline. Output slot 0: rows [turn][element] of sums in
// double.

import CLanes
import CoalitionBase

struct DeltaDraft: Sendable {
  var draft: Draft
  /// Steps of the base pass, which come first.
  var baseStepCount: Int
  /// Per turn, its steps: empty for one that nothing depends on.
  var turnSteps: [Range<Int>]
  /// Multiply-adds of the base pass and of each turn's steps.
  var base: Int
  var perTurn: [Int]
}

enum DeltaMode {
  /// - Parameters:
  ///   - players: per input, players that are the same for all examples.
  ///   - turns: players that are toggled together, at most 16; one player for all lanes or one for each.
  ///   - elements: the elements of the output that are explained.
  ///   - memoryLimit: bytes that the steps of all turns may take.
  static func draft(
    _ analysis: Analysis, output: String, players: [String: Masking.ElementPlayers],
    playerCount: Int, words: Int, turns: [[Int]], elements: [Int], memoryLimit: Int
  ) throws(CoalitionError) -> DeltaDraft {
    let slots = MaskedMode.Slots(inputs: analysis.graph.inputs.count)
    var lowering = Lowering(analysis.values, named: Set(analysis.graph.constants.keys))
    var inputs: [DeltaInput] = []
    for (slot, input) in ForwardMode.usedInputs(analysis) {
      let present = try lowering.input(
        input.name, shape: input.shape, order: input.order, slot: slots.input(slot))
      guard let ids = players[input.name] else {
        lowering.set(value: input.name, present)
        continue
      }
      let masked = try lowering.selected(present, input, ids, words: words, slots, index: slot)
      lowering.set(value: input.name, masked.view)
      inputs.append(
        try DeltaInput(
          input, ids.ids, playerCount: playerCount, present: present.operand,
          absent: masked.absent.operand, now: masked.view.operand, owners: masked.players))
    }
    let first = lowering.draft.steps.count
    try ForwardMode.lower(analysis, &lowering, fusing: .nothing)
    let view = try lowering.view(of: output)
    let forwardSteps = lowering.draft.steps.count
    let base = lowering.draft.steps.map(\.operations).saturatingSum / 2

    var grids: [Int: BufferGrid] = [:]
    for input in inputs {
      if let buffer = input.now.buffer { grids[buffer] = input.grid }
    }
    var forward = DeltaAnalysis(
      Array(lowering.draft.steps[first..<forwardSteps]),
      Array(lowering.draft.labels[first..<forwardSteps]),
      inputs: grids, output: view.operand.buffer, &lowering)
    let all = view.positions
    lowering.label = output
    let (target, positions) = try forward.narrow(
      view.operand, at: elements.map { all[$0] }, &lowering)
    let baseStepCount = lowering.draft.steps.count
    var result = DeltaDraft(
      draft: Draft(), baseStepCount: baseStepCount, turnSteps: [], base: base, perTurn: [])
    var pass = DeltaPass(lowering, forward)
    for (number, turn) in turns.enumerated() {
      let start = pass.lowering.draft.steps.count
      let firstBuffer = pass.lowering.draft.buffers.count
      pass.begin(turn, slot: slots.activity, words: words)
      for input in inputs { try pass.toggle(turn, input, slot: slots.mask, words: words) }
      try pass.run()
      let isTouched = pass.marginals(
        turn, number, of: target, at: positions,
        rowCount: turns.count * elements.count, coalitions: slots.mask, words: words)
      pass.finish(start, isTouched: isTouched)
      let end = pass.lowering.draft.steps.count
      if isTouched {
        pass.lowering.draft.scopes.append(firstBuffer..<pass.lowering.draft.buffers.count)
      }
      result.turnSteps.append(start..<end)
      result.perTurn.append(
        pass.lowering.draft.steps[start..<end].map(\.operations).saturatingSum / 2)
      try checkMemory(end, limit: memoryLimit, turn: number, of: turns.count)
    }
    result.draft = pass.lowering.draft
    return result
  }

  /// Bytes of a step, encoded and as it is kept for other numbers of lanes.
  static let stepByteCount = 4 * MemoryLayout<ln_step>.stride

  private static func checkMemory(
    _ steps: Int, limit: Int, turn: Int, of count: Int
  ) throws(CoalitionError) {
    guard steps > limit / stepByteCount else { return }
    throw CoalitionError(
      .memoryLimit, "the program of all players needs more memory than allowed",
      expected: "at most \(limit) bytes",
      found: "\(steps * stepByteCount) bytes for \(turn + 1) of \(count) turns")
  }
}

/// An input whose elements players own.
struct DeltaInput: Sendable {
  let grid: BufferGrid
  /// Per player the box around its elements: nil for none.
  private let boxes: [Box?]
  /// Per player whether it owns all of its box.
  private let ownsBox: [Bool]
  let present: Operand
  let absent: Operand
  let now: Operand
  let owners: Operand
  let name: String

  init(
    _ input: ForwardMode.UsedInput, _ ids: [Int32], playerCount: Int, present: Operand,
    absent: Operand, now: Operand, owners: Operand
  ) throws(CoalitionError) {
    grid = BufferGrid(input.order.map { input.shape[$0] })
    let tensor = try Tensor(shape: input.shape, elements: .int32(ids))
    let ordered = HostView(tensor).transposed(input.order).materialised().integers ?? []
    var boxes = [Box?](repeating: nil, count: playerCount)
    var counts = [Int](repeating: 0, count: playerCount)
    for (position, id) in ordered.enumerated() where id >= 0 && id < playerCount {
      let point = Box(ranges: grid.coordinates(position).map { $0..<$0 + 1 })
      boxes[id] = boxes[id]?.joined(point) ?? point
      counts[id] += 1
    }
    self.boxes = boxes
    ownsBox = zip(boxes, counts).map { $0?.count == $1 }
    self.present = present
    self.absent = absent
    self.now = now
    self.owners = owners
    name = input.name
  }

  /// The box around the elements of some players: nil for none.
  func box(_ turn: [Int]) -> Box? {
    turn.compactMap { boxes[$0] }.reduce(nil as Box?) { $0?.joined($1) ?? $1 }
  }

  /// Whether the box of a turn is all its only player's.
  func ownsBox(_ turn: [Int]) -> Bool { turn.count == 1 && ownsBox[turn[0]] }
}

extension View {
  /// The position of every element in its buffer, row-major.
  var positions: [Int] {
    var positions = [operand.offset]
    for digit in digits {
      positions = positions.flatMap { start in
        (0..<digit.size).map { start + $0 * digit.stride }
      }
    }
    return positions
  }
}

extension MaskedMode.Slots {
  /// Behind those of the masked mode: which players differ from the baseline.
  var activity: Int { count }
}
