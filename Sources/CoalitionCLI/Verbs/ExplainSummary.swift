// Explanations for people: per example the scores, what they add up to, and where the most is attributed.

import CoalitionBase
import CoalitionExplain

struct ExplainSummary {
  /// Of classes.
  let names: [String]?
  /// How many of the largest attributions are printed.
  let top: Int
  /// Of one example.
  let scoreShape: [Int]
  /// Names and shapes of what is explained.
  let sources: [(name: String, shape: [Int])]
  /// More are only counted.
  private let exampleLimit = 10
  private let targetLimit = 10
  /// Examples whose maps are drawn.
  private let mapLimit = 3

  init(
    names: [String]?, top: Int, scoreShape: [Int], sources: [(name: String, shape: [Int])]
  ) {
    (self.names, self.top) = (names, top)
    (self.scoreShape, self.sources) = (scoreShape, sources)
  }

  func text(_ outcome: ExplainRun.Outcome) -> String {
    let explanation = outcome.explanation
    let examples = explanation.output.shape.first ?? 1
    let targets = explanation.output.rank > 1 ? explanation.output.shape[1] : nil
    var text = ""
    for example in 0..<min(examples, exampleLimit) {
      if let targets {
        text += allTargets(outcome, example, count: targets)
      } else {
        text += oneTarget(outcome, example)
      }
    }
    if examples > exampleLimit {
      text += "and \(Numbers.grouped(examples - exampleLimit)) more examples: "
      text += "write them with --output\n"
    }
    return text
  }

  // MARK: Scores

  private func name(_ target: Int) -> String {
    guard let names, names.indices.contains(target) else { return "\(target)" }
    return "\(target) (\(names[target]))"
  }

  /// The target of an example, as it was given or found.
  private func target(_ explanation: Explanation, _ example: Int) -> String {
    let integers = explanation.target.integers ?? []
    guard explanation.target.rank == 2 else { return name(integers[example]) }
    return "\(name(integers[2 * example])) minus \(name(integers[2 * example + 1]))"
  }

  private func sum(_ explanation: Explanation, row: Int) -> Double {
    sources.reduce(0) { sum, source in
      guard let tensor = explanation.attributions[source.name] else { return sum }
      let size = source.shape.reduce(1, *)
      return tensor.doubles[row * size..<(row + 1) * size].reduce(sum, +)
    }
  }

  private func scores(_ outcome: ExplainRun.Outcome, row: Int) -> String {
    let explanation = outcome.explanation
    var parts = ["score \(Numbers.significant(explanation.output.doubles[row]))"]
    if let baseline = explanation.baselineOutput {
      parts.append("at the baseline \(Numbers.significant(baseline.doubles[row]))")
    }
    parts.append("sum of attributions \(Numbers.significant(sum(explanation, row: row)))")
    if let residual = explanation.residual {
      parts.append("residual \(Numbers.significant(residual.doubles[row], 2))")
    }
    if let errors = outcome.errorEstimate {
      let count = errors.doubles.count / explanation.output.doubles.count
      parts.append(ShapleySummary.error(errors.doubles[row * count..<(row + 1) * count]))
    }
    return parts.joined(separator: ", ")
  }

  private func allTargets(_ outcome: ExplainRun.Outcome, _ example: Int, count: Int) -> String {
    var text = "example \(example)\n"
    for target in 0..<min(count, targetLimit) {
      text += "  target \(name(target)): \(scores(outcome, row: example * count + target))\n"
    }
    if count > targetLimit {
      text += "  and \(Numbers.grouped(count - targetLimit)) more targets\n"
    }
    return text
  }

  // MARK: Attributions

  private func oneTarget(_ outcome: ExplainRun.Outcome, _ example: Int) -> String {
    let explanation = outcome.explanation
    var text = "example \(example): target \(target(explanation, example)), "
    text += scores(outcome, row: example) + "\n"
    text +=
      outcome.values.map { largestPlayers($0, example) }
      ?? largestElements(explanation, example)
    text += largestResiduals(explanation, example)
    if example < mapLimit, let source = sources.first, sources.count == 1,
      let tensor = explanation.attributions[source.name]
    {
      let size = source.shape.reduce(1, *)
      let map = CharacterMap(
        Array(tensor.doubles[example * size..<(example + 1) * size]), shape: source.shape)
      if let map { text += map.text }
    }
    return text
  }

