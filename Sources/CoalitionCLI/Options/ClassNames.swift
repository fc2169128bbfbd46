// Names of classes: a text file with a line for each, in the order of a model's outputs.

import CoalitionBase

struct ClassNames: Sendable {
  let path: String
  let names: [String]

  /// - Throws: `invalidData` for a text that is not UTF-8 or would control a terminal.
  init(path: String) throws(CoalitionError) {
    let bytes = try Files.read(path, limit: 1 << 26)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw CoalitionError(
        .invalidData, "the names are not UTF-8 text", node: path, expected: "a line per class")
    }
    var lines = text.drop { $0 == "\u{FEFF}" }
      .split(omittingEmptySubsequences: false) { $0.isNewline }.map(String.init)
    if lines.last == "" { lines.removeLast() }
    for (index, line) in lines.enumerated() {
      let control = line.unicodeScalars.first {
        $0 != "\t" && $0.properties.generalCategory == .control
      }
      if let control {
        throw CoalitionError(
          .invalidData, "line \(index + 1) holds a control character", node: path,
          expected: "printable text", found: "U+\(Self.hexadecimal(control.value))")
      }
    }
    self.path = path
    names = lines
  }

  private static func hexadecimal(_ value: UInt32) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }

  /// Whether an output of this shape, with or without an axis of examples, has a value per name along its last
  /// axis. Axes of size 1 behind that one do not count: [N, 1000, 1, 1] holds 1000 classes.
  func fit(_ shape: [Int]) -> Bool { Self.classes(shape) == names.count }

  static func classes(_ shape: [Int]) -> Int { shape.last { $0 != 1 } ?? 1 }

  /// - Parameter outputs: the shapes of one example.
  /// - Throws: `invalidData` when no output has as many values as there are names.
  func check(_ outputs: [(name: String, shape: [Int])]) throws(CoalitionError) {
    guard let first = outputs.first, !outputs.contains(where: { fit($0.shape) }) else { return }
    let counts = outputs.map { "\(Self.classes($0.shape))" }
    throw CoalitionError(
      .invalidData,
      "\(names.count) names for \(Self.classes(first.shape)) outputs", node: path,
      expected: "\(counts.joined(separator: " or ")) lines", found: "\(names.count)")
  }
}
