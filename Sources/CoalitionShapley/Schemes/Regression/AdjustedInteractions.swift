// Sampled Shapley interaction indices of two players, with the faithful fit as control variate.
//
// Weights alone (InteractionSums.swift) carry the noise of all of the even part. The fit of order 2 (FaithfulRegression.swift)
// explains most of that, and its interactions are its coefficients E, so only the rest is left to the weights:
//
//     I_ij = E_ij + (weighted sum of even(S) - weighted sum of the fit) / samples
//
// (regression adjustment, as Witter, Liu, Musco: Regression-adjusted Monte Carlo, arXiv 2506.11849, for values). The fit
// is -1/4 sum over kl of (1 - z_kl) E_kl, so its weighted sum is a matrix times E, and Walsh sums of the weights hold
// the matrix. The fit comes from the same samples: consistent, with a bias that falls as 1 / samples. Samples that do
// not suffice for the fit leave everything to the weights.

package import CoalitionBase

/// Sampled values and Shapley interactions, of up to 63 players.
package struct AdjustedInteractions: CoalitionScheme, InteractionScheme {
  /// Players up to which sums over sets of four take no more than some 100 MB for a target, and the equations of all
  /// pairs no more time than evaluations do.
  static let usefulPlayers = 24

  package let index: InteractionIndex
  private let fit: FaithfulRegression
  private let weighted: InteractionSums
  /// Sums of the weights' three parts (`InteractionSums.Weights`).
  private let constants: WalshSums
  private let products: WalshSums
  private let singles: WalshSums

  package init(
    playerCount: Int, index: InteractionIndex, seed: UInt64
  ) throws(CoalitionError) {
    self.index = index
    fit = try FaithfulRegression(playerCount: playerCount, seed: seed)
    weighted = InteractionSums(index: index, design: fit.regression.design)
    constants = WalshSums(playerCount: playerCount, orders: [0, 2])
    products = WalshSums(playerCount: playerCount, orders: [0, 2, 4])
    singles = WalshSums(playerCount: playerCount, orders: [1, 3])
  }

  package var fitsPairs: Bool { true }
  package var playerCount: Int { fit.playerCount }
  package var blockSamples: Int { fit.blockSamples }
  package var rowsPerSample: Int { 2 }
  package func evaluations(samples: Int) -> Int { fit.evaluations(samples: samples) }
  package var sumCount: Int {
    fit.sumCount + weighted.count + constants.count + products.count + singles.count
  }
  package var bias: String? { fit.bias }

  /// A block's pairs, with what does not depend on their values.
  package struct Draw: Sendable {
    let fit: FaithfulRegression.Draw
    let weights: InteractionSums.Weights
    /// The Walsh sums of the weights' parts, one after the other.
    let parts: [Double]
  }

  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Draw {
    let own = fit.draw(block, into: &coalitions)
    let rows = own.first.rows
    let weights = weighted.weights(rows)
    let parts =
      constants.sums(rows, coefficients: weights.constants)
      + products.sums(rows, coefficients: weights.products)
      + singles.sums(rows, coefficients: weights.singles)
    return Draw(fit: own, weights: weights, parts: parts)
  }

  package func add(
    _ draw: Draw, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    let middle = sums.startIndex + fit.sumCount
    let last = middle + weighted.count
    fit.add(draw.fit, values: values, ends: ends, to: &sums[..<middle])
    weighted.add(
      draw.fit.first.rows, draw.weights, values: values, ends: ends, to: &sums[middle..<last])
    for (place, part) in draw.parts.enumerated() { sums[last + place] += part }
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    fit.values(Array(sums[..<fit.sumCount]), samples: samples, ends: ends)
  }

  package func interactions(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    var coefficients = fit.coefficients(Array(sums[..<fit.sumCount]))
    if coefficients.contains(where: \.isNaN) { coefficients = coefficients.map { _ in 0 } }
    let first = fit.sumCount + weighted.count
    let fitted = fittedSums(sums[first...], coefficients)
    let adjusted = coefficients.indices.map {
      samples > 0
        ? coefficients[$0] + (sums[fit.sumCount + $0] - fitted[$0]) / Double(samples) : .nan
    }
    return InteractionSums.symmetric(adjusted, playerCount: playerCount)
  }

  /// The weighted sums of the fit, per pair of players.
  private func fittedSums(_ parts: ArraySlice<Double>, _ coefficients: [Double]) -> [Double] {
    let productStart = parts.startIndex + constants.count
    let singleStart = productStart + products.count
    func constant(_ set: UInt64) -> Double { parts[parts.startIndex + constants.place(of: set)] }
    func product(_ set: UInt64) -> Double { parts[productStart + products.place(of: set)] }
    func single(_ set: UInt64) -> Double { parts[singleStart + singles.place(of: set)] }
    let pairs = fit.pairs
    // What a coefficient counts in every pair.
    let total = coefficients.reduce(0, +)
    let shared = zip(pairs, coefficients).reduce(total * constant(0)) {
      $0 - constant($1.0) * $1.1
    }
    return pairs.map { pair in
      let low = pair & (0 &- pair)
      let high = pair ^ low
      var sum = shared + total * (product(pair) + single(low) + single(high))
      for (other, coefficient) in zip(pairs, coefficients) {
        let common = product(pair ^ other) + single(low ^ other) + single(high ^ other)
        sum -= common * coefficient
      }
      return -sum / 4
    }
  }
}
