// How many units go, which may not, and in how many rounds: the options of `prune` besides scores.

import Coalition
import CoalitionBase
import CoalitionData

struct PruneFlags: Sendable {
  static let scoresOption = Option(
    "scores", "FILE", "scores that coalition score wrote, in place of --metric", as: .text)
  static let keepOption = Option(
    "keep", "R", "keeps this share of the units",
    as: ValueFormat(expecting: "a number above 0, below 1") { text in
      Double(text).flatMap { $0 > 0 && $0 < 1 ? $0 : nil }
    })
  static let negativeFlag = Flag("remove-negative", "removes all units with scores below 0")
  static let reachOption = Option(
    "reach", "GOAL",
    "removes until params=R, macs=R or latency=R (shares of the model's), or while loss=+P% is kept",
    as: ValueFormat { text throws(CoalitionError) in try goal(text) })
  static let scopeOption = Option<RemovalScope>(
    "scope", "S", "units compete within their layer or across all: layer or global",
    default: "layer", as: .choice)
  static let excludeOption = Option(
    "exclude", "NAME", "a layer whose units stay; may be repeated", repeatable: true, as: .text)
  static let roundOption = Option(
    "round", "N", "leaves multiples of N units in layers that lose some", default: "1",
    as: .integer(1...4096))
  static let iterationsOption = Option(
    "iterations", "K", "removes in K rounds, with scores of their own", default: "1",
    as: .integer(1...1000))
  static let confidentFlag = Flag(
    "confident",
    "removes only units whose errors, of sampling and over examples, leave no doubt of their place")
  static let repairOption = Option(
    "repair", "HOW",
    "repairs what is left on the examples: bias (means of layers), bn (statistics of batch normalisations), "
      + "least-squares (weights of layers), finetune (training, with --labels), distill (training towards the whole model, or "
      + "with finetune towards half of either); several with commas",
    as: ValueFormat { text throws(CoalitionError) in try repairs(text) })
  static let outputOption = Option("output", "FILE", "writes the smaller model, .onnx", as: .text)
  static let reportOption = Option(
    "report", "FILE", "writes what was done, and the units that are left, as .json or .npz",
    as: .text)

  static let amount = OptionGroup(
    title: "How many units go",
    options: [
      keepOption.declaration, negativeFlag.declaration, reachOption.declaration,
      scopeOption.declaration, excludeOption.declaration, roundOption.declaration,
      iterationsOption.declaration, confidentFlag.declaration, repairOption.declaration,
    ])
  static let results = OptionGroup(
    title: "Results", options: [outputOption.declaration, reportOption.declaration])

  /// What `--repair` names.
  struct Repairs: Sendable {
    var withoutTraining: Set<Repair> = []
    /// After the others.
    var training: Set<TrainingRepair> = []

    static let known = Repair.allCases.map(\.rawValue) + TrainingRepair.allCases.map(\.rawValue)
    var isEmpty: Bool { withoutTraining.isEmpty && training.isEmpty }
    var names: [String] {
      Repair.allCases.filter(withoutTraining.contains).map(\.rawValue)
        + TrainingRepair.allCases.filter(training.contains).map(\.rawValue)
    }
  }

  /// What training goes towards: the labels, or what the whole model says.
  enum TrainingRepair: String, Sendable, CaseIterable { case finetune, distill }

  enum Amount: Sendable {
    case keep(Double)
    case negative
    case reach(RemovalGoal)
  }

  let amount: Amount
  let scope: RemovalScope
  let excluded: [String]
  let multiple: Int
  let rounds: Int
  let isConfident: Bool
  let repairs: Repairs
  let scores: String?
  let output: String?
  let report: String?

