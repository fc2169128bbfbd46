// `coalition evaluate`: how well attributions say what the model does, of several methods side by side.
//
// EvaluateMetric has the measures, EvaluateAttributions reads files, EvaluateRun computes, EvaluateReport prints.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionFigures
import CoalitionNet

extension Command {
  static let evaluate = Command(
    name: "evaluate",
    summary: "measures how well attributions fit the model, methods side by side",
    positionals: [ModelFile.positional],
    groups: [
      OptionGroup(
        title: "What is judged",
        options: [
          AttributionFile.option.declaration, Evaluate.methodOption.declaration,
          EvaluationChoice.metric.declaration,
        ] + EvaluationChoice.parameters),
      InputArrays.group, PreprocessingFlags.group, TargetFlags.group,
      OptionGroup(
        title: "How it is explained",
        options: [BaselineFlags.option.declaration, PlayerFlags.option.declaration]
          + ExplainParameters.all + [ExplainMethod.fallbackFlag.declaration]),
      OptionGroup(
        title: "Results",
        options: [Evaluate.outputOption.declaration, Evaluate.chartOption.declaration]),
      RuntimeOptions.group,
    ],
    examples: [
      "coalition evaluate model.onnx --method deeplift,occlusion --metric sensitivity-n --input images.npy "
        + "--output sensitivity.npz --chart sensitivity.svg",
      "coalition evaluate model.onnx --attributions mine.npy theirs.npz --metric deletion --input images.npy",
      "coalition evaluate model.onnx --method saliency --metric rmse-to exact.npz --input images.npy",
    ],
    notes: [
      "sensitivity-n: the correlation, over random sets of n players, of their attributions' sum with the fall of the score "
        + "when they go to the baseline. deletion and insertion: the score while players leave or come, the most important "
        + "first. infidelity: the mean squared difference of that sum and that fall. max-sensitivity: how far an explanation "
        + "moves when the input hardly does. rmse-to and rank-correlation-to: agreement with other attributions.",
      "A number that is not defined (one side constant) is NaN and left out of means. Intervals hold 95 % of the means of "
        + "examples drawn again.",
    ]
  ) { arguments throws(CoalitionError) in
    let evaluate = try await Evaluate(arguments)
    try await evaluate.perform()
  }
}

struct Evaluate {
  static let methodOption = Option(
    "method", "M,...",
    "methods of coalition explain to compute and judge; several with commas or repeated",
    list: true, as: .text)
  static let outputOption = Option(
    "output", "FILE", "writes .npz or .json with all arrays, or .npy with the main one", as: .text)
  static let chartOption = Option(
    "chart", "FILE", "draws the result as .svg, .png or .html, as coalition plot does", as: .text)

  private let runtime: RuntimeOptions
  private let output: String?
  private let chart: DrawingFile?
  private let subject: ExplanationSubject
  private let run: EvaluateRun
  private let options: [JSONValue.Member]
  private let paths: [JSONValue.Member]
  private let warnings: [String]

  /// Reads everything, and checks what can be checked before the work.
  init(_ arguments: Arguments) async throws(CoalitionError) {
    let runtime = RuntimeOptions(arguments)
    self.runtime = runtime
    output = arguments[Self.outputOption]
    let choice = try EvaluationChoice(arguments)
    let methods = try Self.methods(arguments)
    let texts = arguments.all(AttributionFile.option)
    try Self.check(choice, methods: methods, files: texts)
    let target = try TargetFlags(arguments)
    chart = try arguments[Self.chartOption].map { path throws(CoalitionError) in
      try DrawingFile(path)
    }
    try runtime.check(isWritten: output != nil || chart != nil)
    try Self.checkOutputs(arguments, choice, target)

    let subject = try await ExplanationSubject(
      arguments, runtime, target, method: choice.metric.rawValue, usesBaseline: true)
    self.subject = subject
    if subject.target == .all {
      throw CoalitionError(
        .usage, "--target all: attributions are evaluated for one score; name it")
    }
    let divided = try subject.dividedPlayers()
    let players = divided.players
    var held = divided.held
    let left = { (held: Int) in max(0, runtime.memoryLimit - held) }

    let judged = AttributionSubject(
      sources: subject.sources, players: players, examples: subject.examples)
    var files: [AttributionFile] = []
    for text in texts {
      let read = try AttributionFile(text, for: judged, memoryLimit: left(held))
      held += read.byteCount
      files.append(read)
    }
    let reference = try choice.reference.map { path throws(CoalitionError) in
      try AttributionFile(path, for: judged, memoryLimit: left(held))
    }
    try Self.disambiguate(&files, methods: methods.map(\.method.name))
    var computed: [EvaluateRun.Computed] = []
    for (method, choice) in methods {
      computed.append(
        .init(
          name: method.name,
          work: try method.work(choice, on: subject.explainer, subject.file.graph, arguments).work,
          options: choice.record))
    }
    let run = try EvaluateRun(
      choice, subject.explainer, subject.inputs, examples: subject.examples,
      target: subject.target, players: players, givenPlayers: subject.players.players,
      baselines: subject.baselines.baselines, files: files, computed: computed,
      reference: reference, runtime, held: held)
    self.run = run

    options =
      [.init("metric", .string(choice.metric.rawValue))]
      + choice.record(sizes: run.sizes, points: run.points)
      + [
        .init("methods", Self.record(files: files, computed: computed)),
        .init("reference", reference.map { Self.record($0) } ?? .null),
        .init("resamples", .integer(run.bootstrap.resamples)),
        .init("confidence", .number(run.bootstrap.confidence)),
        .init("allow-fallback", .bool(arguments[ExplainMethod.fallbackFlag])),
      ] + subject.record
    paths = [
      .init("attributions", .array(files.map { .string($0.path) })),
      .init("reference", reference.map { .string($0.path) } ?? .null),
    ]
    warnings =
      subject.baselines.warnings
      + (files + (reference.map { [$0] } ?? [])).flatMap { $0.doubts(about: subject) }
  }

