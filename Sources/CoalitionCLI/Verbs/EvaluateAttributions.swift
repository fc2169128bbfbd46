// Attributions in files, results of this program or arrays of other tools, as values of players.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet

/// What attributions are for.
struct AttributionSubject: Sendable {
  /// What is explained, with the shapes of an example's attributions and of the example itself.
  let sources: [(name: String, shape: [Int], inputShape: [Int])]
  let players: PlayerSet
  let examples: Int
}

/// The attributions of one method for all examples.
struct AttributionFile: Sendable {
  /// The method's name in tables: that of `NAME=FILE`, the method of a result, or the name of the file.
  var name: String
  let isNamed: Bool
  let path: String
  let sha256: String?
  /// [example][player].
  let values: [[Double]]
  /// What a result says of its making: the model and the scores that it explains, and the options.
  let modelDigest: String?
  let options: JSONValue?
  let targets: [Int]?
  let byteCount: Int

  static let option = Option(
    "attributions", "[NAME=]FILE",
    "attributions to judge: results (.npz, .json), .npy or FILE.npz:KEY of other tools; several one behind the other",
    list: true, as: .text)

  /// The path, without the name that may stand before it.
  static func split(_ text: String) -> (name: String?, path: String) {
    guard !Files.exists(text), let sign = text.firstIndex(of: "="), sign > text.startIndex else {
      return (nil, text)
    }
    return (String(text[..<sign]), String(text[text.index(after: sign)...]))
  }

  /// - Throws: `unreadable` and `invalidData` for the file, `shapeMismatch` for arrays that do not fit the examples,
  ///   `notFinite` for numbers that cannot be added up.
  init(
    _ text: String, for subject: AttributionSubject, memoryLimit: Int
  ) throws(CoalitionError) {
    let (given, path) = Self.split(text)
    self.path = path
    let stored = try Stored(path, subject, memoryLimit: memoryLimit)
    sha256 = try FileDigest.of(path, limit: memoryLimit)
    isNamed = given != nil
    name = given ?? stored.method ?? PlotSource.stem(path)
    modelDigest = stored.modelDigest
    options = stored.options
    targets = stored.targets
    byteCount = stored.arrays.reduce(0) { $0 + $1.tensor.byteCount }
    do throws(CoalitionError) {
      values = try Self.values(stored.arrays, subject)
    } catch {
      // The file is what the user can change; the input is said within the sentence.
      var named = error
      if let node = error.node, node != path { named.message = "\(node): \(error.message)" }
      named.node = path
      throw named
    }
  }

  /// Where a result was made from something else than it is judged on.
  func doubts(about subject: ExplanationSubject) -> [String] {
    guard let options else { return [] }
    var doubts: [String] = []
    if let modelDigest, modelDigest != subject.file.sha256 {
      doubts.append("\(path) explains another model")
    }
    let own = JSONValue.object(subject.record)
    // Methods without a baseline have none to differ.
    if let baseline = options["baseline"], baseline != .null, let present = own["baseline"],
      present != .null, baseline != present
    {
      doubts.append("\(path) was made with another baseline")
    }
    let inputs = subject.sources.map(\.name)
    if inputs.contains(where: { name in
      let theirs = options["input"]?[name]?["sha256"]?.text
      return theirs != nil && theirs != own["input"]?[name]?["sha256"]?.text
    }) {
      doubts.append("\(path) explains examples of another file")
    } else if let theirs = options["preprocessing"], theirs != own["preprocessing"] {
      doubts.append("\(path) was made with other preprocessing")
    }
    return doubts
  }

  // MARK: Fitting

  private static func values(
    _ arrays: [(source: String, tensor: Tensor)], _ subject: AttributionSubject
  ) throws(CoalitionError) -> [[Double]] {
    if arrays.count == 1, let values = try valuesOfPlayers(arrays[0].tensor, subject) {
      return values
    }
    var attributions: [String: Tensor] = [:]
    for (name, tensor) in arrays {
      guard let source = subject.sources.first(where: { $0.name == name }) else { continue }
      attributions[name] = try elements(tensor, source, subject)
    }
    return try subject.players.sums(of: attributions, examples: subject.examples)
  }

