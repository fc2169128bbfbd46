// Metadata of results: what was computed from what, and, apart under `run`, how this once.

import CoalitionBase
import CoalitionData
import CoalitionNet

struct ResultRecord {
  let verb: String
  let model: JSONValue
  /// Resolved, defaults included; nothing that depends on the machine.
  var options: [JSONValue.Member] = []
  let seed: UInt64
  var result: [JSONValue.Member] = []
  var warnings: [String] = []

  // How this once.
  var threads = 1
  var seconds = 0.0
  var instructionSet = InstructionSet.generic
  var memoryLimit = 0
  var paths: [JSONValue.Member] = []
  /// What else is to be said of this once: the shard, how often it was resumed.
  var particulars: [JSONValue.Member] = []

  init(verb: String, model: JSONValue, seed: UInt64) {
    (self.verb, self.model, self.seed) = (verb, model, seed)
  }

  init(verb: String, model: JSONValue, _ execution: Execution) {
    self.init(verb: verb, model: model, seed: execution.runtime.seed)
    threads = execution.threads
    instructionSet = execution.instructionSet
    memoryLimit = execution.runtime.memoryLimit
  }

  /// Of a run over examples.
  init(
    verb: String, _ file: ModelFile, _ arrays: InputArrays, _ execution: Execution,
    seconds: Double, output: String?
  ) {
    self.init(verb: verb, model: file.record, execution)
    self.seconds = seconds
    paths = [.init("input", arrays.pathRecord)]
    if let output { paths.append(.init("output", .string(output))) }
  }

  var members: [JSONValue.Member] {
    [
      .init("verb", .string(verb)),
      .init("program", .string("coalition \(Command.version)")),
      .init("model", model),
      .init("options", .object(options)),
      .init("seed", seed <= UInt64(Int.max) ? .integer(Int(seed)) : .string(String(seed))),
      .init("result", .object(result)),
      .init("warnings", .array(warnings.map { .string($0) })),
      .init(
        "run",
        .object(
          [
            .init("threads", .integer(threads)),
            .init("seconds", .number((seconds * 1e6).rounded() / 1e6)),
            .init("instruction-set", .string(instructionSet.rawValue)),
            .init("max-memory", .integer(memoryLimit)),
            .init("paths", .object(paths)),
          ] + particulars)),
    ]
  }
}
