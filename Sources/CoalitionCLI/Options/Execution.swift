// How the runs of a verb are executed: threads, instruction set, the memory that is left to them, and progress.

import Coalition
import CoalitionBase
import CoalitionNet

struct Execution: Sendable {
  let runtime: RuntimeOptions
  let threads: Int
  let instructionSet: InstructionSet
  /// Bytes in use besides those of programs: the model, the arrays that were read, the results.
  let held: Int

  init(_ runtime: RuntimeOptions, held: Int) throws(CoalitionError) {
    self.runtime = runtime
    self.held = held
    threads = try Plan.threads(runtime.threads)
    instructionSet = try InstructionSet.selected()
  }

  /// For a run without progress.
  var options: RunOptions {
    var options = RunOptions()
    options.threads = threads
    options.instructionSet = instructionSet
    options.memoryLimit = max(0, runtime.memoryLimit - held)
    return options
  }

  /// Runs `body` and reports how far it has come.
  /// - Parameters:
  ///   - total: what `body` counts up to.
  ///   - unit: what is counted, for people.
  func watched<Value: Sendable>(
    _ total: Int, _ unit: String,
    _ body: (RunOptions) async throws(CoalitionError) -> Value
  ) async throws(CoalitionError) -> (value: Value, seconds: Double) {
    var options = options
    let progress = RunProgress()
    options.progress = progress
    let watched = options
    return try await reported(total, unit, { progress.examplesDone }) {
      () throws(CoalitionError) in
      try await body(watched)
    }
  }

  /// The same for work that `body` counts.
  func counted<Value: Sendable>(
    _ total: Int, _ unit: String,
    _ body: (WorkCount) async throws(CoalitionError) -> Value
  ) async throws(CoalitionError) -> (value: Value, seconds: Double) {
    let count = WorkCount(total: total)
    return try await reported(total, unit, { count.done }) { () throws(CoalitionError) in
      try await body(count)
    }
  }

  private func reported<Value: Sendable>(
    _ total: Int, _ unit: String, _ count: @escaping @Sendable () -> Int,
    _ body: () async throws(CoalitionError) -> Value
  ) async throws(CoalitionError) -> (value: Value, seconds: Double) {
    let report = ProgressReport(of: total, unit: unit, style: runtime.progress, count: count)
    let start = ContinuousClock().now
    let result: Result<Value, CoalitionError>
    do throws(CoalitionError) {
      result = .success(try await body())
    } catch {
      result = .failure(error)
    }
    await report.stop()
    return (try result.get(), start.duration(to: ContinuousClock().now).seconds)
  }
}
