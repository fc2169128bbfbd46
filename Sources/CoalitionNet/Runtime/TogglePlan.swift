// Marginal contributions in bulk: every player toggled once in each of many coalitions.
//
// All coalitions of a tile toggle the same player together, so that only what depends on it is computed again
// (Modes/Delta). Not for players that differ by example.

import CLanes
package import CoalitionBase

/// A masked plan whose players change sides one at a time. Immutable and safe to share.
package final class TogglePlan: Sendable {
  package let masked: MaskedPlan
  package let playerCount: Int
  /// The elements of the output whose sums are made.
  package let elements: [Int]
  private let players: [String: Masking.ElementPlayers]
  private let routine: Routine
  private let baseStepCount: Int
  private let playerSteps: [Range<Int>]
  /// Multiply-adds for one coalition: of the base pass, and of each player's toggle.
  package let arithmetic: (base: Int, perPlayer: [Int])

  /// - Parameter masked: a plan masked by coalitions.
  /// - Throws: `unsupported` for players that differ by example or masks that are no coalitions, `memoryLimit` when
  ///   the steps of all players do not fit into the plan's memory.
  package init(
    _ masked: MaskedPlan, playerCount: Int, elements: [Int]
  ) throws(CoalitionError) {
    guard case .coalitions(let players, let words) = masked.masking,
      !players.values.contains(where: \.hasRows)
    else {
      throw CoalitionError(
        .unsupported, "players that differ by example are not toggled together",
        node: masked.output.name)
    }
    guard playerCount > 0, playerCount <= words * 32 else {
      throw CoalitionError(
        .usage, "the number of players is not that of the coalitions",
        expected: "1 to \(words * 32)", found: "\(playerCount)")
    }
    if let outside = elements.first(where: { !(0..<masked.output.count).contains($0) }) {
      throw CoalitionError(
        .usage, "an element lies outside of the output", node: masked.output.name,
        expected: "0 to \(masked.output.count - 1)", found: "\(outside)")
    }
    self.masked = masked
    self.playerCount = playerCount
    self.elements = elements
    self.players = players
    let result = try DeltaMode.draft(
      masked.plan.analysis, output: masked.output.name, players: players,
      playerCount: playerCount, words: words, elements: elements,
      memoryLimit: masked.plan.options.memoryLimit)
    baseStepCount = result.baseStepCount
    playerSteps = result.playerSteps
    arithmetic = (result.base, result.perPlayer)
    routine = Routine(result.draft, masked.plan.options.precision, masked.plan.model.store)
  }

  /// Whether toggling costs less than full passes of every coalition with every player toggled.
  package var isCheaper: Bool {
    Double(arithmetic.perPlayer.saturatingSum) < Double(arithmetic.base) * Double(playerCount)
  }

  // MARK: Memory

  /// Bytes of the encoded steps at one number of lanes.
  package var programByteCount: Int { routine.draft.steps.count * MemoryLayout<ln_step>.stride }
  package var constantByteCount: Int { routine.constantByteCount }
  /// Bytes of the encoded steps, of packed weights and of the arenas of all threads in a run that has so many bytes for
  /// them; more where even the smallest tile needs more.
  package func byteCount(variants: Int, threads: Int, within limit: Int) -> Int {
    programByteCount
      + routine.programByteCount(
        examples: variants, threads: threads, within: max(limit - programByteCount, 0),
        least: Int(LN_LANE_UNIT))
  }
  /// Bytes of one thread's arena.
  package func arenaByteCount(lanes: Int) -> Int { routine.arenaByteCount(lanes: lanes) }

  /// The program that toggles one player behind the base pass.
  package func listing(player: Int, lanes: Int) throws(CoalitionError) -> Plan.Listing {
    try routine.listing(
      lanes: lanes, steps: Array(0..<baseStepCount) + Array(playerSteps[player]))
  }

  // MARK: Running

  /// Rows that coalitions are made of, and which players differ from which baseline.
  package struct Subject: Sendable {
    package let masked: MaskedPlan.Subject
    /// Rows of words, [example][baseline].
    fileprivate let activity: [Int32]
  }

  package func subject(_ masked: MaskedPlan.Subject) -> Subject {
    let words = (playerCount + 31) / 32
    var activity = [UInt32](repeating: 0, count: masked.examples * masked.baselines * words)
    for (index, input) in self.masked.plan.inputs.enumerated() {
      guard let ids = players[input.name]?.ids, let baseline = masked.baselineRows[index] else {
        continue
      }
      let rows = masked.inputs[index]
      for example in 0..<masked.examples {
        for row in 0..<masked.baselines {
          let start = (example * masked.baselines + row) * words
          rows.forEachDifference(example, from: baseline, row, count: input.count) { element in
            let id = Int(ids[element])
            if id >= 0 { activity[start + id / 32] |= 1 << UInt32(id % 32) }
          }
        }
      }
    }
    return Subject(masked: masked, activity: activity.map { Int32(bitPattern: $0) })
  }

  /// Sums of marginal contributions, [segment][player][element]: over the coalitions of a segment in order,
  /// weight * (value with the player - value without).
  /// - Parameters:
  ///   - variants: per coalition the example, the baseline and the row of `words`.
  ///   - segments: per coalition its segment, never decreasing; none crosses a multiple of 16 coalitions.
  ///   - weights: per coalition; nil: 1.
  /// - Throws: as `Plan.run`; `usage` for segments that do not fit.
  package func marginalSums(
    _ subject: Subject, _ variants: MaskedPlan.Variants, segments: [Int32], words: [UInt32],
    weights: [Double]? = nil, segmentCount: Int, _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> [Double] {
    try check(segments, weights, variants, segmentCount)
    if elements.isEmpty || segmentCount == 0 { return [] }
    let slots = MaskedMode.Slots(inputs: subject.masked.inputs.count)
    var rows = masked.slotRows(subject.masked, variants, .words(words))
    let baselines = Int32(subject.masked.baselines)
    rows.insert(
      SlotRows(
        words: subject.activity,
        rowOf: zip(variants.example, variants.baseline).map { $0 * baselines + $1 }),
      at: slots.activity)
    let count = playerCount * elements.count
    let (total, overflow) = segmentCount.multipliedReportingOverflow(by: count)
    guard !overflow, total <= Int.max / 8 else {
      throw CoalitionError(.limitExceeded, "so many segments do not fit into memory")
    }
    var call = ProgramCall(
      inputs: rows, outputs: [SlotResult(sums: total)], examples: variants.count)
    call.segments = segments
    call.weights = weights ?? [Double](repeating: 1, count: variants.count)
    var options = options
    if options.memoryLimit < .max {
      options.memoryLimit = max(options.memoryLimit - programByteCount, 0)
    }
    options.lanes = try lanes(variants.count, options)
    return Tensor(try await routine.run(call, options)[0]).doubles
  }

  /// The narrow form has no sums: at least 16.
  private func lanes(_ count: Int, _ options: RunOptions) throws(CoalitionError) -> Int {
    let unit = Int(LN_LANE_UNIT)
    if let lanes = options.lanes { return max(lanes, unit) }
    let threads = try Plan.threads(options.threads)
    let room = max(options.memoryLimit - constantByteCount, 0)
    return max(routine.chooseLanes(examples: count, threads: threads, room: room), unit)
  }

  private func check(
    _ segments: [Int32], _ weights: [Double]?, _ variants: MaskedPlan.Variants, _ count: Int
  ) throws(CoalitionError) {
    let unit = Int(LN_LANE_UNIT)
    var fits =
      segments.count == variants.count && (weights?.count ?? segments.count) == segments.count
    for (index, segment) in segments.enumerated() where fits {
      let last = index > 0 ? segments[index - 1] : 0
      let crosses = index > 0 && index % unit == 0 && segment == last
      fits = segment >= last && segment < count && !crosses
    }
    guard fits else {
      throw CoalitionError(
        .usage, "segments of coalitions do not fit",
        expected: "one per coalition, in order, none across a multiple of \(unit) coalitions",
        found: "\(segments.count) for \(variants.count) coalitions")
    }
  }
}
