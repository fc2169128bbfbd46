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
          + [ExplainMethod.fallbackFlag.declaration]),
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
  static let namesOption = Option(
    "class-names", "FILE", "a line per class: prints targets by these names", as: .text)
  static let topOption = Option(
    "top", "K", "how many of the largest attributions to print", default: "5",
    as: .integer(1...1000))

  private let runtime: RuntimeOptions
  private let output: String?
  private let subject: ExplanationSubject
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
    let target = try TargetFlags(arguments)
    try runtime.check(isWritten: output != nil)
    let keepsLedger = arguments[Self.ledgerFlag]
    if keepsLedger, !choice.work.sendsSignals {
      throw CoalitionError(
        .usage, "--ledger follows a signal through the nodes, and \(method.name) sends none")
    }
    if keepsLedger, let output, output.lowercased().hasSuffix(".npy") {
      throw CoalitionError(
        .usage, "an .npy file has no room for a ledger: write .npz or .json", node: output)
    }
    if let output {
      var read = FilesRead(arguments, target)
      if let names = arguments[Self.namesOption] { read.add("--class-names", names) }
      try read.checkOutput(output)
    }
    let names = try arguments[Self.namesOption].map { path throws(CoalitionError) in
      try ClassNames(path: path)
    }

    var resolved: (work: ExplainMethod.Work, doubts: [SupportDoubt]) = (choice.work, [])
    let subject = try await ExplanationSubject(
      arguments, runtime, target, method: method.name, usesBaseline: choice.work.usesBaseline
    ) { file, explainer throws(CoalitionError) in
      try names?.check([(explainer.scores, explainer.scoreShape)])
      resolved = try method.work(choice, on: explainer, file.graph, arguments)
    }
    self.subject = subject
    let isSeveral = subject.sources.count > 1
    if let output, output.lowercased().hasSuffix(".npy"), isSeveral {
      throw CoalitionError(
        .usage, "an .npy file holds one array: write .npz or .json", node: output,
        found: subject.sources.map { "attributions.\($0.name)" }.joined(separator: ", "))
    }
    run = try ExplainRun(
      subject.explainer, resolved.work, subject.inputs, examples: subject.examples,
      target: subject.target, baselines: subject.baselines.baselines,
      players: subject.players.players, keepsLedger: keepsLedger, runtime, held: subject.held)
    result = ExplainResult(
      players: subject.players.players, isSeveral: isSeveral,
      options: [.init("method", .string(method.name))] + choice.record
        + [
          .init("ledger", .bool(keepsLedger)),
          .init("allow-fallback", .bool(arguments[ExplainMethod.fallbackFlag])),
        ] + subject.record)
    summary = ExplainSummary(
      names: names?.names, top: arguments[Self.topOption] ?? 5,
      scoreShape: subject.explainer.scoreShape, sources: subject.sources.map { ($0.name, $0.shape) }
    )
    warnings =
      subject.baselines.warnings
      + resolved.doubts.map { "\($0.node): \($0.operation) in \(method.name): \($0.reason)" }
  }

  func perform() async throws(CoalitionError) {
    try Signals.check()
    if runtime.isDryRun { return try Terminal.write(try await run.forecast()) }
    for warning in warnings { runtime.warn(warning) }
    let outcome = try await subject.arrays.locatingNotFinite(in: run.explainer.modelInputs) {
      () throws(CoalitionError) in try await run.outcome()
    }
    let doubts = outcome.warnings
    for doubt in doubts { runtime.warn(doubt) }
    try Signals.check()
    guard let output else {
      if !runtime.isQuiet { try Terminal.write(summary.text(outcome)) }
      return
    }
    var record = ResultRecord(
      verb: "explain", subject.file, subject.arrays, run.execution, seconds: outcome.seconds,
      output: output)
    record.warnings = warnings + doubts
    try result.file(outcome, record).write(to: output)
    guard !runtime.isQuiet else { return }
    try Terminal.write(
      "\(output): attributions of \(Numbers.grouped(run.examples)) "
        + (run.examples == 1 ? "example" : "examples")
        + " in \(Numbers.seconds(outcome.seconds))\n")
  }
}
