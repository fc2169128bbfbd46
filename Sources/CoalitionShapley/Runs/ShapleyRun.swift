// A run: samples in slices of work, sums by block, looks at fixed numbers of blocks.
//
// How large slices are is decided by the clock and changes nothing but how often a run can be watched, stopped and
// saved. Examples run together as far as their sums fit into memory, and each stops by itself.

public import CoalitionBase
import CoalitionExplain
import CoalitionNet

/// An estimation of player values that goes on slice by slice.
public struct ShapleyRun: Sendable {
  public let options: ShapleyOptions
  /// The estimator that runs, never `auto`.
  public let estimator: Estimator
  /// Why `auto` took it.
  public let choice: String?
  let game: any Game
  let scheme: any SamplingScheme
  /// Samples of one example in all: nil when only results or time end the run.
  let sampleBudget: Int?
  private let budgetReason: StopReason
  private let rules: StopRules
  /// Examples that run together.
  let groupSize: Int
  /// Whether somebody asks for estimates before the last one. A run that nobody watches looks at its sums only where
  /// its rules do.
  package var isWatched = true
  private(set) var progress: ShapleyState
  /// The estimates of running examples at the last look.
  private var looks: [Int: (outcome: Jackknife.Outcome, samples: Int)] = [:]
  /// Blocks of the next slice.
  private var sliceBlocks = 1
  /// Seconds of work, also before the state that the run goes on from.
  private var seconds: Double
  /// Where the run was when its time ended: with more of it, it goes on from there.
  private var stateAtTime: ShapleyState?
  /// What is done with moments: nil when nothing is, or nothing any more.
  private var momentWork: MomentWork?
  /// The estimate that came out of it.
  private var concluded: ShapleyEstimate?

  private enum MomentWork: Sendable {
    /// As soon as some examples are sampled.
    case trial(MomentTrial)
    /// When all are.
    case shrinkage(ShrunkValues)
  }

  /// - Parameters:
  ///   - state: where a run of the same game and options has been stopped.
  ///   - secondsBefore: of work that led there.
  /// - Throws: `usage` and `limitExceeded` for options that do not go together or with the game, `memoryLimit`, and
  ///   `invalidData` for a state of another run.
  public init(
    _ game: any Game, _ options: ShapleyOptions = ShapleyOptions(),
    resuming state: ShapleyState? = nil, secondsBefore: Double = 0
  ) throws(CoalitionError) {
    try options.check(game)
    let resolved = options.resolved(playerCount: game.playerCount)
    self.options = resolved
    self.game = game
    seconds = secondsBefore
    let choice = try EstimatorChoice(
      resolved, playerCount: game.playerCount, targetCount: game.targetCount, cost: game.cost)
    estimator = choice.estimator
    self.choice = choice.reason
    scheme = choice.scheme
    if let shrinkage = resolved.shrinkage, resolved.estimator != .auto || estimator != .exact {
      momentWork = .shrinkage(try ShrunkValues(game, resolved, towards: shrinkage))
    } else if let trial = try MomentTrial(game, resolved, choice) {
      momentWork = .trial(trial)
    }
    rules = StopRules(resolved)
    let budget = try Self.budget(resolved, scheme)
    sampleBudget = budget?.samples
    budgetReason = budget?.reason ?? .samples
    let blockCount = budget.map { [scheme] in Self.blocks($0.samples, scheme) }
    groupSize = try Self.groupSize(game, scheme, resolved, blocks: blockCount)
    let blocks = resolved.shard?.blocks(of: blockCount ?? .max) ?? 0..<(blockCount ?? .max)
    if let state {
      guard state.examples.count == game.exampleCount, state.blocks == blocks,
        state.sumWidths.isSubset(of: [game.targetCount * scheme.sumCount])
      else {
        throw CoalitionError(.invalidData, "the state belongs to another run")
      }
      progress = state
    } else {
      progress = ShapleyState(
        examples: Array(repeating: .waiting, count: game.exampleCount), ends: [],
        nextBlock: blocks.lowerBound, blocks: blocks)
      progress.nullPlayers = (0..<game.exampleCount).map { game.nullPlayers(ofExample: $0) }
    }
  }

