// Results as a short table, for those who do not write them to a file.

import CoalitionBase

struct ResultTable {
  static let namesOption = Option(
    "class-names", "FILE", "a line per class: prints the largest values by these names", as: .text)
  static let topOption = Option(
    "top", "K", "how many of the largest values to print with --class-names", default: "5",
    as: .integer(1...1000))

  /// nil: classes are printed as numbers.
  private let names: [String]?
  private let top: Int
  /// More are only counted.
  private let exampleLimit = 10
  private let valueLimit = 6

  init(_ arguments: Arguments) throws(CoalitionError) {
    top = arguments[Self.topOption] ?? 5
    names = try arguments[Self.namesOption].map { path throws(CoalitionError) in
      let bytes = try Files.read(path, limit: 1 << 26)
      return String(decoding: bytes, as: UTF8.self)
        .split(omittingEmptySubsequences: false) { $0.isNewline }.map(String.init)
    }
  }

  func text(_ tensors: [(name: String, tensor: Tensor)]) -> String {
    tensors.map { name, tensor in text(name, tensor) }.joined(separator: "\n")
  }

  /// One output, [N, ...]: a line per example, with the arg-max of its values where there are several.
  private func text(_ name: String, _ tensor: Tensor) -> String {
    var text = "\(name)  \(tensor.elementType.rawValue) \(Numbers.shape(tensor.shape))\n"
    let examples = tensor.shape.first ?? 1
    guard tensor.count > 0 else { return text }
    let size = tensor.count / examples
    let values = tensor.doubles
    var table = Table(("example", .right), ("arg-max", .right), ("values", .left))
    for example in 0..<min(examples, exampleLimit) {
      let row = values[example * size..<(example + 1) * size]
      if let names, size > 1 {
        text += largest(row, example: example, names)
      } else {
        let shown = row.prefix(valueLimit).map { Numbers.significant($0) }
        table.add(
          "\(example)", size > 1 ? Self.maximum(row, rowLength: tensor.shape.last ?? 1) : "",
          shown.joined(separator: "  ") + (size > valueLimit ? "  ..." : ""))
      }
    }
    if names == nil || size == 1 { text += table.text }
    if examples > exampleLimit {
      text += "  and \(Numbers.grouped(examples - exampleLimit)) more: write them with --output\n"
    }
    return text
  }

  /// The arg-max over the last axis, for as many rows of it as fit.
  private static func maximum(_ values: ArraySlice<Double>, rowLength: Int) -> String {
    let rows = values.count / rowLength
    guard rowLength > 1 else { return "" }
    let shown = (0..<min(rows, 8)).map { row in
      let start = values.startIndex + row * rowLength
      let slice = values[start..<start + rowLength]
      return slice.indices.max { slice[$0] < slice[$1] }.map { "\($0 - start)" } ?? ""
    }
    return shown.joined(separator: " ") + (rows > 8 ? " ..." : "")
  }

  private func largest(_ values: ArraySlice<Double>, example: Int, _ names: [String]) -> String {
    var text = "example \(example)\n"
    let order = values.indices.sorted { (values[$1], $0) < (values[$0], $1) }
    for index in order.prefix(top) {
      let place = index - values.startIndex
      let label = place < names.count ? names[place] : ""
      text += "  \(Numbers.fixed(values[index], 4))  \(place)  \(label)\n"
    }
    return text
  }
}
