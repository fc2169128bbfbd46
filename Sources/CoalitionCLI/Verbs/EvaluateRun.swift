// The work of `coalition evaluate`: methods are computed, then all are measured on the same game of players.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

struct EvaluateRun: Sendable {
  /// A method that is computed here.
  struct Computed: Sendable {
    let name: String
    let work: ExplainMethod.Work
    /// Its parameters, for the record.
    let options: [JSONValue.Member]
  }

  /// What was measured.
  enum Measured: Sendable {
    case sensitivity(SensitivityResult)
    /// A number per [method][example].
    case numbers([[Double]])
  }

  struct Outcome: Sendable {
    var measured: Measured
    /// In the order of the result.
    var arrays: [(name: String, tensor: Tensor)]
    /// The array that an npy file holds.
    var main: String
    /// Evaluations of the model by the metric, for one example.
    var evaluations = 0
    var warnings: [String] = []
    var seconds = 0.0
  }

  let choice: EvaluationChoice
  let explainer: Explainer
  let examples: Int
  let execution: Execution
  let bootstrap: Bootstrap
  /// Of subsets: empty for other metrics.
  let sizes: [Int]
  /// Of curves, behind the first point.
  let points: Int
  private let inputs: [String: Tensor]
  private let target: Target
  private let players: PlayerSet
  /// nil: every element by itself.
  private let givenPlayers: PlayerSet?
  private let baselines: [String: Baseline]
  private let files: [AttributionFile]
  private let computed: [Computed]
  private let reference: AttributionFile?

  var playerCount: Int { players.playerCount }
  /// Files first, in the order of the command line.
  var names: [String] { files.map(\.name) + computed.map(\.name) }

