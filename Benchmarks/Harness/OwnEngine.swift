// Coalition as one of the engines that take turns.

import Coalition
import CoalitionNet
import Foundation

/// A plan with an input of a convenient size. Rates are those of the public API, checks of the input included.
final class OwnEngine {
  private let plan: Plan
  private let inputShape: [Int]
  private let set: InstructionSet
  private let requestedLanes: Int?
  private var batch: Tensor
  private let inputName: String
  private let outputName: String

  init(
    _ plan: Plan, _ workload: Workload, _ set: InstructionSet, lanes: Int?
  ) async throws {
    self.plan = plan
    requestedLanes = lanes
    self.set = set
    inputShape = workload.inputShape
    inputName = plan.inputs[0].name
    outputName = plan.outputs[0].name
    batch = try Self.noise([1] + inputShape)
    // As many examples as take about a tenth of a second, in whole tiles of all threads.
    let operations = Double(max(plan.operationsPerExample, 1))
    let examples = min(max(Int(2e10 / operations), 1), 1 << 18)
    batch = try Self.noise([(examples + 127) / 128 * 128] + inputShape)
    _ = try await run(batch, threads: 1)
  }

  /// Examples in a tile of a run with `threads` threads.
  func lanes(threads: Int) -> Int {
    requestedLanes ?? plan.chooseLanes(examples: batch.shape[0], threads: threads)
  }

  private func run(_ input: Tensor, threads: Int) async throws -> Tensor {
    var options = RunOptions()
    options.threads = threads
    options.instructionSet = set
    options.lanes = requestedLanes
    let results = try await plan.run([inputName: input], options)
    guard let output = results[outputName] else {
      throw CoalitionError(.internalFault, "the plan has no output")
    }
    return output
  }

  /// Examples per second over about `seconds`.
  func rate(threads: Int, seconds: Double) async throws -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    var examples = 0
    while true {
      _ = try await run(batch, threads: threads)
      examples += batch.shape[0]
      let elapsed = (clock.now - start) / .seconds(1)
      if elapsed >= seconds { return Double(examples) / elapsed }
    }
  }

  /// The outputs for four examples x[i] = sin(0.1 i).
  func checkOutputs() async throws -> [Double] {
    try await run(try Self.checkInput(inputShape), threads: 1).doubles
  }

  func layers() throws -> [StepProfile] {
    let lanes = lanes(threads: 1)
    return try plan.profile(
      examples: lanes, lanes: lanes, instructionSet: set, repetitions: 20)
  }

  static func checkInput(_ shape: [Int]) throws -> Tensor {
    let count = 4 * shape.reduce(1, *)
    return try Tensor(
      shape: [4] + shape, elements: .float32((0..<count).map { Float(sin(0.1 * Double($0))) }))
  }

  private static func noise(_ shape: [Int]) throws -> Tensor {
    var random = NormalNumbers(seed: 1)
    // One draw per element would take longer than the measurement: rows repeat.
    let period = (0..<8191).map { _ in Float(random.next()) }
    let count = shape.reduce(1, *)
    return try Tensor(
      shape: shape, elements: .float32((0..<count).map { period[$0 % period.count] }))
  }
}
