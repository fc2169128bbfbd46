// How the text of an option's value is read. An error says what was expected; the parser adds the option.

import CoalitionBase

struct ValueFormat<Value: Sendable>: Sendable {
  let read: @Sendable (String) throws(CoalitionError) -> Value

  init(_ read: @escaping @Sendable (String) throws(CoalitionError) -> Value) { self.read = read }

  /// A format whose texts are values or nothing.
  init(expecting expected: String, _ read: @escaping @Sendable (String) -> Value?) {
    self.read = { text throws(CoalitionError) in
      guard let value = read(text) else {
        throw CoalitionError(
          .usage, "the value cannot be used", expected: expected, found: "'\(text)'")
      }
      return value
    }
  }
}

extension ValueFormat<String> {
  static let text = ValueFormat(expecting: "a text") { $0.isEmpty ? nil : $0 }
}

extension ValueFormat<Int> {
  static func integer(_ range: ClosedRange<Int>) -> ValueFormat {
    let expected =
      range.upperBound == .max
      ? "a whole number from \(range.lowerBound)"
      : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    return ValueFormat(expecting: expected) { text in
      Int(text).flatMap { range.contains($0) ? $0 : nil }
    }
  }

  /// Bytes, with a suffix k, m, g or t for powers of 1024.
  static let byteCount = ValueFormat(expecting: "a size such as 512m or 4g") { text in
    let units = ["k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40]
    let lowered = text.lowercased()
    let unit = lowered.last.flatMap { units[String($0)] }
    let number = unit == nil ? lowered[...] : lowered.dropLast()
    // Double also reads hexadecimal digits, exponents and names.
    guard number.allSatisfy({ "0123456789.".contains($0) }), let count = Double(number),
      case let bytes = count * Double(unit ?? 1), bytes >= 1, bytes < 0x1p62
    else { return nil }
    return Int(bytes)
  }
}

extension ValueFormat<UInt64> {
  static let seed = ValueFormat(expecting: "a whole number from 0") { UInt64($0) }
}

extension ValueFormat<Double> {
  static let number = ValueFormat(expecting: "a finite number") { text in
    Double(text).flatMap { $0.isFinite ? $0 : nil }
  }
}

extension ValueFormat<[Double]> {
  static let numbers = ValueFormat(expecting: "finite numbers with commas between them") { text in
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let values = parts.compactMap { Double($0) }.filter(\.isFinite)
    return values.count == parts.count ? values : nil
  }
}

extension ValueFormat<[Int]> {
  static let counts = ValueFormat(
    expecting: "whole numbers from 1 with commas between them"
  ) { text in
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let values = parts.compactMap { Int($0) }.filter { $0 >= 1 }
    return values.count == parts.count ? values : nil
  }
}

extension ValueFormat where Value: CaseIterable & RawRepresentable<String> {
  /// One of the names of an enumeration.
  static var choice: ValueFormat {
    ValueFormat { text throws(CoalitionError) in
      if let value = Value(rawValue: text) { return value }
      let names = Value.allCases.map(\.rawValue)
      throw CoalitionError(
        .usage, "the value cannot be used\(suggestion(for: text, in: names))",
        expected: names.joined(separator: ", "), found: "'\(text)'")
    }
  }
}

/// A value with the name that it is for: `NAME=VALUE`, or the value alone.
///
/// A value may hold `=` itself (a path): which reading is meant is decided by the names that exist.
struct NamedText: Sendable, Hashable {
  let text: String

  /// - Returns: name and value; a nil name when what stands before `=` is none of `names`.
  func split(names: some Sequence<String>) -> (name: String?, value: String) {
    for name in names where text.hasPrefix(name + "=") {
      return (name, String(text.dropFirst(name.count + 1)))
    }
    return (nil, text)
  }
}

extension ValueFormat<NamedText> {
  static let named = ValueFormat(expecting: "NAME=VALUE or a value") {
    $0.isEmpty ? nil : NamedText(text: $0)
  }
}

/// The sizes of axes, `1x3x224x224` or `1,3,224,224`.
func readShape(_ text: String) throws(CoalitionError) -> [Int] {
  let parts = text.split(omittingEmptySubsequences: false) { $0 == "x" || $0 == "," }
  let sizes = parts.compactMap { Int($0) }.filter { $0 > 0 }
  guard sizes.count == parts.count, Tensor.count(of: sizes) != nil else {
    throw CoalitionError(
      .usage, "not a shape", expected: "sizes such as 1x3x224x224", found: "'\(text)'")
  }
  return sizes
}
