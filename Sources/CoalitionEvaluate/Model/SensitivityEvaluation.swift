// Sensitivity-n of attributions on a model (the definition is in Statistics/SensitivityN.swift), and infidelity, which
// asks the same question by squared distance.

public import CoalitionBase
public import CoalitionExplain
public import CoalitionNet

extension MaskedGame {
  /// Sensitivity-n of several methods.
  /// - Parameter methods: per method, the values of players: [example][player] (`PlayerSet.sums` makes them from maps).
  /// - Throws: `usage` for a game of several targets, `shapeMismatch` for values that do not fit the game.
  public func sensitivity(
    _ methods: [[[Double]]], _ subsets: SensitivitySubsets, bootstrap: Bootstrap = Bootstrap(),
    _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> SensitivityResult {
    try check(methods)
    let drops = try await drops(subsets.removed, options)
    let sums = SubsetSums(subsets)
    return try SensitivityResult(
      sizes: subsets.sizes,
      perExample: methods.map { method in
        zip(method, drops).map { sums.correlations(attributions: $0, drops: $1) }
      }, bootstrap: bootstrap)
  }

  /// score(x) - score(x without a set), [example][set].
  func drops(
    _ removed: Coalitions, _ options: RunOptions
  ) async throws(CoalitionError) -> [[Double]] {
    guard removed.playerCount == players.playerCount else {
      throw CoalitionError(
        .usage, "the subsets are those of other players", expected: "\(players.playerCount)",
        found: "\(removed.playerCount)")
    }
    var kept = removed.complemented()
    kept.appendFull()
    let values = try await values(kept, options)
    return (0..<exampleCount).map { example in
      let row = values[example * kept.count..<(example + 1) * kept.count]
      let whole = row[row.endIndex - 1]
      return row.dropLast().map { whole - $0 }
    }
  }

  /// Checks that the game has one target and that methods have a value for every player of every example.
  func check(_ methods: [[[Double]]]) throws(CoalitionError) {
    guard targetCount == 1 else {
      throw CoalitionError(
        .usage, "attributions are evaluated for one target", expected: "1",
        found: "\(targetCount)")
    }
    for (index, method) in methods.enumerated() {
      guard method.count == exampleCount,
        method.allSatisfy({ $0.count == players.playerCount })
      else {
        throw CoalitionError(
          .shapeMismatch, "the values of a method do not fit the examples and players",
          node: "method \(index)", expected: "\(exampleCount) x \(players.playerCount)",
          found: "\(method.count) x \(method.first?.count ?? 0)")
      }
      for (example, row) in method.enumerated() {
        if let player = row.firstIndex(where: { !$0.isFinite }) {
          throw CoalitionError(
            .notFinite, "player \(player) of example \(example) has no finite value",
            node: "method \(index)")
        }
      }
    }
  }
}

/// Infidelity (Yeh, Hsieh, Suggala, Inouye, Ravikumar: On the (in)fidelity and sensitivity of explanations, NeurIPS
/// 2019), for attributions that are contributions:
///
///     mean over random sets S of (sum of attributions over S - (score(x) - score(x with S at the baseline)))^2.
///
/// The paper's perturbation I is (x - b) on S and 0 elsewhere, S of a size drawn uniformly from 1 ..< P (P itself when
/// there is one player) and uniform among the sets of that size. The paper multiplies I with the explanation; contributions
/// have that product in them. `scaled` is the same after the factor per example that makes it least, as in the
/// paper: sum (a d) / sum (a a), a and d the sums and drops; it leaves a method that is wrong by a factor without blame.
public struct Infidelity: Sendable, Hashable {
  public var perturbations = 1000
  public var seed: UInt64 = 0

  public init(perturbations: Int = 1000, seed: UInt64 = 0) {
    self.perturbations = perturbations
    self.seed = seed
  }

  public struct Result: Sendable {
    /// [method][example].
    public let values: [[Double]]
    public let scaled: [[Double]]
  }

  /// - Parameter methods: per method, [example][player].
  /// - Throws: `usage` for no perturbations or a game of several targets, `shapeMismatch` for values that do not fit.
  public func evaluate(
    _ methods: [[[Double]]], on game: MaskedGame, _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> Result {
    guard perturbations >= 1 else {
      throw CoalitionError(
        .usage, "infidelity needs perturbations", expected: "1 or more", found: "\(perturbations)")
    }
    try game.check(methods)
    let playerCount = game.players.playerCount
    var removed = Coalitions(playerCount: playerCount)
    for index in 0..<perturbations {
      var random = CounterRandom(seed: seed, purpose: .infidelity, index: UInt64(index))
      let size = 1 + random.below(max(playerCount - 1, 1))
      removed.appendRandom(size: size, using: &random)
    }
    let drops = try await game.drops(removed, options)
    let sets = (0..<perturbations).map { removed.players(of: $0) }
    var values: [[Double]] = []
    var scaled: [[Double]] = []
    for method in methods {
      var row: [Double] = []
      var scaledRow: [Double] = []
      for (attributions, drops) in zip(method, drops) {
        let sums = sets.map { $0.reduce(0.0) { $0 + attributions[$1] } }
        let products = zip(sums, drops).reduce(0.0) { $0 + $1.0 * $1.1 }
        let squares = sums.reduce(0.0) { $0 + $1 * $1 }
        let factor = squares > 0 ? products / squares : 0
        row.append(Self.meanSquare(sums, drops, factor: 1))
        scaledRow.append(Self.meanSquare(sums, drops, factor: factor))
      }
      values.append(row)
      scaled.append(scaledRow)
    }
    return Result(values: values, scaled: scaled)
  }

  private static func meanSquare(_ sums: [Double], _ drops: [Double], factor: Double) -> Double {
    zip(sums, drops).reduce(0.0) { total, pair in
      let difference = factor * pair.0 - pair.1
      return total + difference * difference
    } / Double(sums.count)
  }
}
