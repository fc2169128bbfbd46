// Whose values `coalition shapley` estimates: the players of a model's inputs, or those of an outside program.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

/// A game with what results say of it.
struct ShapleySubject: Sendable {
  let game: any Game
  /// The outside program, which ends with the run.
  private(set) var program: ProcessGame?
  /// For metadata.
  let model: JSONValue
  let options: [JSONValue.Member]
  let layout: ShapleyLayout
  private(set) var warnings: [String] = []
  private(set) var paths: [JSONValue.Member] = []
  /// Bytes in use besides those of the run.
  private(set) var held = 0
  /// Bytes of programs and their arenas.
  private(set) var programBytes = 0
  private var arrays: InputArrays?
  private var explainer: Explainer?

  /// An outside program.
  init(_ flags: GameFlags) {
    game = flags.game
    program = flags.game
    model = .null
    options = flags.record
    layout = ShapleyLayout(playerCount: flags.game.playerCount)
  }

  /// A model: everything is read and checked, and the target of each example is found.
  init(
    _ arguments: Arguments, _ target: TargetFlags, _ runtime: RuntimeOptions, _ run: RunOptions
  ) async throws(CoalitionError) {
    let file = try await ModelFile(
      path: arguments.positionals[0], memoryLimit: runtime.memoryLimit)
    let arrays = try InputArrays(
      arguments, for: file, memoryLimit: runtime.memoryLimit - file.constantByteCount)
    var held = file.constantByteCount + arrays.byteCount
    var target = target
    var options = ExplainerOptions()
    try target.apply(to: &options, file.graph)
    options.plan.precision = runtime.precision
    options.plan.inputShapes = arrays.shapes
    options.plan.memoryLimit = max(0, runtime.memoryLimit - held)
    let explainer = try Explainer(
      try Model(file.graph, constants: arrays.constants), options)
    let inputs = try arrays.fitted(to: explainer.modelInputs)
    let examples = InputArrays.count(inputs, in: explainer.modelInputs)
    let chosen = try target.target(
      examples: examples, memoryLimit: max(0, runtime.memoryLimit - held))
    let baselines = try BaselineFlags(
      arguments, for: explainer, method: "shapley", isUsed: true,
      preprocessing: arrays.preprocessing, memoryLimit: max(0, runtime.memoryLimit - held))
    held += baselines.byteCount
    let explained: [(name: String, shape: [Int])] = explainer.sources.map {
      ($0.name, explainer.attributionShape(of: $0))
    }
    let players = try PlayerFlags(
      arguments, inputs: explained, examples: examples,
      memoryLimit: max(0, runtime.memoryLimit - held))
    let set: PlayerSet
    if let given = players.players {
      set = given
    } else {
      set = try PlayerSet(inputs: explained, examples: examples)
    }
    held += set.maps.reduce(0) { $0 + 4 * $1.ids.count }
    let targets = chosen == .all ? max(1, explainer.scoreShape.reduce(1, *)) : 1
    held += try Self.resultBytes(
      examples: examples, targets: targets, players: set.playerCount,
      elements: explained.reduce(0) { $0 + $1.shape.reduce(1, *) })
    let threads = try Plan.threads(runtime.threads)
    let lanes = explainer.forward.chooseLanes(examples: 1 << 20, threads: threads)
    let memory = try explainer.forward.memory(examples: 1, lanes: lanes, threads: threads)
    programBytes = memory.constants + memory.arenas
    try runtime.check(memory: held + programBytes)

    var run = run
    run.memoryLimit = max(0, runtime.memoryLimit - held)
    do throws(CoalitionError) {
      let (game, described) = try await explainer.game(
        inputs, players: set, target: chosen, baselines: baselines.baselines,
        run)
      self.game = game
      layout = ShapleyLayout(
        playerCount: set.playerCount, players: set, isSeveral: explained.count > 1,
        hasTargetAxis: chosen == .all, target: described)
    } catch {
      if error.code == .notFinite, let place = arrays.notFinite(in: explainer.modelInputs) {
        throw place
      }
      throw error
    }
    model = file.record
    self.options =
      [
        .init("precision", .string(runtime.precision.rawValue)),
        .init("players", players.record),
        .init("baseline", baselines.record(explainer.sources)),
      ] + target.record(scores: explainer.scores, sources: explainer.sources.map(\.name))
      + arrays.record
    warnings = baselines.warnings
    paths = [.init("input", arrays.pathRecord)]
    self.held = held
    self.arrays = arrays
    self.explainer = explainer
  }

  /// Values and errors of an estimate and of the results that are made from it.
  private static func resultBytes(
    examples: Int, targets: Int, players: Int, elements: Int
  ) throws(CoalitionError) -> Int {
    var bytes = 8
    for factor in [max(examples, 1), targets, 6 * players + 3 * elements] {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: factor)
      guard !overflow else {
        throw CoalitionError(.limitExceeded, "so many values do not fit into memory")
      }
      bytes = product
    }
    return bytes
  }

  /// The same error, about the file whose numbers are to blame.
  func explained(_ error: CoalitionError) -> CoalitionError {
    guard error.code == .notFinite, let arrays, let explainer else { return error }
    return arrays.notFinite(in: explainer.modelInputs) ?? error
  }
}
