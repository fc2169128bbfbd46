// Models from a short description: "input 1x28x28; conv 32 5; relu; maxpool 2; flatten; dense 10".

public import CoalitionBase
public import CoalitionNet

/// A chain of layers as text, and the graph that it describes, with weights to begin with.
///
/// | layer | |
/// |---|---|
/// | `input 1x28x28` | the shape of one example: channels, height, width; or channels, length; or features |
/// | `tokens 20` | in its place: whole numbers, which `embedding` takes |
/// | `embedding V D` | a table of V rows of D numbers: D channels, as long as the tokens |
/// | `conv F K`, `depthwise K` | F filters of K or KxK; `stride S`, `pad P` or `pad same`, `dilation D`, `groups G` |
/// | `maxpool K`, `avgpool K` | `stride S` (K by default), `pad P` |
/// | `globalavgpool`, `flatten` | |
/// | `dense N` | N outputs |
/// | `batchnorm`, `dropout R` | |
/// | `relu`, `leakyrelu A`, `prelu`, `elu`, `selu`, `gelu`, `tanh`, `sigmoid`, `softplus`, `softmax` | |
///
/// Weights are uniform within sqrt(6 / (inputs + outputs)) of 0 (Glorot and Bengio, 2010), biases 0, as in Keras, in which
/// the published models were written.
public struct Architecture: Sendable, Hashable {
  public let text: String
  let layers: [ArchitectureLayer]

  /// - Throws: `usage` for a layer that is not known or not written as it should be.
  public init(_ text: String) throws(CoalitionError) {
    self.text = text
    var layers: [ArchitectureLayer] = []
    for part in text.split(separator: ";") {
      let words = part.split { $0 == " " || $0 == "\t" || $0 == "\n" }.map(String.init)
      guard !words.isEmpty else { continue }
      layers.append(try ArchitectureLayer(words))
    }
    guard let first = layers.first, first.kind == .input || first.kind == .tokens,
      layers.count > 1
    else {
      throw CoalitionError(
        .usage, "an architecture begins with its input and has layers behind it",
        expected: "input 1x28x28; flatten; dense 10, for example", found: "'\(text)'")
    }
    self.layers = layers
  }

  /// The graph with weights drawn for `seed`.
  /// - Parameter memoryLimit: for the weights, in bytes.
  /// - Throws: `usage` for layers that do not fit each other, `memoryLimit`.
  public func graph(
    seed: UInt64 = 0, memoryLimit: Int = .max
  ) throws(CoalitionError) -> Graph {
    var builder = ArchitectureBuilder(seed: seed, memoryLimit: memoryLimit)
    for layer in layers {
      do throws(CoalitionError) {
        try builder.append(layer)
      } catch {
        throw error.at(layer.text)
      }
    }
    return builder.finished
  }
}

/// A layer as it is written.
struct ArchitectureLayer: Sendable, Hashable {
  enum Kind: String, Sendable, CaseIterable {
    case input, tokens, embedding, conv, depthwise, maxpool, avgpool, globalavgpool, flatten, dense,
      batchnorm, dropout, relu, leakyrelu, prelu, elu, selu, gelu, tanh, sigmoid, softplus,
      softmax

    /// How many words follow, besides named ones.
    var wordCount: Int {
      switch self {
      case .embedding, .conv: 2
      case .input, .tokens, .depthwise, .maxpool, .avgpool, .dense, .dropout, .leakyrelu: 1
      default: 0
      }
    }

    /// `wordCount` for people.
    var wordsExpected: String {
      let count = ["nothing", "one word", "two words"][wordCount]
      return "\(count) behind \(rawValue)"
    }

    /// Words that a number follows.
    var named: [String] {
      switch self {
      case .conv: ["stride", "pad", "dilation", "groups"]
      case .depthwise: ["stride", "pad", "dilation"]
      case .maxpool, .avgpool: ["stride", "pad"]
      default: []
      }
    }
  }

