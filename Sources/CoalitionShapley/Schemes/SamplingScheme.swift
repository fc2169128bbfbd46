// What an estimator is made of: samples that are drawn by number, sums over them, and values from the sums.
//
// Samples come in blocks. What a block holds is a function of the seed and its number alone; a block is also what one
// replicate is made of (block b belongs to replicate b mod R), so blocks are independent of each other, and whatever
// samples share (a complement, a stratification, an orthogonal design) stays within one.

package import CoalitionBase
package import CoalitionNet

/// The values of nobody and of everybody, for one example and target.
package struct GameEnds: Sendable, Hashable {
  package let empty: Double
  package let full: Double

  package init(empty: Double, full: Double) {
    self.empty = empty
    self.full = full
  }

  package var difference: Double { full - empty }
}

/// One block of samples: the last one of a run may hold fewer than the others.
package struct SampleBlock: Sendable, Hashable {
  package let index: Int
  package let samples: Int

  package init(index: Int, samples: Int) {
    self.index = index
    self.samples = samples
  }
}

/// A way to draw samples of a game and to estimate values from sums over them.
package protocol SamplingScheme: Sendable {
  var playerCount: Int { get }
  /// Samples of a whole block.
  var blockSamples: Int { get }
  /// What a sample counts where users count samples: 2 for a coalition and its complement, whose rows are counted.
  var rowsPerSample: Int { get }
  /// Evaluations that this many samples of a block ask for, besides those of nobody and everybody.
  func evaluations(samples: Int) -> Int
  /// All samples there are, when the values are then exact: nil when they never end.
  var sampleLimit: Int? { get }
  /// Numbers per target that a block adds up.
  var sumCount: Int { get }
  /// What the estimate is off by in expectation, as a clause for people: nil when it is unbiased.
  var bias: String? { get }

  /// The sums of blocks, [example of `examples`][block][target][sum].
  /// - Parameter ends: per example of the game and target.
  func sums(
    of blocks: [SampleBlock], in game: any Game, examples: [Int], ends: [[GameEnds]],
    _ run: RunOptions
  ) async throws(CoalitionError) -> [Double]

  /// Values of the players from the sums of one target over `samples` samples, NaN where they do not suffice.
  func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double]
  /// The scheme whose values are those of a run of so many samples: what depends on their number is decided by it for
  /// all parts of the run as well, whose values say how far the whole is off.
  func decided(by samples: Int) -> Self

  /// For schemes whose later samples depend on earlier ones: numbers that say how, from the sums of all targets
  /// ([target][sum]). They are taken at fixed numbers of blocks; nil for schemes that do not look back.
  func adaptation(_ sums: [Double], samples: Int, ends: [GameEnds]) -> [Double]?
  /// The scheme for the samples to come.
  func adapted(to adaptation: [Double]) -> Self
}

extension SamplingScheme {
  package var sampleLimit: Int? { nil }
  package var rowsPerSample: Int { 1 }
  package var bias: String? { nil }
  package func decided(by samples: Int) -> Self { self }
  package func adaptation(_ sums: [Double], samples: Int, ends: [GameEnds]) -> [Double]? { nil }
  package func adapted(to adaptation: [Double]) -> Self { self }
}

/// A scheme that asks for the values of coalitions that it lists.
package protocol CoalitionScheme: SamplingScheme {
  /// What was drawn, for the sums.
  associatedtype Draw: Sendable

  /// Appends `evaluations(samples: block.samples)` coalitions.
  func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Draw

  /// Adds a block's values to its sums.
  /// - Parameters:
  ///   - values: of the block's coalitions for one target, in the order of the draw.
  ///   - sums: `sumCount` numbers, zeros at first.
  func add(_ draw: Draw, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>)
}

extension CoalitionScheme {
  package func sums(
    of blocks: [SampleBlock], in game: any Game, examples: [Int], ends: [[GameEnds]],
    _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    var coalitions = Coalitions(playerCount: playerCount)
    var draws: [(draw: Draw, rows: Range<Int>)] = []
    for block in blocks {
      let first = coalitions.count
      let draw = draw(block, into: &coalitions)
      draws.append((draw, first..<coalitions.count))
    }
    var rows = [Range<Int>](repeating: 0..<0, count: game.exampleCount)
    for example in examples { rows[example] = 0..<coalitions.count }
    let values = try await game.values(coalitions, rows: rows, run)
    let targets = game.targetCount
    var result = [Double](repeating: 0, count: examples.count * blocks.count * targets * sumCount)
    for (position, example) in examples.enumerated() {
      let start = position * coalitions.count * targets
      for (index, (draw, rows)) in draws.enumerated() {
        for target in 0..<targets {
          let own =
            targets == 1
            ? Array(values[start + rows.lowerBound..<start + rows.upperBound])
            : rows.map { values[start + $0 * targets + target] }
          let place = ((position * blocks.count + index) * targets + target) * sumCount
          add(
            draw, values: own, ends: ends[example][target],
            to: &result[place..<place + sumCount])
        }
      }
    }
    return result
  }
}
