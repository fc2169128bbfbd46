// Weights of marginal contributions by the size of the coalition that a player joins.
//
// Among P players the Shapley value weighs v(S with i) - v(S), |S| = s, by 1 / (P C(P - 1, s)), the Banzhaf value by
// 1 / 2^(P - 1). Binomials grow by exact products and quotients, so a weight is right to a rounding or two for every
// number of players that can be enumerated.

/// The weight of joining a coalition, by its size 0 ..< players.
struct SizeWeights: Sendable, Hashable {
  let joining: [Double]

  static func shapley(players: Int) -> SizeWeights {
    var weights: [Double] = []
    var binomial = 1.0
    for size in 0..<players {
      weights.append(1 / (Double(players) * binomial))
      // C(n, s + 1) = C(n, s) (n - s) / (s + 1): whole numbers, exact up to 2^53.
      binomial = binomial * Double(players - 1 - size) / Double(size + 1)
    }
    return SizeWeights(joining: weights)
  }

  static func banzhaf(players: Int) -> SizeWeights {
    let weight = (1..<players).reduce(1.0) { weight, _ in weight / 2 }
    return SizeWeights(joining: Array(repeating: weight, count: players))
  }

  /// What the value of a coalition of `size` players counts for each of its players.
  func inside(_ size: Int) -> Double { size > 0 ? joining[size - 1] : 0 }
  /// What it counts, with a minus, for each of the others.
  func outside(_ size: Int) -> Double { size < joining.count ? joining[size] : 0 }
}
