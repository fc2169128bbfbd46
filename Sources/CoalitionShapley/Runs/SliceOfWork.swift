// The sums of many blocks: drawing coalitions and adding up values go on beside the engine.
//
// Blocks do not depend on each other, so a large slice of a model's game is cut into parts that are in flight together.
// The engine takes their passes one after the other with all its threads; what the host does for one part happens
// while the engine works for another. Each block's sums are what they are without parts.

import CoalitionBase
import CoalitionExplain
import CoalitionNet

struct SliceOfWork: Sendable {
  let scheme: any SamplingScheme
  let game: any Game
  let examples: [Int]
  let ends: [[GameEnds]]
  let options: RunOptions

  /// Parts of a large slice.
  private static let parts = 4
  /// Blocks of a part: enough for all threads.
  private static let leastBlocks = 32

  /// The sums, [example][block][target][sum].
  func sums(of blocks: [SampleBlock]) async throws(CoalitionError) -> [Double] {
    let parts = try partCount(blocks.count)
    guard parts > 1 else { return try await whole(blocks) }
    let ranges = (0..<parts).map { part in
      blocks.count * part / parts..<blocks.count * (part + 1) / parts
    }
    let found = await withTaskGroup(of: Part.self) { group in
      for (index, range) in ranges.enumerated() {
        let own = Array(blocks[range])
        group.addTask { await outcome(of: own, index: index) }
      }
      var found: [Part] = []
      for await part in group {
        if part.error != nil { group.cancelAll() }
        found.append(part)
      }
      return found.sorted { $0.index < $1.index }
    }
    // Of parts that were cancelled because another one failed, that one says why.
    let errors = found.compactMap(\.error)
    if let error = errors.first(where: { $0.code != .cancelled }) ?? errors.first { throw error }
    let width = game.targetCount * scheme.sumCount
    var sums: [Double] = []
    sums.reserveCapacity(examples.count * blocks.count * width)
    for position in examples.indices {
      for (range, part) in zip(ranges, found) {
        let count = range.count * width
        sums += part.sums[position * count..<(position + 1) * count]
      }
    }
    return sums
  }

  /// What has become of one part.
  private struct Part: Sendable {
    let index: Int
    var sums: [Double] = []
    var error: CoalitionError?
  }

  private func outcome(of blocks: [SampleBlock], index: Int) async -> Part {
    do {
      return Part(index: index, sums: try await whole(blocks))
    } catch {
      return Part(index: index, error: error)
    }
  }

  private func whole(_ blocks: [SampleBlock]) async throws(CoalitionError) -> [Double] {
    try await scheme.sums(of: blocks, in: game, examples: examples, ends: ends, options)
  }

  /// One where somebody else's code answers, which need not be fit for two calls at once, where one thread is all that
  /// may be used, and where memory is short: every part has rows and results of its own.
  private func partCount(_ blocks: Int) throws(CoalitionError) -> Int {
    guard let game = game as? MaskedGame else { return 1 }
    let room = options.memoryLimit / 8 / max(game.callByteCount, 1)
    return max(
      min(Self.parts, try Plan.threads(options.threads), blocks / Self.leastBlocks, room), 1)
  }
}
