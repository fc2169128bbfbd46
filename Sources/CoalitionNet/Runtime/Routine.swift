// A routine: a draft made runnable, whatever mode drafted it.

package import CoalitionBase
import Synchronization

/// A draft with its programs for different numbers of lanes, which are made when they are first needed. Immutable
/// and safe to share.
package final class Routine: Sendable {
  let draft: Draft
  let arena: ArenaPlan
  package let precision: Precision
  private let store: ConstantStore
  private let spareArena: SpareArena
  /// Floating-point operations of one example.
  private let operations: Int
  /// Of packed constants.
  let constantByteCount: Int
  private let programs = Mutex<[Int: Program]>([:])
  /// By number of lanes.
  private let arenaByteCounts = Mutex<[Int: Int]>([:])

  /// - Parameter spareArena: of routines that run one after the other.
  init(
    _ draft: Draft, _ precision: Precision, _ store: ConstantStore,
    spareArena: SpareArena = SpareArena()
  ) {
    self.draft = draft
    self.precision = precision
    self.store = store
    self.spareArena = spareArena
    arena = ArenaPlan(draft)
    operations = draft.steps.map(\.operations).saturatingSum
    constantByteCount = Self.constantByteCount(of: draft.constants, precision)
  }

  /// Bytes of the packed constants of some routines of a model.
  static func constantByteCount(of routines: [Routine]) -> Int {
    guard let first = routines.first else { return 0 }
    return constantByteCount(of: routines.flatMap(\.draft.constants), first.precision)
  }

  /// Blocks that are shared count once.
  private static func constantByteCount(
    of constants: [ConstantSource], _ precision: Precision
  ) -> Int {
    var known = Set<ConstantStore.Key>()
    return constants.map { source in
      let key = ConstantStore.Key(source, precision)
      guard key.map({ known.insert($0).inserted }) ?? true else { return 0 }
      return ConstantBlock.byteCount(source, precision)
    }.saturatingSum
  }

  /// Operations of a call that is over before another thread would have begun it: some 20 microseconds.
  private static let briefOperations = 1_000_000

  /// Whether a call takes no team of threads and runs where it stands.
  private func isBrief(examples: Int) -> Bool {
    let (work, overflow) = operations.multipliedReportingOverflow(by: examples)
    return !overflow && work <= Self.briefOperations
  }

  /// Runs a call on the engine thread, the task suspended meanwhile; a brief one at once, in one thread.
  /// - Returns: the rows of every output slot.
  /// - Throws: `memoryLimit` past the memory limit, `notFinite` for an input that is not (the caller knows its name),
  ///   `cancelled` when the task is.
  package func run(
    _ call: ProgramCall, _ options: RunOptions
  ) async throws(CoalitionError) -> [Tensor.Elements] {
    let set: InstructionSet
    if let chosen = options.instructionSet { set = chosen } else { set = try .selected() }
    guard set.isAvailable else {
      throw CoalitionError(.usage, "the instruction set \(set.rawValue) cannot run here")
    }
    if let lanes = options.lanes { try Program.check(lanes: lanes) }
    let isBrief = isBrief(examples: call.examples)
    let threads = isBrief ? 1 : try Plan.threads(options.threads)
    let room = options.memoryLimit - constantByteCount - call.byteCount
    let lanes =
      options.lanes ?? chooseLanes(examples: call.examples, threads: threads, room: room)
    let bytes = constantByteCount + arenaByteCount(lanes: lanes) * threads + call.byteCount
    guard bytes <= options.memoryLimit else {
      throw CoalitionError(
        .memoryLimit, "the run needs more memory than allowed",
        expected: "at most \(options.memoryLimit) bytes", found: "\(bytes)")
    }
    let program = try program(lanes: lanes)
    let control = options.progress?.control ?? CallControl()
    @Sendable func work() -> Result<(ProgramOutcome, [SlotResult]), CoalitionError> {
      Result { () throws(CoalitionError) in
        var call = call
        let outcome = try program.run(
          &call, threads: threads, instructionSet: set, control: control)
        return (outcome, call.outputs)
      }
    }
    let finished: Result<(ProgramOutcome, [SlotResult]), CoalitionError>
    if isBrief {
      if Task.isCancelled { control.cancel() }
      finished = work()
    } else {
      finished = await withTaskCancellationHandler {
        await Engine.shared.run(work)
      } onCancel: {
        control.cancel()
      }
    }
    let (outcome, outputs) = try finished.get()
    switch outcome {
    case .finished: return outputs.map(\.elements)
    case .cancelled: throw CoalitionError(.cancelled, "the run was cancelled")
    case .notFinite: throw CoalitionError(.notFinite, "an input is not finite")
    }
  }

  // MARK: Programs and their cost

  func program(lanes: Int) throws(CoalitionError) -> Program {
    try Program.check(lanes: lanes)
    let (known, blocks) = programs.withLock { ($0[lanes], $0.first?.value.blocks) }
    if let known { return known }
    let program = try Program(
      draft, arena, lanes: lanes, precision: precision, store: store, blocks: blocks,
      spareArena: spareArena)
    return programs.withLock { programs in
      if let other = programs[lanes] { return other }
      programs[lanes] = program
      return program
    }
  }

  /// Lanes for a number of examples. It decides speed only: results are the same for every choice.
  /// - Parameter room: bytes that the arenas of all threads may take; the smallest tile may still need more.
  func chooseLanes(examples: Int, threads: Int, room: Int = .max) -> Int {
    // The narrow form wastes nothing on a few examples; a tile costs about as much as so many of them.
    if examples <= 8 { return 1 }
    // Wider tiles use each weight more often, until their values leave the second-level cache: a tile costs some four lanes.
    // But threads wait for the one that has a tile more.
    let comfortable = 1 << 20
    func cost(_ lanes: Int) -> Double {
      let tiles = (examples - 1) / lanes + 1
      return Double((tiles - 1) / threads + 1) * Double(lanes + 4)
    }
    var lanes = 16
    for wider in [32, 48, 64] where examples / threads >= wider && cost(wider) <= cost(lanes) {
      if arenaByteCount(lanes: wider) <= comfortable { lanes = wider }
    }
    while lanes > 1, arenaByteCount(lanes: lanes) > room / threads {
      lanes = lanes > 16 ? lanes - 16 : 1
    }
    return lanes
  }

  /// Bytes of packed weights and of the arenas of all threads.
  /// - Parameters:
  ///   - limit: bytes that both may take; the smallest tile may still need more.
  ///   - least: lanes that a tile has at least.
  func programByteCount(examples: Int, threads: Int, within limit: Int, least: Int = 1) -> Int {
    let room = max(limit - constantByteCount, 0)
    let lanes = max(chooseLanes(examples: examples, threads: threads, room: room), least)
    return constantByteCount + threads * arenaByteCount(lanes: lanes)
  }

  /// Bytes of one thread's arena.
  func arenaByteCount(lanes: Int) -> Int {
    if let known = arenaByteCounts.withLock({ $0[lanes] }) { return known }
    let bytes = Program.arenaByteCount(draft, arena, lanes: lanes, precision: precision)
    arenaByteCounts.withLock { $0[lanes] = bytes }
    return bytes
  }
}
