// A file that is drawn: its arrays, what they mean, and the words for them.

import CoalitionBase
import CoalitionData

struct PlotSource {
  /// What is drawn, and from which arrays.
  enum Kind: Hashable {
    /// `correlation` [methods, n].
    case correlation
    /// `curve` [methods, N, steps].
    case curve
    /// [N, (T,) shape of an input] each.
    case maps([String])
    /// [N, (T,) P].
    case values
    /// `value` [methods, N].
    case perMethod
    /// Scores [units], by layer.
    case layers([String])
    /// Losses [epochs] of a training.
    case history([String])
    /// An array that the metadata say nothing of, or that was asked for.
    case other(String)
  }

  let path: String
  private let result: ResultFile
  /// The numbers have no names: the file holds one array alone.
  private let isBare: Bool

  /// A result that is drawn before, or without, being written.
  init(_ result: ResultFile, path: String) {
    (self.path, self.result, isBare) = (path, result, false)
  }

  init(_ path: String, memoryLimit: Int) throws(CoalitionError) {
    self.path = path
    let lowered = path.lowercased()
    let isResult = [".npz", ".json"].contains { lowered.hasSuffix($0) }
    if isResult || !Files.exists(path) && !lowered.contains(".npz:") {
      result = try ResultFile(reading: path, memoryLimit: memoryLimit)
      isBare = false
    } else {
      let tensor = try ArrayFile.load(path, options: .init(memoryLimit: memoryLimit))
      var single = ResultFile()
      try single.append("array", tensor)
      result = single
      isBare = true
    }
  }

  var byteCount: Int {
    result.arrays.reduce(0) { sum, array in
      if case .tensor(let tensor) = array.contents { sum + tensor.byteCount } else { sum }
    }
  }

  // MARK: Arrays

  /// An array of numbers.
  /// - Throws: `invalidData` when there is none of this name.
  func tensor(_ name: String) throws(CoalitionError) -> Tensor {
    guard case .tensor(let tensor)? = result[name] else {
      throw CoalitionError(
        .invalidData, "there is no array of numbers named \(name)", node: path,
        expected: name, found: names)
    }
    return tensor
  }

  /// A row of numbers, one per `items`.
  /// - Throws: `shapeMismatch` for an array of more axes.
  func row(_ name: String, of items: String) throws(CoalitionError) -> [Double] {
    let tensor = try tensor(name)
    guard tensor.rank == 1 else { throw wrongShape(name, tensor, expected: "[\(items)]") }
    return tensor.doubles
  }

  private func wrongShape(_ name: String, _ tensor: Tensor, expected: String) -> CoalitionError {
    CoalitionError(
      .shapeMismatch, "the array \(name) has the wrong shape", node: path,
      expected: expected, found: "\(tensor.shape)")
  }

  /// An array that need not be there; it must then have this shape.
  func tensor(_ name: String, shape: [Int]) throws(CoalitionError) -> Tensor? {
    guard case .tensor(let tensor)? = result[name] else { return nil }
    guard tensor.shape == shape else { throw wrongShape(name, tensor, expected: "\(shape)") }
    return tensor
  }

  /// Numbers or names, as texts: nil when there is no such array or not as many.
  func texts(_ name: String, count: Int) -> [String]? {
    switch result[name] {
    case .strings(let texts)? where texts.count == count: texts
    case .tensor(let tensor)? where tensor.count == count:
      tensor.integers?.map(String.init) ?? tensor.doubles.map { Numbers.significant($0) }
    default: nil
    }
  }

  private var names: String {
    result.arrays.isEmpty ? "no arrays" : result.arrays.map(\.name).joined(separator: ", ")
  }

  private var numeric: [String] {
    result.arrays.compactMap { name, contents in
      if case .tensor = contents { name } else { nil }
    }
  }

  private func has(_ name: String) -> Bool { numeric.contains(name) }

  // MARK: Meaning

  /// What the file is drawn as.
  /// - Parameter array: the name that the user gave.
  func kind(array: String?) throws(CoalitionError) -> Kind {
    if let array {
      guard has(array) else {
        let advice = suggestion(for: array, in: numeric)
        throw CoalitionError(
          .usage, "the result has no array of numbers '\(array)'\(advice)", node: path,
          expected: numeric.joined(separator: ", "))
      }
      switch array {
      case "correlation" where has("n"): return .correlation
      case "curve": return .curve
      case "values": return .values
      case "value": return .perMethod
      case _ where Self.isAttribution(array): return .maps([array])
      default: return .other(array)
      }
    }
    if has("correlation"), has("n") { return .correlation }
    if has("curve") { return .curve }
    let maps = numeric.filter(Self.isAttribution)
    if !maps.isEmpty { return .maps(maps) }
    if has("values") { return .values }
    if has("value") { return .perMethod }
    if case .strings(let layers)? = result["layers"], layers.contains(where: has) {
      return .layers(layers.filter(has))
    }
    let verb = result.metadata["verb"]?.text
    if verb == "train" || verb == "prune", has("loss") {
      return .history(["loss", "validation_loss"].filter(has))
    }
    guard let first = numeric.first else {
      throw CoalitionError(
        .invalidData, "the result holds nothing that can be drawn", node: path,
        expected: "an array of numbers", found: names)
    }
    // Outputs of a model are drawn as they are. What else is in files of other verbs (places of units, partial sums)
    // makes no picture by itself.
    guard verb == nil || verb == "run" else {
      throw CoalitionError(
        .invalidData, "a result of this kind has no drawing; --array NAME draws one of its arrays",
        node: path, expected: "attributions, values, scores, curves, losses or outputs of a model",
        found: "\(verb ?? ""): \(names)")
    }
    return .other(first)
  }

  private static func isAttribution(_ name: String) -> Bool {
    name == "attributions" || name.hasPrefix("attributions.")
  }

  /// Whether an array has an axis of targets behind that of examples.
  func hasTargets(_ array: String) -> Bool {
    option("target") == "all"
      && (Self.isAttribution(array) || ["values", "standard_errors"].contains(array))
  }

  /// Whether channels are the last axis of images.
  var isChannelsLast: Bool {
    result.metadata["options"]?["preprocessing"]?["layout"]?.text == "nhwc"
  }

  private func option(_ name: String) -> String? { result.metadata["options"]?[name]?.text }

  /// How the numbers were found.
  var method: String? { option("method") ?? option("estimator") }

  /// What sets this file apart from others: its method, or its name.
  var label: String { method ?? Self.stem(path) }

  /// What is drawn, of which model.
  func title(_ kind: Kind) -> String {
    let what =
      switch kind {
      case .correlation: option("metric") ?? "correlation"
      case .curve: option("metric") ?? "curve"
      case .maps: "attributions"
      case .values: "values"
      case .perMethod: option("metric") ?? "value"
      case .layers: option("metric").map { "scores: \($0)" } ?? "scores"
      case .history: option("loss") ?? "loss"
      case .other(let name): isBare ? Self.stem(path) : name
      }
    guard let model = result.metadata["model"]?["name"]?.text else { return what }
    return "\(what), \(model)"
  }

  /// The name of a file without folder, key and ending.
  static func stem(_ path: String) -> String {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    let file = name.split(separator: ":").first.map(String.init) ?? name
    guard let dot = file.lastIndex(of: "."), dot > file.startIndex else { return file }
    return String(file[..<dot])
  }
}
