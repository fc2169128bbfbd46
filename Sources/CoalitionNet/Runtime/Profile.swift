// Where the time of a run goes, for the benchmark harness.

import CLanes
package import CoalitionBase

/// One step of a program with its cost.
package struct StepProfile: Sendable {
  package var node: String
  package var summary: String
  /// Floating-point operations for all examples.
  package var operations: Double
  package var seconds: Double
}

extension Plan {
  /// Floating-point operations of one example: two per multiply-add, taps on padding not counted.
  package var operationsPerExample: Int { routine.operationsPerExample }

  /// The time of every step in one thread, over `examples` examples of numbers between zero and one.
  package func profile(
    examples: Int, lanes: Int, instructionSet: InstructionSet, repetitions: Int = 1
  ) throws(CoalitionError) -> [StepProfile] {
    var rows: [SlotRows] = []
    for input in inputs {
      let numbers = (0..<examples * input.count).map { Float($0 * 2_654_435_761 % 256) / 256 }
      rows.append(
        SlotRows(
          try Tensor(shape: [examples] + input.shape, elements: .float32(numbers)),
          options.precision))
    }
    let call = ProgramCall(
      inputs: rows,
      outputs: outputs.filter { !$0.isConstant }.map {
        SlotResult(count: $0.count * examples, options.precision)
      }, examples: examples)
    return try routine.profile(
      call, lanes: lanes, instructionSet: instructionSet, repetitions: repetitions)
  }
}

extension ReversePlan {
  /// Floating-point operations of one example, there and back; the reference values are not counted.
  package var operationsPerExample: Int { routine.operationsPerExample }

  /// The time of every step in one thread: first those of the forward pass, `forwardStepCount` of them.
  package func profile(
    _ work: Work, lanes: Int, instructionSet: InstructionSet, repetitions: Int = 1
  ) async throws(CoalitionError) -> [StepProfile] {
    var options = RunOptions()
    options.instructionSet = instructionSet
    let (call, _, _) = try await call(work, options)
    return try routine.profile(
      call, lanes: lanes, instructionSet: instructionSet, repetitions: repetitions)
  }
}

extension Routine {
  var operationsPerExample: Int { draft.steps.map(\.operations).saturatingSum }

  /// The shortest time of every step in one thread.
  func profile(
    _ call: ProgramCall, lanes: Int, instructionSet: InstructionSet, repetitions: Int
  ) throws(CoalitionError) -> [StepProfile] {
    let program = try program(lanes: lanes)
    var call = call
    var best = [Double](repeating: .infinity, count: draft.steps.count)
    for _ in 0..<repetitions {
      let seconds = try program.profile(&call, instructionSet: instructionSet)
      for step in best.indices { best[step] = min(best[step], seconds[step]) }
    }
    return draft.steps.indices.map { step in
      StepProfile(
        node: draft.labels[step], summary: draft.steps[step].summary,
        operations: Double(draft.steps[step].operations * call.examples), seconds: best[step])
    }
  }
}

/// Floating-point operations per second that `threads` threads reach in registers: two per fused multiply-add.
package func measurePeak(
  _ instructionSet: InstructionSet, _ precision: Precision = .single, threads: Int, seconds: Double
) -> Double {
  ln_measure_peak(instructionSet.encoded, precision.encoded, Int32(threads), seconds)
}
