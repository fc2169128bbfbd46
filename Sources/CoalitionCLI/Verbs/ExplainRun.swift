// One run of a method with its forecast: work and memory by count, time by a short trial.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

struct ExplainRun {
  struct Outcome {
    /// Embeddings summed to tokens; with players, their values shared out.
    var explanation: Explanation
    /// Per player [N, (T,) P]: nil without groups.
    var values: Tensor?
    var standardErrors: Tensor?
    /// Of values by moments.
    var errorEstimate: Tensor?
    /// Counts, and what was decided on the way, where that is more than the explanation says.
    var summary: [JSONValue.Member] = []
    var seconds = 0.0

    /// What a user should know about the numbers.
    var warnings: [String] {
      let parts = explanation.attributions.sorted { $0.key < $1.key }.map { name, tensor in
        (name, tensor.firstNonFinite == nil ? 0 : tensor.doubles.count { !$0.isFinite })
      }
      // Elements that no window covers are NaN, and said to be.
      guard explanation.warnings.isEmpty else { return explanation.warnings }
      return parts.filter { $0.1 > 0 }.map { name, count in
        "attributions of \(name) hold \(count) values that are not finite"
      }
    }
  }

  let explainer: Explainer
  let examples: Int
  let execution: Execution
  private let work: ExplainMethod.Work
  private let inputs: [String: Tensor]
  private let target: Target
  private let baselines: [String: Baseline]
  private let players: PlayerSet?
  private let keepsLedger: Bool
  private let programBytes: Int
  /// Evaluations of the model per example.
  private let evaluations: Int
  /// Of all examples.
  private let variants: Int

  /// - Throws: `memoryLimit` when the run will not fit into the memory that is allowed.
  init(
    _ explainer: Explainer, _ work: ExplainMethod.Work, _ inputs: [String: Tensor], examples: Int,
    target: Target, baselines: [String: Baseline], players: PlayerSet?, keepsLedger: Bool,
    _ runtime: RuntimeOptions, held: Int
  ) throws(CoalitionError) {
    self.explainer = explainer
    self.work = work
    self.inputs = inputs
    self.examples = examples
    self.target = target
    self.baselines = baselines
    self.players = players
    self.keepsLedger = keepsLedger
    let rows = explainer.sources.reduce(0) { $0 + $1.count }
    let targets = target == .all ? max(1, explainer.scoreShape.reduce(1, *)) : 1
    // Double precision, in the arrays of the program, of the method, and in the bytes of a file.
    let (bytes, overflow) = (rows * 3 * 8).multipliedReportingOverflow(
      by: max(1, examples) * targets)
    guard !overflow else {
      throw CoalitionError(.limitExceeded, "so many examples do not fit into memory")
    }
    execution = try Execution(runtime, held: held + bytes)
    evaluations = try Self.evaluations(explainer, work, players, baselines)
    let (product, isHuge) = examples.multipliedReportingOverflow(by: evaluations)
    guard !isHuge else {
      throw CoalitionError(.limitExceeded, "so many evaluations cannot be counted")
    }
    variants = product
    programBytes = try Self.programBytes(
      explainer, work, variants: product, threads: execution.threads,
      within: execution.options.memoryLimit)
    try runtime.check(memory: execution.held + programBytes)
  }

  private static func programBytes(
    _ explainer: Explainer, _ work: ExplainMethod.Work, variants: Int, threads: Int,
    within limit: Int
  ) throws(CoalitionError) -> Int {
    switch work {
    case .gradient(let method):
      return try explainer.programByteCount(
        method, variants: variants, threads: threads, within: limit)
    case .gradCAM:
      return try explainer.programByteCount(
        .gradient, variants: variants, threads: threads, within: limit)
    case .occlusion, .windows, .rise, .shapley:
      return explainer.forward.programByteCount(
        examples: variants, threads: threads, within: limit)
    }
  }