  /// - Throws: `usage` for options that do not go together.
  init(_ arguments: Arguments, _ runtime: RuntimeOptions) throws(CoalitionError) {
    scope = arguments[Self.scopeOption] ?? .layer
    excluded = arguments.all(Self.excludeOption)
    multiple = arguments[Self.roundOption] ?? 1
    rounds = arguments[Self.iterationsOption] ?? 1
    isConfident = arguments[Self.confidentFlag]
    repairs = arguments[Self.repairOption] ?? Repairs()
    scores = arguments[Self.scoresOption]
    output = arguments[Self.outputOption]
    report = arguments[Self.reportOption]
    var amounts: [Amount] = []
    if let keep = arguments[Self.keepOption] { amounts.append(.keep(keep)) }
    if arguments[Self.negativeFlag] { amounts.append(.negative) }
    if let goal = arguments[Self.reachOption] { amounts.append(.reach(goal)) }
    guard let amount = amounts.first, amounts.count == 1 else {
      throw CoalitionError(
        .usage, "how many units go is said once",
        expected: "one of --keep R, --remove-negative and --reach GOAL",
        found: amounts.isEmpty ? "none" : "\(amounts.count)")
    }
    self.amount = amount
    guard output != nil || report != nil || runtime.isDryRun else {
      throw CoalitionError(
        .usage, "the smaller model would go nowhere: give --output X.onnx or --report FILE")
    }
    if let output, !output.lowercased().hasSuffix(".onnx") {
      throw CoalitionError(
        .usage, "--output is the smaller model", node: output, expected: "a name ending in .onnx")
    }
    guard scores != nil else { return }
    if rounds > 1 {
      throw CoalitionError(
        .usage, "--iterations scores again in every round: it needs --metric, not --scores")
    }
    let others = ScoreFlags.group.options + ScoreFlags.sampling.options
    let shared = [
      ScoreFlags.labelsOption.declaration.name, ScoreFlags.lossOption.declaration.name,
      ScoreFlags.outputNameOption.declaration.name,
    ]
    if let given = others.first(where: {
      !shared.contains($0.name) && arguments.isGiven($0)
    }) {
      throw CoalitionError(
        .usage, "--\(given.name) says how to score: --scores holds scores already")
    }
  }

  private static func repairs(_ text: String) throws(CoalitionError) -> Repairs {
    var repairs = Repairs()
    for name in text.split(separator: ",", omittingEmptySubsequences: false) {
      if let training = TrainingRepair(rawValue: String(name)) {
        repairs.training.insert(training)
      } else if let repair = Repair(rawValue: String(name)) {
        repairs.withoutTraining.insert(repair)
      } else {
        throw CoalitionError(
          .usage, "there is no such repair\(suggestion(for: String(name), in: Repairs.known))",
          expected: Repairs.known.joined(separator: ", "),
          found: "'\(name)'")
      }
    }
    return repairs
  }

  private static func goal(_ text: String) throws(CoalitionError) -> RemovalGoal {
    let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let expected = "params=R, macs=R or latency=R with R above 0 and below 1, or loss=+P%"
    func wrong() -> CoalitionError {
      CoalitionError(.usage, "the value cannot be used", expected: expected, found: "'\(text)'")
    }
    guard sides.count == 2 else { throw wrong() }
    let share = Double(sides[1]).flatMap { $0 > 0 && $0 < 1 ? $0 : nil }
    switch sides[0] {
    case "params":
      guard let share else { throw wrong() }
      return .parameters(share)
    case "macs":
      guard let share else { throw wrong() }
      return .multiplyAdds(share)
    case "loss":
      guard sides[1].hasPrefix("+"), sides[1].hasSuffix("%"),
        let percent = Double(sides[1].dropFirst().dropLast()), percent >= 0, percent.isFinite
      else { throw wrong() }
      return .loss(percent: percent)
    case "latency":
      guard let share else { throw wrong() }
      return .latency(share)
    default: throw wrong()
    }
  }

  /// For `options` of a result.
  var record: [JSONValue.Member] {
    var goal: JSONValue = .null
    var keep: JSONValue = .null
    switch amount {
    case .keep(let share): keep = .number(share)
    case .negative: break
    case .reach(.parameters(let share)): goal = .object(["params": .number(share)])
    case .reach(.multiplyAdds(let share)): goal = .object(["macs": .number(share)])
    case .reach(.latency(let share)): goal = .object(["latency": .number(share)])
    case .reach(.loss(let percent)): goal = .object(["loss-percent": .number(percent)])
    }
    var isNegative = false
    if case .negative = amount { isNegative = true }
    return [
      .init("keep", keep), .init("remove-negative", .bool(isNegative)), .init("reach", goal),
      .init("scope", .string(scope.rawValue)),
      .init("exclude", .array(excluded.map { .string($0) })), .init("round", .integer(multiple)),
      .init("iterations", .integer(rounds)),
      .init("confident", .bool(isConfident)),
      .init("repair", .array(repairs.names.map { .string($0) })),
    ]
  }
}
