// The files that a command reads: what it writes is none of them, and can be made. This is checked before the work.

import CoalitionBase
import CoalitionData

struct FilesRead {
  private var files: [(option: String, path: String)] = []

  init() {}

  /// The model, and what the options that verbs share name. An option that a verb does not have names nothing.
  init(_ arguments: Arguments, _ target: TargetFlags? = nil) {
    for model in arguments.positionals { add("the model", model) }
    for option in [InputArrays.inputOption, InputArrays.constantOption, PlayerFlags.option] {
      for given in arguments.all(option) {
        add("--\(option.declaration.name)", within: given.text)
      }
    }
    for text in BaselineFlags.files(arguments) { add("--baseline", within: text) }
    if let labels = target?.path { add("--target", within: labels) }
  }

  /// - Parameter option: what names the file.
  mutating func add(_ option: String, _ path: String) { files.append((option, path)) }

  /// The file in a text such as `NAME=FILE.npz:KEY`, of which only a part is the path.
  mutating func add(_ option: String, within text: String) {
    for path in Self.paths(in: text) { add(option, path) }
  }

  /// - Throws: `usage` when `path` is one of the files, `cannotCreate` when no file of this name can be made.
  func checkOutput(_ path: String) throws(CoalitionError) {
    try checkIsNoneOfThem(path)
    try ResultFile.checkWritable(path)
  }

  /// - Parameter option: the one that gives `path`.
  /// - Throws: `usage` when `path` is one of the files.
  func checkIsNoneOfThem(
    _ path: String, option: OptionDeclaration = Run.outputOption.declaration
  ) throws(CoalitionError) {
    guard let identity = FileIdentity(path),
      let same = files.first(where: { FileIdentity($0.path) == identity })
    else { return }
    throw CoalitionError(
      .usage, "--\(option.name) would replace a file that is read: \(same.option) \(same.path)",
      node: path)
  }

  /// What may be the path in `NAME=FILE:KEY`. The model's inputs, which would decide, are not known yet.
  static func paths(in text: String) -> [String] {
    let starts = text.indices.filter { text[$0] == "=" }.map { text.index(after: $0) }
    return ([text.startIndex] + starts).flatMap { start in
      let rest = text[start...]
      return [String(rest)]
        + rest.indices.filter { rest[$0] == ":" }.map { String(rest[..<$0]) }
        .filter { $0.lowercased().hasSuffix(".npz") }
    }
  }
}