  /// - Parameter held: bytes in use besides programs: the model and the arrays that were read.
  /// - Throws: `usage` for sizes of subsets that the players do not allow, `memoryLimit` when the work does not fit.
  init(
    _ choice: EvaluationChoice, _ explainer: Explainer, _ inputs: [String: Tensor], examples: Int,
    target: Target, players: PlayerSet, givenPlayers: PlayerSet?, baselines: [String: Baseline],
    files: [AttributionFile], computed: [Computed], reference: AttributionFile?,
    _ runtime: RuntimeOptions, held: Int
  ) throws(CoalitionError) {
    self.choice = choice
    self.explainer = explainer
    self.inputs = inputs
    self.examples = examples
    self.target = target
    self.players = players
    self.givenPlayers = givenPlayers
    self.baselines = baselines
    self.files = files
    self.computed = computed
    self.reference = reference
    bootstrap = Bootstrap(seed: runtime.seed)
    points = min(choice.pointCount, players.playerCount)
    let wanted =
      choice.subsetSizes ?? SensitivitySubsets.logarithmicSizes(playerCount: players.playerCount)
    sizes = choice.metric == .sensitivity ? Set(wanted).sorted() : []
    if let wrong = sizes.first(where: { $0 > players.playerCount }) {
      throw CoalitionError(
        .usage, "--sizes: no subset can be larger than the number of players",
        expected: "1 to \(players.playerCount)", found: "\(wrong)")
    }
    let methods = files.count + computed.count
    let coalitions = Self.coalitions(choice, sizes: sizes, points: points)
    let words = (players.playerCount + 31) / 32
    // Attributions, scores, coalitions with the lists of their players, and what is measured.
    let bytes = [
      Self.product(2 * 8, methods, examples, players.playerCount),
      Self.product(2 * 8, examples, coalitions), Self.product(2 * 4, words, coalitions),
      Self.product(4, choice.subsetCount, sizes.reduce(0, +)),
      Self.product(4 * 8, methods, examples, max(sizes.count, points)),
    ].reduce(0) { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
    guard bytes < .max / 2 else {
      throw CoalitionError(.limitExceeded, "so many subsets do not fit into memory")
    }
    let execution = try Execution(runtime, held: held + bytes)
    self.execution = execution
    let programs = explainer.forward.programByteCount(
      examples: min(Self.product(examples, max(coalitions, 1)), 1 << 14),
      threads: execution.threads, within: execution.options.memoryLimit)
    try runtime.check(memory: execution.held + programs)
  }

  private static func product(_ factors: Int...) -> Int {
    factors.reduce(1) { product, factor in
      let (next, overflow) = product.multipliedReportingOverflow(by: factor)
      return overflow ? .max / 8 : next
    }
  }

  /// Coalitions whose values are asked for, per example and (of curves) method.
  private static func coalitions(
    _ choice: EvaluationChoice, sizes: [Int], points: Int
  ) -> Int {
    switch choice.metric {
    case .sensitivity: product(sizes.count, choice.subsetCount) + 1
    case .deletion, .insertion: points + 1
    case .infidelity: choice.perturbationCount + 1
    case .maxSensitivity, .rmse, .rankCorrelation: 0
    }
  }

  // MARK: Running

  func outcome() async throws(CoalitionError) -> Outcome {
    let start = ContinuousClock().now
    let (game, described) = try await explainer.game(
      inputs, players: players, target: target, baselines: baselines, execution.options)
    var warnings = mismatches(described)
    var methods = files.map(\.values)
    var outcome: Outcome
    if choice.metric == .maxSensitivity {
      outcome = try await maxSensitivity(described, &warnings)
    } else {
      for method in computed {
        try Signals.check()
        methods.append(try await values(of: method, inputs, target, &warnings))
      }
      try Signals.check()
      outcome = try await measured(methods, game)
    }
    outcome.evaluations =
      game.evaluations(
        coalitions: Self.coalitions(choice, sizes: sizes, points: points))
    outcome.warnings = warnings
    outcome.seconds = start.duration(to: ContinuousClock().now).seconds
    return outcome
  }

  /// Files that say they explain other scores.
  private func mismatches(_ described: Tensor) -> [String] {
    (files + (reference.map { [$0] } ?? [])).compactMap { file in
      guard let targets = file.targets, targets != described.integers else { return nil }
      return "\(file.path) explains other scores than --target chooses here"
    }
  }

  /// The values of players by a method.
  private func values(
    of method: Computed, _ inputs: [String: Tensor], _ target: Target, _ warnings: inout [String]
  ) async throws(CoalitionError) -> [[Double]] {
    let run = try ExplainRun(
      explainer, method.work, inputs, examples: examples, target: target, baselines: baselines,
      players: givenPlayers, keepsLedger: false, execution.runtime, held: execution.held)
    let outcome = try await run.outcome()
    for warning in outcome.warnings where !warnings.contains("\(method.name): \(warning)") {
      warnings.append("\(method.name): \(warning)")
    }
    if let values = outcome.values {
      let numbers = values.doubles
      return (0..<examples).map { Array(numbers[$0 * playerCount..<($0 + 1) * playerCount]) }
    }
    do throws(CoalitionError) {
      return try players.sums(of: outcome.explanation.attributions, examples: examples)
    } catch {
      throw CoalitionError(
        error.code, "\(error.node.map { "\($0): " } ?? "")\(error.message)", node: method.name,
        expected: error.expected, found: error.found)
    }
  }

  private func measured(
    _ methods: [[[Double]]], _ game: MaskedGame
  ) async throws(CoalitionError) -> Outcome {
    switch choice.metric {
    case .sensitivity:
      let subsets = try SensitivitySubsets(
        playerCount: playerCount, sizes: sizes, count: choice.subsetCount,
        seed: execution.runtime.seed)
      let result = try await watched(game, coalitions: subsets.removed.count + 1) {
        options throws(CoalitionError) in
        try await game.sensitivity(methods, subsets, bootstrap: bootstrap, options)
      }
      return Outcome(
        measured: .sensitivity(result), arrays: try result.arrays(), main: "correlation")
    case .deletion, .insertion:
      let kind: RemovalKind = choice.metric == .deletion ? .deletion : .insertion
      let curves = try await watched(game, coalitions: (points + 1) * methods.count) {
        options throws(CoalitionError) in
        try await game.removalCurves(kind, methods, steps: points, options)
      }
      let count = curves.counts.count
      return Outcome(
        measured: .numbers(curves.areas),
        arrays: [
          (
            "curve",
            try Tensor(
              shape: [methods.count, examples, count],
              elements: .float64(curves.curves.flatMap { $0.flatMap { $0 } }))
          ),
          ("auc", try perExample(curves.areas)),
          ("players_changed", Tensor(.int64(curves.counts.map { Int64($0) }))),
        ], main: "curve")
    case .infidelity:
      let infidelity = Infidelity(
        perturbations: choice.perturbationCount, seed: execution.runtime.seed)
      let result = try await watched(game, coalitions: choice.perturbationCount + 1) {
        options throws(CoalitionError) in
        try await infidelity.evaluate(methods, on: game, options)
      }
      return Outcome(
        measured: .numbers(result.values),
        arrays: [
          ("value", try perExample(result.values)), ("scaled", try perExample(result.scaled)),
        ], main: "value")
    case .rmse, .rankCorrelation:
      let exact = reference?.values ?? []
      let isDistance = choice.metric == .rmse
      let numbers = methods.map { method in
        zip(method, exact).map {
          isDistance ? Correlation.rmse($0, $1) : Correlation.spearman($0, $1)
        }
      }
      return Outcome(
        measured: .numbers(numbers), arrays: [("value", try perExample(numbers))], main: "value")
    case .maxSensitivity:
      throw CoalitionError(.internalFault, "max-sensitivity has no attributions to measure")
    }
  }

  /// Explains inputs that moved, for the scores that the unmoved ones chose.
  private func maxSensitivity(
    _ described: Tensor, _ warnings: inout [String]
  ) async throws(CoalitionError) -> Outcome {
    guard inputs.values.contains(where: { [.float32, .float64].contains($0.elementType) }) else {
      throw CoalitionError(
        .unsupported,
        "max-sensitivity moves inputs of floating-point numbers, of which there are none")
    }
    let fixed = target == .predicted ? Target.labels(described.integers ?? []) : target
    let metric = MaxSensitivity(
      radius: choice.movedRadius, perturbations: choice.perturbationCount,
      seed: execution.runtime.seed)
    var values: [[Double]] = []
    var relative: [[Double]] = []
    for method in computed {
      var doubts: [String] = []
      let result = try await metric.evaluate(inputs) { moved throws(CoalitionError) in
        try Signals.check()
        return try await self.values(of: method, moved, fixed, &doubts)
      }
      for doubt in doubts where !warnings.contains(doubt) { warnings.append(doubt) }
      values.append(result.values)
      relative.append(result.relative)
    }
    return Outcome(
      measured: .numbers(values),
      arrays: [
        ("value", try perExample(values)), ("relative", try perExample(relative)),
      ], main: "value")
  }

  /// [method][example] as an array.
  private func perExample(_ numbers: [[Double]]) throws(CoalitionError) -> Tensor {
    try Tensor(
      shape: [numbers.count, examples], elements: .float64(numbers.flatMap { $0 }))
  }

  /// Work on a game with its progress.
  private func watched<Value: Sendable>(
    _ game: MaskedGame, coalitions: Int,
    _ body: (RunOptions) async throws(CoalitionError) -> Value
  ) async throws(CoalitionError) -> Value {
    let evaluations = examples * game.evaluations(coalitions: coalitions)
    return try await execution.watched(evaluations, "evaluations", body).value
  }

  // MARK: Forecast

  /// What the run would need; nothing of it is done but a trial of some coalitions.
  func forecast() async throws(CoalitionError) -> String {
    let (game, _) = try await explainer.game(
      inputs, players: players, target: target, baselines: baselines, execution.options)
    let perMethod = choice.metric == .deletion || choice.metric == .insertion
    let coalitions =
      Self.coalitions(choice, sizes: sizes, points: points) * (perMethod ? names.count : 1)
    let evaluations = game.evaluations(coalitions: coalitions)
    let trial = 256
    let empty = Coalitions(playerCount: playerCount, count: trial)
    let rows = (0..<examples).map { $0 == 0 ? 0..<trial : 0..<0 }
    var best = Double.infinity
    // The first run also packs weights and starts threads.
    for _ in 0..<2 {
      best = min(
        best,
        try await Machine.seconds { () throws(CoalitionError) in
          _ = try await game.values(empty, rows: rows, execution.options)
        })
    }
    let seconds = best / Double(game.evaluations(coalitions: trial)) * Double(evaluations)
    return """
      examples         \(Numbers.grouped(examples))
      players          \(Numbers.grouped(playerCount))
      methods          \(names.joined(separator: ", "))
      evaluations      \(Numbers.grouped(evaluations)) for an example, besides those of methods
      memory           \(Numbers.bytes(execution.held)) of \(Numbers.bytes(execution.runtime.memoryLimit)) allowed, besides programs
      threads          \(execution.threads)
      instruction set  \(execution.instructionSet.rawValue)
      time             about \(Numbers.seconds(seconds * Double(examples))), besides methods

      """
  }
}

extension SensitivityResult {
  /// The arrays of a result: n, correlation with its interval, and those of single examples.
  func arrays() throws(CoalitionError) -> [(name: String, tensor: Tensor)] {
    let shape = [means.count, sizes.count]
    func tensor(_ pick: (MeanEstimate) -> Double) throws(CoalitionError) -> Tensor {
      try Tensor(shape: shape, elements: .float64(means.flatMap { $0.map(pick) }))
    }
    return [
      ("n", Tensor(.int64(sizes.map { Int64($0) }))), ("correlation", try tensor(\.mean)),
      ("correlation.lower", try tensor(\.low)), ("correlation.upper", try tensor(\.high)),
      (
        "correlation_per_example",
        try Tensor(
          shape: [perExample.count, perExample.first?.count ?? 0, sizes.count],
          elements: .float64(perExample.flatMap { $0.flatMap { $0 } }))
      ),
    ]
  }
}
