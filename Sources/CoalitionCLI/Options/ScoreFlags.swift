// How hidden units are scored: the options that `score` and `prune` share.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

struct ScoreFlags: Sendable {
  static let metricOption = Option<UnitMetric>(
    "metric", "M", UnitMetric.allCases.map(\.rawValue).joined(separator: ", "),
    default: "shapley", as: .choice)
  static let labelsOption = Option(
    "labels", "FILE",
    "a class per example [N], or numbers for every score [N, C]; predicted: the class that the model itself says, or its "
      + "outputs for losses other than cross-entropy",
    as: .text)
  static let lossOption = Option<Loss>(
    "loss", "L", Loss.allCases.map(\.rawValue).joined(separator: ", "),
    default: "cross-entropy", as: .choice)
  static let outputNameOption = Option(
    "at", "NAME", "of several outputs of the model, the one that the labels speak of", as: .text)
  static let payoffOption = Option<UnitPayoff>(
    "payoff", "V",
    "shapley, leave-one-out: minus the loss, accuracy, or the label's score (of a model with a single score that one, without "
      + "--labels)",
    default: "loss", as: .choice)
  static let aggregateOption = Option<UnitAggregation>(
    "aggregate", "A",
    "over examples: mean, mean+2std, or the latter less what sampling adds, mean+2std-debiased",
    default: "mean", as: .choice)
  static let atOutputFlag = Flag(
    "at-output",
    "scores units at the layer's own output, not behind batch normalisation and activation")

  static let lowestOption = Option(
    "lowest", "K", "until it is known which K units of a layer have the lowest scores",
    as: .integer(1...1 << 24))

  static let group = OptionGroup(
    title: "Scores",
    options: [
      metricOption.declaration, labelsOption.declaration, lossOption.declaration,
      outputNameOption.declaration,
      payoffOption.declaration, aggregateOption.declaration, atOutputFlag.declaration,
    ])
  static let estimatorOption = Option<Estimator>(
    "estimator", "E",
    "\(Estimator.allCases.map(\.rawValue).joined(separator: ", ")); auto, without a budget: all coalitions of few units, "
      + "else moment-gradient or toggle, whichever has the smaller error on four of the examples",
    default: "auto", as: .choice)

  static let sampling = OptionGroup(
    title:
      "Shapley values (of estimators that sample \(UnitScoreOptions.defaultSamples) permutations, when nothing says when they stop)",
    options: [
      estimatorOption.declaration, ShapleyFlags.antitheticFlag.declaration,
      ShapleyFlags.samplesOption.declaration, ShapleyFlags.evaluationsOption.declaration,
      ShapleyFlags.toleranceOption.declaration, lowestOption.declaration,
    ] + MomentFlags.declarations)

  /// Without `plan` and `run`.
  let options: UnitScoreOptions
  private let written: Tensor?
  /// nil without a file.
  let labelsPath: String?
  private let arePredicted: Bool
  private let digest: String?

