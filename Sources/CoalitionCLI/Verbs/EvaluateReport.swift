// Evaluations for people: means with their intervals, and the best two methods compared example by example.

import Coalition
import CoalitionBase

struct EvaluateReport {
  private let metric: EvaluationMetric
  private let names: [String]
  private let examples: Int
  private let bootstrap: Bootstrap
  private let measured: EvaluateRun.Measured

  /// Methods beside each other; more go into a table of their own.
  private static let columnLimit = 4

  init(_ run: EvaluateRun, _ outcome: EvaluateRun.Outcome) {
    metric = run.choice.metric
    names = run.names
    examples = run.examples
    bootstrap = run.bootstrap
    measured = outcome.measured
  }

  var text: String {
    get throws(CoalitionError) {
      switch measured {
      case .sensitivity(let result):
        Self.heading(metric, examples) + Self.table(result, names: names)
          + (try comparison(result.perExample.map { $0.map(Self.mean) }, over: "n"))
      case .numbers(let numbers):
        try Self.heading(metric, examples) + table(numbers) + comparison(numbers, over: nil)
      }
    }
  }

  private static func heading(_ metric: EvaluationMetric, _ examples: Int) -> String {
    let what =
      switch metric {
      case .sensitivity: "correlation of attributions with the fall of the score"
      case .deletion, .insertion: "area under the curve of \(metric.rawValue)"
      case .infidelity: "mean squared error of summed attributions"
      case .maxSensitivity: "largest move of the explanation"
      case .rmse: "root mean squared difference"
      case .rankCorrelation: "Spearman's correlation"
      }
    let direction = metric.isBetterWhenLarger ? "larger" : "smaller"
    return "\(metric.rawValue): \(what), mean of \(Numbers.grouped(examples)) "
      + "\(examples == 1 ? "example" : "examples") with its 95 % interval; \(direction) is better\n"
  }

  // MARK: Tables

  /// A row for each n, a column for each method.
  static func table(_ result: SensitivityResult, names: [String]) -> String {
    stride(from: 0, to: names.count, by: columnLimit).map { start in
      let shown = start..<min(start + columnLimit, names.count)
      var columns = [(heading: "n", alignment: Table.Alignment.right)]
      columns += shown.map { (heading: names[$0], alignment: Table.Alignment.right) }
      var table = Table(columns: columns)
      for (place, size) in result.sizes.enumerated() {
        table.add(cells: ["\(size)"] + shown.map { cell(result.means[$0][place], digits: 3) })
      }
      return table.text
    }.joined(separator: "\n")
  }

  private func table(_ numbers: [[Double]]) throws(CoalitionError) -> String {
    var table = Table(
      ("method", .left), ("mean", .right), ("95 % interval", .right), ("undefined", .right))
    for (name, row) in zip(names, try bootstrap.means(numbers)) {
      let isDefined = row.count > 0
      table.add(
        name, isDefined ? Numbers.significant(row.mean) : "undefined",
        row.low.isNaN
          ? "" : "\(Numbers.significant(row.low)) to \(Numbers.significant(row.high))",
        row.count == examples ? "" : "\(examples - row.count)")
    }
    return table.text
  }

  /// 0.812 [0.790, 0.834]
  private static func cell(_ estimate: MeanEstimate, digits: Int) -> String {
    guard estimate.count > 0 else { return "undefined" }
    let mean = Numbers.fixed(estimate.mean, digits)
    guard !estimate.low.isNaN else { return mean }
    return
      "\(mean) [\(Numbers.fixed(estimate.low, digits)), \(Numbers.fixed(estimate.high, digits))]"
  }

  // MARK: Comparison

  /// The mean of the numbers that are defined.
  private static func mean(_ numbers: [Double]) -> Double {
    let defined = numbers.filter { !$0.isNaN }
    return defined.isEmpty ? .nan : defined.reduce(0, +) / Double(defined.count)
  }

  /// - Parameter numbers: [method][example].
  private func comparison(
    _ numbers: [[Double]], over axis: String?
  ) throws(CoalitionError) -> String {
    let sign = metric.isBetterWhenLarger ? 1.0 : -1
    let ranked = numbers.indices.map { (score: sign * Self.mean(numbers[$0]), place: $0) }
      .filter { !$0.score.isNaN }.sorted { ($1.score, $0.place) < ($0.score, $1.place) }
    guard ranked.count >= 2 else { return "" }
    let (first, second) = (ranked[0].place, ranked[1].place)
    let difference = try bootstrap.difference(numbers[first], numbers[second])
    var text = "best two: \(names[first]) less \(names[second]), example by example"
    if let axis { text += ", mean over \(axis)" }
    text += ": \(Numbers.significant(difference.mean, 3))"
    guard !difference.low.isNaN else { return text + "\n" }
    text +=
      " [\(Numbers.significant(difference.low, 3)), \(Numbers.significant(difference.high, 3))]"
    let isClear = difference.low > 0 || difference.high < 0
    return text + (isClear ? "" : "; the interval holds 0: no difference shown") + "\n"
  }
}
