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
  package var operationsPerExample: Int { routine.draft.steps.map(\.operations).saturatingSum }

  /// The time of every step in one thread, over `examples` examples of zeros and ones.
  package func profile(
    examples: Int, lanes: Int, instructionSet: InstructionSet, repetitions: Int = 1
  ) throws(CoalitionError) -> [StepProfile] {
    let draft = routine.draft
    let program = try routine.program(lanes: lanes)
    var rows: [SlotRows] = []
    for input in inputs {
      let numbers = (0..<examples * input.count).map { Float($0 * 2_654_435_761 % 256) / 256 }
      rows.append(
        SlotRows(
          try Tensor(shape: [examples] + input.shape, elements: .float32(numbers)),
          options.precision))
    }
    var call = ProgramCall(
      inputs: rows,
      outputs: outputs.filter { !$0.isConstant }.map {
        SlotResult(count: $0.count * examples, options.precision)
      }, examples: examples)
    var best = [Double](repeating: .infinity, count: draft.steps.count)
    for _ in 0..<repetitions {
      let seconds = try program.profile(&call, instructionSet: instructionSet)
      for step in best.indices { best[step] = min(best[step], seconds[step]) }
    }
    return draft.steps.indices.map { step in
      StepProfile(
        node: draft.labels[step], summary: draft.steps[step].summary,
        operations: Double(draft.steps[step].operations * examples), seconds: best[step])
    }
  }
}

/// Floating-point operations per second that `threads` threads reach in registers: two per fused multiply-add.
package func measurePeak(
  _ instructionSet: InstructionSet, _ precision: Precision = .single, threads: Int, seconds: Double
) -> Double {
  ln_measure_peak(instructionSet.encoded, precision.encoded, Int32(threads), seconds)
}
