// `coalition explain`: attributions of examples by one method.
//
// ExplainMethods has the methods, ExplainRun runs one, ExplainResult and ExplainSummary are what comes out.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

extension Command {
  static let explain = Command(
    name: "explain",
    summary: "attributes scores of a model to its inputs",
    positionals: [ModelFile.positional],
    groups: [
      OptionGroup(
        title: "Method",
        options: [ExplainMethod.option.declaration] + ExplainParameters.all
          + [Explain.fallbackFlag.declaration]),
      InputArrays.group, PreprocessingFlags.group, TargetFlags.group,
      OptionGroup(
        title: "How it is explained",
        options: [
          BaselineFlags.option.declaration, PlayerFlags.option.declaration,
          Explain.ledgerFlag.declaration,
        ]),
      OptionGroup(
        title: "Results",
        options: [
          Explain.outputOption.declaration, Explain.namesOption.declaration,
          Explain.topOption.declaration,
        ]),
      RuntimeOptions.group,
    ],
    examples: [
      "coalition explain model.onnx --method deeplift --input images.npy --output deeplift.npz",
      "coalition explain model.onnx --method occlusion --players patch:8x8 --input cat.jpg "
        + "--resize short:256 --crop 224x224 --scale 0.00392156862745098 --target 281",
      "coalition explain sentiment.onnx --method integrated-gradients --input tokens.npy --baseline token:0",
    ],
    notes: ExplainMethod.all.map { "\($0.name): \($0.summary)." } + [
      "Without --output a summary is printed. The arrays of a result: attributions, output, baseline_output, residual, "
        + "target, evaluations; values and players for players that are groups; ledger_nodes and ledger_residuals."
    ]
  ) { arguments throws(CoalitionError) in
    let explain = try await Explain(arguments)
    try await explain.perform()
  }
}

struct Explain {
  static let outputOption = Option(
    "output", "FILE",
    "writes .npz or .json with all arrays, or .npy with the attributions alone", as: .text)
  static let ledgerFlag = Flag(
    "ledger", "keeps what every node lost or made up of the signal")
  static let fallbackFlag = Flag(
    "allow-fallback",
    "goes on where the method is only approximated (coalition inspect says where), with a warning")
  static let namesOption = Option(
    "class-names", "FILE", "a line per class: prints targets by these names", as: .text)
  static let topOption = Option(
    "top", "K", "how many of the largest attributions to print", default: "5",
    as: .integer(1...1000))

  private let runtime: RuntimeOptions
  private let output: String?
  private let file: ModelFile
  private let arrays: InputArrays
  private let run: ExplainRun
  private let result: ExplainResult
  private let summary: ExplainSummary
  private let warnings: [String]

