// `coalition score`: how much the units of layers matter.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

extension Command {
  static let score = Command(
    name: "score",
    summary: "scores the hidden units of a model: larger ones matter more",
    positionals: [ModelFile.positional],
    groups: [
      OptionGroup(
        title: "Units",
        options: [ScoreVerb.layerOption.declaration, ScoreVerb.perExampleFlag.declaration]),
      ScoreFlags.group, ScoreFlags.sampling, InputArrays.group, PreprocessingFlags.group,
      OptionGroup(title: "Results", options: [ScoreVerb.outputOption.declaration]),
      RuntimeOptions.group,
    ],
    examples: [
      "coalition score model.onnx --layer conv2 --input images.npy --labels labels.npy --output scores.npz",
      "coalition score model.onnx --metric taylor --input images.npy --labels labels.npy --output scores.npz",
      "coalition score model.onnx --metric weight",
    ],
    notes: [
      "A layer is a convolution or a dense layer with constant weights. A result holds, per layer, NAME [units], "
        + "NAME.standard_errors (of sampling), NAME.data_errors (over examples) and, with --per-example, "
        + "NAME.examples [N, units]; the names are in `layers`."
    ]
  ) { arguments throws(CoalitionError) in
    let verb = try ScoreVerb(arguments)
    try await verb.perform()
  }
}

struct ScoreVerb {
  static let layerOption = Option(
    "layer", "NAME", "a layer, by its node or output tensor, or all; may be repeated",
    default: "all", repeatable: true, as: .text)
  static let perExampleFlag = Flag("per-example", "also writes the scores of every example")
  static let outputOption = Option(
    "output", "FILE", "writes .npz or .json, or .npy with the scores of a single layer", as: .text)
  /// Of the lowest units that are printed.
  private static let printed = 8

  private let arguments: Arguments
  private let runtime: RuntimeOptions
  private let flags: ScoreFlags
  private let output: String?

  init(_ arguments: Arguments) throws(CoalitionError) {
    self.arguments = arguments
    runtime = RuntimeOptions(arguments)
    output = arguments[Self.outputOption]
    try runtime.check(isWritten: output != nil)
    flags = try ScoreFlags(arguments, runtime)
    if arguments[Self.perExampleFlag] {
      guard output != nil else {
        throw CoalitionError(.usage, "--per-example is for files: give --output FILE")
      }
      guard flags.options.metric.isPerExample else {
        throw CoalitionError(
          .usage, "--per-example is for metrics that give examples scores of their own",
          found: flags.options.metric.rawValue)
      }
      guard !(output ?? "").lowercased().hasSuffix(".npy") else {
        throw CoalitionError(
          .usage, "--per-example writes several arrays: give a name ending in .npz or .json",
          node: output)
      }
    }
    if let output {
      var read = FilesRead(arguments)
      if let labels = flags.labelsPath { read.add("--labels", within: labels) }
      try read.checkOutput(output)
    }
  }

  func perform() async throws(CoalitionError) {
    let subject = try await ScoreSubject(arguments, runtime)
    let coupling = try UnitCoupling(subject.model, inputShapes: subject.arrays.shapes)
    let layers = try layers(coupling)
    if runtime.isDryRun {
      let forecast = ScoreForecast(flags.options, layers.map { coupling.layers[$0] })
      return try Terminal.write(forecast.text(held: subject.execution.held))
    }
    var options = flags.options
    options.plan = subject.plan
    options.run = subject.execution.options
    try await subject.locatingNotFinite { () throws(CoalitionError) in
      let labels = try await flags.labels(of: subject)
      let scorer = try UnitScorer(coupling, inputs: subject.inputs, labels: labels, options)
      let layers = try scored(layers, by: scorer)
      let units = layers.reduce(0) { $0 + coupling.layers[$1].unitCount }
      let (scores, seconds) = try await subject.execution.counted(units, "units") {
        count throws(CoalitionError) in
        var scores: [LayerScores] = []
        for layer in layers {
          try Signals.check()
          scores.append(try await scorer.scores(layer: layer))
          count.add(coupling.layers[layer].unitCount)
        }
        return scores
      }
      try write(scores, subject, seconds)
    }
  }

