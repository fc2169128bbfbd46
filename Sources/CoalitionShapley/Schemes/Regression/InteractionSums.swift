// Sums over pairs of complements that are unbiased for interactions of two players.
//
// SHAP-IQ (Fumagalli, Muschalik, Kolpaczki, Huellermeier, Hammer: SHAP-IQ, NeurIPS 2023): an interaction is a sum over all
// coalitions of a weight times a value, so a coalition that is drawn with chance q adds weight / q times its value.
// The weights of a pair of players add up to 0 over all coalitions, so values are taken from the mean of nobody
// and everybody, which then do not count; the weights of a coalition and its complement are equal, so only the even part
// of the game counts.

struct InteractionSums: Sendable {
  let index: InteractionIndex
  let design: PairDesign
  private let pairs: WalshSums
  private let singles: WalshSums

  init(index: InteractionIndex, design: PairDesign) {
    self.index = index
    self.design = design
    pairs = WalshSums(playerCount: design.playerCount, orders: [2])
    singles = WalshSums(playerCount: design.playerCount, orders: [1])
  }

  var count: Int { pairs.count }

  /// Adds to the first `count` of `sums`.
  func add(
    _ rows: PairRows, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    // The weight of a pair i, j in a coalition is a + b t_i t_j + d (t_i + t_j).
    var constant = 0.0
    var products: [Double] = []
    var single: [Double] = []
    for row in 0..<rows.count {
      let size = rows.sizes[row]
      let weights = index.weights(size: size, playerCount: design.playerCount)
      let part = rows.even(row, values, ends) * design.sizes(size) / rows.shares[row]
      let same = (weights.both + weights.none) / 2
      constant += part * (same + weights.one) / 2
      products.append(part * (same - weights.one) / 2)
      single.append(part * (weights.both - weights.none) / 4)
    }
    let ofPairs = pairs.sums(rows, coefficients: products)
    let ofSingles = singles.sums(rows, coefficients: single)
    var place = 0
    for high in 0..<design.playerCount {
      for low in 0..<high {
        sums[sums.startIndex + place] +=
          constant + ofPairs[place] + (ofSingles[low] + ofSingles[high])
        place += 1
      }
    }
  }

  /// The matrix from sums over `samples` pairs.
  func interactions(_ sums: ArraySlice<Double>, samples: Int) -> [Double] {
    Self.symmetric(
      sums.map { samples > 0 ? $0 / Double(samples) : .nan }, playerCount: design.playerCount)
  }

  /// P x P from the entries below the diagonal, row by row.
  static func symmetric(_ packed: [Double], playerCount: Int) -> [Double] {
    var matrix = [Double](repeating: 0, count: playerCount * playerCount)
    var place = 0
    for high in 0..<playerCount {
      for low in 0..<high {
        matrix[high * playerCount + low] = packed[place]
        matrix[low * playerCount + high] = packed[place]
        place += 1
      }
    }
    return matrix
  }
}
