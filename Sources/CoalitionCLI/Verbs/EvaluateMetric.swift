// What `coalition evaluate` can measure, and the parameters of each measure.

import CoalitionBase
import CoalitionData

enum EvaluationMetric: String, Sendable, CaseIterable {
  case sensitivity = "sensitivity-n"
  case deletion, insertion, infidelity
  case maxSensitivity = "max-sensitivity"
  case rmse = "rmse-to"
  case rankCorrelation = "rank-correlation-to"

  /// Whether it compares with attributions in a file.
  var needsReference: Bool { self == .rmse || self == .rankCorrelation }

  /// Whether it asks the model for values of coalitions.
  var needsGame: Bool { !needsReference && self != .maxSensitivity }

  /// Whether a larger number speaks for a method.
  var isBetterWhenLarger: Bool {
    switch self {
    case .sensitivity, .insertion, .rankCorrelation: true
    case .deletion, .infidelity, .maxSensitivity, .rmse: false
    }
  }

  fileprivate var parameters: [OptionDeclaration] {
    switch self {
    case .sensitivity: [EvaluationChoice.subsets.declaration, EvaluationChoice.sizes.declaration]
    case .deletion, .insertion: [EvaluationChoice.points.declaration]
    case .infidelity: [EvaluationChoice.perturbations.declaration]
    case .maxSensitivity:
      [EvaluationChoice.perturbations.declaration, EvaluationChoice.radius.declaration]
    case .rmse, .rankCorrelation: []
    }
  }
}

/// The metric of a command line with its parameters.
struct EvaluationChoice: Sendable {
  static let metric = Option(
    "metric", "K",
    "sensitivity-n, deletion, insertion, infidelity, max-sensitivity, rmse-to FILE or rank-correlation-to FILE",
    list: true, as: .text)
  static let subsets = Option(
    "subsets", "M", "sensitivity-n: random subsets of each size, the same for all methods",
    default: "100", as: .integer(2...1_000_000))
  static let sizes = Option(
    "sizes", "N,N,...", "sensitivity-n: players that are removed together",
    default: "16 sizes in equal ratios from 1 to 80 %", as: .counts)
  static let points = Option(
    "points", "N", "deletion and insertion: points of the curve behind the first",
    default: "224, at most one per player", as: .integer(1...1_000_000))
  static let perturbations = Option(
    "perturbations", "N", "infidelity: removed sets; max-sensitivity: moved inputs per example",
    default: "1000 and 10", as: .integer(1...1_000_000))
  static let radius = Option(
    "radius", "R", "max-sensitivity: how far an element moves at most, in model units",
    default: "0.02",
    as: ValueFormat(expecting: "a number above 0") { text in
      Double(text).flatMap { $0 > 0 && $0.isFinite ? $0 : nil }
    })

  static let parameters = [
    subsets.declaration, sizes.declaration, points.declaration, perturbations.declaration,
    radius.declaration,
  ]

  let metric: EvaluationMetric
  /// The file behind `rmse-to` and `rank-correlation-to`.
  let reference: String?
  let subsetCount: Int
  let subsetSizes: [Int]?
  let pointCount: Int
  let perturbationCount: Int
  let movedRadius: Double

  /// - Throws: `usage` for no metric or an unknown one, a missing or surplus file, and parameters of other metrics.
  init(_ arguments: Arguments) throws(CoalitionError) {
    (metric, reference) = try Self.read(arguments.all(Self.metric))
    let metric = metric
    for option in Self.parameters where arguments.isGiven(option) {
      guard !metric.parameters.contains(where: { $0.name == option.name }) else { continue }
      let owners = EvaluationMetric.allCases.filter { owner in
        owner.parameters.contains { $0.name == option.name }
      }
      throw CoalitionError(
        .usage, "--\(option.name) is not for \(metric.rawValue)",
        expected: "--metric \(owners.map(\.rawValue).joined(separator: " or "))")
    }
    subsetCount = arguments[Self.subsets] ?? 100
    subsetSizes = arguments[Self.sizes]
    pointCount = arguments[Self.points] ?? 224
    perturbationCount = arguments[Self.perturbations] ?? (metric == .infidelity ? 1000 : 10)
    movedRadius = arguments[Self.radius] ?? 0.02
  }

  /// The metric and its file from `K`, `K FILE` or `K:FILE`.
  private static func read(
    _ texts: [String]
  ) throws(CoalitionError) -> (EvaluationMetric, String?) {
    let names = EvaluationMetric.allCases.map(\.rawValue)
    guard let first = texts.first else {
      throw CoalitionError(
        .usage, "--metric is missing: say what to measure",
        expected: names.joined(separator: ", "))
    }
    var name = first
    var files = Array(texts.dropFirst())
    if let colon = first.firstIndex(of: ":") {
      name = String(first[..<colon])
      files.insert(String(first[first.index(after: colon)...]), at: 0)
    }
    guard let metric = EvaluationMetric(rawValue: name) else {
      let advice = suggestion(for: name, in: names)
      throw CoalitionError(
        .usage, "--metric: there is no metric '\(name)'\(advice)",
        expected: names.joined(separator: ", "))
    }
    guard metric.needsReference else {
      if let surplus = files.first {
        throw CoalitionError(
          .usage, "--metric: one metric at a time, and \(name) takes no file",
          found: "'\(surplus)'")
      }
      return (metric, nil)
    }
    guard files.count == 1, !files[0].isEmpty else {
      throw CoalitionError(
        .usage, "--metric \(name) needs one file to compare with: --metric \(name) FILE",
        found: files.isEmpty ? nil : files.joined(separator: " "))
    }
    return (metric, files[0])
  }

  /// For `options` of a result.
  func record(sizes: [Int], points: Int) -> [JSONValue.Member] {
    switch metric {
    case .sensitivity:
      [
        .init("subsets", .integer(subsetCount)),
        .init("sizes", .array(sizes.map { .integer($0) })),
      ]
    case .deletion, .insertion: [.init("points", .integer(points))]
    case .infidelity: [.init("perturbations", .integer(perturbationCount))]
    case .maxSensitivity:
      [
        .init("perturbations", .integer(perturbationCount)),
        .init("radius", .number(movedRadius)),
      ]
    case .rmse, .rankCorrelation: []
    }
  }
}