  /// Where the run is, to go on from there later. Of a run that its time has ended: where it was then, so that one with
  /// more time goes on.
  public var state: ShapleyState { stateAtTime ?? progress }

  /// Whether there is nothing left to do.
  public var isDone: Bool { concluded != nil || momentWork == nil && progress.isDone }

  /// Whether values by moments are tried on some examples, and may be taken for all.
  public var triesMoments: Bool { if case .trial? = momentWork { true } else { false } }

  // MARK: Work

  /// Does one slice of work, of about a quarter of a second or, where nobody follows the run, some thousand evaluations.
  /// - Returns: whether there is more to do.
  public mutating func step() async throws(CoalitionError) -> Bool {
    if progress.ends.isEmpty { progress.ends = try await game.endValues(options.run) }
    if try await workOnMoments() { return !isDone }
    guard let active = startedExamples() else { return !isDone }
    let clock = ContinuousClock()
    let start = clock.now
    if !isFollowed {
      let least =
        Self.leastSlice / active.count / max(scheme.evaluations(samples: scheme.blockSamples), 1)
      sliceBlocks = max(sliceBlocks, min(least, largestSlice))
    }
    // A run that resumes with no time left has nothing to add.
    let isBegun = progress.nextBlock > progress.blocks.lowerBound
    let blocks = isLate && isBegun ? progress.nextBlock..<progress.nextBlock : nextSlice()
    if !blocks.isEmpty { try await add(blocks, to: active) }
    progress.nextBlock = blocks.upperBound
    let took = start.duration(to: clock.now)
    seconds += Self.seconds(took)
    if !blocks.isEmpty { adjustSlice(took, blocks.count) }
    finishExamples(active)
    return !isDone
  }

  /// Does what is to be done with moments when it is time to.
  /// - Returns: whether it did.
  private mutating func workOnMoments() async throws(CoalitionError) -> Bool {
    switch momentWork {
    case .trial(let trial) where trial.examples.allSatisfy(progress.isDone(example:)):
      concluded = try await trial.estimate(beside: samplesSoFar, progress.ends)
    case .shrinkage(let shrunk) where progress.isDone:
      concluded = try await shrunk.estimate(from: samplesSoFar, progress.ends)
    default: return false
    }
    momentWork = nil
    return true
  }

  /// What work with moments would take; nil where there is none.
  package func momentForecast() throws(CoalitionError) -> MomentDemand? {
    let moments =
      switch momentWork {
      case .trial(let trial): trial.moments
      case .shrinkage(let shrunk): shrunk.moments
      case nil: nil as MomentShapley?
      }
    guard let moments else { return nil }
    return try moments.forecast(threads: Plan.threads(moments.options.run.threads))
  }

  /// The examples that are worked on; nil when none is left.
  private var activeExamples: [Int]? {
    let running = progress.examples.indices.filter {
      if case .running = progress.examples[$0] { true } else { false }
    }
    if !running.isEmpty { return running }
    let waiting = progress.examples.indices.filter {
      if case .waiting = progress.examples[$0] { true } else { false }
    }
    var size = groupSize
    if case .trial(let trial)? = momentWork { size = min(size, trial.examples.count) }
    return waiting.isEmpty ? nil : Array(waiting.prefix(size))
  }

  /// The same, made to run.
  private mutating func startedExamples() -> [Int]? {
    guard let active = activeExamples else { return nil }
    for example in active {
      if case .waiting = progress.examples[example] {
        progress.examples[example] = .running(ShapleyState.Progress())
        progress.nextBlock = progress.blocks.lowerBound
      }
    }
    return active
  }

  /// The next blocks: never across a check point when somebody looks there.
  private func nextSlice() -> Range<Int> {
    let first = progress.nextBlock
    var end = min(progress.blocks.upperBound, first + sliceBlocks)
    if looksAtBlocks {
      end = min(
        end,
        isFollowed ? CheckPoints.next(after: first) : CheckPoints.nextAdaptation(after: first))
    }
    return first..<end
  }

