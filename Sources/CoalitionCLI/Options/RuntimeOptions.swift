// Options of every verb that computes: how, not what.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

struct RuntimeOptions: Sendable {
  static let threadsOption = Option(
    "threads", "N", "threads; results do not depend on it", default: "all processors",
    as: .integer(1...1024))
  static let precisionOption = Option<Precision>(
    "precision", "P", "single or double", default: "single", as: .choice)
  static let memoryOption = Option(
    "max-memory", "SIZE", "most memory to use, as in 512m or 4g", default: "half of main memory",
    as: .byteCount)
  static let dryRunFlag = Flag(
    "dry-run", "prints work, memory and time that are foreseen, and stops")
  static let quietFlag = Flag("quiet", "prints nothing but errors")
  static let progressOption = Option<ProgressStyle>(
    "progress", "STYLE", "progress on standard error: auto, plain, json or none", default: "auto",
    as: .choice)
  static let seedOption = Option("seed", "N", "seed of random numbers", default: "0", as: .seed)

  static let group = OptionGroup(
    title: "Running",
    options: [
      threadsOption.declaration, precisionOption.declaration, memoryOption.declaration,
      seedOption.declaration, dryRunFlag.declaration, quietFlag.declaration,
      progressOption.declaration,
    ])

  /// nil: as many as the machine has.
  let threads: Int?
  let precision: Precision
  let memoryLimit: Int
  let seed: UInt64
  let isDryRun: Bool
  let isQuiet: Bool
  let progress: ProgressStyle

  init(_ arguments: Arguments) {
    threads = arguments[Self.threadsOption]
    precision = arguments[Self.precisionOption] ?? .single
    memoryLimit = arguments[Self.memoryOption] ?? Machine.memory / 2
    seed = arguments[Self.seedOption] ?? 0
    isDryRun = arguments[Self.dryRunFlag]
    isQuiet = arguments[Self.quietFlag]
    progress = isQuiet ? .none : arguments[Self.progressOption] ?? .auto
  }

  /// Checks that the limit holds, before anything of this size is allocated.
  func check(memory bytes: Int) throws(CoalitionError) {
    guard bytes <= memoryLimit else {
      throw CoalitionError(
        .memoryLimit, "the work does not fit into the memory allowed",
        expected: "at most \(Numbers.bytes(memoryLimit))", found: Numbers.bytes(bytes))
    }
  }

  /// - Throws: `usage` when nothing would be left of a run that prints nothing.
  func check(isWritten: Bool) throws(CoalitionError) {
    guard !isQuiet || isWritten || isDryRun else {
      throw CoalitionError(
        .usage, "--quiet without --output leaves nothing of the run: give --output FILE")
    }
  }

  /// For a note to the user: nothing with `--quiet`.
  func warn(_ text: String) {
    if !isQuiet { Terminal.writeError("coalition: warning: \(text)\n") }
  }
}
