// Sensitivity-n (Ancona, Ceolini, Oztireli, Gross: Towards better understanding of gradient-based attribution methods
// for deep neural networks, ICLR 2018): do the attributions of n features together say how far the score
// falls when these features are removed?
//
// Per example and n, Pearson's correlation over M random subsets S of n players between
//     sum of attributions over S     and     score(x) - score(x with S at the baseline),
// then the mean over examples. Subsets are the same for all methods and examples. At n = P there is one subset, and
// where one side is constant there is no correlation: NaN, left out of means. A correlation does not see a positive
// factor: completeness is another question.
//
// This file draws subsets and correlates; the scores come from masked passes (Model/SensitivityEvaluation.swift).

public import CoalitionBase

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// Which subsets are removed.
public struct SensitivitySubsets: Sendable, Hashable {
  /// Players of a subset, increasing.
  public let sizes: [Int]
  /// Subsets of each size.
  public let count: Int
  /// The subsets: `count` of the first size, `count` of the second, ...
  public let removed: Coalitions

  /// - Parameters:
  ///   - playerCount: P.
  ///   - sizes: n; nil: `logarithmicSizes`.
  ///   - count: M, subsets of each size.
  /// - Throws: `usage` for sizes that are not 1 ... P, or fewer than 2 subsets.
  public init(
    playerCount: Int, sizes: [Int]? = nil, count: Int = 100, seed: UInt64 = 0
  ) throws(CoalitionError) {
    let sizes = Array(Set(sizes ?? Self.logarithmicSizes(playerCount: playerCount))).sorted()
    guard let first = sizes.first, let last = sizes.last, first >= 1, last <= playerCount else {
      throw CoalitionError(
        .usage, "Sensitivity-n removes between 1 and all players", expected: "1 to \(playerCount)",
        found: "\(sizes)")
    }
    guard count >= 2, sizes.count * count <= Int(Int32.max) else {
      throw CoalitionError(
        .usage, "a correlation needs at least 2 subsets", expected: "2 or more", found: "\(count)")
    }
    var removed = Coalitions(playerCount: playerCount)
    for (place, size) in sizes.enumerated() {
      for subset in 0..<count {
        var random = CounterRandom(
          seed: seed, purpose: .sensitivitySubsets,
          index: UInt64(place) << 32 | UInt64(subset))
        removed.appendRandom(size: size, using: &random)
      }
    }
    self.sizes = sizes
    self.count = count
    self.removed = removed
  }

  /// Up to `count` sizes in equal ratios from 1 to 80 % of the players, rounded, each once.
  public static func logarithmicSizes(playerCount: Int, count: Int = 16) -> [Int] {
    let last = max(1, playerCount * 4 / 5)
    guard count > 1 else { return [1] }
    let sizes = (0..<count).map { place in
      Int(pow(Double(last), Double(place) / Double(count - 1)).rounded())
    }
    return Array(Set(sizes)).sorted()
  }

  /// The correlations of one example, per size.
  /// - Parameters:
  ///   - attributions: per player.
  ///   - drops: per subset in the order of `removed`, the score less the score without the subset.
  /// - Returns: NaN where a correlation is not defined.
  public func correlations(attributions: [Double], drops: [Double]) -> [Double] {
    SubsetSums(self).correlations(attributions: attributions, drops: drops)
  }
}

/// The subsets as lists of players, for sums over many methods and examples.
struct SubsetSums: Sendable {
  private let subsets: SensitivitySubsets
  private let players: [Int32]

  init(_ subsets: SensitivitySubsets) {
    self.subsets = subsets
    players = (0..<subsets.removed.count).flatMap { row in
      subsets.removed.players(of: row).map { Int32($0) }
    }
  }

  func correlations(attributions: [Double], drops: [Double]) -> [Double] {
    guard attributions.count == subsets.removed.playerCount, drops.count == subsets.removed.count
    else { return subsets.sizes.map { _ in .nan } }
    var result: [Double] = []
    var sums = [Double](repeating: 0, count: subsets.count)
    var start = 0
    for (place, size) in subsets.sizes.enumerated() {
      for subset in 0..<subsets.count {
        var sum = 0.0
        for player in players[start..<start + size] { sum += attributions[Int(player)] }
        sums[subset] = sum
        start += size
      }
      result.append(
        Correlation.pearson(sums, drops[place * subsets.count..<(place + 1) * subsets.count]))
    }
    return result
  }
}

/// Sensitivity-n of several methods.
public struct SensitivityResult: Sendable {
  public let sizes: [Int]
  /// [method][example][size]; NaN where a correlation is not defined.
  public let perExample: [[[Double]]]
  /// [method][size]: means over the examples where the correlation is defined.
  public let means: [[MeanEstimate]]

  /// - Throws: `usage` for a bootstrap that cannot be done.
  init(
    sizes: [Int], perExample: [[[Double]]], bootstrap: Bootstrap
  ) throws(CoalitionError) {
    self.sizes = sizes
    self.perExample = perExample
    var means: [[MeanEstimate]] = []
    for method in perExample {
      means.append(
        try bootstrap.means(sizes.indices.map { place in method.map { $0[place] } }))
    }
    self.means = means
  }

  /// Two methods by the difference of their correlations, example by example, per size.
  public func difference(
    _ a: Int, _ b: Int, bootstrap: Bootstrap = Bootstrap()
  ) throws(CoalitionError) -> [MeanEstimate] {
    guard perExample.indices.contains(a), perExample.indices.contains(b) else {
      throw CoalitionError(
        .usage, "there is no such method", expected: "0 to \(perExample.count - 1)",
        found: "\(a), \(b)")
    }
    return try bootstrap.means(
      sizes.indices.map { place in
        zip(perExample[a], perExample[b]).map { $0[place] - $1[place] }
      })
  }
}
