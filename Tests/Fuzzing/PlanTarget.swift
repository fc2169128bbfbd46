// The fuzz target `plan`: a file's way through summary, plan and a run, within bounds.
//
// A model passes when each stage returns or throws CoalitionError. One that is small enough runs on zeros, one example
// at a time and in lanes: the results must be the same bytes (a NaN may be any NaN). What is not run is large, not
// refused by the engine: fuzz.sh gives an input ten seconds. Programs run on the fuzzer's own thread, without the
// hand-over of `Plan.run`, which would take longer than most models.

enum PlanTarget {
  /// Bytes of folded constants.
  private static let memoryLimit = 1 << 18
  /// Bytes that a run may take.
  private static let runLimit = 16 << 20
  /// Floating-point operations of a run.
  private static let operationLimit = 1 << 24

  static func check(_ bytes: [UInt8]) throws(CoalitionError) {
    let graph = try ONNX.decode(bytes, memoryLimit: 64 << 20)
    let summary = try ModelSummary(graph, memoryLimit: memoryLimit)
    var options = PlanOptions()
    options.memoryLimit = memoryLimit
    let plan: Plan
    do throws(CoalitionError) {
      plan = try Plan(try Model(graph), options)
    } catch {
      // The summary does not lower nodes: it does not know how many steps that would take.
      let isExpected =
        !summary.problems.isEmpty || summary.shapeProblem != nil
        || [.limitExceeded, .memoryLimit].contains(error.code)
      guard isExpected else {
        preconditionFailure("a model without problems cannot be planned: \(error)")
      }
      throw error
    }
    guard summary.problems.isEmpty else {
      preconditionFailure("what the summary calls unsupported can be planned: \(summary.problems)")
    }
    _ = try plan.listing(lanes: 16)
    let examples = 3
    let memory = try plan.memory(examples: examples, lanes: 16, threads: 2).total
    guard memory <= runLimit, plan.operationsPerExample <= operationLimit else { return }
    let single = try results(plan, examples, lanes: 1)
    let wide = try results(plan, examples, lanes: 16)
    guard zip(single, wide).allSatisfy(sameNumbers) else {
      preconditionFailure("results depend on the number of lanes: \(single), \(wide)")
    }
  }

  /// What a plan's program makes of zeros.
  private static func results(
    _ plan: Plan, _ examples: Int, lanes: Int
  ) throws(CoalitionError) -> [[Double]] {
    let precision = plan.options.precision
    var call = ProgramCall(
      inputs: plan.inputs.map { input in
        let zeros = [Float](repeating: 0, count: examples * input.count)
        return SlotRows(Tensor(.float32(zeros)), precision)
      },
      outputs: plan.outputs.filter { !$0.isConstant }.map {
        SlotResult(count: $0.count * examples, precision)
      }, examples: examples)
    let outcome = try plan.routine.program(lanes: lanes).run(
      &call, threads: 1, instructionSet: try .selected(), control: CallControl())
    guard outcome == .finished else { preconditionFailure("a run on zeros ended as \(outcome)") }
    return call.outputs.map { Tensor($0.elements).doubles }
  }

  private static func sameNumbers(_ left: [Double], _ right: [Double]) -> Bool {
    left.count == right.count
      && zip(left, right).allSatisfy { left, right in
        left.bitPattern == right.bitPattern || left.isNaN && right.isNaN
      }
  }
}