  private func largestPlayers(_ values: Tensor, _ example: Int) -> String {
    let count = values.shape.last ?? 0
    let row = Array(values.doubles[example * count..<(example + 1) * count])
    return Self.largest(row, top).map { "  \(Self.signed(row[$0]))  player \($0)\n" }.joined()
  }

  private func largestElements(_ explanation: Explanation, _ example: Int) -> String {
    var all: [Double] = []
    var places: [(source: Int, start: Int)] = []
    for (index, source) in sources.enumerated() {
      let size = source.shape.reduce(1, *)
      places.append((index, all.count))
      all +=
        explanation.attributions[source.name]?.doubles[example * size..<(example + 1) * size]
        ?? []
    }
    return Self.largest(all, top).map { element in
      let (index, start) = places.last { $0.start <= element } ?? (0, 0)
      let source = sources[index]
      let place = Self.indices(element - start, source.shape)
      let name = sources.count > 1 ? source.name : ""
      return "  \(Self.signed(all[element]))  \(name)[\(place)]\n"
    }.joined()
  }

  /// The nodes that lost or made up the most, where a ledger was kept.
  private func largestResiduals(_ explanation: Explanation, _ example: Int) -> String {
    guard let ledger = explanation.ledger else { return "" }
    let count = ledger.nodes.count
    let row = Array(ledger.residuals.doubles[example * count..<(example + 1) * count])
    return Self.largest(row, top).map {
      "  \(Self.signed(row[$0]))  residual of node \(ledger.nodes[$0])\n"
    }.joined()
  }

  /// The places of the largest numbers, whatever their sign; the first of equal ones first.
  private static func largest(_ values: [Double], _ count: Int) -> ArraySlice<Int> {
    let keys = values.map { $0.isNaN ? -1 : abs($0) }
    return keys.indices.filter { keys[$0] > 0 }
      .sorted { (keys[$1], $0) < (keys[$0], $1) }.prefix(count)
  }

  private static func indices(_ element: Int, _ shape: [Int]) -> String {
    var rest = element
    var indices: [Int] = []
    for size in shape.reversed() {
      indices.append(rest % size)
      rest /= size
    }
    return indices.reversed().map(String.init).joined(separator: ", ")
  }

  private static func signed(_ value: Double) -> String {
    (value < 0 ? "" : "+") + Numbers.significant(value)
  }
}

/// A small map in characters: two rows of the image in a line, since characters are about twice as high as wide.
struct CharacterMap {
  private let values: [Double]
  private let rows: Int
  private let columns: Int

  /// - Parameter shape: of one example: nil for what is no image of at most 64x64. Channels are summed.
  init?(_ attributions: [Double], shape: [Int]) {
    guard shape.count >= 2, shape.count <= 3 else { return nil }
    (rows, columns) = (shape[shape.count - 2], shape[shape.count - 1])
    guard (8...64).contains(rows), (8...64).contains(columns) else { return nil }
    let plane = rows * columns
    values = (0..<plane).map { place in
      stride(from: place, to: attributions.count, by: plane).reduce(0) { $0 + attributions[$1] }
    }
  }

  /// Empty when there is nothing to see.
  var text: String {
    let lines = stride(from: 0, to: rows, by: 2).map { row in
      (0..<columns).map { column in
        let above = values[row * columns + column]
        return row + 1 < rows ? (above + values[(row + 1) * columns + column]) / 2 : above
      }
    }
    let largest = lines.joined().reduce(0) { $1.isNaN ? $0 : max($0, abs($1)) }
    guard largest > 0, largest.isFinite else { return "" }
    var text = ""
    for line in lines {
      text += "  |" + line.map { Self.character($0 / largest) }.joined() + "|\n"
    }
    return text + "   " + Self.positive.dropFirst().joined() + " for the target, "
      + Self.negative.dropFirst().joined() + " against it\n"
  }

  private static let positive = [" ", ".", "+", "#", "@"]
  private static let negative = [" ", "'", "-", "=", "%"]

  private static func character(_ share: Double) -> String {
    guard share.isFinite else { return "?" }
    let level = min(4, Int((abs(share) * 4.5).rounded(.down)))
    return share < 0 ? negative[level] : positive[level]
  }
}
