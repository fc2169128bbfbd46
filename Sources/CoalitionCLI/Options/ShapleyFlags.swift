// How values of players are estimated, and when that ends: the options of `coalition shapley` in front of any game.

import Coalition
import CoalitionBase
import CoalitionData

struct ShapleyFlags: Sendable {
  static let estimatorOption = Option(
    "estimator", "E", Estimator.allCases.map(\.rawValue).joined(separator: ", "), default: "auto",
    as: .text)
  static let antitheticFlag = Flag(
    "antithetic", "permutation: every order with its reverse, which counts as two samples")
  static let valueOption = Option<PlayerValue>(
    "value", "V", "shapley, owen (with --groups) or banzhaf", default: "shapley", as: .choice)
  static let groupsOption = Option(
    "groups", "FILE", "owen: whole numbers [P], the group of each player", as: .text)
  static let interactionsOption = Option(
    "interactions", "2", "also what pairs of players add together, beyond what each adds",
    as: ValueFormat(expecting: "2, for pairs") { $0 == "2" ? 2 : nil })
  static let indexOption = Option<InteractionIndex>(
    "index", "INDEX", "interactions: sii, k-sii or faith-sii", default: "sii", as: .choice)
  static let evaluationsOption = Option(
    "evaluations", "N", "stops at N values of coalitions per example", as: .integer(1...(1 << 50)))
  static let samplesOption = Option(
    "samples", "N", "stops at N samples per example: permutations, toggled coalitions, or rows",
    as: .integer(1...(1 << 50)))
  static let toleranceOption = Option(
    "tolerance", "T",
    "stops when the largest standard error is below T times the range of the values",
    as: positive("a number above 0"))
  static let topOption = Option(
    "top", "K", "stops when it is known which K players have the largest values",
    as: .integer(1...(1 << 31)))
  static let stabilityOption = Option(
    "rank-stability", "R",
    "stops when the values' rank correlation with those at half the samples reaches R",
    as: ValueFormat(expecting: "a number above 0, at most 1") { text in
      Double(text).flatMap { $0 > 0 && $0 <= 1 ? $0 : nil }
    })
  static let timeOption = Option(
    "time", "S", "stops after S seconds of work", as: positive("seconds above 0"))
  static let shardOption = Option(
    "shard", "I/N", "computes part I of N, for coalition merge; needs a budget",
    as: ValueFormat { text throws(CoalitionError) in try shard(text) })
  static let checkpointOption = Option(
    "checkpoint", "FILE", "keeps the state of the run there, and goes on from it", as: .text)
  static let intervalOption = Option(
    "checkpoint-every", "S", "seconds between checkpoints", default: "10",
    as: positive("seconds above 0"))

  static let shrinkOption = Option(
    "shrink", "HOW",
    "dasp or moment-gradient: draws sampled values towards those, as far as the samples leave it open which are right; or none",
    default: "none", as: .text)

  static let estimation = OptionGroup(
    title: "Estimation",
    options: [
      estimatorOption.declaration, antitheticFlag.declaration, valueOption.declaration,
      groupsOption.declaration, interactionsOption.declaration, indexOption.declaration,
      shrinkOption.declaration,
    ] + MomentFlags.declarations)
  static let stopping = OptionGroup(
    title:
      "When it stops (the first rule that holds; by default a tolerance of 0.02, or 2000 evaluations per player)",
    options: [
      evaluationsOption.declaration, samplesOption.declaration, toleranceOption.declaration,
      topOption.declaration, stabilityOption.declaration, timeOption.declaration,
    ])
  static let parts = OptionGroup(
    title: "Long runs",
    options: [
      checkpointOption.declaration, intervalOption.declaration, shardOption.declaration,
    ])

  /// Complete but for `run`.
  private(set) var options = ShapleyOptions()
  let checkpoint: String?
  let interval: Double
  /// Of the file of groups.
  private(set) var groupsPath: String?

