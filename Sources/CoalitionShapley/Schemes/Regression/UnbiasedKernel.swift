// KernelSHAP with the expectation of its matrix in place of the sampled one (Covert, Lee: Improving KernelSHAP, AISTATS
// 2021), by pairs of complements.
//
// With t_i = +1 for players of S and -1 for others, and sizes drawn by the kernel, E[t_i t_j] = 1 - 2 / H(P-1) for all
// i != j, H the harmonic numbers. The regression on the odd part (PairDesign.swift) under efficiency then is
//
//     phi_i = (v(N) - v(0)) / P + H(P-1) * mean over pairs of odd(S) (t_i - mean_j t_j),
//
// linear in the values and unbiased; the pairs' contributions add up to 0, so efficiency holds by construction. Two things
// more: it is written for any law of sizes, a pair of size s, of share q among the samples, contributing
// odd(S) * (1 or 2 sizes) / q times 1/s to players of S and -1/(P-s) to the others; and odd(S) is taken less that of
// the additive game of equal shares, (2s - P)/2 * (v(N) - v(0)) / P, whose values are known: a control variate.

package import CoalitionBase

/// Sums over pairs that are unbiased for Shapley values, one per player.
package struct UnbiasedKernelScheme: CoalitionScheme {
  package let design: PairDesign

  package init(playerCount: Int, seed: UInt64) {
    design = PairDesign(
      playerCount: playerCount, law: .kernel, seed: seed, purpose: .kernelRows)
  }

  package var playerCount: Int { design.playerCount }
  package var blockSamples: Int { design.blockPairs }
  package var rowsPerSample: Int { 2 }
  package func evaluations(samples: Int) -> Int { design.evaluations(samples: samples) }
  /// One per player.
  package var sumCount: Int { playerCount }

  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> PairRows {
    design.draw(block, into: &coalitions)
  }

  package func add(
    _ rows: PairRows, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    // What players outside of all smaller halves get: taken from everybody at the end.
    var outside = 0.0
    let first = sums.startIndex
    let share = ends.difference / Double(playerCount)
    for row in 0..<rows.count {
      let size = rows.sizes[row]
      let shared = (Double(size) - Double(playerCount) / 2) * share
      let part = (rows.odd(row, values) - shared) * design.sizes(size) / rows.shares[row]
      let absent = part / Double(playerCount - size)
      let present = part / Double(size) + absent
      outside += absent
      rows.forEachPlayer(row) { sums[first + $0] += present }
    }
    for player in 0..<playerCount { sums[first + player] -= outside }
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    let share = ends.difference / Double(playerCount)
    guard playerCount > 1 else { return [share] }
    guard samples > 0 else { return sums.map { _ in .nan } }
    return sums.map { share + $0 / Double(samples) }
  }
}
