// What `coalition shapley` and `merge` write: arrays by their names, and how they were found.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

/// How the values of a game lie in arrays.
struct ShapleyLayout: Sendable {
  let playerCount: Int
  /// nil for games without elements.
  var players: PlayerSet?
  /// Whether there are several inputs, each with arrays of its own.
  var isSeveral = false
  var hasTargetAxis = false
  /// [N], for a difference [N, 2], for all targets [T].
  var target: Tensor?

  fileprivate static let statePrefix = "state."

  fileprivate func name(_ array: String, _ input: String) -> String {
    isSeveral ? "\(array).\(input)" : array
  }

  /// The arrays that say whose values they are.
  fileprivate func append(to result: inout ResultFile) throws(CoalitionError) {
    if let target { try result.append("target", target) }
    guard let players else { return }
    for (input, map) in zip(players.names, players.maps) {
      try result.append(
        name("players", input),
        Tensor(
          shape: (map.exampleCount.map { [$0] } ?? []) + map.shape, elements: .int32(map.ids)))
    }
  }
}

/// An estimate in the shapes of results.
struct ShapleyArrays {
  /// Per input [N, (T,) shape of one example]; none for games without elements.
  var attributions: [String: Tensor] = [:]
  /// [N, (T,) P]
  let values: Tensor
  let standardErrors: Tensor
  /// Of values by moments, in place of standard errors.
  var errorEstimate: Tensor?
  /// [N, (T)]
  let output: Tensor
  let baselineOutput: Tensor
  let residual: Tensor
  /// As `output`.
  let evaluations: [Int]
  /// [N, (T,) P, P]
  var interactions: Tensor?
  var interactionErrors: Tensor?
  let warnings: [String]
}

extension ShapleyLayout {
  func arrays(_ estimate: ShapleyEstimate) throws(CoalitionError) -> ShapleyArrays {
    let targets = hasTargetAxis ? estimate.targetCount : nil
    let leading = [estimate.exampleCount] + (targets.map { [$0] } ?? [])
    func numbers(_ values: [Double], _ shape: [Int] = []) throws(CoalitionError) -> Tensor {
      try Tensor(shape: leading + shape, elements: .float64(values))
    }
    var arrays = ShapleyArrays(
      values: try numbers(estimate.values, [playerCount]),
      standardErrors: try numbers(estimate.standardErrors, [playerCount]),
      output: try numbers(estimate.fullValues),
      baselineOutput: try numbers(estimate.emptyValues),
      residual: try numbers(estimate.residuals),
      evaluations: estimate.evaluations.flatMap { [Int](repeating: $0, count: targets ?? 1) },
      warnings: ShapleyResult.warnings(estimate))
    if !estimate.errorEstimates.isEmpty {
      arrays.errorEstimate = try numbers(estimate.errorEstimates, [playerCount])
    }
    if !estimate.interactions.isEmpty {
      let shape = [playerCount, playerCount]
      arrays.interactions = try numbers(estimate.interactions, shape)
      arrays.interactionErrors = try numbers(estimate.interactionErrors, shape)
    }
    if let players {
      arrays.attributions = try players.attributions(of: arrays.values, targets: targets)
    }
    return arrays
  }
}

enum ShapleyResult {
  /// The array that an npy file holds.
  static let mainArray = "values"

  /// - Parameter record: without `result`.
  static func file(
    _ estimate: ShapleyEstimate, _ layout: ShapleyLayout, _ record: ResultRecord
  ) throws(CoalitionError) -> ResultFile {
    let arrays = try layout.arrays(estimate)
    var record = record
    record.result = summary(estimate)
    record.warnings += arrays.warnings
    var result = ResultFile(metadata: record.members, mainArray: mainArray)
    for input in layout.players?.names ?? [] {
      guard let tensor = arrays.attributions[input] else { continue }
      try result.append(layout.name("attributions", input), tensor)
    }
    try result.append("values", arrays.values)
    if let errors = arrays.errorEstimate {
      try result.append("error_estimate", errors)
    } else {
      try result.append("standard_errors", arrays.standardErrors)
    }
    if let interactions = arrays.interactions {
      try result.append("interactions", interactions)
    }
    if let errors = arrays.interactionErrors {
      try result.append("interaction_standard_errors", errors)
    }
    try result.append("output", arrays.output)
    try result.append("baseline_output", arrays.baselineOutput)
    try result.append("residual", arrays.residual)
    try result.append(
      "evaluations",
      Tensor(
        shape: arrays.output.shape, elements: .int64(arrays.evaluations.map { Int64($0) })))
    try layout.append(to: &result)
    return result
  }

