// A program that the C core can run: steps with their places, constants packed.

import CLanes
import CoalitionBase
import Synchronization

/// One draft at one number of lanes. Immutable; safe to run from many tasks at once, each run with its own arena.
final class Program: Sendable {
  let lanes: Int
  let precision: Precision
  /// Bytes of one thread's arena.
  let arenaByteCount: Int
  private let scratchOffset: Int
  let blocks: [ConstantBlock]
  private let steps: AlignedMemory
  private let stepCount: Int
  private let hasGuards: Bool
  private let blockTable: AlignedMemory
  private let spareArena: SpareArena

  /// - Parameters:
  ///   - known: the blocks of the draft's constants, where another program has them.
  ///   - spareArena: that programs which run one after the other share.
  init(
    _ draft: Draft, _ plan: ArenaPlan, lanes: Int, precision: Precision, store: ConstantStore?,
    blocks known: [ConstantBlock]? = nil, spareArena: SpareArena = SpareArena()
  ) throws(CoalitionError) {
    self.lanes = lanes
    self.precision = precision
    self.spareArena = spareArena
    var blocks = known ?? []
    for source in known == nil ? draft.constants : [] {
      if let store {
        blocks.append(try store.block(source, precision))
      } else {
        blocks.append(try ConstantBlock(source, precision))
      }
    }
    self.blocks = blocks

    let places = Places(bufferStarts: plan.starts, lanes: lanes)
    let encoded = draft.steps.map { $0.encoded(places) }
    var scratch = 0
    for step in encoded {
      scratch = withUnsafePointer(to: step) {
        max(scratch, ln_step_scratch($0, precision.encoded, Int32(lanes)))
      }
    }
    let values = Self.rounded(plan.size * lanes * precision.byteCount)
    scratchOffset = values
    arenaByteCount = values + Self.rounded(scratch)

    stepCount = encoded.count
    hasGuards = draft.steps.contains { $0 is GuardStep }
    steps = try AlignedMemory(
      byteCount: encoded.count * MemoryLayout<ln_step>.stride, zeroed: false)
    steps.address.initializeMemory(as: ln_step.self, from: encoded, count: encoded.count)
    blockTable = try AlignedMemory(
      byteCount: blocks.count * MemoryLayout<UnsafeRawPointer>.stride, zeroed: false)
    blockTable.address.initializeMemory(
      as: UnsafeRawPointer?.self, from: blocks.map { UnsafeRawPointer($0.memory.address) },
      count: blocks.count)
  }

  /// - Throws: `usage` for a number of lanes that no program has.
  static func check(lanes: Int) throws(CoalitionError) {
    let isValid =
      lanes == 1 || lanes % Int(LN_LANE_UNIT) == 0 && (1...Int(LN_LANE_LIMIT)).contains(lanes)
    guard isValid else {
      throw CoalitionError(.usage, "lanes are 1, 16, 32, 48 or 64", found: "\(lanes)")
    }
  }

  private static func rounded(_ bytes: Int) -> Int {
    let unit = Int(LN_ALIGNMENT)
    return (bytes + unit - 1) / unit * unit
  }

  /// Bytes of an arena for one thread, without making the program.
  static func arenaByteCount(
    _ draft: Draft, _ plan: ArenaPlan, lanes: Int, precision: Precision
  ) -> Int {
    let places = Places(bufferStarts: plan.starts, lanes: lanes)
    let scratch = draft.steps.map { step in
      withUnsafePointer(to: step.encoded(places)) {
        ln_step_scratch($0, precision.encoded, Int32(lanes))
      }
    }
    return rounded(plan.size * lanes * precision.byteCount) + rounded(scratch.max() ?? 0)
  }

  /// The memory of a block of constants, for programs whose blocks are their own.
  func block(_ index: Int) -> AlignedMemory { blocks[index].memory }

  var constantByteCount: Int { blocks.reduce(0) { $0 + $1.memory.byteCount } }

  /// Steps of a program that are run by themselves.
  struct Part {
    var steps: Range<Int>
    /// Whether every tile has values of its own, which the parts that follow find.
    var keepsTiles: Bool
    /// Whether the examples are done with it.
    var isLast: Bool
  }

  /// Runs a call. Blocks the calling thread.
  /// - Parameter part: nil for the whole program.
  /// - Returns: how it ended; the outputs are complete only when it finished.
  func run(
    _ call: inout ProgramCall, threads: Int, instructionSet: InstructionSet, control: CallControl,
    part: Part? = nil
  ) throws(CoalitionError) -> ProgramOutcome {
    var notFinite: Int32 = 0
    let isDone = try withCall(
      &call, threads: threads, instructionSet: instructionSet, control: control,
      notFinite: &notFinite, part: part
    ) { ln_run($0, $1) != 0 }
    if !isDone { return .cancelled }
    return notFinite == 0 ? .finished : .notFinite
  }

