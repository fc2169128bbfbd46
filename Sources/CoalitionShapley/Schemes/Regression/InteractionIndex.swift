// What an interaction of two players is: one number per pair, a weighted mean of discrete second derivatives,
//
//     I_ij = sum over T without i, j of p(|T|) (v(T+ij) - v(T+i) - v(T+j) + v(T)),
//
// with n = P:
//   sii        p(t) = t! (n-t-2)! / (n-1)!          (Grabisch, Roubens 1999)
//   k-sii      the same for pairs                   (n-Shapley values: Bord, von Luxburg, AISTATS 2023)
//   faith-sii  p(t) = 6 (t+1)! (n-t-1)! / (n+1)!    (Tsai, Yeh, Ravikumar: Faith-Shap, JMLR 2023)
//
// k-SII and Faith-SII of order 2 share the difference of everybody and nobody between players and pairs; what is left
// to a player is its Shapley value less half of its interactions in both. Faith-SII is the best fit of order 2 in the
// weights of Shapley's kernel that meets nobody and everybody.

/// An index of interactions of two players.
public enum InteractionIndex: String, Sendable, Hashable, CaseIterable, Codable {
  /// The Shapley interaction index.
  case sii
  /// The k-Shapley interaction index of order 2, which adds up to the difference of everybody and nobody.
  case kSII = "k-sii"
  /// The faithful Shapley interaction index of order 2.
  case faithSII = "faith-sii"

  /// What players have besides their pairs: for `sii` the Shapley values themselves.
  /// - Parameters:
  ///   - values: Shapley values.
  ///   - interactions: P x P, symmetric.
  package func mainEffects(values: [Double], interactions: [Double]) -> [Double] {
    guard self != .sii else { return values }
    let players = values.count
    return values.indices.map { player in
      values[player] - interactions[player * players..<(player + 1) * players].reduce(0, +) / 2
    }
  }

  /// p(t) of each t in 0 ... P - 2.
  func secondDifferences(playerCount: Int) -> [Double] {
    let players = Double(playerCount)
    // C(P - 2, t) for sii, C(P, t + 1) for faith-sii, by exact products and quotients.
    let (top, scale) = self == .faithSII ? (players, (players + 1) / 6) : (players - 2, players - 1)
    var binomial = self == .faithSII ? players : 1
    var weights: [Double] = []
    for others in stride(from: 0, through: playerCount - 2, by: 1) {
      weights.append(1 / (scale * binomial))
      let drawn = Double(self == .faithSII ? others + 2 : others + 1)
      binomial = binomial * (top - drawn + 1) / drawn
    }
    return weights
  }

  /// C(P, s) times p(s-2), -p(s-1) and p(s): what a coalition of s in 1 ..< P players counts for a pair of which both,
  /// one or none are in it, times the coalitions of its size. No such coalition: 0.
  func weights(size: Int, playerCount: Int) -> (both: Double, one: Double, none: Double) {
    let s = Double(size)
    let rest = Double(playerCount - size)
    let n = Double(playerCount)
    switch self {
    case .sii, .kSII:
      return (
        both: size > 1 ? n / (s * (s - 1)) : 0, one: -n / (s * rest),
        none: rest > 1 ? n / (rest * (rest - 1)) : 0
      )
    case .faithSII:
      return (
        both: size > 1 ? 6 * (rest + 1) / (s * (n + 1)) : 0, one: -6 / (n + 1),
        none: rest > 1 ? 6 * (s + 1) / (rest * (n + 1)) : 0
      )
    }
  }
}

/// A scheme whose sums also hold the interactions of two players.
package protocol InteractionScheme: SamplingScheme {
  var index: InteractionIndex { get }
  /// Whether interactions come from equations with an unknown for each pair of players.
  var fitsPairs: Bool { get }
  /// P x P, symmetric with zeros on the diagonal, from the sums of one target; NaN where they do not suffice.
  func interactions(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double]
}