  /// Of all layers those that lead to the scores; the others are named in a warning.
  private func scored(_ layers: [Int], by scorer: UnitScorer) throws(CoalitionError) -> [Int] {
    let names = arguments.all(Self.layerOption)
    guard names.isEmpty || names == ["all"] else { return layers }
    let (leading, warning) = ScoreSubject.leading(layers, scorer)
    if let warning { runtime.warn(warning) }
    return leading
  }

  /// Those that are named; for all, those with units that can be removed.
  private func layers(_ coupling: UnitCoupling) throws(CoalitionError) -> [Int] {
    let names = arguments.all(Self.layerOption)
    guard names.isEmpty || names == ["all"] else {
      return try ScoreSubject.layers(names, coupling, option: Self.layerOption.declaration)
    }
    let layers = coupling.layers.indices.filter { index in
      let layer = coupling.layers[index]
      return coupling.obstacle(toLayer: index) == nil
        && (flags.options.metric != .scale || layer.hasNormalisation)
    }
    guard !layers.isEmpty else {
      throw CoalitionError(
        .unsupported, "the model has no layer with units that could be scored",
        expected: "convolutions or dense layers in front of others"
          + (flags.options.metric == .scale ? ", with batch normalisations" : ""))
    }
    return layers
  }

  private func write(
    _ scores: [LayerScores], _ subject: ScoreSubject, _ seconds: Double
  ) throws(CoalitionError) {
    let units = scores.reduce(0) { $0 + $1.scores.count }
    let line =
      "\(flags.options.metric.rawValue) scores of \(Numbers.counted(units, "unit")) in "
      + Numbers.counted(scores.count, "layer")
    let unmet = scores.filter { $0.stop == .evaluations }.count
    var warnings: [String] = []
    if unmet > 0, flags.options.sampling.looksAtResults {
      let limit = ShapleyOptions.defaultEvaluationsPerPlayer
      warnings.append(
        "in \(unmet) of \(Numbers.counted(scores.count, "layer")) the evaluations ended before the errors were small enough: "
          + "--evaluations, by default \(limit) for each unit")
    }
    for warning in warnings { runtime.warn(warning) }
    guard let output else {
      guard !runtime.isQuiet else { return }
      var text = line + "\n"
      for layer in scores { text += lowest(layer) }
      return try Terminal.write(text)
    }
    var record = ResultRecord(
      verb: "score", subject.file, subject.arrays, subject.execution, seconds: seconds,
      output: output)
    record.options =
      [
        .init("precision", .string(runtime.precision.rawValue)),
        .init("layers", .array(scores.map { .string($0.layer.name) })),
        .init("per-example", .bool(arguments[Self.perExampleFlag])),
      ] + flags.record + subject.arrays.record
    record.warnings = warnings
    record.result = [
      .init("units", .integer(units)),
      .init(
        "evaluations-per-example", .integer(scores.reduce(0) { $0 + $1.evaluations })),
      .init(
        "estimators",
        .array(scores.map { $0.estimator.map { .string($0.rawValue) } ?? .null })),
      .init(
        "degrees-of-freedom", .array(scores.map { .integer($0.degreesOfFreedom) })),
      .init(
        "stops",
        .array(scores.map { $0.stop.map { .string($0.rawValue) } ?? .null })),
    ]
    try ScoreResult.file(scores, record, perExample: arguments[Self.perExampleFlag])
      .write(to: output)
    guard !runtime.isQuiet else { return }
    try Terminal.write("\(output): \(line) in \(Numbers.seconds(seconds))\n")
  }

  /// A layer's units from the lowest score on.
  private func lowest(_ layer: LayerScores) -> String {
    let order = layer.scores.indices.sorted {
      (layer.scores[$0], $0) < (layer.scores[$1], $1)
    }
    let foreseen =
      layer.momentError.map { ", error of an example's value about \(Numbers.significant($0, 2))" }
      ?? ""
    let origin = layer.estimator.map { " by \($0.rawValue)" } ?? ""
    var text =
      "\(layer.layer.name), \(layer.scores.count) units\(origin)\(foreseen), the lowest first:\n"
    for unit in order.prefix(Self.printed) {
      let error = layer.momentError == nil ? layer.standardErrors[unit] : 0
      let spread = error == 0 ? "" : error.isNaN ? " +- ?" : " +- \(Numbers.significant(error, 2))"
      text += "  \(Numbers.significant(layer.scores[unit]))\(spread)  unit \(unit)\n"
    }
    return text
  }
}

