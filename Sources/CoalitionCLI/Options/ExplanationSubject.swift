// What the verbs that explain start from: a model, examples, the score, where attributions go, baselines and players.
//
// A verb reads its own options first, then this; with Execution and ResultRecord it has all that such verbs share.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

struct ExplanationSubject: Sendable {
  let file: ModelFile
  let arrays: InputArrays
  let explainer: Explainer
  let inputs: [String: Tensor]
  let examples: Int
  let target: Target
  let baselines: BaselineFlags
  let players: PlayerFlags
  /// What attributions are for, with the shapes of an example's attributions and of the example itself.
  let sources: [(name: String, shape: [Int], inputShape: [Int])]
  /// Bytes of the model and of all arrays.
  let held: Int
  private let runtime: RuntimeOptions
  private let flags: TargetFlags
  private let usesBaseline: Bool

  /// Reads everything that the shared options name.
  /// - Parameters:
  ///   - method: who asks, in words for the user.
  ///   - usesBaseline: whether examples are compared with a baseline.
  ///   - check: what can be said of the model before its examples are looked at.
  init(
    _ arguments: Arguments, _ runtime: RuntimeOptions, _ target: TargetFlags, method: String,
    usesBaseline: Bool, check: (ModelFile, Explainer) throws(CoalitionError) -> Void = { _, _ in }
  ) async throws(CoalitionError) {
    self.runtime = runtime
    self.usesBaseline = usesBaseline
    let left = { (held: Int) in max(0, runtime.memoryLimit - held) }
    file = try await ModelFile(path: arguments.positionals[0], memoryLimit: runtime.memoryLimit)
    arrays = try InputArrays(
      arguments, for: file, memoryLimit: runtime.memoryLimit - file.constantByteCount)
    var held = file.constantByteCount + arrays.byteCount

    var options = ExplainerOptions()
    try target.apply(to: &options, file.graph)
    options.plan.precision = runtime.precision
    options.plan.inputShapes = arrays.shapes
    options.plan.memoryLimit = left(held)
    explainer = try Explainer(try Model(file.graph, constants: arrays.constants), options)
    try check(file, explainer)

    inputs = try arrays.fitted(to: explainer.modelInputs)
    examples = InputArrays.count(inputs, in: explainer.modelInputs)
    var flags = target
    self.target = try flags.target(examples: examples, memoryLimit: left(held))
    self.flags = flags
    baselines = try BaselineFlags(
      arguments, for: explainer, method: method, isUsed: usesBaseline,
      preprocessing: arrays.preprocessing, memoryLimit: left(held))
    held += baselines.byteCount
    sources = explainer.sources.map { [explainer] source in
      (
        name: source.name, shape: explainer.attributionShape(of: source), inputShape: source.shape
      )
    }
    players = try PlayerFlags(
      arguments, inputs: sources.map { ($0.name, $0.shape) }, examples: examples,
      memoryLimit: left(held))
    if let given = players.players { held += Self.byteCount(given) }
    self.held = held
  }

  /// The players, every element by itself where none are given, and `held` with their bytes.
  func dividedPlayers() throws(CoalitionError) -> (players: PlayerSet, held: Int) {
    if let given = players.players { return (given, held) }
    let all = try explainer.players(examples: examples)
    return (all, held + Self.byteCount(all))
  }

  private static func byteCount(_ players: PlayerSet) -> Int {
    players.maps.reduce(0) { $0 + 4 * $1.ids.count }
  }

  /// For `options` of a result.
  var record: [JSONValue.Member] {
    [
      .init("precision", .string(runtime.precision.rawValue)), .init("players", players.record),
      .init("baseline", usesBaseline ? baselines.record(explainer.sources) : .null),
    ] + flags.record(scores: explainer.scores, sources: sources.map(\.name)) + arrays.record
  }
}
