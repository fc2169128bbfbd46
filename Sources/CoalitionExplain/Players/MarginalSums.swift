// Marginal contributions of all players to many coalitions, summed over blocks of coalitions.
//
// What toggling a player changes is computed by deltas (TogglePlan) where counted arithmetic says that this is less
// work than passes over whole coalitions; else by such passes. Which one depends on the game alone.

public import CoalitionBase
public import CoalitionNet

extension MaskedGame {
  /// Whether deltas serve a game.
  enum Toggling: Sendable {
    case unknown
    /// Full passes are cheaper, or deltas do not exist.
    case never
    case plan(TogglePlan, TogglePlan.Subject)
  }

  /// Coalitions of one block, at most: their sums are one row of the engine.
  static let blockLimit = 16

  /// The elements of the output that some example is explained by.
  var elements: [Int] { Set(targets.joined()).sorted() }

  /// The plan that toggles players where that costs less than full passes: nil where it does not.
  /// - Throws: what making the plan throws, but for games and sizes that it cannot serve.
  package func togglePlan() throws(CoalitionError) -> TogglePlan? {
    try toggling()?.plan
  }

  private func toggling() throws(CoalitionError) -> (plan: TogglePlan, subject: TogglePlan.Subject)?
  {
    switch toggles.withLock({ $0 }) {
    case .plan(let plan, let subject): return (plan, subject)
    case .never: return nil
    case .unknown: break
    }
    var result = Toggling.never
    do throws(CoalitionError) {
      let plan = try TogglePlan(masked, playerCount: players.playerCount, elements: elements)
      if plan.isCheaper { result = .plan(plan, plan.subject(subject)) }
    } catch  where error.code == .unsupported || error.code == .memoryLimit {
      // Players that differ by example, or too many of them for one program.
    }
    toggles.withLock { $0 = result }
    if case .plan(let plan, let subject) = result { return (plan, subject) }
    return nil
  }

