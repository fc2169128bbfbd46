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
  private let blocks: [ConstantBlock]
  private let steps: AlignedMemory
  private let stepCount: Int
  private let blockTable: AlignedMemory
  /// An arena that the last run left, for the next one.
  private let spareArena = Mutex<AlignedMemory?>(nil)

  init(
    _ draft: Draft, lanes: Int, precision: Precision, store: ConstantStore?
  ) throws(CoalitionError) {
    self.lanes = lanes
    self.precision = precision
    let plan = ArenaPlan(draft)
    var blocks: [ConstantBlock] = []
    for source in draft.constants {
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
    steps = try AlignedMemory(
      byteCount: encoded.count * MemoryLayout<ln_step>.stride, zeroed: false)
    steps.address.initializeMemory(as: ln_step.self, from: encoded, count: encoded.count)
    blockTable = try AlignedMemory(
      byteCount: blocks.count * MemoryLayout<UnsafeRawPointer>.stride, zeroed: false)
    blockTable.address.initializeMemory(
      as: UnsafeRawPointer?.self, from: blocks.map { UnsafeRawPointer($0.memory.address) },
      count: blocks.count)
  }

  /// Whether programs of so many lanes exist.
  static func isValid(lanes: Int) -> Bool {
    lanes == 1 || lanes % Int(LN_LANE_UNIT) == 0 && (1...Int(LN_LANE_LIMIT)).contains(lanes)
  }

  private static func rounded(_ bytes: Int) -> Int {
    let unit = Int(LN_ALIGNMENT)
    return (bytes + unit - 1) / unit * unit
  }

  /// Bytes of an arena for one thread, without making the program.
  static func arenaByteCount(_ draft: Draft, lanes: Int, precision: Precision) -> Int {
    let plan = ArenaPlan(draft)
    let places = Places(bufferStarts: plan.starts, lanes: lanes)
    let scratch = draft.steps.map { step in
      withUnsafePointer(to: step.encoded(places)) {
        ln_step_scratch($0, precision.encoded, Int32(lanes))
      }
    }
    return rounded(plan.size * lanes * precision.byteCount) + rounded(scratch.max() ?? 0)
  }

  var constantByteCount: Int { blocks.reduce(0) { $0 + $1.memory.byteCount } }

  /// Runs over `examples` examples. Blocks the calling thread.
  /// - Parameters:
  ///   - inputs: per slot, the rows of all examples.
  ///   - outputs: per slot, room for the rows of all examples.
  /// - Returns: false when the control's flag was raised before the end.
  func run(
    inputs: [UnsafeRawPointer?], outputs: [UnsafeMutableRawPointer?], examples: Int, threads: Int,
    instructionSet: InstructionSet, control: CallControl
  ) throws(CoalitionError) -> Bool {
    try withCall(
      inputs: inputs, outputs: outputs, examples: examples, threads: threads,
      instructionSet: instructionSet, control: control
    ) { ln_run($0, $1) != 0 }
  }

  /// Runs in one thread and returns the seconds of every step.
  func profile(
    inputs: [UnsafeRawPointer?], outputs: [UnsafeMutableRawPointer?], examples: Int,
    instructionSet: InstructionSet
  ) throws(CoalitionError) -> [Double] {
    var seconds = [Double](repeating: 0, count: stepCount)
    try withCall(
      inputs: inputs, outputs: outputs, examples: examples, threads: 1,
      instructionSet: instructionSet, control: CallControl()
    ) { ln_profile($0, $1, &seconds) }
    return seconds
  }

  /// The C form of the program and of a call, with arenas for all threads.
  private func withCall<Outcome>(
    inputs: [UnsafeRawPointer?], outputs: [UnsafeMutableRawPointer?], examples: Int, threads: Int,
    instructionSet: InstructionSet, control: CallControl,
    _ body: (UnsafePointer<ln_program>, UnsafePointer<ln_call>) -> Outcome
  ) throws(CoalitionError) -> Outcome {
    let arenas = try arenas(byteCount: threads * arenaByteCount)
    defer { spareArena.withLock { $0 = arenas } }
    var outputs = outputs
    return inputs.withUnsafeBufferPointer { inputs in
      outputs.withUnsafeMutableBufferPointer { outputs in
        var program = ln_program(
          type: precision.encoded, lanes: Int32(lanes),
          steps: UnsafePointer(steps.address.assumingMemoryBound(to: ln_step.self)),
          step_count: stepCount,
          constants: UnsafePointer(
            blockTable.address.assumingMemoryBound(to: UnsafeRawPointer?.self)),
          arena_bytes: arenaByteCount, scratch_offset: scratchOffset)
        var call = ln_call(
          inputs: inputs.baseAddress, outputs: outputs.baseAddress, examples: examples,
          arenas: arenas.address, threads: Int32(threads), isa: instructionSet.encoded,
          cancel: UnsafePointer(control.cancelFlag), progress: control.counter)
        return body(&program, &call)
      }
    }
  }

  /// The arenas that the last run left, when they are large enough, or new ones.
  private func arenas(byteCount: Int) throws(CoalitionError) -> AlignedMemory {
    let spare = spareArena.withLock { spare in
      defer { spare = nil }
      return spare
    }
    if let spare, spare.byteCount >= byteCount { return spare }
    return try AlignedMemory(byteCount: byteCount, zeroed: false)
  }

  /// Runs a program without inputs once, on the calling thread.
  func runOnce(outputCounts: [Int]) throws(CoalitionError) -> [Tensor.Elements] {
    let set = try InstructionSet.selected()
    let rows = try OutputRows(counts: outputCounts, precision: precision)
    _ = try run(
      inputs: [], outputs: rows.pointers, examples: 1, threads: 1, instructionSet: set,
      control: CallControl())
    return rows.elements
  }

  /// Runs over rows of examples and returns the rows of the outputs: nil when the control's flag was raised.
  func results(
    of inputs: [InputRows], counts: [Int], examples: Int, threads: Int,
    instructionSet: InstructionSet, control: CallControl
  ) -> Result<[Tensor.Elements]?, CoalitionError> {
    Result { () throws(CoalitionError) in
      let outputs = try OutputRows(counts: counts, precision: precision)
      var isDone = false
      try InputRows.withPointers(inputs[...]) { pointers throws(CoalitionError) in
        isDone = try run(
          inputs: pointers, outputs: outputs.pointers, examples: examples, threads: threads,
          instructionSet: instructionSet, control: control)
      }
      return isDone ? outputs.elements : nil
    }
  }
}
