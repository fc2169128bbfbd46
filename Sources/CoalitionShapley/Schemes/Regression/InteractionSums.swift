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

  /// The weights of the pairs' even values: a pair of players i, j has a + b t_i t_j + d (t_i + t_j) in a row.
  struct Weights: Sendable {
    var constants: [Double] = []
    var products: [Double] = []
    var singles: [Double] = []
  }

  func weights(_ rows: PairRows) -> Weights {
    var result = Weights()
    for row in 0..<rows.count {
      let size = rows.sizes[row]
      let weights = index.weights(size: size, playerCount: design.playerCount)
      let part = design.sizes(size) / rows.shares[row]
      let same = (weights.both + weights.none) / 2
      result.constants.append(part * (same + weights.one) / 2)
      result.products.append(part * (same - weights.one) / 2)
      result.singles.append(part * (weights.both - weights.none) / 4)
    }
    return result
  }

  /// Adds to the first `count` of `sums`.
  func add(
    _ rows: PairRows, _ weights: Weights, values: [Double], ends: GameEnds,
    to sums: inout ArraySlice<Double>
  ) {
    let even = (0..<rows.count).map { rows.even($0, values, ends) }
    func weighted(_ weights: [Double]) -> [Double] { zip(weights, even).map { $0 * $1 } }
    let constant = weighted(weights.constants).reduce(0, +)
    let products = weighted(weights.products)
    let single = weighted(weights.singles)
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
