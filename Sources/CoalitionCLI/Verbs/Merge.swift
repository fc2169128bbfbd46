// `coalition merge`: the shards of one run become the result that one run would have written, byte for byte but for
// what is said of the run itself.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

extension Command {
  static let merge = Command(
    name: "merge",
    summary: "joins the shards of one run of shapley",
    positionals: [
      Positional(
        name: "SHARD.npz", explanation: "files that shapley --shard I/N wrote, in any order",
        isRepeatable: true)
    ],
    groups: [
      OptionGroup(title: "Results", options: [ShapleyVerb.outputOption.declaration]),
      OptionGroup(
        title: "Running",
        options: [
          RuntimeOptions.memoryOption.declaration, RuntimeOptions.quietFlag.declaration,
        ]),
    ],
    examples: ["coalition merge part1.npz part2.npz part3.npz part4.npz --output values.npz"],
    notes: [
      "All shards of a run must be there, once each, and come from the same model, options, seed, program version and "
        + "instruction set. Without --output the largest values are printed."
    ]
  ) { arguments throws(CoalitionError) in
    try await Merge(arguments).perform()
  }
}

struct Merge {
  private let paths: [String]
  private let output: String?
  private let runtime: RuntimeOptions

  init(_ arguments: Arguments) throws(CoalitionError) {
    paths = arguments.positionals
    output = arguments[ShapleyVerb.outputOption]
    runtime = RuntimeOptions(arguments)
    try runtime.check(isWritten: output != nil)
    if let output {
      var read = FilesRead()
      for path in paths { read.add("the shard", path) }
      try read.checkOutput(output)
    }
  }

  func perform() async throws(CoalitionError) {
    let start = ContinuousClock().now
    var parts: [ShapleyPart] = []
    for path in paths {
      try Signals.check()
      parts.append(try ShapleyPart(reading: path, memoryLimit: runtime.memoryLimit))
    }
    try Self.check(parts)
    parts.sort { $0.shard.index < $1.shard.index }
    guard let first = parts.first else { return }
    let estimate = try ShapleyRun.merged(
      parts.map(\.state), first.options, playerCount: first.layout.playerCount,
      targetCount: first.targetCount)
    let record = try record(first, start.duration(to: ContinuousClock().now).seconds)
    for warning in ShapleyResult.warnings(estimate) { runtime.warn(warning) }
    guard let output else {
      if !runtime.isQuiet {
        try Terminal.write(ShapleySummary(layout: first.layout, top: 10).text(estimate))
      }
      return
    }
    try ShapleyResult.file(estimate, first.layout, record).write(to: output)
    guard !runtime.isQuiet else { return }
    try Terminal.write("\(output): \(ShapleySummary.line(estimate)), \(parts.count) shards\n")
  }

  /// What the whole run would have said of itself; `run` is about this merge.
  private func record(
    _ part: ShapleyPart, _ seconds: Double
  ) throws(CoalitionError) -> ResultRecord {
    var record = ResultRecord(
      verb: "shapley", model: part.metadata["model"] ?? .null, seed: part.options.seed)
    if case .object(let options)? = part.metadata["options"] { record.options = options }
    if case .array(let warnings)? = part.metadata["warnings"] {
      record.warnings = warnings.compactMap(\.text)
    }
    record.seconds = seconds
    record.instructionSet = try InstructionSet.selected()
    record.memoryLimit = runtime.memoryLimit
    record.paths = [
      .init("input", .array(paths.map { .string($0) })),
      .init("output", output.map { .string($0) } ?? .null),
    ]
    record.particulars = [
      .init("shard", .null), .init("merged", .integer(paths.count)), .init("resumes", 0),
    ]
    return record
  }

  // MARK: Checks

  /// - Throws: `invalidData` for parts of different runs, missing ones and such as are there twice, with a list.
  private static func check(_ parts: [ShapleyPart]) throws(CoalitionError) {
    guard let first = parts.first else { return }
    for part in parts.dropFirst() {
      guard let difference = difference(first, part) else { continue }
      throw CoalitionError(
        .invalidData,
        "the shards are of different runs: \(difference.place) is not that of \(first.path)",
        node: part.path, expected: difference.first, found: difference.second)
    }
    let found = Dictionary(grouping: parts) { $0.shard.index }
    let missing = (1...first.shard.count).filter { found[$0] == nil }
    let twice = found.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }
    guard !missing.isEmpty || !twice.isEmpty else { return }
    var problems: [String] = []
    if !missing.isEmpty {
      let listed = missing.prefix(20).map(String.init).joined(separator: ", ")
      problems.append(
        "missing \(missing.count == 1 ? "is" : "are") \(listed)"
          + (missing.count > 20 ? " and \(missing.count - 20) more" : ""))
    }
    for (index, parts) in twice {
      problems.append(
        "shard \(index) is there \(parts.count) times (\(parts.map(\.path).joined(separator: ", ")))"
      )
    }
    throw CoalitionError(
      .invalidData, "the shards do not make up a run: \(problems.joined(separator: "; "))",
      expected: "1 to \(first.shard.count), once each",
      found: parts.map { "\($0.path): \($0.shard.index)/\($0.shard.count)" }.joined(separator: ", ")
    )
  }

  private static func difference(_ first: ShapleyPart, _ second: ShapleyPart) -> JSONDifference? {
    for name in ["program", "model", "options", "seed", "result"] {
      let found = JSONDifference(name, first.metadata[name] ?? .null, second.metadata[name])
      if let found { return found }
    }
    let sets = [first, second].map { $0.metadata["run"]?["instruction-set"] ?? .null }
    return JSONDifference("instruction set", sets[0], sets[1])
      ?? JSONDifference(
        "number of shards", .integer(first.shard.count), .integer(second.shard.count))
  }
}