  private static func evaluations(
    _ explainer: Explainer, _ work: ExplainMethod.Work, _ players: PlayerSet?,
    _ baselines: [String: Baseline]
  ) throws(CoalitionError) -> Int {
    let repeats =
      explainer.sources.map { source in
        if case .rows(let tensor)? = baselines[source.name], tensor.rank == source.shape.count + 1 {
          return tensor.shape[0]
        }
        return 1
      }.max() ?? 1
    switch work {
    case .gradient(.integratedGradients(let steps, _)): return steps * repeats
    // As many as it takes: the number that is usual without a tolerance.
    case .gradient(.adaptiveIntegratedGradients): return 50 * repeats
    case .gradient(.expectedGradients(let samples, _)): return samples
    case .gradient(.smoothGrad(let samples, _, _)): return samples
    case .gradient(let method): return method.usesBaseline ? repeats : 1
    case .gradCAM: return 1
    case .occlusion:
      return ((players?.playerCount ?? elements(explainer)) + 1) * repeats
    case .windows(let windows):
      let shape = explainer.sources.first?.shape ?? []
      return try windows.evaluations(shape) * repeats
    case .rise(let rise): return rise.masks * repeats
    case .shapley(let options) where options.estimator.usesMoments:
      return repeats
        * options.moments.evaluations(players: players?.playerCount ?? elements(explainer))
    case .shapley(let options):
      let count = players?.playerCount ?? elements(explainer)
      let budget = options.evaluations ?? ShapleyOptions.defaultEvaluationsPerPlayer * count
      // More coalitions than can be evaluated are still a number that others can be multiplied with.
      let coalitions = options.estimator == .exact && count < 50 ? 1 << count : budget
      let (product, overflow) = coalitions.multipliedReportingOverflow(by: repeats)
      return overflow ? .max : product
    }
  }

  private static func elements(_ explainer: Explainer) -> Int {
    explainer.sources.reduce(0) { $0 + explainer.attributionShape(of: $1).reduce(1, *) }
  }

  /// Explains all examples.
  func outcome() async throws(CoalitionError) -> Outcome {
    var (outcome, seconds) = try await execution.watched(variants, "evaluations") {
      options throws(CoalitionError) in try await self.outcome(work, inputs, target, options)
    }
    outcome.seconds = seconds
    return outcome
  }

  private func outcome(
    _ work: ExplainMethod.Work, _ inputs: [String: Tensor], _ target: Target,
    _ options: RunOptions
  ) async throws(CoalitionError) -> Outcome {
    switch work {
    case .gradient(let method):
      return try grouped(
        try await explainer.explain(
          inputs, by: method, target: target, baselines: baselines, ledger: keepsLedger, options),
        areEmbeddings: explainer.explainsEmbeddings)
    case .gradCAM(let layer):
      return try grouped(
        try await explainer.gradCAM(inputs, layer: layer, target: target, options),
        areEmbeddings: false)
    case .occlusion:
      let divided: PlayerSet
      if let players { divided = players } else { divided = try everyElement }
      var found = try await explainer.occlusion(
        inputs, players: divided, target: target, baselines: baselines, options)
      if players == nil { found.values = nil }
      return Outcome(explanation: found.explanation, values: found.values)
    case .windows(let windows):
      let found = try await explainer.occlusion(
        inputs, windows: windows, target: target, baselines: baselines, options)
      return Outcome(explanation: found.explanation)
    case .rise(let rise):
      let found = try await explainer.rise(
        inputs, rise, target: target, baselines: baselines, options)
      var outcome = try grouped(found.explanation, areEmbeddings: false)
      if players == nil { outcome.standardErrors = found.standardErrors }
      return outcome
    case .shapley(let shapley):
      return try await values(shapley, inputs, target, options)
    }
  }

  /// Values of players, in equal parts on their elements.
  private func values(
    _ shapley: ShapleyOptions, _ inputs: [String: Tensor], _ target: Target, _ run: RunOptions
  ) async throws(CoalitionError) -> Outcome {
    let divided: PlayerSet
    if let players { divided = players } else { divided = try everyElement }
    let (game, described) = try await explainer.game(
      inputs, players: divided, target: target, baselines: baselines, run)
    var shapley = shapley
    shapley.run = run
    let layout = ShapleyLayout(
      playerCount: divided.playerCount, players: divided, hasTargetAxis: target == .all,
      target: described)
    let estimate = try await Shapley(game, shapley).result()
    let arrays = try layout.arrays(estimate)
    var explanation = Explanation(
      attributions: arrays.attributions, output: arrays.output,
      baselineOutput: arrays.baselineOutput, residual: arrays.residual, target: described,
      evaluations: arrays.evaluations)
    explanation.warnings = arrays.warnings
    return Outcome(
      explanation: explanation, values: arrays.values,
      standardErrors: arrays.errorEstimate == nil ? arrays.standardErrors : nil,
      errorEstimate: arrays.errorEstimate, summary: ShapleyResult.summary(estimate))
  }

