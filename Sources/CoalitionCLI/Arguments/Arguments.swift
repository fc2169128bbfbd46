// Arguments that were read: the texts of a command line, matched with the declarations of a verb.
//
// `--flag value` and `--flag=value`; `--` ends the options; a value may begin with one dash (`-1`). The first
// thing that does not fit is an error that names the nearest option.

import CoalitionBase

struct Arguments: Sendable {
  private var values: [String: [any Sendable]] = [:]
  private(set) var positionals: [String] = []
  /// `--help` or `-h` was given: nothing else counts.
  private(set) var asksForHelp = false

  /// - Throws: `usage` for an unknown option, a missing, surplus or unreadable value, a repeated option, or a wrong
  ///   number of arguments.
  init(_ texts: [String], for command: Command) throws(CoalitionError) {
    let options = Dictionary(
      command.groups.flatMap(\.options).map { ($0.name, $0) },
      uniquingKeysWith: { first, _ in first })
    asksForHelp = texts.prefix { $0 != "--" }.contains { $0 == "--help" || $0 == "-h" }
    if asksForHelp { return }

    var rest = texts[...]
    while let text = rest.popFirst() {
      if text == "--" {
        positionals += rest
        break
      }
      guard text.hasPrefix("-"), text != "-" else {
        positionals.append(text)
        continue
      }
      let (name, attached) = Self.split(text)
      guard text.hasPrefix("--"), let option = options[name] else {
        throw Self.unknown(text, name, options.keys.sorted(), command)
      }
      try add(option, attached: attached, &rest)
    }
    try checkPositionals(command)
  }

  private init() {}

  /// No arguments at all: every option has its default.
  static let none = Arguments()

  private static func split(_ text: String) -> (name: String, value: String?) {
    let body = text.dropFirst(text.hasPrefix("--") ? 2 : 1)
    guard let sign = body.firstIndex(of: "=") else { return (String(body), nil) }
    return (String(body[..<sign]), String(body[body.index(after: sign)...]))
  }

  private mutating func add(
    _ option: OptionDeclaration, attached: String?, _ rest: inout ArraySlice<String>
  ) throws(CoalitionError) {
    let flag = "--\(option.name)"
    guard option.isRepeatable || values[option.name] == nil else {
      throw CoalitionError(.usage, "\(flag) is given more than once")
    }
    var text = ""
    if let placeholder = option.placeholder {
      if let attached {
        text = attached
      } else if let next = rest.first, !next.hasPrefix("--") {
        text = next
        rest.removeFirst()
      } else {
        throw CoalitionError(.usage, "\(flag) needs a value: \(flag) \(placeholder)")
      }
    } else if attached != nil {
      throw CoalitionError(.usage, "\(flag) takes no value")
    }
    do throws(CoalitionError) {
      values[option.name, default: []].append(try option.read(text))
      while option.isList, attached == nil, let next = rest.first, Self.continuesList(next) {
        values[option.name, default: []].append(try option.read(next))
        rest.removeFirst()
      }
    } catch {
      throw error.at(flag)
    }
  }

  /// A list ends at the next option, and at a model, which no list holds.
  private static func continuesList(_ text: String) -> Bool {
    !text.hasPrefix("-") && !text.lowercased().hasSuffix(".onnx")
  }

  private static func unknown(
    _ text: String, _ name: String, _ known: [String], _ command: Command
  ) -> CoalitionError {
    let advice = suggestion(
      for: name, in: known + ["help"], prefix: "--",
      otherwise: "see coalition \(command.name) --help")
    let shown = text.prefix { $0 != "=" }
    return CoalitionError(.usage, "\(command.name) has no option \(shown)\(advice)")
  }

  private func checkPositionals(_ command: Command) throws(CoalitionError) {
    let expected = command.positionals.map(\.name)
    let needed = command.positionals.count { !$0.isOptional }
    if positionals.count < needed {
      throw CoalitionError(
        .usage,
        "\(command.name) needs \(expected[positionals.count]); see coalition \(command.name) --help"
      )
    }
    if positionals.count > expected.count, command.positionals.last?.isRepeatable != true {
      throw CoalitionError(
        .usage, "\(command.name) does not take '\(positionals[expected.count])'",
        expected: expected.isEmpty ? "options only" : expected.joined(separator: " "))
    }
  }

  // MARK: Values

  subscript<Value>(option: Option<Value>) -> Value? {
    values[option.declaration.name]?.last as? Value
  }

  func isGiven(_ option: OptionDeclaration) -> Bool { values[option.name] != nil }

  /// All values of an option that may be repeated.
  func all<Value>(_ option: Option<Value>) -> [Value] {
    (values[option.declaration.name] ?? []).compactMap { $0 as? Value }
  }

  subscript(flag: Flag) -> Bool { values[flag.declaration.name] != nil }
}