  /// - Throws: `usage` for options that do not go together, and what reading the labels throws.
  init(_ arguments: Arguments, _ runtime: RuntimeOptions) throws(CoalitionError) {
    var options = UnitScoreOptions()
    options.metric = arguments[Self.metricOption] ?? .shapley
    options.loss = arguments[Self.lossOption] ?? .crossEntropy
    options.output = arguments[Self.outputNameOption]
    options.payoff = arguments[Self.payoffOption] ?? .loss
    options.aggregation = arguments[Self.aggregateOption] ?? .mean
    options.atOutput = arguments[Self.atOutputFlag]
    options.seed = runtime.seed
    options.sampling = try Self.estimation(arguments)
    if options.metric != .shapley,
      let given = Self.sampling.options.first(where: { arguments.isGiven($0) })
    {
      throw CoalitionError(
        .usage, "--\(given.name) is for --metric shapley", found: options.metric.rawValue)
    }
    let perExample = [Self.aggregateOption.declaration, Self.atOutputFlag.declaration]
    if !options.metric.isPerExample, let given = perExample.first(where: arguments.isGiven) {
      throw CoalitionError(
        .usage, "--\(given.name) is for metrics that give examples scores of their own",
        found: options.metric.rawValue)
    }
    let isScored = arguments[PruneFlags.scoresOption] == nil
    if isScored, options.metric.usesExamples, arguments.all(InputArrays.inputOption).isEmpty {
      throw CoalitionError(
        .usage, "--metric \(options.metric.rawValue) looks at examples: give --input")
    }
    // A model of a single score needs none for it.
    if isScored, options.metric.usesLabels, options.payoff != .score,
      arguments[Self.labelsOption] == nil
    {
      throw CoalitionError(
        .usage, "--metric \(options.metric.rawValue) looks at the loss: give --labels")
    }
    if options.payoff != .loss, ![.shapley, .leaveOneOut].contains(options.metric) {
      throw CoalitionError(
        .usage, "--payoff is for --metric shapley and leave-one-out",
        found: options.metric.rawValue)
    }
    self.options = options
    let labels = arguments[Self.labelsOption]
    arePredicted = labels == Self.predicted
    labelsPath = arePredicted ? nil : labels
    written = try labelsPath.map { path throws(CoalitionError) in
      try ArrayFile.load(path, options: .init(memoryLimit: runtime.memoryLimit))
    }
    digest = try labelsPath.flatMap { path throws(CoalitionError) in
      try FileDigest.of(path, limit: runtime.memoryLimit)
    }
  }

  static let predicted = "predicted"

  var hasLabels: Bool { written != nil || arePredicted }

  /// The labels of the subject's examples.
  func labels(of subject: ScoreSubject) async throws(CoalitionError) -> Tensor? {
    guard hasLabels else { return nil }
    guard !subject.inputs.isEmpty else {
      throw CoalitionError(.usage, "--labels are of examples: give --input")
    }
    if let written { return written }
    let run = subject.execution.options
    // Losses of numbers are measured from what the model says, not from the place of its largest output.
    if options.loss != .crossEntropy, options.payoff == .loss {
      return try await subject.model.scores(
        subject.inputs, of: options.output, afterSoftmax: true, subject.plan, run)
    }
    return try await subject.model.predictions(
      subject.inputs, of: options.output, subject.plan, run)
  }

  private static func estimation(_ arguments: Arguments) throws(CoalitionError) -> ShapleyOptions {
    var sampling = ShapleyOptions()
    sampling.samples = arguments[ShapleyFlags.samplesOption]
    sampling.evaluations = arguments[ShapleyFlags.evaluationsOption]
    sampling.tolerance = arguments[ShapleyFlags.toleranceOption]
    sampling.lowest = arguments[Self.lowestOption]
    let asksForSamples = sampling.hasStopRule || arguments[ShapleyFlags.antitheticFlag]
    sampling.estimator = arguments[Self.estimatorOption] ?? (asksForSamples ? .permutation : .auto)
    sampling.moments = try MomentFlags.options(arguments, sampling.estimator)
    sampling.antithetic = arguments[ShapleyFlags.antitheticFlag]
    if sampling.antithetic, sampling.estimator != .permutation {
      throw CoalitionError(
        .usage, "--antithetic is for orders of units", expected: "--estimator permutation",
        found: sampling.estimator.rawValue)
    }
    if sampling.estimator.usesMoments {
      let budgets = [
        ShapleyFlags.samplesOption.declaration, ShapleyFlags.evaluationsOption.declaration,
        ShapleyFlags.toleranceOption.declaration, Self.lowestOption.declaration,
      ]
      if let given = budgets.first(where: { arguments.isGiven($0) }) {
        throw CoalitionError(
          .usage, "--\(given.name) is for estimators that sample",
          found: sampling.estimator.rawValue)
      }
    }
    return sampling
  }

