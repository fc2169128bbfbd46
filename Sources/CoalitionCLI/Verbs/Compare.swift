// `coalition compare`: how far the arrays of two results are apart, and whether they order things alike.

import Coalition
import CoalitionBase
import CoalitionData

extension Command {
  static let compare = Command(
    name: "compare",
    summary: "says how far two results are apart, and whether they agree on ranks",
    positionals: [
      Positional(
        name: "RESULT", explanation: "two results (.npz, .json) or arrays (.npy, FILE.npz:KEY)",
        isRepeatable: true)
    ],
    groups: [
      OptionGroup(
        title: "What is compared",
        options: [Compare.arrayOption.declaration, Compare.jsonFlag.declaration]),
      OptionGroup(title: "Running", options: [RuntimeOptions.memoryOption.declaration]),
    ],
    examples: [
      "coalition compare exact.npz sampled.npz", "coalition compare a.npz b.npz --array values",
    ],
    notes: [
      "rmse is the root of the mean squared difference, relative to the root mean square of the first result in the next "
        + "column. Spearman's rank correlation is taken over the last axis (over the elements of each example for "
        + "attributions) and averaged over the rows where it is defined."
    ]
  ) { arguments throws(CoalitionError) in
    try Compare(arguments).perform()
  }
}

struct Compare {
  static let arrayOption = Option(
    "array", "NAME", "compares this array alone", default: "all that both results have",
    repeatable: true, as: .text)
  static let jsonFlag = Flag("json", "prints JSON")

  /// What two arrays of the same shape have to do with each other.
  struct Agreement {
    let name: String
    let shape: [Int]
    let rmse: Double
    /// rmse over the root mean square of the first.
    let relative: Double
    let largestDifference: Double
    /// The flat index of the largest difference.
    let place: Int?
    /// Mean over rows; NaN where it is defined for none.
    let spearman: Double
  }

  private let agreements: [Agreement]
  private let notes: [String]
  private let isJSON: Bool

  init(_ arguments: Arguments) throws(CoalitionError) {
    guard arguments.positionals.count == 2 else {
      throw CoalitionError(
        .usage, "compare takes two results", expected: "A B",
        found: "\(arguments.positionals.count)")
    }
    isJSON = arguments[Self.jsonFlag]
    let limit = arguments[RuntimeOptions.memoryOption] ?? Machine.memory / 2
    let paths = arguments.positionals
    let first = try Self.arrays(paths[0], limit)
    let second = try Self.arrays(paths[1], limit)
    let asked = arguments.all(Self.arrayOption)
    for name in asked {
      for (path, arrays) in zip(paths, [first, second])
      where !arrays.contains(where: { $0.name == name }) {
        let names = arrays.map(\.name)
        let advice = suggestion(for: name, in: names)
        throw CoalitionError(
          .usage, "--array: there is no array of numbers '\(name)'\(advice)", node: path,
          expected: names.joined(separator: ", "))
      }
    }
    // Single arrays without names are compared whatever files they lie in.
    let isBare = first.count == 1 && second.count == 1
    var agreements: [Agreement] = []
    var notes: [String] = []
    for (name, tensor) in first where asked.isEmpty || asked.contains(name) {
      guard let other = second.first(where: { isBare || $0.name == name })?.tensor else {
        notes.append("\(name) is only in \(paths[0])")
        continue
      }
      guard tensor.shape == other.shape else {
        if !asked.isEmpty || isBare {
          throw CoalitionError(
            .shapeMismatch, "the arrays \(name) have different shapes", node: paths[1],
            expected: "\(tensor.shape)", found: "\(other.shape)")
        }
        notes.append("\(name) has the shapes \(tensor.shape) and \(other.shape)")
        continue
      }
      agreements.append(Self.agreement(name, tensor, other))
    }
    if !isBare, asked.isEmpty {
      for (name, _) in second where !first.contains(where: { $0.name == name }) {
        notes.append("\(name) is only in \(paths[1])")
      }
    }
    guard !agreements.isEmpty else {
      throw CoalitionError(
        .invalidData, "the results have no array of numbers in common", node: paths[1],
        expected: first.map(\.name).joined(separator: ", "),
        found: second.map(\.name).joined(separator: ", "))
    }
    (self.agreements, self.notes) = (agreements, notes)
  }

