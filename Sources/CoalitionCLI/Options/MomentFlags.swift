// Options of estimators that propagate moments.

import Coalition
import CoalitionBase
import CoalitionData

enum MomentFlags {
  static let rankOption = Option(
    "rank", "R", "dasp, moment-gradient: factors of the covariance; 0 is the published method",
    default: "\(MomentOptions.defaultRank)", as: .integer(0...64))
  static let sizesOption = Option(
    "sizes", "K", "dasp: sizes of coalitions", default: "all for up to 32 players, else 16",
    as: .integer(1...(1 << 31)))
  /// The same beside --sizes of a metric.
  static let coalitionSizesOption = Option(
    "coalition-sizes", "K", "dasp: sizes of coalitions",
    default: "all for up to 32 players, else 16", as: .integer(1...(1 << 31)))
  static let nodesOption = Option(
    "nodes", "K", "moment-gradient: nodes of its quadrature", default: "8", as: .integer(1...1024))
  static let checkOption = Option(
    "checked-players", "N",
    "dasp, moment-gradient: players whose values are compared with samples; 0: no estimate of the error",
    default: "16", as: .integer(0...(1 << 20)))
  static let projectionFlag = Flag(
    "project",
    "dasp, moment-gradient: shares out among the players what their values miss of the sum")

  static let shared = [
    rankOption.declaration, nodesOption.declaration, checkOption.declaration,
    projectionFlag.declaration,
  ]
  static let declarations = [sizesOption.declaration] + shared

  /// - Parameters:
  ///   - sizes: the option that says how many sizes.
  ///   - isShrinkage: whether sampled values are drawn towards those of the estimator, which are not checked then.
  /// - Throws: `usage` for options of another estimator.
  static func options(
    _ arguments: Arguments, _ estimator: Estimator, sizes: Option<Int> = sizesOption,
    isShrinkage: Bool = false
  ) throws(CoalitionError) -> MomentOptions {
    func check(
      _ option: OptionDeclaration, _ owners: Estimator...
    ) throws(CoalitionError) {
      guard arguments.isGiven(option), !owners.contains(estimator) else { return }
      throw CoalitionError(
        .usage, "--\(option.name) is not for \(estimator.rawValue)",
        expected: "--estimator " + owners.map(\.rawValue).joined(separator: " or "))
    }
    try check(rankOption.declaration, .dasp, .momentGradient)
    for option in [checkOption.declaration, projectionFlag.declaration] {
      try check(option, .dasp, .momentGradient)
      if isShrinkage, arguments.isGiven(option) {
        throw CoalitionError(
          .usage,
          "--\(option.name) does not go with --shrink: the samples check the values, and their sum is exact"
        )
      }
    }
    try check(sizes.declaration, .dasp)
    try check(nodesOption.declaration, .momentGradient)
    var options = MomentOptions()
    options.rank = arguments[rankOption] ?? options.rank
    options.sizes = arguments[sizes]
    options.nodes = arguments[nodesOption] ?? options.nodes
    options.checkedPlayers = arguments[checkOption] ?? options.checkedPlayers
    options.isProjected = arguments[projectionFlag]
    return options
  }
}

extension MomentOptions {
  /// For `options` of a result.
  func record(_ estimator: Estimator) -> [JSONValue.Member] {
    [
      .init("rank", .integer(rank)),
      estimator == .dasp
        ? .init("sizes", sizes.map { .integer($0) } ?? .string("default"))
        : .init("nodes", .integer(nodes)),
      .init("checked-players", .integer(checkedPlayers)), .init("project", .bool(isProjected)),
    ]
  }
}
