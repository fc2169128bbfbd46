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
  /// Bytes of the program for passes over coalitions, and of its arenas.
  private(set) var programBytes = 0
  /// What the command line says of a model.
  private var explained: ExplanationSubject?

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
    _ arguments: Arguments, _ target: TargetFlags, _ runtime: RuntimeOptions
  ) async throws(CoalitionError) {
    let explained = try await ExplanationSubject(
      arguments, runtime, target, method: "shapley", usesBaseline: true)
    let explainer = explained.explainer
    let (set, bytes) = try explained.dividedPlayers()
    var held = bytes
    let targets = explained.target == .all ? max(1, explainer.scoreShape.reduce(1, *)) : 1
    held += try Self.resultBytes(
      examples: explained.examples, targets: targets, players: set.playerCount,
      elements: explained.sources.reduce(0) { $0 + $1.shape.reduce(1, *) })
    let execution = try Execution(runtime, held: held)
    programBytes = explainer.forward.programByteCount(
      examples: 1 << 14, threads: execution.threads, within: execution.options.memoryLimit)
    try runtime.check(memory: held + programBytes)

    let (game, described) = try await explained.arrays.locatingNotFinite(
      in: explainer.modelInputs
    ) { () throws(CoalitionError) in
      try await explainer.game(
        explained.inputs, players: set, target: explained.target,
        baselines: explained.baselines.baselines, execution.options)
    }
    self.game = game
    layout = ShapleyLayout(
      playerCount: set.playerCount, players: set, isSeveral: explained.sources.count > 1,
      hasTargetAxis: explained.target == .all, target: described)
    model = explained.file.record
    options = explained.record
    warnings = explained.baselines.warnings
    paths = [.init("input", explained.arrays.pathRecord)]
    self.held = held
    self.explained = explained
  }

  /// Bytes of the programs and arenas of a run.
  func programBytes(
    of run: ShapleyRun, _ execution: Execution
  ) throws(CoalitionError) -> Int {
    guard run.togglesPlayers, let plan = try (game as? MaskedGame)?.togglePlan() else {
      return programBytes
    }
    let toggles = plan.byteCount(
      variants: 1 << 14, threads: execution.threads, within: execution.options.memoryLimit)
    return programBytes + toggles
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

  /// Runs `body`. When it finds a number that is not finite, the error says in which file and example.
  func locatingNotFinite(
    _ body: () async throws(CoalitionError) -> Void
  ) async throws(CoalitionError) {
    guard let explained else { return try await body() }
    try await explained.arrays.locatingNotFinite(in: explained.explainer.modelInputs, body)
  }
}