  let kind: Kind
  let text: String
  private let words: [String]
  private let named: [String: String]

  init(_ words: [String]) throws(CoalitionError) {
    text = words.joined(separator: " ")
    guard let kind = Kind(rawValue: words[0].lowercased()) else {
      throw CoalitionError(
        .usage, "there is no layer of this kind",
        expected: Kind.allCases.map(\.rawValue).joined(separator: ", "), found: "'\(words[0])'")
    }
    self.kind = kind
    let own = words.dropFirst().prefix(kind.wordCount)
    self.words = Array(own)
    var named: [String: String] = [:]
    var rest = words.dropFirst(1 + own.count)
    while let name = rest.popFirst() {
      guard kind.named.contains(name), let value = rest.popFirst(), named[name] == nil else {
        throw CoalitionError(
          .usage, "the layer is not written as it should be", node: text,
          expected: kind.named.isEmpty
            ? kind.wordsExpected
            : kind.named.map { "\($0) N" }.joined(separator: ", "),
          found: "'\(name)'")
      }
      named[name] = value
    }
    self.named = named
    guard own.count == kind.wordCount else {
      throw CoalitionError(
        .usage, "the layer says too little", node: text,
        expected: kind.wordsExpected, found: "\(own.count)")
    }
  }

  func integer(_ index: Int) throws(CoalitionError) -> Int {
    guard let value = Int(words[index]), (1...1 << 24).contains(value) else {
      throw wrong(words[index], "a whole number from 1")
    }
    return value
  }

  func number(_ index: Int, _ range: Range<Double>) throws(CoalitionError) -> Double {
    guard let value = Double(words[index]), range.contains(value) else {
      throw wrong(words[index], "a number from \(range.lowerBound), below \(range.upperBound)")
    }
    return value
  }

  /// Sizes with x between them.
  func sizes(_ index: Int) throws(CoalitionError) -> [Int] { try sizes(words[index], least: 1) }

  /// A named pair of sizes, or one size for both axes.
  func sizes(
    named name: String, axes: Int, default fallback: [Int]
  ) throws(CoalitionError) -> [Int] {
    guard let word = named[name] else { return fallback }
    return try Self.spread(try sizes(word, least: name == "pad" ? 0 : 1), axes, self)
  }

  /// The kernel's sizes, one for all axes or each.
  func kernel(_ index: Int, axes: Int) throws(CoalitionError) -> [Int] {
    try Self.spread(try sizes(index), axes, self)
  }

  var padsToSame: Bool { named["pad"] == "same" }

  private static func spread(
    _ sizes: [Int], _ axes: Int, _ layer: ArchitectureLayer
  ) throws(CoalitionError) -> [Int] {
    guard sizes.count == axes || sizes.count == 1 else {
      throw layer.wrong(
        sizes.map(String.init).joined(separator: "x"), "one size, or one for each of \(axes) axes")
    }
    let spread = sizes.count == axes ? sizes : [Int](repeating: sizes[0], count: axes)
    guard Tensor.count(of: spread).map({ $0 < 1 << 28 }) ?? false else {
      throw layer.wrong(spread.map(String.init).joined(separator: "x"), "smaller sizes")
    }
    return spread
  }

  private func sizes(_ word: String, least: Int) throws(CoalitionError) -> [Int] {
    let parts = word.split(separator: "x", omittingEmptySubsequences: false)
    let sizes = parts.compactMap { Int($0) }.filter { (least...1 << 24).contains($0) }
    guard sizes.count == parts.count, Tensor.count(of: sizes).map({ $0 < 1 << 28 }) ?? false else {
      throw wrong(word, "whole numbers from \(least) with x between them")
    }
    return sizes
  }

  private func wrong(_ word: String, _ expected: String) -> CoalitionError {
    CoalitionError(
      .usage, "a word of the layer cannot be used", node: text, expected: expected,
      found: "'\(word)'")
  }
}