  /// Runs in one thread and returns the seconds of every step.
  func profile(
    _ call: inout ProgramCall, instructionSet: InstructionSet
  ) throws(CoalitionError) -> [Double] {
    var seconds = [Double](repeating: 0, count: stepCount)
    var notFinite: Int32 = 0
    try withCall(
      &call, threads: 1, instructionSet: instructionSet, control: CallControl(),
      notFinite: &notFinite
    ) { ln_profile($0, $1, &seconds) }
    return seconds
  }

  /// The C form of the program and of a call, with arenas for all threads.
  private func withCall<Outcome>(
    _ call: inout ProgramCall, threads: Int, instructionSet: InstructionSet,
    control: CallControl, notFinite: UnsafeMutablePointer<Int32>, part: Part? = nil,
    _ body: (UnsafePointer<ln_program>, UnsafePointer<ln_call>) -> Outcome
  ) throws(CoalitionError) -> Outcome {
    let steps = part?.steps ?? 0..<stepCount
    let keepsTiles = part?.keepsTiles ?? false
    let tiles = (call.examples + lanes - 1) / lanes
    let arenas = try spareArena.taken(byteCount: (keepsTiles ? tiles : threads) * arenaByteCount)
    defer { spareArena.leave(arenas) }
    let examples = call.examples
    let segments = call.segments ?? []
    let weights = call.weights ?? []
    return SlotRows.withPointers(call.inputs[...]) { inputs in
      SlotResult.withPointers(&call.outputs) { outputs in
        inputs.rows.withUnsafeBufferPointer { rows in
          inputs.rowOf.withUnsafeBufferPointer { rowOf in
            outputs.withUnsafeBufferPointer { outputs in
              var program = ln_program(
                type: precision.encoded, lanes: Int32(lanes),
                steps: UnsafePointer(
                  self.steps.address.assumingMemoryBound(to: ln_step.self) + steps.lowerBound),
                step_count: steps.count,
                constants: UnsafePointer(
                  blockTable.address.assumingMemoryBound(to: UnsafeRawPointer?.self)),
                arena_bytes: arenaByteCount, scratch_offset: scratchOffset,
                whole_tiles: hasGuards ? 1 : 0, arena_of_each_tile: keepsTiles ? 1 : 0)
              var call = ln_call()
              call.inputs = rows.baseAddress
              call.row_of = rowOf.baseAddress
              call.outputs = outputs.baseAddress
              call.examples = examples
              call.arenas = arenas.address
              call.threads = Int32(threads)
              call.isa = instructionSet.encoded
              call.cancel = UnsafePointer(control.cancelFlag)
              call.progress = part?.isLast ?? true ? control.counter : nil
              call.not_finite = notFinite
              return segments.withUnsafeBufferPointer { segments in
                weights.withUnsafeBufferPointer { weights in
                  call.segments = segments.baseAddress
                  call.weights = weights.baseAddress
                  return body(&program, &call)
                }
              }
            }
          }
        }
      }
    }
  }
}

/// The arenas that a run left, for the next one.
final class SpareArena: Sendable {
  private let memory = Mutex<AlignedMemory?>(nil)

  /// What was left, when it is large enough, or a new one.
  func taken(byteCount: Int) throws(CoalitionError) -> AlignedMemory {
    let spare = memory.withLock { spare in
      defer { spare = nil }
      return spare
    }
    if let spare, spare.byteCount >= byteCount { return spare }
    return try AlignedMemory(byteCount: byteCount, zeroed: false)
  }

  /// Of several runs at once, the largest stays.
  func leave(_ arenas: AlignedMemory) {
    memory.withLock { if $0?.byteCount ?? 0 < arenas.byteCount { $0 = arenas } }
  }

  /// Bytes that are held between runs.
  var byteCount: Int { memory.withLock { $0?.byteCount ?? 0 } }
}

/// What a program works on: examples, the rows that they take, and room for results.
package struct ProgramCall: Sendable {
  package var inputs: [SlotRows]
  package var outputs: [SlotResult]
  package var examples: Int
  /// For programs that sum over examples: the segment of each example, and its weight.
  package var segments: [Int32]?
  package var weights: [Double]?

  package init(inputs: [SlotRows], outputs: [SlotResult], examples: Int) {
    self.inputs = inputs
    self.outputs = outputs
    self.examples = examples
  }

  var byteCount: Int {
    inputs.reduce(0) { $0 + $1.byteCount } + outputs.reduce(0) { $0 + $1.byteCount }
  }
}

enum ProgramOutcome: Sendable {
  case finished
  case cancelled
  /// An input held a number that is not finite.
  case notFinite
}