  func perform() throws(CoalitionError) {
    if isJSON {
      let value = JSONValue.object([
        "arrays": .object(agreements.map { .init($0.name, $0.json) }),
        "notes": .array(notes.map { .string($0) }),
      ])
      return try Terminal.write(String(decoding: value.utf8, as: UTF8.self) + "\n")
    }
    var table = Table(
      ("array", .left), ("shape", .left), ("rmse", .right), ("relative", .right),
      ("largest difference", .right), ("at", .right), ("Spearman", .right))
    for agreement in agreements {
      table.add(
        agreement.name, Numbers.shape(agreement.shape), Numbers.significant(agreement.rmse, 4),
        agreement.relative.isNaN ? "-" : Numbers.significant(agreement.relative, 3),
        Numbers.significant(agreement.largestDifference, 4),
        agreement.place.map(String.init) ?? "-",
        agreement.spearman.isNaN ? "-" : Numbers.fixed(agreement.spearman, 4))
    }
    try Terminal.write(table.text + notes.map { "  \($0)\n" }.joined())
  }

  // MARK: Arrays

  /// The arrays of numbers of a result, or the only one of another file.
  private static func arrays(
    _ path: String, _ limit: Int
  ) throws(CoalitionError) -> [(name: String, tensor: Tensor)] {
    let lowered = path.lowercased()
    let isResult = [".npz", ".json"].contains { lowered.hasSuffix($0) } && Files.exists(path)
    guard isResult else {
      return [("array", try ArrayFile.load(path, options: .init(memoryLimit: limit)))]
    }
    return try ResultFile(reading: path, memoryLimit: limit).arrays.compactMap { name, contents in
      if case .tensor(let tensor) = contents { (name, tensor) } else { nil }
    }
  }

  private static func agreement(_ name: String, _ first: Tensor, _ second: Tensor) -> Agreement {
    let (x, y) = (first.doubles, second.doubles)
    var worst = 0.0
    var place: Int?
    for (index, pair) in zip(x, y).enumerated() where pair.0 != pair.1 {
      // What is unknown in both is no difference.
      if pair.0.isNaN && pair.1.isNaN { continue }
      let difference = abs(pair.0 - pair.1)
      if difference.isNaN || difference > worst {
        (worst, place) = (difference, index)
        if difference.isNaN { break }
      }
    }
    let known = x.indices.filter { !(x[$0].isNaN && y[$0].isNaN) }
    let rmse =
      known.isEmpty ? .nan : Correlation.rmse(known.map { x[$0] }, known.map { y[$0] })
    let scale = Correlation.rmse(
      known.map { x[$0] }, [Double](repeating: 0, count: known.count))
    return Agreement(
      name: name, shape: first.shape, rmse: rmse, relative: scale > 0 ? rmse / scale : .nan,
      largestDifference: worst, place: place,
      // Whole numbers name and count things: they have no ranks.
      spearman: first.integers != nil
        ? .nan : meanSpearman(x, y, rows: rows(name, first.shape)))
  }

  /// Rows that have ranks of their own.
  private static func rows(_ name: String, _ shape: [Int]) -> Int {
    guard shape.count > 1 else { return 1 }
    let isMap = name == "attributions" || name.hasPrefix("attributions.")
    return isMap ? shape[0] : shape.dropLast().reduce(1, *)
  }

  private static func meanSpearman(_ x: [Double], _ y: [Double], rows: Int) -> Double {
    guard rows > 0, !x.isEmpty else { return .nan }
    let width = x.count / rows
    let correlations = (0..<rows).map { row in
      Correlation.spearman(
        x[row * width..<(row + 1) * width], y[row * width..<(row + 1) * width])
    }.filter { !$0.isNaN }
    return correlations.isEmpty
      ? .nan : correlations.reduce(0, +) / Double(correlations.count)
  }
}

extension Compare.Agreement {
  fileprivate var json: JSONValue {
    .object([
      "shape": .array(shape.map { .integer($0) }),
      "rmse": .number(rmse), "relative-rmse": .number(relative),
      "largest-difference": .number(largestDifference),
      "at": place.map { .integer($0) } ?? .null,
      "spearman": .number(spearman),
    ])
  }
}
