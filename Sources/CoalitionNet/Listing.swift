// Programs as data: what `coalition plan` prints.

public import CoalitionBase

extension Plan {
  /// The steps of a plan at one number of lanes, with the places of their operands.
  public struct Listing: Sendable {
    /// Where a step reads or writes.
    public enum Place: Sendable, Hashable {
      /// In every thread's arena: bytes from its start.
      case arena(offset: Int, size: Int)
      /// One of the program's blocks of constants, for all threads.
      case constant(block: Int, size: Int)
    }

    public struct Line: Sendable {
      /// The node that the step belongs to; for the copies at the model's ends, the input or output.
      public let node: String
      public let summary: String
      public let reads: [Place]
      /// nil for a step that writes to the caller's arrays.
      public let writes: Place?
      /// What a step that writes several values writes besides.
      public let alsoWrites: [Place]
      /// Floating-point operations for one example.
      public let operations: Int
    }

    public let lanes: Int
    public let precision: Precision
    public let lines: [Line]
    /// Packed weights and other constants.
    public let constantByteCount: Int
    /// Values and scratch of one thread.
    public let arenaByteCount: Int

    /// Floating-point operations for one example.
    public var operations: Int { lines.map(\.operations).saturatingSum }
  }

  /// The program that runs `lanes` examples at a time.
  /// - Throws: `usage` for a number of lanes that no program has.
  public func listing(lanes: Int) throws(CoalitionError) -> Listing {
    try routine.listing(lanes: lanes)
  }
}

extension ReversePlan {
  /// The program that sends signals back for `lanes` examples at a time, behind the forward pass that it needs.
  package func listing(lanes: Int) throws(CoalitionError) -> Plan.Listing {
    try routine.listing(lanes: lanes)
  }
}

extension Routine {
  /// - Parameter steps: those that are listed; nil: all.
  func listing(lanes: Int, steps: [Int]? = nil) throws(CoalitionError) -> Plan.Listing {
    try Program.check(lanes: lanes)
    let perPosition = lanes * precision.byteCount
    func place(_ operand: Operand) -> Plan.Listing.Place {
      switch operand.space {
      case .buffer(let id):
        .arena(
          offset: (arena.starts[id] + operand.offset) * perPosition,
          size: draft.buffers[id] * perPosition)
      case .constant(let id):
        .constant(block: id, size: ConstantBlock.byteCount(draft.constants[id], precision))
      }
    }
    let lines = (steps ?? Array(draft.steps.indices)).map { index in
      let step = draft.steps[index]
      return Plan.Listing.Line(
        node: draft.labels[index], summary: step.summary,
        reads: step.reads.map(place),
        writes: step.writes.map(place), alsoWrites: step.alsoWrites.map(place),
        operations: step.operations)
    }
    return Plan.Listing(
      lanes: lanes, precision: precision, lines: lines,
      constantByteCount: constantByteCount,
      arenaByteCount: arenaByteCount(lanes: lanes))
  }
}
