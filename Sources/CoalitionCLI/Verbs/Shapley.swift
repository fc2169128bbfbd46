// `coalition shapley`: values of players by one of several estimators, with errors, budgets, checkpoints and shards.
//
// ShapleySubject is whose values, ShapleyFlags how; ShapleySession does the work, ShapleyResult and ShapleySummary are
// what comes out, ShapleyForecast what a dry run says.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

extension Command {
  static let shapley = Command(
    name: "shapley",
    summary: "estimates what each player adds, with errors: Shapley, Owen and Banzhaf values",
    positionals: [
      Positional(
        name: "MODEL.onnx", explanation: "a model in the ONNX format, unless there is --game",
        isOptional: true)
    ],
    groups: [
      ShapleyFlags.estimation, ShapleyFlags.stopping, InputArrays.group, PreprocessingFlags.group,
      TargetFlags.group,
      OptionGroup(
        title: "Players",
        options: [PlayerFlags.option.declaration, BaselineFlags.option.declaration]),
      GameFlags.group, ShapleyFlags.parts,
      OptionGroup(title: "Results", options: [ShapleyVerb.outputOption.declaration]),
      RuntimeOptions.group,
    ],
    examples: [
      "coalition shapley model.onnx --input images.npy --players patch:4x4 --output values.npz",
      "coalition shapley model.onnx --input x.npy --estimator permutation --antithetic --samples 2000 "
        + "--checkpoint run.ckpt --output values.npz",
      "coalition shapley model.onnx --input x.npy --estimator toggle --evaluations 100000 --shard 1/4 --output part1.npz",
      "coalition shapley --game './value.py' --player-count 12 --tolerance 0.01",
    ],
    notes: [
      "Without --output the largest values are printed. The arrays of a result: values, standard_errors, output, "
        + "baseline_output, residual, evaluations; for models also attributions, target and players; with --interactions "
        + "interactions and interaction_standard_errors.",
      "An evaluation is the value of one coalition. A signal during a run with --checkpoint ends it with code 75, and the "
        + "same command goes on.",
    ]
  ) { arguments throws(CoalitionError) in
    let verb = try ShapleyVerb(arguments)
    try await verb.perform()
  }
}

struct ShapleyVerb {
  static let outputOption = Option(
    "output", "FILE", "writes .npz or .json with all arrays, or .npy with the values alone",
    as: .text)
  /// Of the largest values that are printed.
  private static let printed = 10

  private let arguments: Arguments
  private let runtime: RuntimeOptions
  private let flags: ShapleyFlags
  private let game: GameFlags?
  private let target: TargetFlags
  private let output: String?

  /// Reads the options, and checks what they say of each other and of files that will be written.
  init(_ arguments: Arguments) throws(CoalitionError) {
    self.arguments = arguments
    runtime = RuntimeOptions(arguments)
    output = arguments[Self.outputOption]
    game = try GameFlags(arguments)
    target = try TargetFlags(arguments)
    flags = try ShapleyFlags(arguments, runtime)
    try runtime.check(isWritten: output != nil)
    if let shard = flags.options.shard, !runtime.isDryRun {
      guard let output else {
        throw CoalitionError(
          .usage, "--shard \(shard.index)/\(shard.count) needs --output FILE for its sums")
      }
      guard !output.lowercased().hasSuffix(".npy") else {
        throw CoalitionError(
          .usage, "a shard has several arrays: write .npz or .json", node: output)
      }
    }
    try checkFiles()
  }

  /// Checks that what is written can be made and is none of the files that are read.
  private func checkFiles() throws(CoalitionError) {
    var read = FilesRead(arguments, target)
    if let groups = flags.groupsPath { read.add("--groups", groups) }
    if let checkpoint = flags.checkpoint {
      guard checkpoint != output else {
        throw CoalitionError(
          .usage, "--checkpoint and --output are two files", node: checkpoint)
      }
      try read.checkIsNoneOfThem(
        checkpoint, option: ShapleyFlags.checkpointOption.declaration)
      read.add("--checkpoint", checkpoint)
    }
    if let output { try read.checkOutput(output) }
  }

  func perform() async throws(CoalitionError) {
    try Signals.check()
    let subject: ShapleySubject
    if let game {
      subject = ShapleySubject(game)
    } else {
      subject = try await ShapleySubject(arguments, target, runtime)
    }
    let execution = try Execution(runtime, held: subject.held)
    try await subject.locatingNotFinite { () throws(CoalitionError) in
      try await perform(subject, execution)
    }
  }