  /// - Throws: `usage` for options that exclude each other, and what reading the groups throws.
  init(_ arguments: Arguments, _ runtime: RuntimeOptions) throws(CoalitionError) {
    checkpoint = arguments[Self.checkpointOption]
    interval = arguments[Self.intervalOption] ?? 10
    if checkpoint == nil, arguments.isGiven(Self.intervalOption.declaration) {
      throw CoalitionError(.usage, "--checkpoint-every needs --checkpoint FILE")
    }
    options.seed = runtime.seed
    options.estimator = try Self.estimator(arguments)
    options.antithetic = arguments[Self.antitheticFlag]
    if options.antithetic, ![.permutation, .auto].contains(options.estimator) {
      throw CoalitionError(
        .usage, "--antithetic is for orders of players", expected: "--estimator permutation",
        found: options.estimator.rawValue)
    }
    options.shrinkage = try Self.shrinkage(arguments, options.estimator)
    options.moments = try MomentFlags.options(
      arguments, options.shrinkage ?? options.estimator, isShrinkage: options.shrinkage != nil)
    options.value = arguments[Self.valueOption] ?? .shapley
    if arguments[Self.interactionsOption] != nil {
      options.interactions = arguments[Self.indexOption] ?? .sii
    } else if arguments.isGiven(Self.indexOption.declaration) {
      throw CoalitionError(.usage, "--index is one of interactions: it needs --interactions 2")
    }
    options.samples = arguments[Self.samplesOption]
    options.evaluations = arguments[Self.evaluationsOption]
    options.tolerance = arguments[Self.toleranceOption]
    options.top = arguments[Self.topOption]
    options.rankStability = arguments[Self.stabilityOption]
    options.seconds = arguments[Self.timeOption]
    options.shard = arguments[Self.shardOption]
    if options.shard != nil { try checkParts(arguments) }
    if options.estimator.usesMoments, checkpoint != nil {
      throw CoalitionError(
        .usage, "--checkpoint is for runs of samples: \(options.estimator.rawValue) is done at once"
      )
    }
    groupsPath = arguments[Self.groupsOption]
    switch (groupsPath, options.value) {
    case (nil, .owen):
      throw CoalitionError(.usage, "--value owen needs --groups FILE: the group of each player")
    case (.some, .shapley), (.some, .banzhaf):
      throw CoalitionError(
        .usage, "--groups is for --value owen", found: "--value \(options.value.rawValue)")
    default: break
    }
    if let groupsPath {
      options.groups = try Self.groups(groupsPath, memoryLimit: runtime.memoryLimit)
    }
  }

  /// - Throws: `usage` for an estimator that there is not.
  static func estimator(_ arguments: Arguments) throws(CoalitionError) -> Estimator {
    guard let name = arguments[estimatorOption] else { return .auto }
    if let estimator = Estimator(rawValue: name) { return estimator }
    let names = Estimator.allCases.map(\.rawValue)
    let advice = suggestion(for: name, in: names)
    throw CoalitionError(
      .usage, "--estimator: there is no estimator '\(name)'\(advice)",
      expected: names.joined(separator: ", "))
  }

  private static func shrinkage(
    _ arguments: Arguments, _ estimator: Estimator
  ) throws(CoalitionError) -> Estimator? {
    guard let name = arguments[shrinkOption], name != "none" else { return nil }
    guard let towards = Estimator(rawValue: name), towards.usesMoments else {
      throw CoalitionError(
        .usage, "--shrink: sampled values are not drawn towards '\(name)'",
        expected: "dasp, moment-gradient or none")
    }
    guard estimator != .exact, !estimator.usesMoments else {
      throw CoalitionError(
        .usage, "--shrink is for sampled values", found: "--estimator \(estimator.rawValue)")
    }
    let isShapley = arguments[valueOption] ?? .shapley == .shapley
    guard isShapley, arguments[interactionsOption] == nil, arguments[shardOption] == nil else {
      throw CoalitionError(
        .usage, "--shrink is for Shapley values of a whole run",
        expected: "no --value, --interactions or --shard")
    }
    return towards
  }