  /// Counts, and what was decided on the way.
  static func summary(_ estimate: ShapleyEstimate) -> [JSONValue.Member] {
    [
      .init("examples", .integer(estimate.exampleCount)),
      .init("targets", .integer(estimate.targetCount)),
      .init("players", .integer(estimate.playerCount)),
      .init("evaluations", .integer(estimate.evaluations.reduce(0, +))),
      .init("evaluations-per-example", .integer(estimate.evaluations.max() ?? 0)),
      .init("samples", alike(estimate.samples.map { .integer($0) })),
      .init("replicates", alike(estimate.replicates.map { .integer($0) })),
      .init("stop-reason", alike(estimate.stops.map { .string($0?.rawValue ?? "unfinished") })),
      .init("moment-passes-per-example", .integer(estimate.momentPasses)),
      .init("sample-weights", .array(estimate.sampleWeights.map { .number($0) })),
      .init("estimator", .string(estimate.estimator.rawValue)),
      .init("choice", estimate.choice.map { .string($0) } ?? .null),
      .init("bias", estimate.bias.map { .string($0) } ?? .null),
    ]
  }

  /// One value for all examples where they are alike.
  private static func alike(_ values: [JSONValue]) -> JSONValue {
    guard let first = values.first else { return .null }
    return values.allSatisfy { $0 == first } ? first : .array(values)
  }

  /// The largest error of values by moments, in root mean squares of the values, that needs no warning.
  private static let trustedError = 0.25

  /// The largest residual of values by moments, as a share of what they add up to, that needs no warning.
  private static let trustedResidual = 0.25

  /// Residuals as shares of the score's change, or of what values amount to where they cancel out.
  private static func relativeResiduals(_ estimate: ShapleyEstimate) -> [Double] {
    let players = estimate.playerCount
    return estimate.residuals.enumerated().map { row, residual in
      let own = estimate.values[row * players..<(row + 1) * players]
      let (sum, size) = own.reduce((0.0, 0.0)) { ($0.0 + $1, $0.1 + abs($1)) }
      return residual == 0 ? 0 : abs(residual) / max(abs(sum + residual), size / 4)
    }
  }

  /// Scores whose values were compared with samples that are not known.
  private static func uncheckedScores(_ estimate: ShapleyEstimate) -> Int {
    estimate.relativeErrorEstimates.enumerated().count { row, error in
      error.isNaN && estimate.evaluations[row / estimate.targetCount] > MomentOptions.endEvaluations
    }
  }

  /// Samples that do not tell what they are off by.
  private static func withoutErrors(_ estimate: ShapleyEstimate) -> String? {
    let perExample = estimate.targetCount * estimate.playerCount
    let count = (0..<estimate.exampleCount).count { example in
      estimate.replicates[example] == 1
        && estimate.standardErrors[example * perExample..<(example + 1) * perExample]
          .contains { $0.isNaN }
    }
    guard !estimate.estimator.usesMoments, count > 0 else { return nil }
    let what =
      estimate.sampleWeights.isEmpty
      ? "standard errors are not known" : "samples are not drawn towards moments"
    return
      "\(what) for \(count) of \(estimate.exampleCount) examples: a single block of samples does not tell what "
      + "it is off by; give more --evaluations"
  }

  /// What a user should know about the numbers.
  static func warnings(_ estimate: ShapleyEstimate) -> [String] {
    var warnings: [String] = []
    let unknown = estimate.values.count { !$0.isFinite }
    if unknown > 0 {
      warnings.append(
        estimate.estimator.usesMoments
          ? "\(unknown) values are not known: moments overflow, or are undefined where a function has no value"
          : "\(unknown) values are not known: the samples do not suffice")
    }
    let doubtful = estimate.relativeErrorEstimates.filter { $0 > trustedError }
    if estimate.estimator.usesMoments, let most = doubtful.max() {
      let worst = Int(min(100 * most, 1e6).rounded())
      let advice =
        estimate.choice != nil
        ? "give more --evaluations"
        : estimate.playerCount <= 10
          ? "so few players have exact values (--estimator exact)"
          : "sample instead (shapley --estimator auto, explain --method shapley)"
      warnings.append(
        "values by moments are not to be trusted for \(doubtful.count) of "
          + "\(estimate.relativeErrorEstimates.count) explained scores: a small check says that they are off by up to "
          + "\(worst) % of their own size; \(advice)")
    }
    if estimate.estimator.usesMoments {
      let count = uncheckedScores(estimate)
      if count > 0 {
        warnings.append(
          "values by moments could not be checked for \(count) of \(estimate.relativeErrorEstimates.count) explained "
            + "scores, which are not finite for some coalitions")
      }
    }
    let incomplete = relativeResiduals(estimate).filter { $0 > trustedResidual }
    if estimate.estimator.usesMoments, let worst = incomplete.max() {
      let advice = estimate.estimator == .dasp ? "" : "take more --nodes, or "
      warnings.append(
        "values by moments miss up to \(Int(min(100 * worst, 1e6).rounded())) % of what they should add up to, for "
          + "\(incomplete.count) explained scores (`residual` has it): \(advice)sample instead")
    }
    if let unknown = withoutErrors(estimate) { warnings.append(unknown) }
    if let bias = estimate.bias {
      warnings.append("\(estimate.estimator.rawValue) estimates are biased: \(bias)")
    }
    return warnings
  }
}

