// Banzhaf values from pairs of complements:
//
//     phi_i = E[ z_i (v(S) - v(all without S)) ],   z_i = 1 if i is in S, else -1,   S any coalition.
//
// Every evaluation serves every player, as in the maximum sample reuse of Wang and Jia (Data Banzhaf, AISTATS 2023);
// in pairs each player is as often present as absent, so their ratio of means becomes a plain mean and is unbiased.
// What is left of noise comes from the other players: with v = sum over T of a_T prod over T of z, complements cancel
// the even T, and the single players cancel by the draw: the coalitions of a block are rows of a Hadamard matrix, a
// column per player, columns drawn and their signs flipped at random. Columns are orthogonal, so whole blocks are
// exact for additive games, while a single row is any coalition, equally likely, and any samples of a block give an
// unbiased mean. A block has the power of two at or above the number of players, at most 64; with more players some
// share a column, as often as chance would make their signs agree. Against toggling every player, whose P + 1
// evaluations per coalition carry every interaction, this is the better one unless a game toggles at a fraction of an
// evaluation; values do not add up to anything given, by the nature of Banzhaf values.

package import CoalitionBase

/// Samples are pairs of a coalition and its complement, all coalitions equally likely.
package struct BanzhafScheme: CoalitionScheme {
  package let playerCount: Int
  private let seed: UInt64

  private static let maxRows = 64

  package init(playerCount: Int, seed: UInt64) {
    self.playerCount = playerCount
    self.seed = seed
  }

  package var blockSamples: Int {
    var rows = 1
    while rows < min(playerCount, Self.maxRows) { rows *= 2 }
    return rows
  }
  package var sumCount: Int { playerCount }
  package var rowsPerSample: Int { 2 }
  package func evaluations(samples: Int) -> Int { 2 * samples }

  /// Returns the coalitions that are not complements.
  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Coalitions {
    var random = CounterRandom(seed: seed, purpose: .banzhafCoalitions, index: UInt64(block.index))
    let rows = blockSamples
    var columns = Array(0..<rows)
    var columnOf = [Int](repeating: 0, count: playerCount)
    for player in 0..<playerCount {
      if player % rows == 0 { random.shuffle(&columns) }
      columnOf[player] = columns[player % rows]
    }
    var order = Array(0..<rows)
    random.shuffle(&order)
    // Row 0: a random coalition, the signs. Row 1 + k: the matrix's row 1 << k, whose element is bit k of the
    // column's number; all other rows of the matrix are products of these.
    var factors = Coalitions(playerCount: playerCount)
    factors.appendRandom(using: &random)
    for bit in 0..<rows.trailingZeroBitCount {
      factors.append((0..<playerCount).filter { columnOf[$0] >> bit & 1 == 1 })
    }
    var drawn = Coalitions(playerCount: playerCount)
    for sample in 0..<block.samples {
      let bits = (0..<rows.trailingZeroBitCount).filter { order[sample] >> $0 & 1 == 1 }
      drawn.appendSymmetricDifference(of: factors, rows: [0] + bits.map { $0 + 1 })
      coalitions.append(drawn, rows: sample..<sample + 1)
      coalitions.appendComplement(of: coalitions.count - 1)
    }
    return drawn
  }

  package func add(
    _ draw: Coalitions, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    var absent = 0.0
    for row in 0..<draw.count {
      let contribution = values[2 * row] - values[2 * row + 1]
      absent -= contribution
      draw.add(2 * contribution, toPlayersOf: row, in: &sums)
    }
    for index in sums.indices { sums[index] += absent }
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    guard samples > 0 else { return Array(repeating: .nan, count: playerCount) }
    return sums.map { $0 / Double(samples) }
  }
}