  // MARK: Checks

  /// The methods that are named, each once.
  private static func methods(
    _ arguments: Arguments
  ) throws(CoalitionError) -> [(method: ExplainMethod, choice: ExplainMethod.Choice)] {
    var methods: [ExplainMethod] = []
    for text in arguments.all(methodOption) {
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let method = try ExplainMethod.named(String(part))
        guard !methods.contains(where: { $0.name == method.name }) else {
          throw CoalitionError(.usage, "--method: \(method.name) is named twice")
        }
        methods.append(method)
      }
    }
    return try ExplainMethod.choices(methods, arguments)
  }

  private static func check(
    _ choice: EvaluationChoice,
    methods: [(method: ExplainMethod, choice: ExplainMethod.Choice)], files: [String]
  ) throws(CoalitionError) {
    if choice.metric == .maxSensitivity {
      guard files.isEmpty, !methods.isEmpty else {
        throw CoalitionError(
          .usage,
          "max-sensitivity explains moved inputs anew, which a file cannot: name methods with --method",
          expected: "--method", found: files.isEmpty ? nil : "--attributions")
      }
    }
    guard !files.isEmpty || !methods.isEmpty else {
      throw CoalitionError(
        .usage, "there is nothing to evaluate: give --attributions FILE or --method M")
    }
  }

  /// Checks, before the work, that the outputs can be made and are none of the files that are read.
  private static func checkOutputs(
    _ arguments: Arguments, _ choice: EvaluationChoice, _ target: TargetFlags
  ) throws(CoalitionError) {
    var read = FilesRead(arguments, target)
    for text in arguments.all(AttributionFile.option) {
      read.add("--attributions", within: AttributionFile.split(text).path)
    }
    if let path = choice.reference { read.add("--metric", within: path) }
    if let output = arguments[outputOption] { try read.checkOutput(output) }
    if let chart = arguments[chartOption] {
      try read.checkIsNoneOfThem(chart, option: chartOption.declaration)
      guard chart != arguments[outputOption] else {
        throw CoalitionError(.usage, "--output and --chart name the same file", node: chart)
      }
    }
  }

  /// Methods of the same name go by their files.
  private static func disambiguate(
    _ files: inout [AttributionFile], methods: [String]
  ) throws(CoalitionError) {
    for rename in [{ PlotSource.stem($0.path) }, { $0.path }] as [(AttributionFile) -> String] {
      let names = files.map(\.name) + methods
      for place in files.indices where !files[place].isNamed {
        if names.count(where: { $0 == files[place].name }) > 1 {
          files[place].name = rename(files[place])
        }
      }
    }
    let names = files.map(\.name) + methods
    if let twice = names.first(where: { name in names.count(where: { $0 == name }) > 1 }) {
      throw CoalitionError(
        .usage, "two methods have the same name: give --attributions NAME=FILE", found: twice)
    }
  }

  // MARK: Work

  func perform() async throws(CoalitionError) {
    try Signals.check()
    if runtime.isDryRun { return try Terminal.write(try await run.forecast()) }
    for warning in warnings { runtime.warn(warning) }
    let outcome = try await subject.arrays.locatingNotFinite(in: run.explainer.modelInputs) {
      () throws(CoalitionError) in try await run.outcome()
    }
    for warning in outcome.warnings { runtime.warn(warning) }
    try Signals.check()
    let result = try result(outcome)
    if let chart { try Self.draw(result, chart) }
    if let output { try result.write(to: output) }
    guard !runtime.isQuiet else { return }
    var text = try EvaluateReport(run, outcome).text
    for path in [output, chart?.path].compactMap({ $0 }) { text += "\(path): written\n" }
    try Terminal.write(text)
  }

  private func result(_ outcome: EvaluateRun.Outcome) throws(CoalitionError) -> ResultFile {
    var record = ResultRecord(
      verb: "evaluate", subject.file, subject.arrays, run.execution, seconds: outcome.seconds,
      output: output)
    record.options = options
    record.result = [
      .init("examples", .integer(run.examples)),
      .init("players", .integer(run.playerCount)),
      .init("evaluations", .integer(outcome.evaluations)),
    ]
    record.warnings = warnings + outcome.warnings
    record.paths += paths
    var result = ResultFile(metadata: record.members, mainArray: outcome.main)
    try result.append("methods", run.names)
    for (name, tensor) in outcome.arrays { try result.append(name, tensor) }
    return result
  }

  private static func draw(_ result: ResultFile, _ file: DrawingFile) throws(CoalitionError) {
    let source = PlotSource(result, path: file.path)
    let kind = try source.kind(array: nil)
    let title = source.title(kind)
    if let curves = try PlotCurves(kind, [source], title: title) {
      try file.write(try curves.chart.figure())
    } else {
      let panels = try PlotPanels(kind, [source], title: title, .none, memoryLimit: .max)
      try file.write(try panels.grid.figure())
    }
  }

  // MARK: Recording

  private static func record(
    files: [AttributionFile], computed: [EvaluateRun.Computed]
  ) -> JSONValue {
    var members = files.map { JSONValue.Member($0.name, record($0)) }
    members += computed.map { JSONValue.Member($0.name, .object($0.options)) }
    return .object(members)
  }

  private static func record(_ file: AttributionFile) -> JSONValue {
    .object(["sha256": file.sha256.map { .string($0) } ?? .null])
  }
}
