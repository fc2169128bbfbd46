// `coalition prune`: a smaller model without the units that matter least.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX

extension Command {
  static let prune = Command(
    name: "prune",
    summary: "removes hidden units and writes a smaller model",
    positionals: [ModelFile.positional],
    groups: [
      PruneFlags.amount,
      OptionGroup(
        title: "Scores from a file", options: [PruneFlags.scoresOption.declaration]),
      ScoreFlags.group, ScoreFlags.sampling,
      OptionGroup(title: "Training (--repair finetune, distill)", options: TrainFlags.declarations),
      InputArrays.group, PreprocessingFlags.group,
      PruneFlags.results, RuntimeOptions.group,
    ],
    examples: [
      "coalition prune model.onnx --metric taylor --input images.npy --labels labels.npy "
        + "--keep 0.5 --output small.onnx --report report.json",
      "coalition prune model.onnx --scores scores.npz --scope global --reach macs=0.5 --output small.onnx",
      "coalition prune model.onnx --input images.npy --labels labels.npy --remove-negative --output small.onnx",
    ],
    notes: [
      "Units that hang together, as by additions and depthwise convolutions, go together, by the mean of their scores. "
        + "The smaller model is compared with the one in which nobody reads the removed units, on the first 16 examples or "
        + "else on random numbers, before it is written. No layer is emptied; when nothing would be removed, that is an error.",
      "With --input, the report says how far the smaller model agrees with the whole one; with --labels, also the loss and "
        + "accuracy before and after; with --validation, those of the examples that are only measured, too.",
    ]
  ) { arguments throws(CoalitionError) in
    let verb = try PruneVerb(arguments)
    try await verb.perform()
  }
}

struct PruneVerb {
  private let arguments: Arguments
  private let runtime: RuntimeOptions
  private let flags: PruneFlags
  private let score: ScoreFlags
  private let training: TrainFlags

  init(_ arguments: Arguments) throws(CoalitionError) {
    self.arguments = arguments
    runtime = RuntimeOptions(arguments)
    flags = try PruneFlags(arguments, runtime)
    score = try ScoreFlags(arguments, runtime)
    let trains = flags.repairs.training
    training = try TrainFlags(arguments, runtime, needsLabels: trains != [.distill])
    if trains.isEmpty, let given = TrainFlags.declarations.first(where: arguments.isGiven) {
      throw CoalitionError(.usage, "--\(given.name) is for --repair finetune and distill")
    }
    if trains.contains(.finetune), !score.hasLabels {
      throw CoalitionError(.usage, "--repair finetune needs --input and --labels")
    }
    if case .reach(.loss) = flags.amount, !score.hasLabels {
      throw CoalitionError(.usage, "--reach loss needs --input and --labels")
    }
    if !flags.repairs.isEmpty, arguments.all(InputArrays.inputOption).isEmpty {
      throw CoalitionError(.usage, "--repair looks at examples: give --input")
    }
    var read = FilesRead(arguments)
    if let labels = score.labelsPath { read.add("--labels", within: labels) }
    if let scores = flags.scores { read.add("--scores", within: scores) }
    for file in training.files { read.add(file.option, within: file.path) }
    if let output = flags.output {
      try read.checkIsNoneOfThem(output, option: PruneFlags.outputOption.declaration)
      try Files.checkCreatable(output)
    }
    if let report = flags.report {
      guard report != flags.output else {
        throw CoalitionError(.usage, "--report and --output are two files", node: report)
      }
      try read.checkIsNoneOfThem(report, option: PruneFlags.reportOption.declaration)
      try ResultFile.checkWritable(report)
    }
  }

  func perform() async throws(CoalitionError) {
    let subject = try await ScoreSubject(arguments, runtime)
    if runtime.isDryRun {
      let session = try PruneSession(subject, flags, score, training, labels: nil)
      return try Terminal.write(session.forecast)
    }
    try await subject.locatingNotFinite { () throws(CoalitionError) in
      let start = ContinuousClock().now
      let labels = try await score.labels(of: subject)
      let scoresDigest = try flags.scores.flatMap { path throws(CoalitionError) in
        try FileDigest.of(path, limit: runtime.memoryLimit)
      }
      var session = try PruneSession(subject, flags, score, training, labels: labels)
      try await session.prepareTraining()
      // First, as it finds labels that do not fit.
      let before = try await PruneReport.State(session.whole, session)
      let total = flags.rounds * session.scoredLayers.reduce(0) { $0 + session.units($1) }
      session = try await subject.execution.counted(total, "units") {
        [session] count throws(CoalitionError) in
        var session = session
        try await session.run(count)
        return session
      }.value
      let report = try await PruneReport(session, before: before)
      let seconds = start.duration(to: ContinuousClock().now).seconds
      if let output = flags.output { try ONNX.write(session.model.graph, to: output) }
      for warning in session.warnings { runtime.warn(warning) }
      var record = ResultRecord(
        verb: "prune", subject.file, subject.arrays, subject.execution, seconds: seconds,
        output: flags.output)
      record.options =
        [.init("precision", .string(runtime.precision.rawValue))] + flags.record
        + [
          .init("scores-sha256", scoresDigest.map { .string($0) } ?? .null),
          .init("scoring", session.scoring ?? .object(score.record)),
          .init("loss", .string(score.options.loss.rawValue)),
        ] + score.labelsRecord + subject.arrays.record
      if !flags.repairs.training.isEmpty {
        record.options += try training.record(limit: runtime.memoryLimit)
      }
      if let path = flags.report { try report.file(record).write(to: path) }
      if !runtime.isQuiet { try Terminal.write(report.text(output: flags.output, took: seconds)) }
    }
  }
}
