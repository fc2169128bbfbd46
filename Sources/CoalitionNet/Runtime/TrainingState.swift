// The state of a training session, and what a step does to it.

import CoalitionBase

/// How steps are run.
struct TrainingRun: Sendable {
  var threads: Int
  var instructionSet: InstructionSet
  var control: CallControl
  var rule: UpdateRule
  var seed: UInt64
  var round: UInt64
}

struct TrainingState: Sendable {
  private let memory: TrainingMemory
  private let inputs: [(rows: SlotRows, rowOf: [Int32]?)]
  private let precision: Precision
  /// Running means and variances by the names of their constants.
  private var statistics: [String: [Double]] = [:]
  private var call: ProgramCall
  private var steps = 0
  private var isPacked = false

  init(
    _ plan: TrainingProgram, _ program: Program,
    inputs: [(rows: SlotRows, rowOf: [Int32]?)], constants: [String: Tensor], rule: UpdateRule
  ) throws(CoalitionError) {
    self.inputs = inputs
    precision = program.precision
    var parameters: [ParameterMemory] = []
    for (index, parameter) in plan.notes.numbers.parameters.enumerated() {
      guard let tensor = constants[parameter.name] else {
        throw CoalitionError(.internalFault, "a parameter is no constant", node: parameter.name)
      }
      parameters.append(
        try ParameterMemory(
          tensor, name: parameter.name, plan.notes.sources.filter { $0.parameter == index },
          precision, rule))
    }
    var blocks: [BlockMemory] = []
    for block in plan.blocks {
      blocks.append(
        try BlockMemory(
          block, parameters[block.parameter], packed: program.block(block.constant), precision))
    }
    memory = TrainingMemory(parameters: parameters, blocks: blocks, precision: precision)
    for joint in plan.notes.joints {
      guard case .statistics(let running) = joint.kind else { continue }
      for name in [running.mean, running.variance] {
        guard let tensor = constants[name], statistics[name] == nil,
          !parameters.contains(where: { $0.name == name })
        else {
          throw CoalitionError(
            .unsupported, "a batch normalisation is trained with statistics of its own",
            node: name, expected: "constants that nothing else uses")
        }
        statistics[name] = tensor.doubles
      }
    }
    call = ProgramCall(
      inputs: [],
      outputs: plan.notes.slots.indices.map { [precision] in plan.result($0, precision) },
      examples: 0)
  }

  var constants: [String: Tensor] {
    var result = statistics.mapValues { Tensor(.float64($0)) }
    for parameter in memory.parameters { result[parameter.name] = parameter.tensor(precision) }
    return result
  }

  /// Trains on one batch.
  /// - Returns: the mean loss before the step.
  mutating func step(
    _ batch: [Int32], _ plan: TrainingProgram, _ program: Program, _ run: TrainingRun
  ) throws(CoalitionError) -> Double {
    prepare(batch, plan, run)
    let count = batch.count
    for (index, phase) in plan.phases.enumerated() {
      let outcome = try program.run(
        &call, threads: run.threads, instructionSet: run.instructionSet, control: run.control,
        part: Program.Part(
          steps: phase, keepsTiles: plan.phases.count > 1, isLast: index == plan.phases.count - 1))
      switch outcome {
      case .finished: break
      case .cancelled: throw CoalitionError(.cancelled, "the training was cancelled")
      case .notFinite: throw CoalitionError(.notFinite, "an example is not finite")
      }
      if index < plan.notes.joints.count { meet(plan.notes.joints[index], program, count) }
    }
    let payoffs = Tensor(call.outputs[TrainingMode.payoffSlot].elements).doubles.prefix(count)
    let loss = -payoffs.reduce(0, +) / Double(count)
    guard loss.isFinite else {
      throw CoalitionError(
        .notFinite, "the loss is no longer finite: a smaller learning rate may help",
        found: "\(loss) at step \(steps + 1)")
    }
    steps += 1
    memory.update(&call.outputs, plan, examples: count, step: steps, run)
    return loss
  }

