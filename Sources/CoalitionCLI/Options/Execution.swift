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
    let report = ProgressReport(progress, of: total, unit: unit, style: runtime.progress)
    let start = ContinuousClock().now
    let result: Result<Value, CoalitionError>
    do throws(CoalitionError) {
      result = .success(try await body(options))
    } catch {
      result = .failure(error)
    }
    await report.stop()
    return (try result.get(), start.duration(to: ContinuousClock().now).seconds)
  }
}
