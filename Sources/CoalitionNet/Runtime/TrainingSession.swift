// A training session: a model whose parameters change from batch to batch.

package import CoalitionBase
import CLanes
import Synchronization

/// Examples that batches are made of.
package struct TrainingRows: Sendable {
  package var tensor: Tensor
  /// Per example its row: nil when every example has its own, in order.
  package var rowOf: [Int32]?

  package init(_ tensor: Tensor, rowOf: [Int32]? = nil) {
    self.tensor = tensor
    self.rowOf = rowOf
  }
}

/// A program that trains, with the parameters as they are so far. Batches run one after the other.
package final class TrainingSession: Sendable {
  /// Numbers that are trained.
  package let parameterCount: Int
  /// The steps of the program, without times.
  private let steps: [StepProfile]
  private let options: RunOptions
  private let program: Program
  private let plan: TrainingProgram
  private let state: Mutex<TrainingState>

  /// - Parameters:
  ///   - model: with `payoff` among its values, one number per example whose mean is to become large.
  ///   - rows: of every input.
  ///   - batch: the most examples of a batch. How a batch is cut into tiles, and so the order of its sums, follows from
  ///     it alone.
  /// - Throws: `unsupported` for models that mix examples or have no parameters, `memoryLimit`.
  package init(
    _ model: Model, payoff: String, rows: [String: TrainingRows], batch: Int, rule: UpdateRule,
    _ planOptions: PlanOptions, _ options: RunOptions
  ) throws(CoalitionError) {
    let plain = try Self.analysis(model, planOptions) { $0 }
    let numbers = try ParameterNumbers(plain)
    let analysis = try Self.analysis(model, planOptions, numbers.numbered)
    let draft = try TrainingMode.draft(analysis, numbers, payoff: payoff)
    parameterCount = draft.notes.numbers.parameters.reduce(0) { $0 + $1.count }
    steps = draft.draft.steps.indices.map { step in
      StepProfile(
        node: draft.draft.labels[step], summary: draft.draft.steps[step].summary,
        operations: Double(draft.draft.steps[step].operations), seconds: .infinity)
    }
    self.options = options
    let lanes = options.lanes ?? Self.lanes(batch: batch)
    // Sums over examples are made in tiles of lanes: one lane has none.
    guard lanes > 0, lanes % Int(LN_LANE_UNIT) == 0, lanes <= Int(LN_LANE_LIMIT) else {
      throw CoalitionError(
        .usage, "training takes tiles of several examples",
        expected: "a multiple of \(LN_LANE_UNIT) lanes, at most \(LN_LANE_LIMIT)",
        found: "\(lanes)")
    }
    let precision = planOptions.precision
    program = try Program(
      draft.draft, ArenaPlan(draft.draft), lanes: lanes, precision: precision, store: nil)
    plan = try TrainingProgram(draft, lanes: lanes, batch: batch)
    // Inputs of another type are held in the program's as well.
    let converted = rows.values.reduce(0) { sum, given in
      let isOwn = given.tensor.elementType == (precision == .single ? .float32 : .float64)
      return sum + (isOwn ? 0 : given.tensor.count * precision.byteCount)
    }
    let bytes =
      program.constantByteCount + plan.byteCount(precision, rule, parameters: parameterCount)
      + converted + program.arenaByteCount
      * max(try Plan.threads(options.threads), plan.tiles(batch))
    guard bytes <= options.memoryLimit else {
      throw CoalitionError(
        .memoryLimit, "training needs more memory than allowed",
        expected: "at most \(options.memoryLimit) bytes", found: "\(bytes)")
    }
    var inputs: [(rows: SlotRows, rowOf: [Int32]?)] = []
    for port in analysis.graph.inputs {
      guard let given = rows[port.name] else {
        throw CoalitionError(.usage, "the input is not given", node: port.name)
      }
      inputs.append((SlotRows(given.tensor, precision), given.rowOf))
    }
    state = Mutex(
      try TrainingState(
        plan, program, inputs: inputs, constants: plain.graph.constants, rule: rule))
  }

  private static func analysis(
    _ model: Model, _ options: PlanOptions, _ change: (Graph) -> Graph
  ) throws(CoalitionError) -> Analysis {
    let (analysis, batching) = try model.analysed(
      options.inputShapes, memoryLimit: options.memoryLimit
    ) { change($0.preparedForTraining()) }
    if case .oneByOne(let node) = batching {
      throw CoalitionError(
        .unsupported, "the model cannot take several examples at a time, as training does",
        node: node)
    }
    return analysis
  }

  /// A batch is cut into a few tiles: wide ones use each weight more often.
  package static func lanes(batch: Int) -> Int {
    batch >= 256 ? 64 : batch >= 64 ? 32 : 16
  }

  /// Trains on batches, in their order.
  /// - Parameters:
  ///   - batches: numbers of examples.
  ///   - round: with the seed and the example's number, decides what dropouts drop.
  /// - Returns: per batch the mean loss, minus the payoff, before the step.
  /// - Throws: `notFinite` for inputs or a loss that are not, `cancelled` when the task is.
  package func train(
    on batches: [[Int32]], rule: UpdateRule, seed: UInt64, round: Int
  ) async throws(CoalitionError) -> [Double] {
    let set: InstructionSet
    if let chosen = options.instructionSet { set = chosen } else { set = try .selected() }
    let threads = try Plan.threads(options.threads)
    let control = options.progress?.control ?? CallControl()
    let run = TrainingRun(
      threads: threads, instructionSet: set, control: control, rule: rule, seed: seed,
      round: UInt64(round))
    let result = await withTaskCancellationHandler {
      await Engine.shared.run { [self] in
        state.withLock { state in
          Result { () throws(CoalitionError) in
            var losses: [Double] = []
            for batch in batches { losses.append(try state.step(batch, plan, program, run)) }
            return losses
          }
        }
      }
    } onCancel: {
      control.cancel()
    }
    return try result.get()
  }

  /// The shortest time of every step of the program in one thread, over a batch. Nothing changes.
  package func profile(
    _ batch: [Int32], instructionSet: InstructionSet, repetitions: Int
  ) throws(CoalitionError) -> [StepProfile] {
    let run = TrainingRun(
      threads: 1, instructionSet: instructionSet, control: CallControl(),
      rule: UpdateRule(.sgd, rate: 0), seed: 0, round: 0)
    let result = state.withLock { state in
      Result { () throws(CoalitionError) in
        var profile = steps
        for step in profile.indices { profile[step].operations *= Double(batch.count) }
        for _ in 0..<repetitions {
          let seconds = try state.profile(batch, plan, program, run)
          for (step, time) in seconds.enumerated() {
            profile[step].seconds = min(profile[step].seconds, time)
          }
        }
        return profile
      }
    }
    return try result.get()
  }

  /// Parameters and running statistics as they are, by the names of the graph's constants.
  package func constants() -> [String: Tensor] {
    state.withLock { $0.constants }
  }
}

extension Graph {
  /// The graph in the form that training takes it in, and leaves it in.
  package func preparedForTraining() -> Graph {
    withoutDeadNodes().liftingConstants().withUnitScales()
  }
}