  /// Sums of marginal contributions: [example of `examples`][block][player][target], over the coalitions S of a
  /// block of value(S with the player) - value(S without).
  /// - Parameters:
  ///   - blocks: rows of `coalitions`, at most `blockLimit` each.
  ///   - examples: by number, in any order.
  /// - Throws: `usage` for what does not fit, and what `values` throws.
  public func marginalSums(
    _ coalitions: Coalitions, blocks: [Range<Int>], examples: [Int],
    _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> [Double] {
    guard coalitions.playerCount == players.playerCount,
      examples.allSatisfy({ (0..<exampleCount).contains($0) }),
      blocks.allSatisfy({
        $0.count <= Self.blockLimit && $0.lowerBound >= 0 && $0.upperBound <= coalitions.count
      })
    else {
      throw CoalitionError(
        .usage, "the blocks of coalitions are not those of this game",
        expected:
          "\(players.playerCount) players, examples below \(exampleCount), blocks of at most "
          + "\(Self.blockLimit) of \(coalitions.count) coalitions",
        found: "\(coalitions.playerCount) players, blocks \(blocks.map(\.count).max() ?? 0)")
    }
    guard let (plan, subject) = try toggling() else {
      return try await marginalSumsByPasses(coalitions, blocks: blocks, examples: examples, options)
    }
    let threads = try Plan.threads(options.threads)
    let rows = blocks.reduce(0) { $0 + $1.count } * examples.count * self.subject.baselines
    let shares = ToggleChunk.shares(
      of: plan, tiles: (rows + Self.blockLimit - 1) / Self.blockLimit,
      segments: blocks.count * examples.count * self.subject.baselines, threads: threads)
    var chunk = ToggleChunk(
      plan, plan.subject(subject, dealtInto: shares), coalitions)
    var sums: [Double] = []
    sums.reserveCapacity(examples.count * blocks.count * players.playerCount * targetCount)
    var waiting: [Int] = []
    for example in examples {
      for block in blocks {
        chunk.append(block, example: example)
        waiting.append(example)
        if chunk.isFull {
          append(try await chunk.run(options), waiting, plan.elements, &sums)
          waiting = []
        }
      }
    }
    if !waiting.isEmpty { append(try await chunk.run(options), waiting, plan.elements, &sums) }
    return sums
  }

  /// Appends the targets of rows [player][element], one per example of `rows`.
  private func append(
    _ chunk: [Double], _ rows: [Int], _ elements: [Int], _ sums: inout [Double]
  ) {
    var start = 0
    for example in rows {
      let places = targets[example].compactMap { elements.firstIndex(of: $0) }
      for _ in 0..<players.playerCount {
        if isDifference {
          sums.append(chunk[start + places[0]] - chunk[start + places[1]])
        } else {
          for place in places { sums.append(chunk[start + place]) }
        }
        start += elements.count
      }
    }
  }

  /// The same from passes over every coalition, and over every coalition with each player on the other side.
  package func marginalSumsByPasses(
    _ coalitions: Coalitions, blocks: [Range<Int>], examples: [Int],
    _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> [Double] {
    let count = players.playerCount
    let width = targetCount
    // Rows of a chunk: bounded in number and in bytes.
    let limit = max(2, min(4096, (64 << 20) / (coalitions.wordCount * 4)))
    var sums = [Double](repeating: 0, count: examples.count * blocks.count * count * width)
    var place = 0
    for example in examples {
      var rows = Coalitions(playerCount: count)
      // Per row: the coalition, the toggled player or -1, and where the sums of its block begin.
      var meanings: [(coalition: Int, player: Int, sums: Int)] = []
      var base: [Double] = []
      func evaluate() async throws(CoalitionError) {
        var ranges = [Range<Int>](repeating: 0..<0, count: exampleCount)
        ranges[example] = 0..<rows.count
        let values = try await values(rows, rows: ranges, options)
        for (row, meaning) in meanings.enumerated() {
          let value = Array(values[row * width..<(row + 1) * width])
          guard meaning.player >= 0 else {
            base = value
            continue
          }
          let isMember = coalitions[meaning.coalition, meaning.player]
          for target in 0..<width {
            let change = isMember ? base[target] - value[target] : value[target] - base[target]
            sums[meaning.sums + meaning.player * width + target] += change
          }
        }
        rows = Coalitions(playerCount: count)
        meanings = []
      }
      for block in blocks {
        for coalition in block {
          for player in -1..<count {
            rows.append(coalitions, rows: coalition..<coalition + 1)
            if player >= 0 { rows[rows.count - 1, player].toggle() }
            meanings.append((coalition, player, place))
            if rows.count == limit { try await evaluate() }
          }
        }
        place += count * width
      }
      if rows.count > 0 { try await evaluate() }
    }
    return sums
  }
}

/// Blocks of coalitions that travel together: every block, row of the baselines and share of the turns is a segment.
///
/// Few blocks are cut by turns, so that all threads have work: each part begins with a pass of its own, and what a turn
/// adds up is the same in whichever part it is.
struct ToggleChunk {
  private let plan: TogglePlan
  private let subject: TogglePlan.Subject
  private let coalitions: Coalitions
  private var variants = MaskedPlan.Variants()
  private var segments: [Int32] = []
  private var shares: [Int32] = []
  private var segmentCount = 0
  /// Per block its segments, [row of the baselines][share].
  private var blocks: [[Int]] = []

  /// Coalitions and bytes of results of one call.
  private static let variantLimit = 1 << 14
  static let byteLimit = 32 << 20

  /// Into how many parts turns are dealt out: one where blocks are too short to fill a tile each, and no more than give
  /// results of bounded size.
  static func shares(of plan: TogglePlan, tiles: Int, segments: Int, threads: Int) -> Int {
    guard segments <= tiles else { return 1 }
    let rowBytes = plan.turns.count * plan.elements.count * 8
    return plan.shares(
      tiles: tiles, threads: threads, most: byteLimit / max(2 * segments * rowBytes, 1))
  }

  init(_ plan: TogglePlan, _ subject: TogglePlan.Subject, _ coalitions: Coalitions) {
    self.plan = plan
    self.subject = subject
    self.coalitions = coalitions
  }

  private var rowCount: Int { plan.playerCount * plan.elements.count }

  var isFull: Bool {
    variants.count >= Self.variantLimit || segmentCount * rowCount * 8 >= Self.byteLimit
  }

  mutating func append(_ block: Range<Int>, example: Int) {
    let unit = MaskedGame.blockLimit
    var own: [Int] = []
    for baseline in 0..<subject.masked.baselines {
      for share in 0..<subject.shares {
        // Coalitions that fill up a unit belong to a segment that nobody reads.
        let used = variants.count % unit
        let isFull = subject.shares > 1 ? used > 0 : used + block.count > unit
        if isFull, let last = variants.mask.last, let part = shares.last {
          for _ in used..<unit {
            append(example, baseline, row: Int(last), share: part)
          }
          segmentCount += 1
        }
        own.append(segmentCount)
        for row in block { append(example, baseline, row: row, share: Int32(share)) }
        segmentCount += 1
      }
    }
    blocks.append(own)
  }

  private mutating func append(_ example: Int, _ baseline: Int, row: Int, share: Int32) {
    variants.append(example: example, baseline: baseline, mask: row)
    segments.append(Int32(segmentCount))
    shares.append(share)
  }

  /// The sums of all blocks, averaged over the rows of the baselines; the chunk is empty again.
  mutating func run(_ options: RunOptions) async throws(CoalitionError) -> [Double] {
    let first = Int(variants.mask.min() ?? 0)
    let last = Int(variants.mask.max() ?? 0)
    for index in variants.mask.indices { variants.mask[index] -= Int32(first) }
    let width = coalitions.wordCount
    let words =
      coalitions.count == 0 ? [] : Array(coalitions.words[first * width..<(last + 1) * width])
    var options = options
    // A tile is of one share.
    if subject.shares > 1 { options.lanes = MaskedGame.blockLimit }
    var rows: [Double] = []
    if variants.count > 0 {
      rows = try await plan.marginalSums(
        subject, variants, segments: segments, words: words, shares: shares,
        segmentCount: segmentCount, options)
    } else {
      rows = [Double](repeating: 0, count: segmentCount * rowCount)
    }
    var sums: [Double] = []
    sums.reserveCapacity(blocks.count * rowCount)
    let baselines = subject.masked.baselines
    for segments in blocks {
      for turn in 0..<plan.playerCount {
        for element in 0..<plan.elements.count {
          let place = turn * plan.elements.count + element
          var sum = 0.0
          for baseline in 0..<baselines {
            let segment = segments[baseline * subject.shares + turn % subject.shares]
            sum += rows[segment * rowCount + place]
          }
          sums.append(baselines == 1 ? sum : sum / Double(baselines))
        }
      }
    }
    self = ToggleChunk(plan, subject, coalitions)
    return sums
  }
}
