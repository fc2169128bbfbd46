// The forward pass of a network, examples in bulk.

import Coalition
import CoalitionNet

final class ForwardEngine: OwnEngine {
  private let plan: Plan
  private let options: EngineOptions
  private let inputShape: [Int]
  private var batch: Tensor

  /// - Parameter convolvesDirectly: without minimal filtering.
  init(
    _ network: Network, convolvesDirectly: Bool, _ options: EngineOptions
  ) async throws {
    var planning = PlanOptions()
    planning.convolvesDirectly = convolvesDirectly
    plan = try Plan(Model(network.graph), planning)
    self.options = options
    inputShape = network.inputShape
    let count = Examples.comfortableCount(
      operations: Double(plan.operationsPerExample), limit: 1 << 18)
    batch = try Examples.noise(1, inputShape)
    batch = try await Examples.fastestBatch(
      upTo: count, { try await rate($0, threads: options.threads, seconds: 0.15) },
      shape: inputShape)
  }

  private func outputs(_ input: Tensor, threads: Int) async throws -> Tensor {
    let results = try await plan.run([plan.inputs[0].name: input], options.run(threads: threads))
    guard let output = results[plan.outputs[0].name] else {
      throw CoalitionError(.internalFault, "the plan has no output")
    }
    return output
  }

  var operationsPerUnit: Double { Double(plan.operationsPerExample) }

  func lanes(threads: Int) -> Int {
    options.lanes ?? plan.chooseLanes(examples: batch.shape[0], threads: threads)
  }

  func rate(threads: Int, seconds: Double) async throws -> Double {
    try await rate(batch, threads: threads, seconds: seconds)
  }

  private func rate(_ batch: Tensor, threads: Int, seconds: Double) async throws -> Double {
    try await unitsPerSecond(seconds) {
      _ = try await outputs(batch, threads: threads)
      return batch.shape[0]
    }
  }

  func checkOutputs() async throws -> [Double] {
    try await outputs(try Examples.check(inputShape), threads: 1).doubles
  }

  func profile(instructionSet: InstructionSet) throws -> EngineProfile? {
    let lanes = lanes(threads: 1)
    let steps = try plan.profile(
      examples: lanes, lanes: lanes, instructionSet: instructionSet, repetitions: 20)
    return EngineProfile(steps: steps, forwardStepCount: steps.count)
  }
}