  /// The parts of a run know nothing of each other.
  private func checkParts(_ arguments: Arguments) throws(CoalitionError) {
    for option in [
      Self.toleranceOption.declaration, Self.topOption.declaration,
      Self.stabilityOption.declaration, Self.timeOption.declaration,
    ] where arguments.isGiven(option) {
      throw CoalitionError(
        .usage, "--\(option.name) looks at results, which --shard has only a part of",
        expected: "--samples or --evaluations")
    }
    if [.auto, .stratified].contains(options.estimator) {
      throw CoalitionError(
        .usage,
        "--estimator \(options.estimator.rawValue) does not go with --shard",
        expected: "an estimator by name, not auto or stratified")
    }
    if options.samples == nil, options.evaluations == nil, options.estimator != .exact {
      throw CoalitionError(
        .usage, "--shard needs the budget of the whole run", expected: "--samples or --evaluations")
    }
  }

  private static func groups(_ path: String, memoryLimit: Int) throws(CoalitionError) -> [Int] {
    let tensor = try ArrayFile.load(path, options: .init(memoryLimit: memoryLimit))
    guard let groups = tensor.integers, tensor.rank == 1 else {
      throw CoalitionError(
        .invalidData, "groups are one whole number per player", node: path,
        expected: "integers [P]", found: "\(tensor.elementType) \(tensor.shape)")
    }
    return groups
  }

  private static func shard(_ text: String) throws(CoalitionError) -> Shard {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let index = parts[0], let count = parts[1] else {
      throw CoalitionError(
        .usage, "the value cannot be used", expected: "I/N with I from 1 to N", found: "'\(text)'")
    }
    return try Shard(index, of: count)
  }

  private static func positive(_ expected: String) -> ValueFormat<Double> {
    ValueFormat(expecting: expected) { text in
      Double(text).flatMap { $0.isFinite && $0 > 0 ? $0 : nil }
    }
  }
}

// MARK: - In results

extension ShapleyOptions {
  /// The estimator by moments that takes part.
  private var byMoments: Estimator? { estimator.usesMoments ? estimator : shrinkage }

  /// For `options` of a result: what was asked for, resolved.
  var record: [JSONValue.Member] {
    func integer(_ value: Int?) -> JSONValue { value.map { .integer($0) } ?? .null }
    func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
    return [
      .init("estimator", .string(estimator.rawValue)),
      .init("antithetic", .bool(antithetic)),
      .init("shrink", shrinkage.map { .string($0.rawValue) } ?? .null),
      .init("moments", byMoments.map { .object(moments.record($0)) } ?? .null),
      .init("value", .string(value.rawValue)),
      .init("groups", groups.map { .array($0.map { .integer($0) }) } ?? .null),
      .init("interactions", interactions.map { .string($0.rawValue) } ?? .null),
      .init("evaluations", integer(evaluations)),
      .init("samples", integer(samples)),
      .init("tolerance", number(tolerance)),
      .init("top", integer(top)),
      .init("rank-stability", number(rankStability)),
      .init("time", number(seconds)),
    ]
  }

  /// The options that a record tells of.
  /// - Throws: `invalidData` for a record of something else.
  init(record: JSONValue, seed: JSONValue) throws(CoalitionError) {
    func broken(_ name: String) -> CoalitionError {
      CoalitionError(.invalidData, "the options of the run cannot be read", node: name)
    }
    func integer(_ name: String) -> Int? {
      if case .integer(let value)? = record[name] { value } else { nil }
    }
    self.init()
    guard let estimator = (record["estimator"]?.text).flatMap(Estimator.init(rawValue:)) else {
      throw broken("estimator")
    }
    guard let value = (record["value"]?.text).flatMap(PlayerValue.init(rawValue:)) else {
      throw broken("value")
    }
    guard case .bool(let antithetic)? = record["antithetic"] else { throw broken("antithetic") }
    (self.estimator, self.value, self.antithetic) = (estimator, value, antithetic)
    (samples, evaluations) = (integer("samples"), integer("evaluations"))
    if let name = record["interactions"]?.text {
      interactions = InteractionIndex(rawValue: name)
      if interactions == nil { throw broken("interactions") }
    }
    switch seed {
    case .integer(let number) where number >= 0: self.seed = UInt64(number)
    case .string(let text):
      guard let number = UInt64(text) else { throw broken("seed") }
      self.seed = number
    default: throw broken("seed")
    }
    if case .array(let numbers)? = record["groups"] {
      groups = numbers.compactMap { if case .integer(let group) = $0 { group } else { nil } }
      guard groups?.count == numbers.count else { throw broken("groups") }
    }
  }
}
