// `coalition reproduce`: experiments of papers, on data that the program carries or on a folder of the user's.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionFigures

extension Command {
  static let reproduce = Command(
    name: "reproduce",
    summary: "repeats the experiments of a paper and says what it found",
    positionals: [
      Positional(name: "PAPER", explanation: Reproduce.papers.joined(separator: ", "))
    ],
    groups: [
      OptionGroup(
        title: "Options",
        options: [
          Reproduce.dataOption.declaration, Reproduce.outputOption.declaration,
          Reproduce.chartOption.declaration, EvaluationChoice.subsets.declaration,
          RuntimeOptions.seedOption.declaration, RuntimeOptions.threadsOption.declaration,
          RuntimeOptions.precisionOption.declaration, RuntimeOptions.quietFlag.declaration,
        ])
    ],
    examples: [
      "coalition reproduce grad --chart sensitivity.svg",
      "coalition reproduce grad --output results --threads 8",
    ],
    notes: [
      "grad: Sensitivity-n of attribution methods on four networks that differ in their activation (Ancona, Ceolini, "
        + "Oztireli, Gross: Towards better understanding of gradient-based attribution methods, ICLR 2018)."
    ]
  ) { arguments throws(CoalitionError) in
    let paper = arguments.positionals[0]
    guard Reproduce.papers.contains(paper) else {
      let advice = suggestion(for: paper, in: Reproduce.papers)
      throw CoalitionError(
        .usage, "reproduce knows no paper '\(paper)'\(advice)",
        expected: Reproduce.papers.joined(separator: ", "))
    }
    try await Reproduce(arguments).perform()
  }
}

struct Reproduce {
  /// The experiments that exist.
  static let papers = ["grad"]

  static let dataOption = Option(
    "data", "DIR",
    "a folder with mlp-relu.onnx, mlp-tanh.onnx, mlp-sigmoid.onnx, mlp-softplus.onnx and mnist-images.npz",
    default: "the data in the program", as: .text)
  static let outputOption = Option(
    "output", "DIR|FILE",
    "writes a folder with the models, images and a result for each network, or all results into one .npz or .json",
    as: .text)
  static let chartOption = Option(
    "chart", "FILE", "draws the curves of all networks as .svg, .png or .html", as: .text)

  private let runtime: RuntimeOptions
  private let output: String?
  private let chart: DrawingFile?
  private let data: ReproductionData
  private let subsets: Int

  init(_ arguments: Arguments) async throws(CoalitionError) {
    runtime = RuntimeOptions(arguments)
    output = arguments[Self.outputOption]
    chart = try arguments[Self.chartOption].map { path throws(CoalitionError) in
      try DrawingFile(path)
    }
    subsets = arguments[EvaluationChoice.subsets] ?? 100
    guard !runtime.isQuiet || output != nil || chart != nil else {
      throw CoalitionError(
        .usage, "--quiet without --output leaves nothing of the run: give --output DIR")
    }
    if let output, Self.isFile(output) { try ResultFile.checkWritable(output) }
    data = try await ReproductionData(
      folder: arguments[Self.dataOption], memoryLimit: runtime.memoryLimit)
  }

  private static func isFile(_ path: String) -> Bool {
    [".npz", ".json"].contains { path.lowercased().hasSuffix($0) }
  }

  func perform() async throws(CoalitionError) {
    let start = ContinuousClock().now
    if let output, !Self.isFile(output) {
      try Folder.create(output)
      try data.write(to: output)
    }
    var experiments: [SensitivityExperiment] = []
    for network in data.networks {
      try Signals.check()
      let experiment = try await SensitivityExperiment(
        network, images: data.images, subsets: subsets, runtime)
      if !runtime.isQuiet { try Terminal.write(experiment.text) }
      experiments.append(experiment)
    }
    let seconds = start.duration(to: ContinuousClock().now).seconds
    if !runtime.isQuiet { try Terminal.write(SensitivityClaims(experiments).text) }
    if let chart {
      try chart.write(
        try Figure.grid(
          try experiments.map { experiment throws(CoalitionError) in
            try experiment.chart.figure()
          }, columns: 2, title: "Sensitivity-n of four networks"))
    }
    if let output { try write(experiments, to: output, seconds: seconds) }
    guard !runtime.isQuiet else { return }
    var text = "\n\(Numbers.seconds(seconds))"
    for path in [output, chart?.path].compactMap({ $0 }) { text += "; written: \(path)" }
    try Terminal.write(text + "\n")
  }

  // MARK: Results

  private func write(
    _ experiments: [SensitivityExperiment], to path: String, seconds: Double
  ) throws(CoalitionError) {
    guard Self.isFile(path) else {
      for experiment in experiments {
        try result([experiment], seconds: seconds)
          .write(to: "\(path)/sensitivity-\(experiment.name).npz")
      }
      return
    }
    try result(experiments, seconds: seconds).write(to: path)
  }

  /// One network's arrays as `evaluate` names them; of several, each behind `NETWORK.`.
  private func result(
    _ experiments: [SensitivityExperiment], seconds: Double
  ) throws(CoalitionError) -> ResultFile {
    var record = ResultRecord(
      verb: "reproduce",
      model: experiments.count == 1
        ? experiments[0].model
        : .object(experiments.map { .init($0.name, $0.model) }), seed: runtime.seed)
    record.options = [
      .init("paper", "grad"), .init("metric", "sensitivity-n"), .init("subsets", .integer(subsets)),
      .init("sizes", .array((experiments.first?.result.sizes ?? []).map { .integer($0) })),
      .init("precision", .string(runtime.precision.rawValue)),
    ]
    record.result = [.init("examples", .integer(data.images.shape[0]))]
    record.threads = experiments.first?.threads ?? 1
    record.seconds = seconds
    record.instructionSet = experiments.first?.instructionSet ?? .generic
    record.memoryLimit = runtime.memoryLimit
    if let output { record.paths.append(.init("output", .string(output))) }
    var result = ResultFile(metadata: record.members, mainArray: "correlation")
    try result.append("methods", SensitivityExperiment.methods.map(\.name))
    if experiments.count > 1 { try result.append("networks", experiments.map(\.name)) }
    for experiment in experiments {
      let prefix = experiments.count > 1 ? "\(experiment.name)." : ""
      for (name, tensor) in try experiment.result.arrays() {
        try result.append(prefix + name, tensor)
      }
    }
    return result
  }
}