  /// Numbers [N, shape of one example's attributions], of embeddings added up to their tokens.
  private static func elements(
    _ tensor: Tensor, _ source: (name: String, shape: [Int], inputShape: [Int]),
    _ subject: AttributionSubject
  ) throws(CoalitionError) -> Tensor {
    let examples = subject.examples
    for shape in [source.shape, source.inputShape] {
      var rows = try InputArrays.fitted(tensor, to: shape)
      if examples == 1, rows.shape == shape { rows = try rows.reshaped(to: [1] + shape) }
      guard rows.shape == [examples] + shape else { continue }
      guard shape != source.shape else { return rows }
      let numbers = rows.doubles
      let width = shape.last ?? 1
      return try Tensor(
        shape: [examples] + source.shape,
        elements: .float64(
          stride(from: 0, to: numbers.count, by: width).map {
            numbers[$0..<$0 + width].reduce(0, +)
          }))
    }
    var expected = "\([examples] + source.shape)"
    if subject.sources.count == 1 {
      expected += ", or \([examples, subject.players.playerCount]) values of players"
    }
    throw CoalitionError(
      .shapeMismatch, "the attributions do not fit the examples", expected: expected,
      found: "\(tensor.shape)")
  }

  /// A number for each player, where the array does not have the shape of the input: [N, P], in any axes.
  private static func valuesOfPlayers(
    _ tensor: Tensor, _ subject: AttributionSubject
  ) throws(CoalitionError) -> [[Double]]? {
    let count = subject.players.playerCount
    let isOfElements = subject.sources.contains { source in
      [source.shape, source.inputShape].contains { shape in
        tensor.count == subject.examples * shape.reduce(1, *)
      }
    }
    guard !isOfElements, tensor.shape.first == subject.examples,
      tensor.count == subject.examples * count
    else { return nil }
    if let place = tensor.firstNonFinite {
      throw CoalitionError(
        .notFinite, "player \(place % count) of example \(place / count) has no finite value")
    }
    let numbers = tensor.doubles
    return (0..<subject.examples).map { Array(numbers[$0 * count..<($0 + 1) * count]) }
  }

  // MARK: Reading

  /// The arrays of a file, by what they are for.
  private struct Stored {
    var arrays: [(source: String, tensor: Tensor)] = []
    var method: String?
    var modelDigest: String?
    var options: JSONValue?
    var targets: [Int]?

    init(
      _ path: String, _ subject: AttributionSubject, memoryLimit: Int
    ) throws(CoalitionError) {
      let lowered = path.lowercased()
      if lowered.hasSuffix(".json") {
        let result = try ResultFile(reading: path, memoryLimit: memoryLimit)
        try read(result, path, subject)
        return
      }
      if lowered.hasSuffix(".npz") {
        var result: ResultFile?
        do throws(CoalitionError) {
          result = try ResultFile(reading: path, memoryLimit: memoryLimit)
        } catch {
          // Other tools write npz without metadata: one array, or FILE.npz:KEY.
          guard error.code == .invalidData else { throw error }
        }
        if let result {
          try read(result, path, subject)
          return
        }
      }
      guard subject.sources.count == 1 else {
        throw CoalitionError(
          .usage,
          "an array alone cannot be for several inputs: give a result with attributions.NAME",
          node: path, expected: subject.sources.map(\.name).joined(separator: ", "))
      }
      arrays = [
        (
          subject.sources[0].name,
          try ArrayFile.load(path, options: .init(memoryLimit: memoryLimit))
        )
      ]
    }

    private mutating func read(
      _ result: ResultFile, _ path: String, _ subject: AttributionSubject
    ) throws(CoalitionError) {
      options = result.metadata["options"]
      guard options?["target"]?.text != "all" else {
        throw CoalitionError(
          .usage, "the result explains all targets: attributions are evaluated for one",
          node: path)
      }
      method = options?["method"]?.text ?? options?["estimator"]?.text
      modelDigest = result.metadata["model"]?["sha256"]?.text
      if case .tensor(let tensor)? = result["target"] { targets = tensor.integers }
      for source in subject.sources {
        let names =
          ["attributions.\(source.name)"] + (subject.sources.count == 1 ? ["attributions"] : [])
        for name in names {
          if case .tensor(let tensor)? = result[name] { arrays.append((source.name, tensor)) }
        }
      }
      if arrays.isEmpty, subject.sources.count == 1, case .tensor(let values)? = result["values"] {
        arrays = [(subject.sources[0].name, values)]
      }
      guard arrays.count == subject.sources.count else {
        let isOne = subject.sources.count == 1
        throw CoalitionError(
          .invalidData, "the result does not hold the attributions of every input", node: path,
          expected: isOne
            ? "attributions"
            : subject.sources.map { "attributions.\($0.name)" }.joined(separator: ", "),
          found: result.arrays.map(\.name).joined(separator: ", "))
      }
    }
  }
}
