// A verb: its declarations and what it does. The list of verbs, and the way from arguments to an exit code.

import CoalitionBase

struct Command: Sendable {
  let name: String
  /// One line for the list of verbs.
  let summary: String
  let positionals: [Positional]
  let groups: [OptionGroup]
  /// Command lines that work.
  let examples: [String]
  /// Lines under the options, for what is worth knowing.
  var notes: [String] = []
  let run: @Sendable (Arguments) async throws(CoalitionError) -> Void

  /// In the order of the help text.
  static let all: [Command] = [
    .inspect, .plan, .run, .explain, .shapley, .merge, .evaluate, .compare, .score, .prune,
    .train, .reproduce, .plot, .demo,
  ]

  static let version = "0.1.0"

  /// Runs a command line.
  /// - Returns: the exit code; whatever went wrong has been said on standard error.
  static func main(_ texts: [String]) async -> Int32 {
    do throws(CoalitionError) {
      try await perform(texts)
      return ExitCode.success
    } catch {
      return ExitCode.report(error)
    }
  }

  private static func perform(_ texts: [String]) async throws(CoalitionError) {
    guard let first = texts.first else {
      throw CoalitionError(.usage, "a verb is missing; see coalition --help", expected: verbList)
    }
    switch first {
    case "--version":
      try Terminal.write("coalition \(version)\n")
    case "-h", "--help":
      try Terminal.write(overview)
    case "help":
      guard texts.count > 1 else { return try Terminal.write(overview) }
      try Terminal.write(try command(texts[1]).help)
    default:
      let command = try command(first)
      let arguments = try Arguments(Array(texts.dropFirst()), for: command)
      if arguments.asksForHelp { return try Terminal.write(command.help) }
      try await command.run(arguments)
    }
  }

  private static var verbList: String { all.map(\.name).joined(separator: ", ") }

  private static func command(_ name: String) throws(CoalitionError) -> Command {
    if let command = all.first(where: { $0.name == name }) { return command }
    if name.lowercased().hasSuffix(".onnx") {
      throw CoalitionError(
        .usage, "a verb comes first: coalition run \(name)", expected: verbList, found: "'\(name)'")
    }
    let advice = suggestion(
      for: name, in: all.map(\.name), otherwise: "see coalition --help")
    throw CoalitionError(
      .usage, "there is no verb '\(name)'\(advice)", expected: verbList)
  }
}
