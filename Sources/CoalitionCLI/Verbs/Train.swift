// `coalition train`: weights that make a loss small, of a new model or one that exists.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX

extension Command {
  static let train = Command(
    name: "train",
    summary: "trains a model, new from a description or from a file",
    positionals: [
      Positional(
        name: "MODEL.onnx", explanation: "a model to continue; none with --architecture",
        isOptional: true)
    ],
    groups: [
      OptionGroup(
        title: "What is trained",
        options: [
          TrainVerb.architectureOption.declaration, TrainVerb.labelsOption.declaration,
          ScoreFlags.lossOption.declaration, ScoreFlags.outputNameOption.declaration,
        ]),
      OptionGroup(title: "Training", options: TrainFlags.declarations), InputArrays.group,
      PreprocessingFlags.group,
      OptionGroup(
        title: "Results",
        options: [TrainVerb.outputOption.declaration, TrainVerb.historyOption.declaration]),
      RuntimeOptions.group,
    ],
    examples: [
      "coalition train --architecture \"input 1x28x28; conv 32 5; relu; maxpool 2; conv 64 5; relu; maxpool 2; flatten; "
        + "dense 128; relu; dropout 0.5; dense 10\" --input train-images-idx3-ubyte.gz --scale 0.00392157 "
        + "--labels train-labels-idx1-ubyte.gz --epochs 5 --validation 0.1 --output lenet.onnx",
      "coalition train model.onnx --input rows.npy --labels targets.npy --loss squared-error --optimizer sgd "
        + "--learning-rate 0.001 --validation 0.2 --patience 5 --output better.onnx",
    ],
    notes: [
      "Layers: input SHAPE (or tokens N; embedding V D), conv F K, depthwise K, maxpool K, avgpool K, globalavgpool, "
        + "flatten, dense N, batchnorm, dropout R, relu, leakyrelu A, prelu, elu, selu, gelu, tanh, sigmoid, softplus, "
        + "softmax. Windows take stride S, pad P or pad same; conv also dilation D and groups G. A loss looks at the scores "
        + "before a final softmax.",
      "All weights are trained, from the first layer on; batch normalisations take the statistics of the batch. "
        + "The same seed gives the same bytes for any number of threads.",
    ]
  ) { arguments throws(CoalitionError) in
    let verb = try TrainVerb(arguments)
    try await verb.perform()
  }
}

struct TrainVerb {
  static let architectureOption = Option<Architecture>(
    "architecture", "TEXT", "a new model, layer by layer with semicolons between them",
    as: ValueFormat { text throws(CoalitionError) in try Architecture(text) })
  static let labelsOption = Option(
    "labels", "FILE", "a class per example [N], or numbers for every score [N, C]", as: .text)
  static let outputOption = Option("output", "FILE", "writes the model, .onnx", as: .text)
  static let historyOption = Option(
    "history", "FILE",
    "writes the losses of all epochs, and of the model as it came, as .json or .npz",
    as: .text)

  private let arguments: Arguments
  private let runtime: RuntimeOptions
  private let flags: TrainFlags
  private let labels: String
  /// nil only in a dry run.
  private let output: String?
  private let history: String?

  init(_ arguments: Arguments) throws(CoalitionError) {
    self.arguments = arguments
    runtime = RuntimeOptions(arguments)
    flags = try TrainFlags(arguments, runtime)
    history = arguments[Self.historyOption]
    guard (arguments[Self.architectureOption] == nil) != arguments.positionals.isEmpty else {
      throw CoalitionError(
        .usage, "what is trained is said once", expected: "MODEL.onnx or --architecture TEXT",
        found: arguments.positionals.isEmpty ? "none" : "both")
    }
    guard let labels = arguments[Self.labelsOption],
      !arguments.all(InputArrays.inputOption).isEmpty
    else {
      throw CoalitionError(.usage, "training takes examples: give --input and --labels")
    }
    output = arguments[Self.outputOption]
    guard output?.lowercased().hasSuffix(".onnx") ?? runtime.isDryRun else {
      throw CoalitionError(
        .usage, "the trained model needs a place", expected: "--output X.onnx",
        found: output ?? "none")
    }
    self.labels = labels
    var read = FilesRead(arguments)
    read.add("--labels", within: labels)
    for file in flags.files { read.add(file.option, within: file.path) }
    if let output {
      try read.checkIsNoneOfThem(output, option: Self.outputOption.declaration)
      try Files.checkCreatable(output)
    }
    if let history {
      guard history != output else {
        throw CoalitionError(.usage, "--history and --output are two files", node: history)
      }
      try read.checkIsNoneOfThem(history, option: Self.historyOption.declaration)
      guard !history.lowercased().hasSuffix(".npy") else {
        throw CoalitionError(
          .usage, "a history has several arrays: write .npz or .json", node: history)
      }
      try ResultFile.checkWritable(history)
    }
  }

