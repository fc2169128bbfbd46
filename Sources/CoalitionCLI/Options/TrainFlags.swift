// How a model is trained: the options of `train`, and of the fine-tuning of `prune`.

import Coalition
import CoalitionBase
import CoalitionData

struct TrainFlags: Sendable {
  enum Rule: String, Sendable, CaseIterable { case adam, sgd, nesterov, adadelta }

  static let optimizerOption = Option<Rule>(
    "optimizer", "O", Rule.allCases.map(\.rawValue).joined(separator: ", "), default: "adam",
    as: .choice)
  static let rateOption = Option(
    "learning-rate", "R", "the size of steps",
    default: "0.001, of sgd and nesterov 0.01, of adadelta 1", as: .number)
  static let momentumOption = Option(
    "momentum", "M", "of sgd and nesterov", default: "0.9", as: .number)
  static let decayOption = Option(
    "weight-decay", "W", "times a weight, added to its gradient", default: "0", as: .number)
  static let batchOption = Option(
    "batch", "N", "examples of a step", default: "64", as: .integer(1...1 << 20))
  static let epochsOption = Option(
    "epochs", "N", "how often all examples are gone through", default: "10",
    as: .integer(1...1_000_000))
  static let validationOption = Option(
    "validation", "FILE or SHARE",
    "examples that are only measured, or a share of --input that is kept apart for it; the weights of the epoch with "
      + "their lowest loss are kept, those of the model as it came among them", as: .text)
  static let validationLabelsOption = Option(
    "validation-labels", "FILE",
    "the labels of a --validation FILE; prune --repair distill needs none", as: .text)
  static let patienceOption = Option(
    "patience", "N", "stops when the validation loss has not fallen for so many epochs",
    as: .integer(1...1_000_000))

  static let declarations = [
    optimizerOption.declaration, rateOption.declaration, momentumOption.declaration,
    decayOption.declaration, batchOption.declaration, epochsOption.declaration,
    validationOption.declaration, validationLabelsOption.declaration, patienceOption.declaration,
  ]

  enum Validation: Sendable {
    case none
    case share(Double)
    /// Without labels where a teacher says what they would.
    case file(String, labels: String?)

    /// - Throws: `usage` for a file without labels that needs some, or labels without a file.
    init(_ arguments: Arguments, needsLabels: Bool) throws(CoalitionError) {
      let labels = arguments[validationLabelsOption]
      guard let text = arguments[validationOption] else {
        guard labels == nil else {
          throw CoalitionError(.usage, "--validation-labels are of a file: give --validation FILE")
        }
        self = .none
        return
      }
      if let share = Double(text) {
        guard share > 0, share < 1 else {
          throw CoalitionError(
            .usage, "--validation: not a share of the examples",
            expected: "a number above 0 and below 1, or a file", found: "'\(text)'")
        }
        guard labels == nil else {
          throw CoalitionError(.usage, "--validation-labels are of a file, not of a share")
        }
        self = .share(share)
      } else {
        guard labels != nil || !needsLabels else { throw Self.unlabelled(text) }
        self = .file(text, labels: labels)
      }
    }

    static func unlabelled(_ path: String) -> CoalitionError {
      CoalitionError(
        .usage, "--validation is a file: give its labels with --validation-labels", node: path)
    }
  }

  /// Without `loss`, `plan` and `run`.
  let options: TrainingOptions
  let validation: Validation
  private let rule: Rule

