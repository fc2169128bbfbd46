// What a run costs in memory, before it starts.

public import CoalitionBase

extension Plan {
  /// Bytes that a run needs.
  public struct Memory: Sendable, Equatable {
    /// Packed weights and other constants.
    public let constants: Int
    /// Arenas of all threads.
    public let arenas: Int
    /// Rows of inputs and outputs.
    public let rows: Int

    public var total: Int { [constants, arenas, rows].saturatingSum }
  }

  /// Lanes that a run of `examples` examples takes by default.
  /// - Parameter limit: bytes for the whole run.
  package func chooseLanes(examples: Int, threads: Int, within limit: Int = .max) -> Int {
    let rows = rowByteCount.multipliedReportingOverflow(by: examples)
    let room = rows.overflow ? 0 : limit - routine.constantByteCount - rows.partialValue
    return routine.chooseLanes(examples: examples, threads: threads, room: max(room, 0))
  }

  /// Bytes of packed weights and of the arenas of all threads in a run of `examples` examples that has so many bytes for
  /// them; more where even the smallest tile needs more.
  package func programByteCount(examples: Int, threads: Int, within limit: Int) -> Int {
    routine.programByteCount(examples: examples, threads: threads, within: limit)
  }

  /// Bytes of one example's inputs and outputs.
  private var rowByteCount: Int {
    (inputs + outputs).filter(\.hasExamples).reduce(0) {
      $0 + $1.count * ($1.isConstant ? $1.elementType.byteCount : options.precision.byteCount)
    }
  }

  /// What a run of `examples` examples needs.
  /// - Throws: `limitExceeded` when the figure does not fit into an integer.
  public func memory(
    examples: Int, lanes: Int? = nil, threads: Int? = nil
  ) throws(CoalitionError) -> Memory {
    let threads = try Self.threads(threads)
    if let lanes { try Program.check(lanes: lanes) }
    let lanes = lanes ?? chooseLanes(examples: examples, threads: threads)
    let (rows, overflow) = examples.multipliedReportingOverflow(by: rowByteCount)
    guard !overflow else {
      throw CoalitionError(.limitExceeded, "so many examples do not fit into memory")
    }
    return Memory(
      constants: routine.constantByteCount, arenas: routine.arenaByteCount(lanes: lanes) * threads,
      rows: rows)
  }
}
