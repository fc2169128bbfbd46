// What is known of an example's players before anything is sampled: that some of them add nothing.
//
// Estimates of null players are noise. They are 0, and what they had is shared by the others, so that values add up to
// what they did:
//
//     phi_i += (sum of phi_j over null players j) / (number of others),    phi_j = 0.
//
// This is the projection on the estimates that hold both, which is linear, keeps estimates unbiased and brings them as a whole
// closer to the values. It is applied to every replicate as well, so errors are those of the result.

struct KnownPlayers: Sendable {
  /// Null players, each once.
  let nulls: [Int]
  /// Whether values add up to something given: those of Banzhaf do not.
  let isComplete: Bool

  /// From values per player.
  func applied(to values: [Double]) -> [Double] {
    guard !nulls.isEmpty else { return values }
    let others = values.count - nulls.count
    var share = 0.0
    if isComplete && others > 0 {
      share = nulls.reduce(0) { $0 + values[$1] } / Double(others)
    }
    var result = values.map { $0 + share }
    for player in nulls { result[player] = 0 }
    return result
  }

  /// From a matrix of pairs, P x P: nothing interacts with a null player.
  func applied(toPairs matrix: [Double]) -> [Double] {
    guard !nulls.isEmpty else { return matrix }
    let players = Int(Double(matrix.count).squareRoot())
    var result = matrix
    for null in nulls {
      for other in 0..<players {
        result[null * players + other] = 0
        result[other * players + null] = 0
      }
    }
    return result
  }
}
