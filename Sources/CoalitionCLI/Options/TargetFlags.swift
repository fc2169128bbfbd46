// Which score is explained: --target, --at, --after-softmax, and where attributions go: --from.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

struct TargetFlags: Sendable {
  static let targetOption = Option(
    "target", "WHICH",
    "the score: predicted (the largest one), an index or i,j, label:FILE (a class per example), A-B (a difference), all",
    default: "predicted", as: .text)
  static let atOption = Option(
    "at", "NAME", "explains this tensor or node in place of the output",
    default: "the output, before a final softmax or sigmoid", as: .text)
  static let fromOption = Option(
    "from", "NAME", "attributes to this tensor or node in place of the inputs", repeatable: true,
    as: .text)
  static let afterFlag = Flag("after-softmax", "explains the output itself, behind its softmax")

  static let group = OptionGroup(
    title: "What is explained",
    options: [
      targetOption.declaration, atOption.declaration, afterFlag.declaration,
      fromOption.declaration,
    ])

  /// Without the file of labels.
  private enum Written { case target(Target), labels(String) }

  private let written: Written
  private let text: String
  /// SHA-256 of the file of labels.
  private var digest: String?
  private let arguments: Arguments

  /// - Throws: `usage` for a text that is no target.
  init(_ arguments: Arguments) throws(CoalitionError) {
    self.arguments = arguments
    text = arguments[Self.targetOption] ?? "predicted"
    if arguments[Self.afterFlag], arguments[Self.atOption] != nil {
      throw CoalitionError(
        .usage, "--after-softmax is for the output: --at names the tensor itself")
    }
    written = try Self.read(text)
  }

  /// The file of labels.
  var path: String? { if case .labels(let path) = written { path } else { nil } }

  private static func read(_ text: String) throws(CoalitionError) -> Written {
    switch text {
    case "predicted": return .target(.predicted)
    case "all": return .target(.all)
    case _ where text.hasPrefix("label:") && text.count > 6:
      return .labels(String(text.dropFirst(6)))
    default: break
    }
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    if ends.count == 2, let plus = ends[0], let minus = ends[1] {
      return .target(.difference(plus, minus))
    }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    let indices = parts.compactMap { $0 }.filter { $0 >= 0 }
    guard indices.count == parts.count else {
      throw CoalitionError(
        .usage, "--target: not a score",
        expected: "predicted, an index or i,j, label:FILE, A-B, or all", found: "'\(text)'")
    }
    return .target(.index(indices))
  }

  /// What an explainer needs to know.
  func apply(to options: inout ExplainerOptions, _ graph: Graph) throws(CoalitionError) {
    options.afterSoftmax = arguments[Self.afterFlag]
    options.scores = try arguments[Self.atOption].map { name throws(CoalitionError) in
      try graph.tensor(named: name, option: Self.atOption.declaration)
    }
    options.sources = try arguments.all(Self.fromOption).map { name throws(CoalitionError) in
      graph.inputs.contains { $0.name == name }
        ? name : try graph.tensor(named: name, option: Self.fromOption.declaration)
    }
  }

  /// The target, with its labels read.
  mutating func target(
    examples: Int, memoryLimit: Int
  ) throws(CoalitionError) -> Target {
    switch written {
    case .target(let target): return target
    case .labels(let path):
      let tensor = try ArrayFile.load(path, options: .init(memoryLimit: memoryLimit))
      guard let labels = tensor.integers, tensor.shape.dropFirst().allSatisfy({ $0 == 1 }) else {
        throw CoalitionError(
          .invalidData, "labels are one whole number per example", node: path,
          expected: "integers [\(examples)]", found: "\(tensor.elementType) \(tensor.shape)")
      }
      guard labels.count == examples else {
        throw CoalitionError(
          .shapeMismatch, "there must be one label per example", node: path,
          expected: "\(examples)", found: "\(labels.count)")
      }
      digest = try FileDigest.of(path, limit: memoryLimit)
      return .labels(labels)
    }
  }

  /// For `options` of a result.
  func record(scores: String, sources: [String]) -> [JSONValue.Member] {
    [
      .init("target", .string(path == nil ? text : "label")),
      .init("target-sha256", digest.map { .string($0) } ?? .null),
      .init("at", .string(scores)),
      .init("after-softmax", .bool(arguments[Self.afterFlag])),
      .init("from", .array(sources.map { .string($0) })),
    ]
  }
}
