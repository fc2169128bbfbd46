// Attributions of output 0 by a gradient method, from a zero baseline.

import Coalition
import CoalitionNet

final class ExplanationEngine: OwnEngine {
  private let explainer: Explainer
  private let method: GradientMethod
  private let program: ReversePlan
  private let options: EngineOptions
  private let input: Plan.Value
  private var batch: Tensor
  /// Passes per example.
  private let evaluations: Int

  /// - Parameter examples: explained in one call; nil: the batch that is done fastest.
  init(
    _ network: Network, _ method: GradientMethod, examples: Int?, _ options: EngineOptions
  ) async throws {
    explainer = try Explainer(Model(network.graph))
    self.method = method
    self.options = options
    program = try explainer.reversePlan(method)
    input = program.inputs[0]
    if case .integratedGradients(let steps, _) = method {
      evaluations = steps
    } else {
      evaluations = 1
    }
    let operations = Double(program.operationsPerExample * evaluations)
    let count: Int
    if let examples {
      count = examples
    } else if evaluations == 1 {
      count = Examples.comfortableCount(operations: operations, limit: 1 << 14)
    } else {
      // The steps of a few paths fill the tiles of all threads.
      count = min(max(Int(2e10 / operations), 4), 1 << 10)
    }
    batch = try Examples.noise(count, network.inputShape)
    guard examples == nil else {
      _ = try await attributions(batch, threads: 1)
      return
    }
    batch = try await Examples.fastestBatch(
      upTo: count, { try await rate($0, threads: options.threads, seconds: 0.15) },
      shape: network.inputShape)
  }

  private func attributions(_ examples: Tensor, threads: Int) async throws -> Tensor {
    let explanation = try await explainer.explain(
      [input.name: examples], by: method, target: .index([0]), options.run(threads: threads))
    guard let attributions = explanation.attributions[input.name] else {
      throw CoalitionError(.internalFault, "the input has no attributions", node: input.name)
    }
    return attributions
  }

  var operationsPerUnit: Double { Double(program.operationsPerExample * evaluations) }

  func lanes(threads: Int) -> Int {
    options.lanes
      ?? program.chooseLanes(examples: batch.shape[0] * evaluations, threads: threads)
  }

  func rate(threads: Int, seconds: Double) async throws -> Double {
    try await rate(batch, threads: threads, seconds: seconds)
  }

  private func rate(_ batch: Tensor, threads: Int, seconds: Double) async throws -> Double {
    try await unitsPerSecond(seconds) {
      _ = try await attributions(batch, threads: threads)
      return batch.shape[0]
    }
  }

  func checkOutputs() async throws -> [Double] {
    try await attributions(try Examples.check(input.shape), threads: 1).doubles
  }

  func profile(instructionSet: InstructionSet) async throws -> EngineProfile? {
    let lanes = lanes(threads: 1)
    let zeros = [Int32](repeating: 0, count: lanes)
    var work = ReversePlan.Work(examples: lanes)
    work.inputs = [input.name: try Examples.noise(lanes, input.shape)]
    let scores = program.target.count
    work.seeds = [
      try Tensor(shape: [1, scores], elements: .float64((0..<scores).map { $0 == 0 ? 1 : 0 }))
    ]
    work.seedOf = zeros
    work.baselines = [
      input.name: try Tensor(
        shape: [1] + input.shape, elements: .float32([Float](repeating: 0, count: input.count)))
    ]
    work.baselineOf = zeros
    work.alphas = [Double](repeating: 0.5, count: lanes)
    work.groupOf = [Int](repeating: 0, count: lanes)
    work.weights = [Double](repeating: 1, count: lanes)
    let steps = try await program.profile(
      work, lanes: lanes, instructionSet: instructionSet, repetitions: 5)
    return EngineProfile(steps: steps, forwardStepCount: program.forwardStepCount)
  }
}
