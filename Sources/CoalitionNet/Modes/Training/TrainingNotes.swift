// What a training program is besides its steps: its slots, where gradients come from, and where the tiles of a batch meet.

import CoalitionBase

/// What a row of an output slot belongs to.
enum TrainingSlot: Sendable {
  /// An example; so many numbers of the program's type.
  case examples(Int)
  /// Up to 16 examples that follow each other; so many doubles.
  case segments(Int)
  /// A tile; so many numbers of the program's type.
  case tiles(Int)
}

/// The gradient of some elements of a parameter, summed over the rows of a slot.
struct GradientSource: Sendable {
  var slot: Int
  var parameter: Int
  /// Per number of a row.
  var elements: [Int32]
}

/// A place in the program where all tiles of a batch meet: what goes on needs numbers of the whole batch, which are made
/// from two slots with rows of examples and put into two blocks of constants.
struct BatchJoint: Sendable {
  enum Kind: Sendable {
    /// Slots: each example's mean over its positions, and its mean square distance to it. Blocks: mean, and
    /// 1 / sqrt(variance + epsilon).
    case statistics(RunningStatistics)
    /// Both blocks are the means of the slots.
    case means
  }

  var kind: Kind
  /// The first step behind it.
  var step: Int
  var slots: [Int]
  /// Numbers of the draft's constants.
  var blocks: [Int]
  var channels: Int
}

/// What a batch normalisation remembers of all batches.
struct RunningStatistics: Sendable {
  /// Constants of the graph.
  var mean: String
  var variance: String
  var epsilon: Double
  /// The share of the old statistics in the new ones.
  var momentum: Double
  /// Numbers of one example per channel.
  var positions: Int
}

/// Kept while a training program is drafted.
struct TrainingNotes: Sendable {
  let numbers: ParameterNumbers
  /// The input slot with the examples' random keys.
  let keySlot: Int
  var dropoutCount = 0
  private(set) var slots: [TrainingSlot] = []
  var sources: [GradientSource] = []
  var joints: [BatchJoint] = []

  init(_ numbers: ParameterNumbers, keySlot: Int) {
    self.numbers = numbers
    self.keySlot = keySlot
  }

  mutating func slot(_ slot: TrainingSlot) -> Int {
    slots.append(slot)
    return slots.count - 1
  }
}

extension Lowering {
  /// Whether an operand is a constant made from a parameter that is trained.
  func isParameter(_ operand: Operand) -> Bool {
    guard let training, case .constant(let id) = operand.space else { return false }
    return training.numbers.begins(draft.constants[id].firstDouble)
  }

  /// The parameter that an operand's block is made from.
  func origin(
    of operand: Operand
  ) throws(CoalitionError) -> (parameter: Int, elements: [Int32])? {
    guard let training, case .constant(let id) = operand.space else { return nil }
    return try training.numbers.origin(draft.constants[id].tensor)
  }
}