  /// Whether anybody wants to know where the run is, or somebody else's code is asked, which may be slow.
  private var isFollowed: Bool {
    isWatched || options.looksAtResults || options.seconds != nil || !(game is MaskedGame)
  }

  /// Evaluations of a slice of a run that nobody follows: smaller ones cost more to begin than to do.
  private static let leastSlice = 2048

  /// The parts of a run are looked at when they are merged.
  private var looksAtBlocks: Bool { options.shard == nil }

  private mutating func add(_ range: Range<Int>, to active: [Int]) async throws(CoalitionError) {
    let blocks = range.map { block in
      SampleBlock(index: block, samples: samples(ofBlock: block))
    }
    let targets = game.targetCount
    // Schemes that look back draw differently for every example.
    let adaptations = active.map { example -> [Double]? in
      guard case .running(let state) = progress.examples[example] else { return nil }
      return state.adaptation
    }
    let groups: [(scheme: any SamplingScheme, examples: [Int])] =
      adaptations.allSatisfy { $0 == nil }
      ? [(scheme, active)]
      : zip(active, adaptations).map { example, adaptation in
        (adaptation.map { scheme.adapted(to: $0) } ?? scheme, [example])
      }
    for (scheme, examples) in groups {
      let sums = try await SliceOfWork(
        scheme: scheme, game: game, examples: examples, ends: progress.ends, options: options.run
      ).sums(of: blocks)
      let width = targets * scheme.sumCount
      for (position, example) in examples.enumerated() {
        guard case .running(var state) = progress.examples[example] else { continue }
        // The state leaves the list while it is written, so that it has one owner.
        progress.examples[example] = .waiting
        for (index, block) in blocks.enumerated() {
          let start = (position * blocks.count + index) * width
          state.sums.append(Array(sums[start..<start + width]), block: block.index)
        }
        progress.examples[example] = .running(state)
      }
    }
  }

  /// Slices grow until they take about a quarter of a second.
  private mutating func adjustSlice(_ took: Duration, _ blocks: Int) {
    let target = 0.25
    let perBlock = max(Self.seconds(took) / Double(blocks), 1e-9)
    sliceBlocks = max(min(Int(target / perBlock), sliceBlocks * 4, largestSlice), 1)
  }

  /// Blocks of which coalitions, values and sums stay within some 64 MB; at least one.
  private var largestSlice: Int {
    let perEvaluation = 4 * ((game.playerCount + 31) / 32) + 8 * game.targetCount * groupSize
    // Sums are there as they are made, put together and kept.
    let sums = 3 * 8 * scheme.sumCount * game.targetCount * groupSize
    let perBlock = scheme.evaluations(samples: scheme.blockSamples) * perEvaluation + sums
    return max((64 << 20) / max(perBlock, 1), 1)
  }

