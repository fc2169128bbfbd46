// Marginal contributions in bulk: players toggled in many coalitions.
//
// All coalitions of a tile toggle the same player together, or each one of players that lie near each other, so that
// only what depends on these is computed again (Modes/Delta). Not for players that differ by example.

import CLanes
package import CoalitionBase

/// A masked plan whose players change sides one at a time. Immutable and safe to share.
package final class TogglePlan: Sendable {
  package let masked: MaskedPlan
  package let playerCount: Int
  /// What is toggled, one after the other: coalition c toggles player c mod n of the n players of a turn.
  package let turns: [[Int]]
  /// The elements of the output whose sums are made.
  package let elements: [Int]
  private let players: [String: Masking.ElementPlayers]
  private let routine: Routine
  private let baseStepCount: Int
  private let turnSteps: [Range<Int>]
  /// Multiply-adds for one coalition: of the base pass, and of each turn.
  package let arithmetic: (base: Int, perTurn: [Int])

  /// - Parameters:
  ///   - masked: a plan masked by coalitions.
  ///   - turns: nil: every player for itself. The number of players of a turn divides 16.
  ///   - memoryLimit: bytes that the steps of all turns may take; nil: the plan's memory.
  /// - Throws: `unsupported` for players that differ by example or masks that are no coalitions, `memoryLimit` when
  ///   the steps of all turns do not fit.
  package init(
    _ masked: MaskedPlan, playerCount: Int, turns: [[Int]]? = nil, elements: [Int],
    memoryLimit: Int? = nil
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
    let turns = turns ?? (0..<playerCount).map { [$0] }
    guard
      turns.allSatisfy({ turn in
        !turn.isEmpty && Int(LN_LANE_UNIT) % turn.count == 0
          && turn.allSatisfy { (0..<playerCount).contains($0) }
      })
    else {
      throw CoalitionError(
        .usage, "turns of players do not fit",
        expected: "1, 2, 4, 8 or \(LN_LANE_UNIT) of \(playerCount) players each")
    }
    self.masked = masked
    self.playerCount = playerCount
    self.turns = turns
    self.elements = elements
    self.players = players
    let result = try DeltaMode.draft(
      masked.plan.analysis, output: masked.output.name, players: players,
      playerCount: playerCount, words: words, turns: turns, elements: elements,
      memoryLimit: min(memoryLimit ?? .max, masked.plan.options.memoryLimit))
    baseStepCount = result.baseStepCount
    turnSteps = result.turnSteps
    arithmetic = (result.base, result.perTurn)
    routine = Routine(result.draft, masked.plan.options.precision, masked.plan.model.store)
  }

  /// Whether toggling costs less than full passes of every coalition with every player toggled.
  package var isCheaper: Bool {
    Double(arithmetic.perTurn.saturatingSum) < Double(arithmetic.base) * Double(playerCount)
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

  /// The program of one turn behind the base pass.
  package func listing(turn: Int, lanes: Int) throws(CoalitionError) -> Plan.Listing {
    try routine.listing(
      lanes: lanes, steps: Array(0..<baseStepCount) + Array(turnSteps[turn]))
  }

  // MARK: Running

  /// Rows that coalitions are made of, and which players differ from which baseline.
  package struct Subject: Sendable {
    package let masked: MaskedPlan.Subject
    /// Parts that the turns are dealt out to, one after the other: a coalition of a share has its turns alone.
    package let shares: Int
    /// Rows of words, [example][baseline][share].
    fileprivate let activity: [Int32]
  }

  package func subject(_ masked: MaskedPlan.Subject) -> Subject {
    let words = wordCount
    var activity = [Int32](repeating: 0, count: masked.examples * masked.baselines * words)
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
            if id >= 0 { activity[start + id / 32] |= 1 << Int32(id % 32) }
          }
        }
      }
    }
    return Subject(masked: masked, shares: 1, activity: activity)
  }

  /// The same subject with the turns dealt out to `shares` parts: turn t to part t mod `shares`.
  package func subject(_ subject: Subject, dealtInto shares: Int) -> Subject {
    guard shares > 1 else { return subject }
    let words = wordCount
    var dealt = [Int32](repeating: 0, count: shares * words)
    for (number, turn) in turns.enumerated() {
      for player in turn {
        dealt[number % shares * words + player / 32] |= 1 << Int32(player % 32)
      }
    }
    var rows: [Int32] = []
    rows.reserveCapacity(subject.activity.count * shares)
    for start in stride(from: 0, to: subject.activity.count, by: words) {
      for (index, word) in dealt.enumerated() {
        rows.append(word & subject.activity[start + index % words])
      }
    }
    return Subject(masked: subject.masked, shares: shares, activity: rows)
  }

  private var wordCount: Int { (playerCount + 31) / 32 }

  /// Into how many parts the turns of few tiles are best dealt out: with s parts each thread runs ceil(tiles s / threads)
  /// times a base pass and 1/s of the turns.
  /// - Parameter most: parts that there is room for.
  package func shares(tiles: Int, threads: Int, most: Int) -> Int {
    guard tiles < 4 * threads else { return 1 }
    let base = Double(arithmetic.base)
    let all = arithmetic.perTurn.reduce(0) { $0 + Double($1) }
    func work(_ shares: Int) -> Double {
      Double((tiles * shares + threads - 1) / threads) * (base + all / Double(shares))
    }
    // Parts have their price in memory and passes: what hardly gains is left whole.
    let best = (1...max(min(threads, turns.count, most), 1)).min { work($0) < work($1) } ?? 1
    return work(best) < 0.9 * work(1) ? best : 1
  }

  /// Sums of marginal contributions, [segment][turn][element]: over the coalitions of a segment in order,
  /// weight * (value with the player - value without).
  /// - Parameters:
  ///   - variants: per coalition the example, the baseline and the row of `words`.
  ///   - segments: per coalition its segment, never decreasing; none crosses a multiple of 16 coalitions.
  ///   - weights: per coalition; nil: 1.
  ///   - shares: per coalition its share of the turns; nil: the first.
  /// - Throws: as `Plan.run`; `usage` for segments that do not fit.
  package func marginalSums(
    _ subject: Subject, _ variants: MaskedPlan.Variants, segments: [Int32], words: [UInt32],
    weights: [Double]? = nil, shares: [Int32]? = nil, segmentCount: Int,
    _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> [Double] {
    try check(segments, weights, variants, segmentCount)
    if elements.isEmpty || segmentCount == 0 { return [] }
    let slots = MaskedMode.Slots(inputs: subject.masked.inputs.count)
    var rows = masked.slotRows(subject.masked, variants, .words(words))
    let baselines = Int32(subject.masked.baselines)
    let parts = Int32(subject.shares)
    let activity = variants.example.indices.map { index in
      (variants.example[index] * baselines + variants.baseline[index]) * parts
        + (shares?[index] ?? 0)
    }
    rows.insert(SlotRows(words: subject.activity, rowOf: activity), at: slots.activity)
    let count = turns.count * elements.count
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
