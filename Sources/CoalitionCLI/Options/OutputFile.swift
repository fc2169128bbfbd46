// The file that a verb writes: refused before the work when it cannot be created or is one that is read.

import CoalitionBase
import CoalitionData

enum OutputFile {
  /// - Parameters:
  ///   - files: paths that the command reads, by the option that gives them.
  ///   - arrays: the same for texts such as `NAME=FILE.npz:KEY`, of which only a part is the path.
  /// - Throws: `usage` when `path` is one of the files that are read, `cannotCreate` when no file of this name
  ///   can be made.
  static func check(
    _ path: String, files: [(option: String, path: String)],
    arrays: [(option: String, given: NamedText)]
  ) throws(CoalitionError) {
    try checkNotRead(path, files: files, arrays: arrays)
    try ResultFile.checkWritable(path)
  }

  /// - Parameter option: the one that gives `path`.
  /// - Throws: `usage` when `path` is one of the files that are read.
  static func checkNotRead(
    _ path: String, option: OptionDeclaration = Run.outputOption.declaration,
    files: [(option: String, path: String)],
    arrays: [(option: String, given: NamedText)]
  ) throws(CoalitionError) {
    if let identity = FileIdentity(path) {
      let read =
        files
        + arrays.flatMap { array in
          paths(in: array.given.text).map { (array.option, $0) }
        }
      if let same = read.first(where: { FileIdentity($0.path) == identity }) {
        throw CoalitionError(
          .usage, "--\(option.name) would replace a file that is read: \(same.option) \(same.path)",
          node: path)
      }
    }
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
