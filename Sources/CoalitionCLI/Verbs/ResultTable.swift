// Results as a short table: the numbers for those who do not write them to a file, the names for all who give them.

import CoalitionBase

struct ResultTable {
  static let namesOption = Option(
    "class-names", "FILE", "a line per class: prints the largest values by these names", as: .text)
  static let topOption = Option(
    "top", "K", "how many of the largest values to print with --class-names", default: "5",
    as: .integer(1...1000))

  /// nil: classes are printed as numbers.
  let names: ClassNames?
  private let top: Int
  /// More are only counted.
  private let exampleLimit = 10
  private let valueLimit = 8
  private let rowLimit = 8

  init(_ arguments: Arguments) throws(CoalitionError) {
    let path = arguments[Self.namesOption]
    guard path != nil || arguments[Self.topOption] == nil else {
      throw CoalitionError(.usage, "--top needs --class-names: it says how many names to print")
    }
    top = arguments[Self.topOption] ?? 5
    names = try path.map { path throws(CoalitionError) in try ClassNames(path: path) }
  }

  /// The tables of all tensors, [N, ...] each.
  func text(_ tensors: [(name: String, tensor: Tensor)]) -> String {
    tensors.map { name, tensor in text(name, tensor, "write them with --output") }
      .joined(separator: "\n")
  }

  /// The tables of the tensors whose values have names: empty when there are no names.
  /// - Parameter output: the file that holds all of them.
  func namedText(_ tensors: [(name: String, tensor: Tensor)], output: String) -> String {
    tensors.filter { names?.fit(Array($0.tensor.shape.dropFirst())) ?? false }
      .map { name, tensor in text(name, tensor, "they are in \(output)") }
      .joined(separator: "\n")
  }

  private func text(_ name: String, _ tensor: Tensor, _ whereOthersAre: String) -> String {
    var text = "\(name)  \(tensor.elementType.rawValue) \(Numbers.shape(tensor.shape))\n"
    let examples = tensor.shape.first ?? 1
    guard tensor.count > 0 else { return text }
    let shape = Array(tensor.shape.dropFirst())
    let size = tensor.count / examples
    let values = tensor.doubles
    let rows = (0..<min(examples, exampleLimit)).map { values[$0 * size..<($0 + 1) * size] }
    if let names, names.fit(shape) {
      for (example, row) in rows.enumerated() { text += largest(row, example: example, names) }
    } else if size <= valueLimit {
      text += Self.allValues(rows, isClassified: shape.filter { $0 != 1 }.count == 1)
    } else if shape.filter({ $0 != 1 }).count == 1 {
      text += Self.largestThree(rows)
    } else {
      text += Self.ranges(rows)
    }
    if examples > exampleLimit {
      text += "  and \(Numbers.grouped(examples - exampleLimit)) more: \(whereOthersAre)\n"
    }
    return text
  }

  // MARK: Without names

  private static func allValues(_ rows: [ArraySlice<Double>], isClassified: Bool) -> String {
    var table = Table(("example", .right), ("arg-max", .right), ("values", .left))
    for (example, row) in rows.enumerated() {
      let best = isClassified ? order(row).first.map { "\($0)" } ?? "" : ""
      table.add("\(example)", best, row.map { Numbers.significant($0) }.joined(separator: "  "))
    }
    return table.text
  }

  private static func largestThree(_ rows: [ArraySlice<Double>]) -> String {
    var table = Table(("example", .right), ("largest values, each behind its index", .left))
    for (example, row) in rows.enumerated() {
      let shown = order(row).prefix(3).map {
        "\($0): \(Numbers.significant(row[row.startIndex + $0]))"
      }
      table.add("\(example)", shown.joined(separator: "  "))
    }
    return table.text
  }

  /// Maps: nobody reads their values one by one.
  private static func ranges(_ rows: [ArraySlice<Double>]) -> String {
    var table = Table(("example", .right), ("min", .right), ("mean", .right), ("max", .right))
    for (example, row) in rows.enumerated() {
      let mean = row.reduce(0, +) / Double(row.count)
      // Nothing compares with NaN.
      let ends = row.contains(where: \.isNaN) ? (.nan, .nan) : (row.min() ?? 0, row.max() ?? 0)
      table.add(
        "\(example)", Numbers.significant(ends.0), Numbers.significant(mean),
        Numbers.significant(ends.1))
    }
    return table.text
  }

  /// Places by value, the largest first, NaN last; the first of equal ones comes first.
  private static func order(_ values: ArraySlice<Double>) -> [Int] {
    let keys = values.map { $0.isNaN ? -Double.infinity : $0 }
    return keys.indices.sorted { (keys[$1], $0) < (keys[$0], $1) }
  }

  // MARK: With names

  /// The largest values of one example, at each place of the axes before the last.
  private func largest(
    _ values: ArraySlice<Double>, example: Int, _ names: ClassNames
  ) -> String {
    let count = names.names.count
    let rows = values.count / count
    var text = ""
    for row in 0..<min(rows, rowLimit) {
      text += "example \(example)" + (rows > 1 ? ", row \(row)" : "") + "\n"
      let start = values.startIndex + row * count
      let slice = values[start..<start + count]
      for place in Self.order(slice).prefix(top) {
        text += "  \(Numbers.fixed(slice[start + place], 4))  \(place)  \(names.names[place])\n"
      }
    }
    if rows > rowLimit { text += "  and \(Numbers.grouped(rows - rowLimit)) more rows\n" }
    return text
  }
}