  /// Reads everything, and checks what can be checked before the work.
  init(_ arguments: Arguments) async throws(CoalitionError) {
    let runtime = RuntimeOptions(arguments)
    self.runtime = runtime
    output = arguments[Self.outputOption]
    let method = try ExplainMethod.named(arguments[ExplainMethod.option])
    let choice = try method.choice(arguments)
    var target = try TargetFlags(arguments)
    guard !runtime.isQuiet || output != nil || runtime.isDryRun else {
      throw CoalitionError(
        .usage, "--quiet without --output leaves nothing of the run: give --output FILE")
    }
    let keepsLedger = arguments[Self.ledgerFlag]
    if keepsLedger, !choice.work.sendsSignals {
      throw CoalitionError(
        .usage, "--ledger follows a signal through the nodes, and \(method.name) sends none")
    }
    if let output { try Self.check(output, arguments, target) }
    let names = try arguments[Self.namesOption].map { path throws(CoalitionError) in
      try ClassNames(path: path)
    }

    let file = try await ModelFile(
      path: arguments.positionals[0], memoryLimit: runtime.memoryLimit)
    self.file = file
    let arrays = try InputArrays(
      arguments, for: file, memoryLimit: runtime.memoryLimit - file.constantByteCount)
    self.arrays = arrays
    var held = file.constantByteCount + arrays.byteCount

    var options = ExplainerOptions()
    try target.apply(to: &options, file.graph)
    options.plan.precision = runtime.precision
    options.plan.inputShapes = arrays.shapes
    options.plan.memoryLimit = max(0, runtime.memoryLimit - held)
    let model = try Model(file.graph, constants: arrays.constants)
    let explainer = try Explainer(model, options)
    try names?.check([(explainer.scores, explainer.scoreShape)])
    let doubts = choice.work.doubts(explainer)
    if let first = doubts.first, !arguments[Self.fallbackFlag] {
      throw CoalitionError(
        .unsupported,
        "\(method.name) does not hold for this \(first.operation): \(first.reason); "
          + "--allow-fallback goes on with that",
        node: first.node)
    }

    let inputs = try arrays.fitted(to: explainer.modelInputs)
    let examples = InputArrays.count(inputs, in: explainer.modelInputs)
    let left = { (held: Int) in max(0, runtime.memoryLimit - held) }
    let chosen = try target.target(examples: examples, memoryLimit: left(held))
    let baselines = try BaselineFlags(
      arguments, for: explainer, method: method.name, isUsed: choice.work.usesBaseline,
      preprocessing: arrays.preprocessing, memoryLimit: left(held))
    held += baselines.byteCount
    let explained: [(name: String, shape: [Int])] = explainer.sources.map {
      ($0.name, explainer.attributionShape(of: $0))
    }
    let players = try PlayerFlags(
      arguments, inputs: explained, examples: examples, memoryLimit: left(held))
    if let map = players.players { held += map.maps.reduce(0) { $0 + 4 * $1.ids.count } }

    var work = choice.work
    if case .gradCAM(let layer?) = work {
      let option = ExplainParameters.layer.declaration
      work = .gradCAM(try file.graph.tensor(named: layer, option: option))
    }
    run = try ExplainRun(
      explainer, work, inputs, examples: examples, target: chosen, baselines: baselines.baselines,
      players: players.players, keepsLedger: keepsLedger, runtime, held: held)
    result = ExplainResult(
      players: players.players, isSeveral: explained.count > 1,
      options: [.init("method", .string(method.name))] + choice.record
        + [
          .init("precision", .string(runtime.precision.rawValue)),
          .init("ledger", .bool(keepsLedger)), .init("players", players.record),
          .init(
            "baseline",
            choice.work.usesBaseline ? baselines.record(explainer.sources) : .null),
          .init("allow-fallback", .bool(arguments[Self.fallbackFlag])),
        ] + target.record(scores: explainer.scores, sources: explainer.sources.map(\.name))
        + arrays.record)
    summary = ExplainSummary(
      names: names?.names, top: arguments[Self.topOption] ?? 5, scoreShape: explainer.scoreShape,
      sources: explained)
    warnings =
      baselines.warnings
      + doubts.map { "\($0.node): \($0.operation) in \(method.name): \($0.reason)" }
    if let output, output.lowercased().hasSuffix(".npy"), explained.count > 1 {
      throw CoalitionError(
        .usage, "an .npy file holds one array: write .npz or .json",
        node: output,
        found: explained.map { "attributions.\($0.name)" }.joined(separator: ", "))
    }
  }

  /// Checks, before the work, that the output can be made and is none of the files that are read.
  private static func check(
    _ output: String, _ arguments: Arguments, _ target: TargetFlags
  ) throws(CoalitionError) {
    var read = [(option: "the model", path: arguments.positionals[0])]
    if let names = arguments[namesOption] { read.append(("--class-names", names)) }
    var arrays = arguments.all(InputArrays.inputOption).map { ("--input", $0) }
    arrays += arguments.all(InputArrays.constantOption).map { ("--constant", $0) }
    arrays += arguments.all(PlayerFlags.option).map { ("--players", $0) }
    arrays += BaselineFlags.paths(arguments).map { ("--baseline", $0) }
    if let labels = target.path { arrays.append(("--target", NamedText(text: labels))) }
    try OutputFile.check(output, files: read, arrays: arrays)
  }

  func perform() async throws(CoalitionError) {
    try Signals.check()
    if runtime.isDryRun { return try Terminal.write(try await run.forecast()) }
    for warning in warnings { runtime.warn(warning) }
    let outcome: ExplainRun.Outcome
    do throws(CoalitionError) {
      outcome = try await run.outcome()
    } catch {
      if error.code == .notFinite, let place = arrays.notFinite(in: run.explainer.modelInputs) {
        throw place
      }
      throw error
    }
    let doubts = outcome.warnings
    for doubt in doubts { runtime.warn(doubt) }
    try Signals.check()
    guard let output else {
      if !runtime.isQuiet { try Terminal.write(summary.text(outcome)) }
      return
    }
    var record = ResultRecord(verb: "explain", model: file.record, seed: runtime.seed)
    record.warnings = warnings + doubts
    record.threads = run.threads
    record.seconds = outcome.seconds
    record.instructionSet = run.instructionSet
    record.memoryLimit = runtime.memoryLimit
    record.paths = [.init("input", arrays.pathRecord), .init("output", .string(output))]
    try result.file(outcome, record).write(to: output)
    guard !runtime.isQuiet else { return }
    try Terminal.write(
      "\(output): attributions of \(Numbers.grouped(run.examples)) "
        + (run.examples == 1 ? "example" : "examples")
        + " in \(Numbers.seconds(outcome.seconds))\n")
  }
}
