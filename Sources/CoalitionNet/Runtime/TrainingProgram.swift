// What is known of a training program before it has numbers: its phases, its rows, and how parameters become blocks.

import CLanes
import CoalitionBase

struct TrainingProgram: Sendable {
  let notes: TrainingNotes
  let seedSlot: Int
  let lanes: Int
  /// The most examples of a batch.
  let batch: Int
  /// Stretches of steps; behind all but the last one is a joint.
  let phases: [Range<Int>]
  let blocks: [Block]

  /// A block of constants made from a parameter.
  struct Block: Sendable {
    /// Its number among the draft's constants.
    var constant: Int
    var parameter: Int
    /// Per number of the block's source, the element of the parameter.
    var elements: [Int32]
    /// nil: the numbers as they are.
    var shape: ConvolutionGeometry?
  }

  init(_ draft: TrainingDraft, lanes: Int, batch: Int) throws(CoalitionError) {
    notes = draft.notes
    seedSlot = draft.seedSlot
    self.lanes = lanes
    self.batch = batch
    let starts = [0] + notes.joints.map(\.step)
    let ends = notes.joints.map(\.step) + [draft.draft.steps.count]
    phases = zip(starts, ends).map { $0..<$1 }
    var blocks: [Block] = []
    for (index, source) in draft.draft.constants.enumerated() {
      guard let origin = try notes.numbers.origin(source.tensor) else { continue }
      var shape: ConvolutionGeometry?
      if case .convolution(let geometry) = source.layout { shape = geometry }
      blocks.append(
        Block(
          constant: index, parameter: origin.parameter, elements: origin.elements, shape: shape))
    }
    self.blocks = blocks
    let made = Set(blocks.map(\.parameter))
    for (index, parameter) in notes.numbers.parameters.enumerated() where !made.contains(index) {
      throw CoalitionError(
        .unsupported, "the model uses a parameter in a way that cannot be trained",
        node: parameter.name)
    }
  }

  func tiles(_ examples: Int) -> Int { (examples + lanes - 1) / lanes }

  private static func segments(_ examples: Int) -> Int {
    (examples + segmentLength - 1) / segmentLength
  }

  /// Examples of a segment: those of the smallest tile.
  static let segmentLength = Int(LN_LANE_UNIT)

  /// Rows of a slot for so many examples, and numbers of a row.
  func rows(_ slot: Int, examples: Int) -> (rows: Int, count: Int, isWide: Bool) {
    switch notes.slots[slot] {
    case .examples(let count): (examples, count, false)
    case .segments(let count): (Self.segments(examples), count, true)
    case .tiles(let count): (tiles(examples), count, false)
    }
  }

  func result(_ slot: Int, _ precision: Precision) -> SlotResult {
    let (rows, count, isWide) = rows(slot, examples: batch)
    return SlotResult(count: rows * count, isWide ? .double : precision)
  }

  /// Bytes of rows, parameters, what the rule remembers of them, the numbers that blocks are made from, and which is which:
  /// where elements lie and whose they are, four bytes each.
  func byteCount(_ precision: Precision, _ rule: UpdateRule, parameters: Int) -> Int {
    let results = notes.slots.indices.reduce(0) { sum, slot in
      let slot = rows(slot, examples: batch)
      return sum + slot.rows * slot.count * (slot.isWide ? 8 : precision.byteCount)
    }
    let made = blocks.reduce(0) { $0 + $1.elements.count * (precision.byteCount + 2 * 4) }
    let sources = notes.sources.reduce(0) { $0 + $1.elements.count * 2 * 4 }
    return results + made + sources
      + parameters * (precision.byteCount * (rule.hasSecond ? 4 : 3) + 2 * 4)
  }
}
