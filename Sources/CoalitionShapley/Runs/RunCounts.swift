// What a run has done and will do, for those who watch it or plan it.

import CoalitionBase

extension ShapleyRun {
  /// Evaluations so far, of all examples.
  public var evaluationsDone: Int {
    guard !progress.ends.isEmpty else { return 0 }
    return progress.examples.reduce(0) { sum, example in
      switch example {
      case .waiting: sum + evaluations(samples: 0)
      case .running: sum + evaluations(blocks: progress.blocks.lowerBound..<progress.nextBlock)
      case .summed: sum + evaluations(blocks: progress.blocks)
      case .done(let result): sum + evaluations(samples: result.samples)
      }
    }
  }

  /// Evaluations in all, of all examples: at most, where results or time may end the run before; nil when nothing else
  /// ends it.
  public var evaluationsForeseen: Int? {
    guard sampleBudget != nil else { return nil }
    let (product, overflow) = evaluations(blocks: progress.blocks)
      .multipliedReportingOverflow(by: progress.examples.count)
    return overflow ? .max : product
  }

  /// Bytes of sums that the run keeps at a time.
  package var sumByteCount: Int {
    let blocks = sampleBudget.map { Self.blocks($0, scheme) }
    let (product, overflow) = Self.sumBytes(game, scheme, blocks: blocks)
      .multipliedReportingOverflow(by: options.shard == nil ? groupSize : game.exampleCount)
    return overflow ? .max : product
  }

  /// Whether the game is asked for marginal contributions, which models have a program of their own for.
  package var togglesPlayers: Bool { scheme is ToggleScheme }

  /// Of one example: those of the blocks before are another shard's.
  private func evaluations(blocks: Range<Int>) -> Int {
    func until(_ block: Int) -> Int {
      let (whole, overflow) = block.multipliedReportingOverflow(by: scheme.blockSamples)
      return evaluations(samples: min(overflow ? .max : whole, sampleBudget ?? .max))
    }
    return until(blocks.upperBound) - (blocks.lowerBound == 0 ? 0 : until(blocks.lowerBound))
  }
}