  /// - Parameter needsLabels: whether examples without labels are of no use.
  init(
    _ arguments: Arguments, _ runtime: RuntimeOptions, needsLabels: Bool = true
  ) throws(CoalitionError) {
    var options = TrainingOptions()
    rule = arguments[Self.optimizerOption] ?? .adam
    let momentum = arguments[Self.momentumOption]
    if momentum != nil, rule != .sgd, rule != .nesterov {
      throw CoalitionError(
        .usage, "--momentum is for --optimizer sgd and nesterov", found: rule.rawValue)
    }
    options.optimizer =
      switch rule {
      case .adam: .adam()
      case .sgd: .sgd(momentum: momentum ?? 0.9)
      case .nesterov: .sgd(momentum: momentum ?? 0.9, nesterov: true)
      case .adadelta: .adadelta()
      }
    options.learningRate = arguments[Self.rateOption]
    options.weightDecay = arguments[Self.decayOption] ?? options.weightDecay
    options.batch = arguments[Self.batchOption] ?? options.batch
    options.epochs = arguments[Self.epochsOption] ?? options.epochs
    options.patience = arguments[Self.patienceOption]
    options.seed = runtime.seed
    validation = try Validation(arguments, needsLabels: needsLabels)
    if options.patience != nil, case .none = validation {
      throw CoalitionError(.usage, "--patience looks at a validation loss: give --validation")
    }
    self.options = options
  }

  /// The files that are read besides the examples.
  var files: [(option: String, path: String)] {
    guard case .file(let path, let labels) = validation else { return [] }
    return [("--validation", path)] + (labels.map { [("--validation-labels", $0)] } ?? [])
  }

  /// Examples to train on, and those that are only measured.
  /// - Parameters:
  ///   - all: with what is trained towards.
  ///   - labels: of the same examples, what a share of them is measured by; nil: what is trained towards.
  ///   - model: its inputs.
  ///   - teacher: gives examples of a file the targets that no labels give.
  func examples(
    _ all: LabelledExamples, measuredBy labels: Tensor? = nil, _ arrays: InputArrays,
    _ model: [Plan.Value], memoryLimit: Int,
    teacher: (([String: Tensor]) async throws(CoalitionError) -> Tensor)? = nil
  ) async throws(CoalitionError) -> (training: LabelledExamples, validation: LabelledExamples?) {
    switch validation {
    case .none: return (all, nil)
    case .share(let share):
      let (part, rest) = try all.split(share: share, seed: options.seed)
      guard let labels else { return (rest, part) }
      let measured = LabelledExamples(inputs: all.inputs, labels: labels, loss: all.loss)
      return (rest, try measured.split(share: share, seed: options.seed).part)
    case .file(let path, let labels):
      guard let input = model.first, model.count == 1 else {
        throw CoalitionError(
          .usage, "a model of several inputs takes a share of --input for --validation",
          expected: "--validation SHARE")
      }
      let inputs = [input.name: try arrays.more(path, of: input, memoryLimit: memoryLimit)]
      let targets: Tensor
      if let labels {
        targets = try ArrayFile.load(labels, options: .init(memoryLimit: memoryLimit))
      } else if let teacher {
        targets = try await teacher(inputs)
      } else {
        throw Validation.unlabelled(path)
      }
      return (all, LabelledExamples(inputs: inputs, labels: targets, loss: all.loss))
    }
  }

  /// For `options` of a result.
  func record(limit: Int) throws(CoalitionError) -> [JSONValue.Member] {
    var momentum: JSONValue = .null
    if case .sgd(let value, _) = options.optimizer { momentum = .number(value) }
    var kept: JSONValue = .null
    switch validation {
    case .none: break
    case .share(let share): kept = .number(share)
    case .file(let path, let labels):
      kept = .object([
        "sha256": try FileDigest.of(path, limit: limit).map { .string($0) } ?? .null,
        "labels-sha256": try labels.flatMap { labels throws(CoalitionError) in
          try FileDigest.of(labels, limit: limit)
        }.map { .string($0) } ?? .null,
      ])
    }
    return [
      .init("optimizer", .string(rule.rawValue)),
      .init("learning-rate", .number(options.learningRate ?? options.optimizer.usualRate)),
      .init("momentum", momentum), .init("weight-decay", .number(options.weightDecay)),
      .init("batch", .integer(options.batch)), .init("epochs", .integer(options.epochs)),
      .init("validation", kept),
      .init("patience", options.patience.map { .integer($0) } ?? .null),
    ]
  }
}
