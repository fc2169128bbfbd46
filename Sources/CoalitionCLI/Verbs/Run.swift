// `coalition run`: the forward pass of all examples.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

extension Command {
  static let run = Command(
    name: "run",
    summary: "computes the outputs of a model for all examples",
    positionals: [ModelFile.positional],
    groups: [
      InputArrays.group, PreprocessingFlags.group,
      OptionGroup(
        title: "Results",
        options: [
          Run.outputOption.declaration, Run.atOption.declaration,
          ResultTable.namesOption.declaration, ResultTable.topOption.declaration,
        ]),
      RuntimeOptions.group,
    ],
    examples: [
      "coalition run model.onnx --input images.npy --output scores.npz",
      "coalition run model.onnx --input cat.jpg --resize short:256 --crop 224x224 --scale 0.00392157 "
        + "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --class-names labels.txt",
    ],
    notes: [
      "Arrays have the example as their first axis; a single example may do without."
    ]
  ) { arguments throws(CoalitionError) in
    let run = try await Run(arguments)
    try await run.perform()
  }
}

struct Run {
  static let outputOption = Option(
    "output", "FILE", "writes the outputs by their names to .npz, .json or (a single one) .npy",
    as: .text)
  static let atOption = Option(
    "at", "NAME", "this tensor or node of the model in place of its outputs", repeatable: true,
    as: .text)

  private let runtime: RuntimeOptions
  private let output: String?
  private let table: ResultTable
  private let file: ModelFile
  private let arrays: InputArrays
  private let forward: ForwardRun

  /// Reads everything, and checks what can be checked before the work.
  init(_ arguments: Arguments) async throws(CoalitionError) {
    runtime = RuntimeOptions(arguments)
    output = arguments[Self.outputOption]
    try runtime.check(isWritten: output != nil)
    if let output {
      var read = FilesRead(arguments)
      if let names = arguments[ResultTable.namesOption] { read.add("--class-names", names) }
      try read.checkOutput(output)
    }
    table = try ResultTable(arguments)
    file = try await ModelFile(path: arguments.positionals[0], memoryLimit: runtime.memoryLimit)
    arrays = try InputArrays(
      arguments, for: file, memoryLimit: runtime.memoryLimit - file.constantByteCount)

    let graph = file.graph
    var options = PlanOptions()
    options.precision = runtime.precision
    options.outputs = try arguments.all(Self.atOption).map { name throws(CoalitionError) in
      try graph.tensor(named: name, option: Self.atOption.declaration)
    }
    options.inputShapes = arrays.shapes
    options.memoryLimit = max(
      0, runtime.memoryLimit - file.constantByteCount - arrays.byteCount)
    let model = try Model(graph, constants: arrays.constants)
    let plan = try Plan(model, options)
    if let output, output.lowercased().hasSuffix(".npy"), plan.outputs.count > 1 {
      throw CoalitionError(
        .usage, "an .npy file holds one array: write .npz or .json, or choose one with --at",
        node: output, found: plan.outputs.map(\.name).joined(separator: ", "))
    }
    try table.names?.check(plan.outputs.map { ($0.name, $0.shape) })
    forward = try ForwardRun(
      plan, arrays.fitted(to: plan.inputs), runtime,
      held: file.constantByteCount + arrays.byteCount)
  }

  func perform() async throws(CoalitionError) {
    try Signals.check()
    if runtime.isDryRun { return try Terminal.write(try await forward.forecast()) }
    let warnings = forward.warnings
    for warning in warnings { runtime.warn(warning) }
    let outcome = try await arrays.locatingNotFinite(in: forward.plan.inputs) {
      () throws(CoalitionError) in try await forward.outputs()
    }
    let doubts = outcome.warnings
    for doubt in doubts { runtime.warn(doubt) }
    try Signals.check()
    if let output {
      try result(outcome, warnings + doubts).write(to: output)
      guard !runtime.isQuiet else { return }
      let names = forward.plan.outputs.map(\.name).joined(separator: ", ")
      try Terminal.write(
        "\(output): \(names) of \(Numbers.grouped(forward.examples)) "
          + (forward.examples == 1 ? "example" : "examples")
          + " in \(Numbers.seconds(outcome.seconds))\n"
          + table.namedText(outcome.tensors, output: output))
    } else if !runtime.isQuiet {
      try Terminal.write(table.text(outcome.tensors))
    }
  }

  private func result(
    _ outcome: ForwardRun.Outcome, _ warnings: [String]
  ) throws(CoalitionError) -> ResultFile {
    var record = ResultRecord(
      verb: "run", file, arrays, forward.execution, seconds: outcome.seconds, output: output)
    record.options =
      [
        .init("precision", .string(runtime.precision.rawValue)),
        .init("at", .array(forward.plan.options.outputs.map { .string($0) })),
      ] + arrays.record
    record.result = [
      .init("examples", .integer(forward.examples)),
      .init("outputs", .array(outcome.tensors.map { .string($0.name) })),
    ]
    record.warnings = warnings
    var result = ResultFile(metadata: record.members)
    for (name, tensor) in outcome.tensors { try result.append(name, tensor) }
    return result
  }
}
