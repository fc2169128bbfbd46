// How many lanes a tile has, and what a run costs in memory.

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

    public var total: Int { constants + arenas + rows }
  }

  /// Lanes for a number of examples. It decides speed only: results are the same for every choice.
  package func chooseLanes(examples: Int, threads: Int) -> Int {
    // The narrow form wastes nothing on a few examples; a tile costs about as much as so many of them.
    if examples <= 8 { return 1 }
    // Wider tiles use each weight more often, until their values leave the second-level cache.
    let comfortable = 1 << 20
    var lanes = 16
    for wider in [32, 64] where examples >= wider * threads {
      let bytes = Program.arenaByteCount(draft, lanes: wider, precision: options.precision)
      if bytes <= comfortable { lanes = wider }
    }
    return lanes
  }

  /// What a run of `examples` examples needs.
  /// - Throws: `limitExceeded` when the figure does not fit into an integer.
  public func memory(
    examples: Int, lanes: Int? = nil, threads: Int? = nil
  ) throws(CoalitionError) -> Memory {
    let threads = try Self.threads(threads)
    let lanes = lanes ?? chooseLanes(examples: examples, threads: threads)
    let arena = Program.arenaByteCount(draft, lanes: lanes, precision: options.precision)
    let perExample = (inputs + outputs.filter { !$0.isConstant }).reduce(0) { $0 + $1.count }
    let (rows, overflow) = examples.multipliedReportingOverflow(
      by: perExample * options.precision.byteCount)
    guard !overflow else {
      throw CoalitionError(.limitExceeded, "so many examples do not fit into memory")
    }
    let constants = draft.constants.reduce(0) {
      $0 + ConstantBlock.byteCount($1, options.precision)
    }
    return Memory(constants: constants, arenas: arena * threads, rows: rows)
  }
}