/// Scores of a layer's units with what they may be off by.
struct KnownScores: Sendable {
  let scores: [Double]
  let errors: [Double]
  let degreesOfFreedom: Int
}

enum ScoreResult {
  static func file(
    _ scores: [LayerScores], _ record: ResultRecord, perExample: Bool
  ) throws(CoalitionError) -> ResultFile {
    let main = scores.count == 1 ? scores[0].layer.arrayName : nil
    var result = ResultFile(metadata: record.members, mainArray: main)
    for layer in scores {
      let name = layer.layer.arrayName
      try result.append(name, Tensor(.float64(layer.scores)))
      if let error = layer.momentError {
        let errors = [Double](repeating: error, count: layer.scores.count)
        try result.append("\(name).error_estimate", Tensor(.float64(errors)))
      } else {
        try result.append("\(name).standard_errors", Tensor(.float64(layer.standardErrors)))
      }
      try result.append("\(name).data_errors", Tensor(.float64(layer.dataErrors)))
      if layer.examples != nil {
        try result.append("\(name).deviations", Tensor(.float64(layer.deviations)))
      }
      if perExample, let examples = layer.examples {
        try result.append(
          "\(name).examples",
          try Tensor(
            shape: [examples.count, layer.scores.count],
            elements: .float64(Array(examples.joined()))))
      }
    }
    try result.append("layers", scores.map(\.layer.arrayName))
    return result
  }

  /// The scores that a file holds, by layer, and the options by which they were made.
  /// - Throws: `invalidData` for a file that is no result of `score`, or of another model.
  static func read(
    _ path: String, _ coupling: UnitCoupling, model: JSONValue, memoryLimit: Int
  ) throws(CoalitionError) -> (scores: [Int: KnownScores], options: JSONValue) {
    let file = try ResultFile(reading: path, memoryLimit: memoryLimit)
    guard file.metadata["verb"]?.text == "score", case .strings(let names)? = file["layers"]
    else {
      throw CoalitionError(
        .invalidData, "not a result of score", node: path, expected: "a file that score wrote",
        found: file.metadata["verb"]?.text.map { "a result of \($0)" })
    }
    guard file.metadata["model"]?["sha256"] == model["sha256"] else {
      throw CoalitionError(
        .invalidData, "the scores are of another model", node: path,
        expected: model["sha256"]?.text, found: file.metadata["model"]?["sha256"]?.text)
    }
    var degrees = [Int](repeating: 0, count: names.count)
    if case .array(let numbers)? = file.metadata["result"]?["degrees-of-freedom"],
      numbers.count == names.count
    {
      degrees = numbers.map { if case .integer(let number) = $0 { number } else { 0 } }
    }
    var scores: [Int: KnownScores] = [:]
    for (place, name) in names.enumerated() {
      guard let layer = coupling.layers.firstIndex(where: { $0.arrayName == name }),
        case .tensor(let values)? = file[name]
      else {
        throw CoalitionError(
          .invalidData, "the file has no scores of the layer '\(name)'", node: path)
      }
      func errors(_ kind: String) -> [Double] {
        if case .tensor(let own)? = file["\(name).\(kind)"] { return own.doubles }
        return []
      }
      let sampling = errors("standard_errors").isEmpty ? "error_estimate" : "standard_errors"
      // Standard errors are those of means.
      let isMean = file.metadata["options"]?["aggregate"]?.text == UnitAggregation.mean.rawValue
      let isUnknown = !isMean && sampling == "standard_errors"
      scores[layer] = KnownScores(
        scores: values.doubles,
        errors: zip(errors(sampling), errors("data_errors")).map {
          isUnknown && $0 > 0 ? .nan : ($0 * $0 + $1 * $1).squareRoot()
        }, degreesOfFreedom: degrees[place])
    }
    return (scores, file.metadata["options"] ?? .null)
  }
}