  private func perform(
    _ subject: ShapleySubject, _ execution: Execution
  ) async throws(CoalitionError) {
    var options = flags.options
    options.run = execution.options
    if options.estimator.usesMoments {
      return try await performByMoments(subject, options, execution)
    }
    // Resolves the budget, and refuses what does not go together before anything is evaluated.
    let plan = try ShapleyRun(subject.game, options)
    if runtime.isDryRun {
      let forecast = ShapleyForecast(
        run: plan, examples: subject.game.exampleCount, players: subject.game.playerCount,
        held: subject.held + (try subject.programBytes(of: plan, execution)),
        memoryLimit: runtime.memoryLimit,
        threads: execution.threads, instructionSet: execution.instructionSet)
      let text = try await forecast.text()
      try await subject.program?.close()
      return try Terminal.write(text)
    }
    var record = begunRecord(subject, plan.options, execution)
    let checkpoint = try flags.checkpoint.map { path throws(CoalitionError) in
      try ShapleyCheckpoint(path, record, shard: options.shard, game: subject.game)
    }
    var session = try ShapleySession(
      subject.game, options, checkpoint, interval: flags.interval)
    try await session.finish(runtime.progress)
    try await subject.program?.close()
    record.seconds = session.seconds
    record.particulars = particulars(options.shard, session.resumes)
    try write(session, subject, record)
  }

  /// Values that are all there at once.
  private func performByMoments(
    _ subject: ShapleySubject, _ options: ShapleyOptions, _ execution: Execution
  ) async throws(CoalitionError) {
    let moments = try Shapley(subject.game, options)
    if runtime.isDryRun {
      return try Terminal.write(
        try MomentForecast(
          game: subject.game, options: options, held: subject.held,
          programBytes: subject.programBytes,
          memoryLimit: runtime.memoryLimit, execution: execution
        ).text())
    }
    var record = begunRecord(subject, options, execution)
    let clock = ContinuousClock()
    let start = clock.now
    let estimate = try await moments.result()
    record.seconds = start.duration(to: clock.now).seconds
    record.particulars = particulars(nil, 0)
    try write(estimate, subject, record)
  }

  /// The record of a run that begins; tells what its subject warns of.
  private func begunRecord(
    _ subject: ShapleySubject, _ options: ShapleyOptions, _ execution: Execution
  ) -> ResultRecord {
    var record = ResultRecord(verb: "shapley", model: subject.model, execution)
    record.options = options.record + subject.options
    record.warnings = subject.warnings
    record.paths = subject.paths + [.init("output", output.map { .string($0) } ?? .null)]
    for warning in subject.warnings { runtime.warn(warning) }
    return record
  }

  private func particulars(_ shard: Shard?, _ resumes: Int) -> [JSONValue.Member] {
    [
      .init(
        "shard",
        shard.map {
          .object(["index": .integer($0.index), "count": .integer($0.count)])
        } ?? .null),
      .init("resumes", .integer(resumes)),
    ]
  }

  private func write(
    _ session: ShapleySession, _ subject: ShapleySubject, _ record: ResultRecord
  ) throws(CoalitionError) {
    if let shard = flags.options.shard, let output {
      try ShapleyPart.file(session.run.state, subject.game, subject.layout, record)
        .write(to: output)
      guard !runtime.isQuiet else { return }
      return try Terminal.write(
        "\(output): sums of shard \(shard.index) of \(shard.count) "
          + "in \(Numbers.seconds(record.seconds))\n")
    }
    try write(session.run.estimate, subject, record)
  }

  private func write(
    _ estimate: ShapleyEstimate, _ subject: ShapleySubject, _ record: ResultRecord
  ) throws(CoalitionError) {
    for warning in ShapleyResult.warnings(estimate) { runtime.warn(warning) }
    let late = estimate.stops.count { $0 == .time }
    if late > 0, !runtime.isQuiet {
      let which =
        late == estimate.exampleCount ? "" : " for \(late) of \(estimate.exampleCount) examples"
      let more = flags.checkpoint == nil ? "" : "; the same command with more time goes on"
      Terminal.writeError("coalition: --time ended the run\(which)\(more)\n")
    }
    guard let output else {
      if !runtime.isQuiet {
        try Terminal.write(
          ShapleySummary(layout: subject.layout, top: Self.printed).text(estimate))
      }
      return
    }
    try ShapleyResult.file(estimate, subject.layout, record).write(to: output)
    guard !runtime.isQuiet else { return }
    try Terminal.write(
      "\(output): \(ShapleySummary.line(estimate)) in \(Numbers.seconds(record.seconds))\n")
  }
}
