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
  package func chooseLanes(examples: Int, threads: Int) -> Int {
    routine.chooseLanes(examples: examples, threads: threads)
  }

  /// What a run of `examples` examples needs.
  /// - Throws: `limitExceeded` when the figure does not fit into an integer.
  public func memory(
    examples: Int, lanes: Int? = nil, threads: Int? = nil
  ) throws(CoalitionError) -> Memory {
    let threads = try Self.threads(threads)
    let lanes = lanes ?? chooseLanes(examples: examples, threads: threads)
    let perExample = (inputs + outputs.filter { !$0.isConstant }).reduce(0) { $0 + $1.count }
    let (rows, overflow) = examples.multipliedReportingOverflow(
      by: perExample * options.precision.byteCount)
    guard !overflow else {
      throw CoalitionError(.limitExceeded, "so many examples do not fit into memory")
    }
    return Memory(
      constants: routine.constantByteCount, arenas: routine.arenaByteCount(lanes: lanes) * threads,
      rows: rows)
  }
}
