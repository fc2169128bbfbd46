// One forward run with its forecast: work and memory by count, time by a short trial.

import Coalition
import CoalitionBase
import CoalitionNet

struct ForwardRun {
  struct Outcome {
    /// In the order of the plan's outputs.
    let tensors: [(name: String, tensor: Tensor)]
    let seconds: Double

    /// What a user should know about the numbers.
    var warnings: [String] {
      tensors.compactMap { name, tensor in
        guard tensor.firstNonFinite != nil else { return nil }
        let count = tensor.doubles.count { !$0.isFinite }
        return "\(name) holds \(count) values that are not finite"
      }
    }
  }

  let plan: Plan
  let examples: Int
  let execution: Execution
  private let inputs: [String: Tensor]
  private let memory: Plan.Memory
  /// Examples in a tile: as many as the memory that is allowed leaves room for.
  private let lanes: Int

  /// - Parameters:
  ///   - inputs: in shapes that the plan takes.
  ///   - held: bytes of the model's constants and of the arrays.
  /// - Throws: `memoryLimit` when the run will not fit into the memory that is allowed.
  init(
    _ plan: Plan, _ inputs: [String: Tensor], _ runtime: RuntimeOptions, held: Int
  ) throws(CoalitionError) {
    self.plan = plan
    self.inputs = inputs
    examples = InputArrays.count(inputs, in: plan.inputs)
    // The rows of the results are copied into arrays, and those into the bytes of a file.
    let results = plan.outputs.reduce(0) {
      $0 + $1.count * max($1.elementType.byteCount, plan.options.precision.byteCount)
    }
    let (copies, overflow) = results.multipliedReportingOverflow(by: 2 * max(examples, 1))
    guard !overflow else {
      throw CoalitionError(.limitExceeded, "so many examples do not fit into memory")
    }
    execution = try Execution(runtime, held: [held, copies].saturatingSum)
    lanes = plan.chooseLanes(
      examples: examples, threads: execution.threads, within: execution.options.memoryLimit)
    memory = try plan.memory(examples: examples, lanes: lanes, threads: execution.threads)
    try runtime.check(memory: [execution.held, memory.total].saturatingSum)
  }

  var warnings: [String] {
    guard examples > 1, case .oneByOne(let node) = plan.batching else { return [] }
    let reason = node.map { "\($0) mixes them" } ?? "an input has no axis for them"
    return ["examples run one by one: \(reason)"]
  }

  /// Runs all examples.
  func outputs() async throws(CoalitionError) -> Outcome {
    let (tensors, seconds) = try await execution.watched(examples, "examples") {
      options throws(CoalitionError) in
      var options = options
      options.lanes = lanes
      return try await plan.run(inputs, options)
    }
    return Outcome(
      tensors: plan.outputs.compactMap { output in
        tensors[output.name].map { (output.name, $0) }
      }, seconds: seconds)
  }

  // MARK: Forecast

  /// What the run would need. Nothing of it is run but a short trial on zeros.
  func forecast() async throws(CoalitionError) -> String {
    let (work, overflow) = try plan.multiplyAdds.multipliedReportingOverflow(by: examples)
    let trial = try await trial()
    let seconds = trial.seconds / Double(trial.examples) * Double(examples)
    return """
      examples         \(Numbers.grouped(examples))
      multiply-adds    \(overflow ? "too many to count" : Numbers.grouped(work))
      memory           \(Numbers.bytes(execution.held + memory.total)) of \(Numbers.bytes(execution.runtime.memoryLimit)) allowed
      threads          \(execution.threads)
      instruction set  \(execution.instructionSet.rawValue)
      time             about \(Numbers.seconds(seconds)) (\(trial.examples) examples of zeros took \
      \(Numbers.seconds(trial.seconds)))

      """
  }

  /// The fastest of a few runs on zeros, with as many examples as keep all threads busy for a tile.
  private func trial() async throws(CoalitionError) -> (examples: Int, seconds: Double) {
    let threads = execution.threads
    let count = max(1, min(examples, lanes * threads))
    var zeros: [String: Tensor] = [:]
    for input in plan.inputs {
      zeros[input.name] = try Tensor(
        shape: [count] + input.shape,
        elements: .float32([Float](repeating: 0, count: count * input.count)))
    }
    var options = execution.options
    options.lanes = lanes
    var best = Double.infinity
    var spent = 0.0
    // The first run also packs weights and starts threads.
    for attempt in 0..<12 where attempt < 2 || spent < 0.1 {
      let start = ContinuousClock().now
      _ = try await plan.run(zeros, options)
      let seconds = start.duration(to: ContinuousClock().now).seconds
      spent += seconds
      best = min(best, seconds)
    }
    return (count, best)
  }
}

extension Plan {
  /// Multiply-adds of convolutions and dense layers for one example: the number that `inspect` prints.
  var multiplyAdds: Int {
    get throws(CoalitionError) {
      var graph = model.graph
      graph.outputs = outputs.map { Port($0.name, shape: nil) }
      return try ModelSummary(
        graph, inputShapes: options.inputShapes, memoryLimit: options.memoryLimit
      ).multiplyAdds
    }
  }
}