  /// Seconds of every step of the program over a batch.
  mutating func profile(
    _ batch: [Int32], _ plan: TrainingProgram, _ program: Program, _ run: TrainingRun
  ) throws(CoalitionError) -> [Double] {
    prepare(batch, plan, run)
    return try program.profile(&call, instructionSet: run.instructionSet)
  }

  /// Fills the call with the rows of a batch.
  private mutating func prepare(_ batch: [Int32], _ plan: TrainingProgram, _ run: TrainingRun) {
    if !isPacked {
      memory.repack(run)
      isPacked = true
    }
    let count = batch.count
    call.examples = count
    call.segments = (0..<count).map { Int32($0 / TrainingProgram.segmentLength) }
    call.weights = [Double](repeating: 1, count: count)
    call.inputs = inputs.map { input in
      input.rows.rows(input.rowOf.map { rowOf in batch.map { rowOf[Int($0)] } } ?? batch)
    }
    // The loss is minus the payoff.
    call.inputs.append(
      SlotRows(
        Tensor(.float64([-1 / Double(count)])), precision,
        rowOf: [Int32](repeating: 0, count: count)))
    if plan.notes.dropoutCount > 0 { call.inputs.append(Self.keys(batch, run)) }
  }

  /// Two words per example.
  private static func keys(_ batch: [Int32], _ run: TrainingRun) -> SlotRows {
    var words: [Int32] = []
    words.reserveCapacity(2 * batch.count)
    for example in batch {
      var random = CounterRandom(
        seed: run.seed, purpose: .dropout, index: run.round << 32 | UInt64(UInt32(example)))
      let key = random.next()
      words.append(Int32(truncatingIfNeeded: key))
      words.append(Int32(truncatingIfNeeded: key >> 32))
    }
    return SlotRows(words: words)
  }

  /// Makes the numbers of the batch that the program goes on with.
  private mutating func meet(_ joint: BatchJoint, _ program: Program, _ examples: Int) {
    let rows = joint.slots.map { Tensor(call.outputs[$0].elements).doubles }
    var results = [[Double]](repeating: [], count: 2)
    for channel in 0..<joint.channels {
      func mean(_ number: (Int) -> Double) -> Double {
        let places = stride(from: channel, to: examples * joint.channels, by: joint.channels)
        return places.reduce(0) { $0 + number($1) } / Double(examples)
      }
      let first = mean { rows[0][$0] }
      results[0].append(first)
      switch joint.kind {
      case .means: results[1].append(mean { rows[1][$0] })
      case .statistics:
        results[1].append(
          mean { rows[1][$0] + (rows[0][$0] - first) * (rows[0][$0] - first) })
      }
    }
    if case .statistics(let running) = joint.kind {
      remember(results, running, examples)
      results[1] = results[1].map { 1 / ($0 + running.epsilon).squareRoot() }
    }
    for (block, numbers) in zip(joint.blocks, results) {
      switch precision {
      case .single: program.block(block).fill(numbers.map { Float($0) })
      case .double: program.block(block).fill(numbers)
      }
    }
  }

  /// Running statistics follow those of the batch; the variance as estimated for all data, n / (n - 1) of the batch's.
  private mutating func remember(
    _ batch: [[Double]], _ running: RunningStatistics, _ examples: Int
  ) {
    let count = Double(examples * running.positions)
    let unbiased = count > 1 ? count / (count - 1) : 1
    for (name, numbers, factor) in [
      (running.mean, batch[0], 1), (running.variance, batch[1], unbiased),
    ] {
      guard let old = statistics[name], old.count == numbers.count else { continue }
      statistics[name] = zip(old, numbers).map {
        running.momentum * $0 + (1 - running.momentum) * $1 * factor
      }
    }
  }
}