  private static func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }

  // MARK: Stopping

  private var isLate: Bool { options.seconds.map { seconds >= $0 } ?? false }

  /// Looks at examples where it is time to, and ends those that are done.
  private mutating func finishExamples(_ active: [Int]) {
    let blocks = progress.nextBlock
    guard looksAtBlocks else {
      guard blocks >= progress.blocks.upperBound else { return }
      for example in active {
        if case .running(let state) = progress.examples[example] {
          progress.examples[example] = .summed(state)
        }
      }
      return
    }
    let samples = samplesDone
    let isOver = sampleBudget.map { samples >= $0 } ?? false
    let isLate = isLate
    let isCheck = CheckPoints.isOne(blocks)
    guard isOver || isLate || isCheck else { return }
    var endedByTime: [Int: ShapleyState.Progress] = [:]
    let isLook = isOver || isLate || isWatched || options.looksAtResults
    for example in active {
      guard case .running(var state) = progress.examples[example] else { continue }
      let ends = progress.ends[example]
      guard isLook else {
        adapt(&state, blocks: blocks, samples: samples, ends: ends)
        progress.examples[example] = .running(state)
        continue
      }
      let known = KnownPlayers(
        nulls: progress.nullPlayers[example], isComplete: options.value != .banzhaf)
      let jackknife = Jackknife(scheme: scheme, ends: ends, known: known)
      let outcome = jackknife.outcome(state.sums, samples: samples)
      looks[example] = (outcome, samples)
      let earlier = state.history.last { $0.blocks * 2 == blocks }?.values
      var stop = isOver ? budgetReason : nil
      if stop == nil, isCheck, options.looksAtResults {
        stop = rules.reason(outcome, blocks: blocks, ends: ends, earlier: earlier)
      }
      if stop == nil {
        // A run without time left looks twice.
        if options.rankStability != nil, isCheck, state.history.last?.blocks != blocks {
          state.history.append((blocks, outcome.values))
          state.history = state.history.suffix(CheckPoints.kept)
        }
        adapt(&state, blocks: blocks, samples: samples, ends: ends)
        if isLate {
          endedByTime[example] = state
          stop = .time
        }
      }
      if let stop {
        progress.examples[example] = .done(
          ShapleyState.Result(
            values: outcome.values, standardErrors: outcome.standardErrors,
            replicates: outcome.replicates, samples: samples, stop: stop,
            interactions: outcome.interactions,
            interactionErrors: jackknife.interactionErrors(
              outcome.interactions, state.sums, samples: samples)))
        looks[example] = nil
        continue
      }
      progress.examples[example] = .running(state)
    }
    // The examples behind these get a slice each: with more time they begin anew.
    if stateAtTime == nil, !endedByTime.isEmpty {
      var open = progress
      for (example, state) in endedByTime { open.examples[example] = .running(state) }
      stateAtTime = open
    }
  }

  /// Lets schemes that look back do so where it is time to.
  private func adapt(
    _ state: inout ShapleyState.Progress, blocks: Int, samples: Int, ends: [GameEnds]
  ) {
    guard CheckPoints.isAdaptation(blocks) else { return }
    state.adaptation = scheme.adaptation(state.sums.totals().all, samples: samples, ends: ends)
  }

  // MARK: What is known

  /// The estimate so far: the results of examples that are done, and those of the last look at the others.
  public var estimate: ShapleyEstimate {
    if let concluded { return concluded }
    var samples = samplesSoFar
    // What is done with moments may change the values.
    if momentWork != nil {
      for example in samples.stops.indices { samples.stops[example] = nil }
    }
    return samples
  }

  private var samplesSoFar: ShapleyEstimate {
    var estimate = ShapleyEstimate(
      playerCount: game.playerCount, targetCount: game.targetCount, estimator: estimator,
      choice: choice, scheme: scheme)
    for (index, example) in progress.examples.enumerated() {
      var look = looks[index]
      var stop: StopReason?
      if case .done(let result) = example {
        let outcome = Jackknife.Outcome(
          values: result.values, standardErrors: result.standardErrors,
          replicates: result.replicates, interactions: result.interactions,
          interactionErrors: result.interactionErrors)
        look = (outcome, result.samples)
        stop = result.stop
      }
      let samples = look?.samples ?? 0
      estimate.append(
        look?.outcome, ends: progress.ends.isEmpty ? nil : progress.ends[index],
        samples: samples * scheme.rowsPerSample,
        evaluations: progress.ends.isEmpty ? 0 : evaluations(samples: samples), stop: stop)
    }
    return estimate
  }

  /// Samples of the examples that run.
  private var samplesDone: Int {
    let (whole, overflow) = progress.nextBlock.multipliedReportingOverflow(by: scheme.blockSamples)
    return min(overflow ? .max : whole, sampleBudget ?? .max)
  }

  private func samples(ofBlock block: Int) -> Int {
    guard let sampleBudget else { return scheme.blockSamples }
    return min(scheme.blockSamples, sampleBudget - block * scheme.blockSamples)
  }

  /// Evaluations of so many samples of one example, those of nobody and everybody included.
  public func evaluations(samples: Int) -> Int { Self.evaluations(samples, scheme) }
}
