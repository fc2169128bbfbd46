// What inputs are compared with: --baseline, in model units, without preprocessing.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

struct BaselineFlags: Sendable {
  static let option = Option(
    "baseline", "[NAME=]WHAT",
    "zero, a number, mean:FILE (the mean of its examples), FILE.npy or marginal:FILE (several rows: averaged over), or token:ID for "
      + "inputs of whole numbers; in model units; once per input",
    default: "zero", repeatable: true, as: .named)

  private enum Written: Sendable {
    case zero, number(Double), token(Int), mean(String), rows(String)

    init(_ text: String) throws(CoalitionError) {
      if text == "zero" {
        self = .zero
      } else if text.hasPrefix("token:") {
        guard let id = Int(text.dropFirst(6)), id >= 0 else {
          throw CoalitionError(
            .usage, "--baseline: not a token", expected: "token:ID, a whole number from 0",
            found: "'\(text)'")
        }
        self = .token(id)
      } else if text.hasPrefix("mean:") {
        self = .mean(String(text.dropFirst(5)))
      } else if text.hasPrefix("marginal:") {
        self = .rows(String(text.dropFirst(9)))
      } else if let number = Double(text) {
        guard number.isFinite else {
          throw CoalitionError(.usage, "--baseline: not a finite number", found: "'\(text)'")
        }
        self = .number(number)
      } else {
        self = .rows(text)
      }
    }

    var path: String? {
      switch self {
      case .mean(let path), .rows(let path): path
      case .zero, .number, .token: nil
      }
    }
  }

  /// By input.
  private(set) var baselines: [String: Baseline] = [:]
  private(set) var warnings: [String] = []
  private var records: [JSONValue.Member] = []
  private(set) var byteCount = 0

  /// The texts that may name files, for the check that none is written over.
  static func files(_ arguments: Arguments) -> [String] {
    arguments.all(option).map { $0.text.without(prefix: "mean:").without(prefix: "marginal:") }
  }

  /// - Parameters:
  ///   - isUsed: whether the method compares with a baseline; else the options are not read further.
  /// - Throws: `usage` for a name that is no input or a value without a name that only one input can have.
  init(
    _ arguments: Arguments, for explainer: Explainer, method: String, isUsed: Bool,
    preprocessing: Preprocessing, memoryLimit: Int
  ) throws(CoalitionError) {
    let given = arguments.all(Self.option)
    guard isUsed else {
      if !given.isEmpty { warnings = ["--baseline is not used: \(method) compares with nothing"] }
      return
    }
    let sources = explainer.sources
    let tokens = explainer.modelInputs.filter { input in
      explainer.explainsEmbeddings && !sources.contains { $0.name == input.name }
    }
    let names = sources.map(\.name) + tokens.map(\.name)
    for named in given {
      let (name, text) = named.split(names: names)
      if name == nil, let sign = text.firstIndex(of: "="), !Files.exists(text) {
        let wrong = String(text[..<sign])
        let advice = suggestion(for: wrong, in: names)
        throw CoalitionError(
          .usage, "--baseline: there is no input '\(wrong)' to explain\(advice)",
          expected: names.joined(separator: ", "))
      }
      let written = try Written(text)
      if name == nil, written.path != nil, sources.count > 1 {
        throw CoalitionError(
          .usage, "--baseline must say which input it is for: NAME=\(text)",
          expected: names.joined(separator: ", "))
      }
      // A token's input stands for its embeddings.
      let isTokens = name.map { name in tokens.contains { $0.name == name } } ?? true
      let targets = isTokens ? sources : sources.filter { $0.name == name }
      for source in targets {
        guard baselines[source.name] == nil else {
          throw CoalitionError(
            .usage, "--baseline is given twice for this input", node: source.name)
        }
        try read(
          written, source, memoryLimit: max(0, memoryLimit - byteCount),
          isPreprocessed: !preprocessing.isIdentity)
      }
    }
  }

  private mutating func read(
    _ written: Written, _ source: Plan.Value, memoryLimit: Int, isPreprocessed: Bool
  ) throws(CoalitionError) {
    switch written {
    case .zero: set(source, .zero, ["kind": "zero"])
    case .number(let number):
      set(source, .value(number), ["kind": "value", "value": .number(number)])
    case .token(let id): set(source, .token(id), ["kind": "token", "token": .integer(id)])
    case .mean(let path), .rows(let path):
      let stored = try ArrayFile.load(
        path, options: .init(exampleShape: source.shape, memoryLimit: memoryLimit))
      if stored.elementType == .uint8, isPreprocessed {
        warnings.append(
          "the baseline \(path) holds bytes: they are taken as they are, in model units")
      }
      var tensor = try InputArrays.fitted(stored, to: source.shape)
      let isMean = if case .mean = written { true } else { false }
      if isMean { tensor = try Self.mean(tensor, path, source) }
      guard tensor.shape == source.shape || Array(tensor.shape.dropFirst()) == source.shape,
        tensor.count > 0
      else {
        throw CoalitionError(
          .shapeMismatch, "the baseline does not fit the input \(source.name)", node: path,
          expected: "\(source.shape), or rows of it", found: "\(stored.shape)")
      }
      byteCount += tensor.byteCount
      set(
        source, .rows(tensor),
        [
          "kind": isMean ? "mean" : "rows",
          "shape": .array(stored.shape.map { .integer($0) }),
          "sha256": try FileDigest.of(path, limit: memoryLimit).map { .string($0) } ?? .null,
        ])
    }
  }

  private mutating func set(
    _ source: Plan.Value, _ baseline: Baseline, _ record: KeyValuePairs<String, JSONValue>
  ) {
    baselines[source.name] = baseline
    records.append(.init(source.name, .object(record)))
  }

  /// The mean of rows [B, shape], in double precision.
  private static func mean(
    _ tensor: Tensor, _ path: String, _ source: Plan.Value
  ) throws(CoalitionError) -> Tensor {
    guard Array(tensor.shape.dropFirst()) == source.shape, let rows = tensor.shape.first, rows > 0
    else { return tensor }
    let values = tensor.doubles
    let size = source.count
    var sums = [Double](repeating: 0, count: size)
    for row in 0..<rows {
      for element in 0..<size { sums[element] += values[row * size + element] }
    }
    return try Tensor(shape: source.shape, elements: .float64(sums.map { $0 / Double(rows) }))
  }

  /// For `options` of a result: those that are not given are zero.
  func record(_ sources: [Plan.Value]) -> JSONValue {
    .object(
      sources.map { source in
        records.first { $0.name == source.name }
          ?? .init(source.name, .object(["kind": "zero"]))
      })
  }
}

extension String {
  /// Without `prefix` at the start, or behind `NAME=`.
  fileprivate func without(prefix: String) -> String {
    if hasPrefix(prefix) { return String(dropFirst(prefix.count)) }
    guard let sign = firstIndex(of: "="), self[index(after: sign)...].hasPrefix(prefix) else {
      return self
    }
    return String(self[...sign]) + self[index(after: sign)...].dropFirst(prefix.count)
  }
}