// MARK: - Parts of a run

/// The partial sums of a shard, as a file that `merge` takes.
struct ShapleyPart {
  let path: String
  let shard: Shard
  let state: ShapleyState
  let options: ShapleyOptions
  let layout: ShapleyLayout
  /// Without what belongs to this shard.
  let metadata: JSONValue
  let targetCount: Int

  /// - Parameter record: without `result`.
  static func file(
    _ state: ShapleyState, _ game: any Game, _ layout: ShapleyLayout, _ record: ResultRecord
  ) throws(CoalitionError) -> ResultFile {
    var record = record
    record.result = [
      .init("examples", .integer(game.exampleCount)),
      .init("targets", .integer(game.targetCount)),
      .init("players", .integer(game.playerCount)),
      .init(
        "inputs",
        .object(
          zip(layout.players?.names ?? [], layout.players?.maps ?? []).map { input, map in
            .init(input, .array(map.shape.map { .integer($0) }))
          })),
    ]
    var result = ResultFile(metadata: record.members)
    for (name, tensor) in try state.arrays.sorted(by: { $0.key < $1.key }) {
      try result.append(ShapleyLayout.statePrefix + name, tensor)
    }
    try layout.append(to: &result)
    return result
  }

  /// - Throws: `invalidData` for a file that is no part of a run.
  init(reading path: String, memoryLimit: Int) throws(CoalitionError) {
    let file = try ResultFile(reading: path, memoryLimit: memoryLimit)
    do throws(CoalitionError) {
      try self.init(file, path: path)
    } catch {
      throw error.at(path)
    }
  }

  private init(_ file: ResultFile, path: String) throws(CoalitionError) {
    let metadata = file.metadata
    guard metadata["verb"]?.text == "shapley", let shard = metadata["run"]?["shard"],
      shard != .null
    else {
      throw CoalitionError(
        .invalidData, "not a part of a run", expected: "a file that shapley --shard I/N wrote",
        found: metadata["verb"]?.text.map { "a result of \($0)" })
    }
    func broken() -> CoalitionError {
      CoalitionError(.invalidData, "the part of a run is damaged")
    }
    func integer(_ value: JSONValue?) throws(CoalitionError) -> Int {
      guard case .integer(let number)? = value else { throw broken() }
      return number
    }
    let result = metadata["result"]
    let players = try integer(result?["players"])
    targetCount = try integer(result?["targets"])
    self.path = path
    self.metadata = metadata
    self.shard = try Shard(try integer(shard["index"]), of: try integer(shard["count"]))
    options = try ShapleyOptions(
      record: metadata["options"] ?? .null, seed: metadata["seed"] ?? .null)
    var state: [String: Tensor] = [:]
    var others: [String: Tensor] = [:]
    for (name, contents) in file.arrays {
      guard case .tensor(let tensor) = contents else { throw broken() }
      if name.hasPrefix(ShapleyLayout.statePrefix) {
        state[String(name.dropFirst(ShapleyLayout.statePrefix.count))] = tensor
      } else {
        others[name] = tensor
      }
    }
    self.state = try ShapleyState(state, targets: targetCount, players: players)
    guard case .object(let inputs)? = result?["inputs"] else { throw broken() }
    var layout = ShapleyLayout(playerCount: players)
    layout.target = others["target"]
    layout.hasTargetAxis = metadata["options"]?["target"]?.text == "all"
    layout.isSeveral = inputs.count > 1
    if !inputs.isEmpty {
      var maps: [String: Players] = [:]
      var shapes: [(name: String, shape: [Int])] = []
      for input in inputs {
        guard let map = others[layout.name("players", input.name)],
          case .array(let sizes) = input.value
        else { throw broken() }
        maps[input.name] = .map(map)
        shapes.append(
          (input.name, try sizes.map { size throws(CoalitionError) in try integer(size) }))
      }
      layout.players = try PlayerSet(maps, inputs: shapes)
    }
    self.layout = layout
  }
}