  /// For `options` of a result: what the examples are measured by.
  var labelsRecord: [JSONValue.Member] {
    [
      .init("labels", arePredicted ? .string(Self.predicted) : .null),
      .init("labels-sha256", digest.map { .string($0) } ?? .null),
    ]
  }

  /// For `options` of a result.
  var record: [JSONValue.Member] {
    let usesSampling = options.metric == .shapley
    let sampling: JSONValue =
      usesSampling
      ? .object(
        options.sampling.record
          + [.init("lowest", options.sampling.lowest.map { .integer($0) } ?? .null)])
      : .null
    return [
      .init("metric", .string(options.metric.rawValue)),
      .init("loss", .string(options.loss.rawValue)),
      .init("at", options.output.map { .string($0) } ?? .null),
      .init("payoff", .string(options.payoff.rawValue)),
      .init("aggregate", .string(options.aggregation.rawValue)),
      .init("at-output", .bool(options.atOutput)),
    ] + labelsRecord + [.init("sampling", sampling)]
  }
}

/// A model whose units are scored, with the examples that are given.
struct ScoreSubject: Sendable {
  let file: ModelFile
  let arrays: InputArrays
  let model: Model
  /// None where no examples are given.
  let inputs: [String: Tensor]
  let plan: PlanOptions
  let execution: Execution

  init(_ arguments: Arguments, _ runtime: RuntimeOptions) async throws(CoalitionError) {
    file = try await ModelFile(path: arguments.positionals[0], memoryLimit: runtime.memoryLimit)
    arrays = try InputArrays(
      arguments, for: file, memoryLimit: runtime.memoryLimit - file.constantByteCount)
    model = try Model(file.graph, constants: arrays.constants)
    var options = PlanOptions()
    options.precision = runtime.precision
    options.inputShapes = arrays.shapes
    let held = file.constantByteCount + arrays.byteCount
    options.memoryLimit = max(0, runtime.memoryLimit - held)
    plan = options
    execution = try Execution(runtime, held: held)
    inputs =
      arguments.all(InputArrays.inputOption).isEmpty
      ? [:] : try arrays.fitted(to: try Plan(model, options).inputs)
  }

  /// Runs `body`. When it finds a number that is not finite, the error says in which file and example.
  func locatingNotFinite(
    _ body: () async throws(CoalitionError) -> Void
  ) async throws(CoalitionError) {
    guard !inputs.isEmpty else { return try await body() }
    try await arrays.locatingNotFinite(in: try Plan(model, plan).inputs, body)
  }

  /// Those of some layers that lead to the scores, and a warning that names the others.
  static func leading(
    _ layers: [Int], _ scorer: UnitScorer
  ) -> (layers: [Int], warning: String?) {
    let leading = layers.filter(scorer.leadsToScores)
    let others = layers.filter { !leading.contains($0) }
    guard !others.isEmpty else { return (leading, nil) }
    return (
      leading,
      "these layers do not lead to the scores that the loss looks at, and are left out: "
        + others.map { scorer.coupling.layers[$0].name }.joined(separator: ", ")
    )
  }

  /// The layers that `names` stand for.
  /// - Throws: `usage` with the nearest name.
  static func layers(
    _ names: [String], _ coupling: UnitCoupling, option: OptionDeclaration
  ) throws(CoalitionError) -> [Int] {
    var layers: [Int] = []
    for name in names {
      do throws(CoalitionError) {
        let layer = try coupling.layer(named: name)
        if !layers.contains(layer) { layers.append(layer) }
      } catch {
        let known = coupling.layers.flatMap { [$0.name, $0.output] }
        let advice = suggestion(for: name, in: known)
        throw CoalitionError(
          .usage, "--\(option.name): no convolution or dense layer is called '\(name)'\(advice)",
          expected: coupling.layers.map(\.name).joined(separator: ", "))
      }
    }
    return layers
  }
}
