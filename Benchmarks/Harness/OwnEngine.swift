// Coalition as one of the engines that take turns: what the harness asks of it, whatever the workload.

import Coalition
import CoalitionNet
import Foundation

/// Coalition at work on one workload. Rates are those of the public API, checks of the input included.
protocol OwnEngine {
  /// Units (examples, evaluations) per second over about `seconds`.
  func rate(threads: Int, seconds: Double) async throws -> Double
  /// The same for the network's passes alone, or its forward passes where units are passes of moments: nil where the workload adds nothing to them, or they are not asked for.
  func passRate(threads: Int, seconds: Double) async throws -> Double?
  /// The same for other ways to do the work, by name.
  func otherRates(threads: Int, seconds: Double) async throws -> [String: Double]
  /// What peers answer to `check`: for the examples of `Examples.check`, or those of the workload.
  func checkOutputs() async throws -> [Double]
  /// Variants in a tile of a run with `threads` threads.
  func lanes(threads: Int) -> Int
  /// Floating-point operations of one unit: two per multiply-add, taps on padding not counted.
  var operationsPerUnit: Double { get }
  /// nil where time per unit says it all.
  var unitsPerInput: Double? { get }
  /// The steps of the program in one thread: nil where a workload has no program of its own.
  func profile(instructionSet: InstructionSet) async throws -> EngineProfile?
}

extension OwnEngine {
  var unitsPerInput: Double? { nil }
  func passRate(threads: Int, seconds: Double) async throws -> Double? { nil }
  func otherRates(threads: Int, seconds: Double) async throws -> [String: Double] { [:] }
  func profile(instructionSet: InstructionSet) async throws -> EngineProfile? { nil }
}

/// The steps of a program; those of the forward pass come first.
struct EngineProfile {
  var steps: [StepProfile]
  var forwardStepCount: Int

  /// Operations per second of the steps behind the forward pass: nil when there are none.
  var backwardRate: Double? {
    let backward = steps[forwardStepCount...]
    guard !backward.isEmpty else { return nil }
    return backward.reduce(0) { $0 + $1.operations } / backward.reduce(0) { $0 + $1.seconds }
  }
}

/// How engines run.
struct EngineOptions {
  var instructionSet: InstructionSet
  /// Variants in a tile; nil: what the plan chooses.
  var lanes: Int?
  /// Of most measurements.
  var threads: Int
  /// Where the benchmarks' files are.
  var folder: URL

  func run(threads: Int) -> RunOptions {
    var options = RunOptions()
    options.threads = threads
    options.instructionSet = instructionSet
    options.lanes = lanes
    return options
  }
}

/// Repeats `turn`, which returns how many units it did, for about `seconds`: units per second.
func unitsPerSecond(
  _ seconds: Double, _ turn: () async throws -> Int
) async rethrows -> Double {
  let clock = ContinuousClock()
  let start = clock.now
  var units = 0
  while true {
    units += try await turn()
    let elapsed = (clock.now - start) / .seconds(1)
    if elapsed >= seconds { return Double(units) / elapsed }
  }
}

/// Inputs of networks.
enum Examples {
  /// Four examples x[i] = sin(0.1 i), i over the flat array: those of the peers' `check`.
  static func check(_ shape: [Int]) throws -> Tensor {
    let count = 4 * shape.reduce(1, *)
    return try Tensor(
      shape: [4] + shape, elements: .float32((0..<count).map { Float(sin(0.1 * Double($0))) }))
  }

  static func noise(_ count: Int, _ shape: [Int]) throws -> Tensor {
    var random = NormalNumbers(seed: 1)
    // One draw per element would take longer than the measurement: rows repeat.
    let period = (0..<8191).map { _ in Float(random.next()) }
    let elements = count * shape.reduce(1, *)
    return try Tensor(
      shape: [count] + shape,
      elements: .float32((0..<elements).map { period[$0 % period.count] }))
  }

  /// As many examples as take about a tenth of a second, in whole tiles of all threads; at most `limit`.
  static func comfortableCount(operations: Double, limit: Int) -> Int {
    let examples = min(max(Int(2e10 / max(operations, 1)), 1), limit)
    return (examples + 127) / 128 * 128
  }

  /// The batch that is done fastest, among `largest` and its fourth parts down to a thousand examples: peers take the
  /// best of theirs as well, and large ones come from main memory.
  /// - Parameter rate: units per second, with batches of so many.
  static func fastestBatch(
    upTo largest: Int, _ rate: (_ batch: Tensor) async throws -> Double, shape: [Int]
  ) async throws -> Tensor {
    var best: (batch: Tensor, rate: Double)?
    for count in sequence(first: largest, next: { $0 >= 4096 ? $0 / 4 : nil }) {
      let batch = try noise(count, shape)
      // The first turn meets cold memory.
      _ = try await rate(batch)
      let found = try await rate(batch)
      if found > best?.rate ?? 0 { best = (batch, found) }
    }
    guard let best else { throw CoalitionError(.internalFault, "no batch could be measured") }
    return best.batch
  }
}
