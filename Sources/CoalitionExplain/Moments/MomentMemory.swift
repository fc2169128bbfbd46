// How a run by moments keeps within its memory: what is held and made at a time. Values do not depend on it by a bit.
//
//     rows       of some examples (and every row of their baseline), while their values are made
//     chunk      contributions of some players, or sums of some gradients, on their way
//     programs   packed constants of all programs, and the arenas of all threads, of the largest one

package import CoalitionBase
package import CoalitionNet

package struct MomentMemory: Sendable {
  /// Examples whose rows are held together.
  package let examples: Int
  /// Scores that signals are sent back from in one program, behind one pass of moments.
  package let seeds: Int
  let chunkByteCount: Int
  /// What the arenas of all threads may take.
  let arenaLimit: Int
  /// What the run takes of the limit.
  package let byteCount: Int

  /// More scores in one program spare a few passes of moments, and make the program longer.
  package static let mostSeeds = 16
  private static let mostExamples = 1024
  /// Rows that are worth holding, and chunks worth making.
  private static let comfortable = 256 << 20

  /// - Parameter limit: bytes of everything.
  /// - Throws: `memoryLimit` where not even one example has room.
  fileprivate init(_ needs: MomentNeeds, threads: Int, within limit: Int) throws(CoalitionError) {
    var seeds = needs.isGradient ? min(needs.targetCount, Self.mostSeeds) : 1
    while true {
      let own = needs.ofExample(seeds: seeds)
      let chunk = needs.leastChunk(seeds: seeds)
      let constants = try needs.constants(seeds: seeds)
      let arenas = try needs.arenas(seeds: seeds, examples: 1, threads, within: 0)
      let least = [own, chunk, constants, arenas].saturatingSum
      let isComfortable = own <= Self.comfortable && least <= limit / 2
      if seeds > 1, !isComfortable {
        seeds /= 2
        continue
      }
      guard least <= limit else {
        throw CoalitionError(
          .memoryLimit, "moments of one example need more memory than allowed",
          expected: "at most \(limit) bytes", found: "\(least)")
      }
      let room = limit - least
      examples = max(
        1,
        min(
          needs.exampleCount, Self.mostExamples,
          min(Self.comfortable, own + room / 2) / max(own, 1)))
      let rows = own * examples
      let left = limit - constants - arenas - rows
      chunkByteCount = min(
        max(chunk, min(Self.comfortable, left / 2)),
        max(chunk, needs.wholeChunk(seeds: seeds, examples: examples)))
      arenaLimit = limit - constants - rows - chunkByteCount
      self.seeds = seeds
      byteCount =
        [
          rows, chunkByteCount, constants,
          try needs.arenas(seeds: seeds, examples: examples, threads, within: arenaLimit),
        ].saturatingSum
      return
    }
  }
}

/// What a run by moments needs, in bytes.
private struct MomentNeeds {
  let plan: MomentPlan
  let method: MomentMethod
  let squares: SquaredContributions
  let exampleCount: Int
  let baselines: Int
  let playerCount: Int
  let targetCount: Int
  let fronts: Int
  let sources: Int

  init(_ game: MaskedGame, _ plan: MomentPlan, _ method: MomentMethod) {
    self.plan = plan
    self.method = method
    squares = SquaredContributions(game, plan)
    exampleCount = game.exampleCount
    baselines = game.subject.baselines
    playerCount = game.players.playerCount
    targetCount = game.targetCount
    fronts = plan.frontCounts.saturatingSum
    sources = plan.sources.map(\.count).saturatingSum
  }

  var isGradient: Bool { if case .gradient = method { true } else { false } }

  /// Which row, weight and slope every node of a subject has, and which seed of every score.
  private func ofNodes(seeds: Int) -> Int {
    guard case .gradient(let nodes) = method else { return 0 }
    return nodes * (64 + 4 * seeds)
  }

  private var number: Int { plan.precision.byteCount }

  /// Rows and values of one example.
  func ofExample(seeds: Int) -> Int {
    let rank = plan.rank
    // In double the changes, their squares and the baseline; base, sum and squares, which programs read in their
    // precision.
    let rows = sources * (3 * 8 + 2 * number) + fronts * (8 + 4 * number)
    let basis = rank * (fronts * number + 8 * playerCount)
    // A few more directions than wanted go there and back.
    let iteration =
      rank == 0 ? 0 : (rank + 2) * ((2 * sources + fronts) * number + 3 * 8 * playerCount)
    let signals =
      !isGradient
      ? 0
      : plan.gradientByteCount(seeds: seeds)
        + (1 + rank) * (fronts * (8 + number) + 2 * sources * number + 8 * playerCount)
    return (rows + basis + max(iteration, signals) + ofNodes(seeds: seeds)) * baselines
      + 8 * playerCount * targetCount * (baselines + 2)
  }

  /// Of the smallest chunk.
  func leastChunk(seeds: Int) -> Int {
    var least = plan.contributionByteCount
    if case .own(let own) = squares, let part = plan.parts(of: own).first {
      least = max(least, 2 * part.count * fronts * number)
    }
    if case .sizes(let count) = method {
      return least + plan.meanByteCount(coalitions: 2 * min(count, playerCount))
    }
    // A segment that is begun, and one that is added to it.
    return max(least, 2 * plan.gradientByteCount(seeds: seeds))
  }

  /// Of a chunk that takes everything.
  func wholeChunk(seeds: Int, examples: Int) -> Int {
    let passes: Int
    switch method {
    case .sizes: passes = playerCount
    case .gradient(let nodes): passes = max(nodes, playerCount)
    }
    let (bytes, overflow) = leastChunk(seeds: seeds).multipliedReportingOverflow(
      by: examples * baselines * passes)
    return overflow ? .max : bytes
  }

  private func use(seeds: Int) -> MomentPlan.Use {
    let last = targetCount % seeds
    let programs = [seeds] + (last > 0 ? [last] : [])
    var use = MomentPlan.Use(
      seeds: isGradient ? programs : [], ownsElements: false, own: nil)
    switch squares {
    case .elements: use.ownsElements = true
    case .own(let own): use.own = own
    case .classes: break
    }
    return use
  }

  func constants(seeds: Int) throws(CoalitionError) -> Int {
    try plan.constantByteCount(use(seeds: seeds))
  }

  func arenas(
    seeds: Int, examples: Int, _ threads: Int, within limit: Int
  ) throws(CoalitionError) -> Int {
    // Coalitions of dasp come in any number.
    let passes: Int
    switch method {
    case .sizes: passes = 1 << 14
    case .gradient(let nodes): passes = nodes
    }
    return try plan.arenaByteCount(
      use(seeds: seeds), examples: examples * baselines * passes, threads: threads, within: limit)
  }
}

extension MomentPlan {
  /// Bytes of the contributions of one player, on their way from the changes to squares and back.
  var contributionByteCount: Int {
    let number = precision.byteCount
    return frontCounts.saturatingSum * (2 * 8 + 2 * number)
      + sources.map(\.count).saturatingSum * (8 + 2 * number)
  }

  /// Bytes of the coefficients and means of so many coalitions.
  func meanByteCount(coalitions: Int) -> Int {
    coalitions * (target.count * (8 + precision.byteCount) + (5 + 2 * rank) * 12 + 16)
  }
}

extension MaskedGame {
  /// - Throws: `memoryLimit` where not even one example has room.
  package func momentMemory(
    _ plan: MomentPlan, _ method: MomentMethod, threads: Int, within limit: Int
  ) throws(CoalitionError) -> MomentMemory {
    try MomentMemory(MomentNeeds(self, plan, method), threads: threads, within: limit)
  }
}