  private var everyElement: PlayerSet {
    get throws(CoalitionError) {
      try PlayerSet(
        inputs: explainer.sources.map { ($0.name, explainer.attributionShape(of: $0)) })
    }
  }

  private func grouped(
    _ explanation: Explanation, areEmbeddings: Bool
  ) throws(CoalitionError) -> Outcome {
    var explanation = areEmbeddings ? try explanation.summedOverEmbeddings() : explanation
    guard let players else { return Outcome(explanation: explanation) }
    let (values, attributions) = try explanation.grouped(by: players)
    explanation.attributions = attributions
    return Outcome(explanation: explanation, values: values)
  }

  // MARK: Forecast

  /// What the run would need. Nothing of it is done but a trial on a few examples.
  func forecast() async throws(CoalitionError) -> String {
    if case .shapley(let options) = work { return try await forecast(options) }
    let trial = try await trial()
    let seconds = trial.seconds / Double(trial.examples) * Double(examples)
    return """
      examples         \(Numbers.grouped(examples))
      evaluations      \(Numbers.grouped(variants)) \
      (\(Numbers.grouped(evaluations)) for an example)
      memory           \(Numbers.bytes(execution.held + programBytes)) of \(Numbers.bytes(execution.runtime.memoryLimit)) allowed
      threads          \(execution.threads)
      instruction set  \(execution.instructionSet.rawValue)
      time             about \(Numbers.seconds(seconds)) (\(trial.examples) \
      \(trial.examples == 1 ? "example" : "examples") took \(Numbers.seconds(trial.seconds)))

      """
  }

  /// The faster of two runs on the first examples, of which more are taken where each is quick.
  private func trial() async throws(CoalitionError) -> (examples: Int, seconds: Double) {
    // Players of each example's own belong to all of them.
    let count =
      players?.differsByExample == true ? examples : evaluations > 16 ? 1 : min(examples, 32)
    var first: [String: Tensor] = [:]
    for input in explainer.modelInputs {
      guard let tensor = inputs[input.name] else { continue }
      let hasRows = tensor.rank == input.shape.count + 1
      let rows = hasRows ? tensor : try tensor.reshaped(to: [1] + tensor.shape)
      first[input.name] = try rows.rows(Array(0..<min(count, rows.shape[0])))
    }
    var target = target
    if case .labels(let labels) = target { target = .labels(Array(labels.prefix(count))) }
    var best = Double.infinity
    // The first run also packs weights and starts threads.
    for _ in 0..<2 {
      let start = ContinuousClock().now
      _ = try await outcome(work, first, target, execution.options)
      best = min(best, start.duration(to: ContinuousClock().now).seconds)
    }
    return (count, best)
  }

  /// The same of long sampling, of which a part is tried.
  private func forecast(_ shapley: ShapleyOptions) async throws(CoalitionError) -> String {
    let divided: PlayerSet
    if let players { divided = players } else { divided = try everyElement }
    let (game, _) = try await explainer.game(
      inputs, players: divided, target: target, baselines: baselines, execution.options)
    var shapley = shapley
    shapley.run = execution.options
    if shapley.estimator.usesMoments {
      return try MomentForecast(
        game: game, options: shapley, held: execution.held, programBytes: programBytes,
        memoryLimit: execution.runtime.memoryLimit, execution: execution
      ).text()
    }
    return try await ShapleyForecast(
      run: try ShapleyRun(game, shapley), examples: examples, players: divided.playerCount,
      held: execution.held + programBytes, memoryLimit: execution.runtime.memoryLimit,
      threads: execution.threads, instructionSet: execution.instructionSet
    ).text()
  }
}