  func perform() async throws(CoalitionError) {
    let limit = runtime.memoryLimit
    let file = try await model()
    let arrays = try InputArrays(
      arguments, for: file, memoryLimit: limit - file.constantByteCount)
    let held = file.constantByteCount + arrays.byteCount
    let model = try Model(file.graph, constants: arrays.constants)
    var options = flags.options
    options.loss = arguments[ScoreFlags.lossOption] ?? .crossEntropy
    options.output = arguments[ScoreFlags.outputNameOption]
    options.plan.precision = runtime.precision
    options.plan.inputShapes = arrays.shapes
    options.plan.memoryLimit = max(0, limit - held)
    let plan = try Plan(model, options.plan)
    let all = LabelledExamples(
      inputs: try arrays.fitted(to: plan.inputs),
      labels: try ArrayFile.load(labels, options: .init(memoryLimit: max(0, limit - held))))
    // Before a share is kept apart, so that errors speak of the files' shapes and examples.
    if case .share = flags.validation { _ = try Trainer(model, all, options) }
    let examples = try await flags.examples(
      all, arrays, plan.inputs, memoryLimit: max(0, limit - held))
    let execution = try Execution(runtime, held: held)
    options.run = execution.options
    let trainer = try Trainer(
      model, examples.training, validation: examples.validation, options)
    if runtime.isDryRun { return try Terminal.write(try forecast(trainer)) }
    try Signals.check()
    let (trained, seconds) = try await arrays.locatingNotFinite(in: plan.inputs) {
      () throws(CoalitionError) in
      try await execution.watched(trainer.totalExamples, "examples") {
        run throws(CoalitionError) in
        try await self.trained(trainer.running(run))
      }
    }
    try Signals.check()
    guard let output else { return }
    try ONNX.write(trained.graph, to: output)
    for warning in trained.warnings { runtime.warn(warning) }
    if let history {
      var record = ResultRecord(
        verb: "train", file, arrays, execution, seconds: seconds, output: output)
      record.options = try self.record(options, limit) + arrays.record
      record.warnings = trained.warnings
      try result(trained, record).write(to: history)
    }
    if !runtime.isQuiet { try Terminal.write(text(trained, output, seconds)) }
  }

  /// Trains, and tells of each epoch.
  private func trained(_ trainer: Trainer) async throws(CoalitionError) -> TrainedModel {
    let (epochs, total) = (trainer.options.epochs, trainer.totalExamples)
    let report = EpochReport(style: runtime.progress, epochs: epochs) {
      (total / epochs * $0.epoch, total)
    }
    do throws(CoalitionError) {
      return try await trainer.trained { report.tell($0) }
    } catch {
      guard error.code == .cancelled else { throw error }
      throw CoalitionError(.cancelled, "\(error.message), nothing was written")
    }
  }

  /// The model to continue, or a new one as if it had been read.
  private func model() async throws(CoalitionError) -> ModelFile {
    guard let architecture = arguments[Self.architectureOption] else {
      return try await ModelFile(
        path: arguments.positionals[0], memoryLimit: runtime.memoryLimit)
    }
    return try await ModelFile(
      try ONNX.encode(
        try architecture.graph(seed: runtime.seed, memoryLimit: runtime.memoryLimit)),
      path: "architecture", folder: nil, memoryLimit: runtime.memoryLimit)
  }

  // MARK: Results

  private func record(
    _ options: TrainingOptions, _ limit: Int
  ) throws(CoalitionError) -> [JSONValue.Member] {
    let architecture = arguments[Self.architectureOption]
    return [
      .init("precision", .string(runtime.precision.rawValue)),
      .init("architecture", architecture.map { .string($0.text) } ?? .null),
      .init("loss", .string(options.loss.rawValue)),
      .init("at", options.output.map { .string($0) } ?? .null),
      .init(
        "labels-sha256", try FileDigest.of(labels, limit: limit).map { .string($0) } ?? .null),
    ] + (try flags.record(limit: limit))
  }

  private func result(
    _ trained: TrainedModel, _ record: ResultRecord
  ) throws(CoalitionError) -> ResultFile {
    var record = record
    record.result = trained.record
    var file = ResultFile(metadata: record.members)
    try trained.appendHistory(to: &file)
    return file
  }

  private func text(_ trained: TrainedModel, _ output: String, _ seconds: Double) -> String {
    let stop = trained.stoppedEarly ? ", stopped early" : ""
    return trained.table
      + "\(output): \(Numbers.grouped(trained.parameterCount)) parameters as of epoch "
      + "\(trained.epoch)\(stop), in \(Numbers.seconds(seconds))\n"
  }

  private func forecast(_ trainer: Trainer) throws(CoalitionError) -> String {
    let size = try ModelSummary(trainer.model.graph, inputShapes: trainer.options.plan.inputShapes)
    // A forward pass, and two as large for the gradients of values and of weights.
    let (work, overflow) = size.multiplyAdds.multipliedReportingOverflow(
      by: 3 * trainer.totalExamples)
    return "parameters: \(Numbers.grouped(size.parameters))\n"
      + "examples: \(Numbers.grouped(trainer.totalExamples / trainer.options.epochs)) in each of "
      + "\(Numbers.counted(trainer.options.epochs, "epoch"))\n"
      + "multiply-adds: \(overflow ? "very many" : Numbers.metric(work))\n"
  }
}
