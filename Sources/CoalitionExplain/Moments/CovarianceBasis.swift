// The directions of the covariance factor.
//
// The covariance of the fronts under random coalitions is C D C', with C the contributions of the players, one column for
// each, and D the covariance of who is present. Its factor is C D^(1/2) U for r orthonormal directions U in the space
// of players: the leading right singular vectors of C. U depends on neither the size of coalitions nor the player that is
// set apart, so what the factor leaves over is never negative: U U' <= 1.

import CoalitionBase
import CoalitionNet

/// r orthonormal directions for every subject.
struct CovarianceBasis: Sendable {
  /// [subject][direction][player].
  let directions: [Double]
  /// Per front [subjects, r, count]: C U.
  let fronts: [Tensor]

  /// Subspace iteration: U <- orthonormalised C' C U.
  /// - Parameter isCentred: of coalitions of one size the mean over players has no part in the covariance.
  init(
    _ subjects: MomentSubjects, rank: Int, isCentred: Bool, _ run: RunOptions
  ) async throws(CoalitionError) {
    let players = subjects.playerCount
    // No more directions than there are; the others stay 0.
    let most = max(players - (isCentred ? 1 : 0), 0)
    let (used, working) = (min(rank, most), min(rank + Self.spareDirections, most))
    guard used > 0 else {
      directions = [Double](repeating: 0, count: subjects.count * rank * players)
      fronts = try await Self.shaped(subjects, directions, rank, run)
      return
    }
    var current: [Double] = []
    for subject in 0..<subjects.count {
      var random = CounterRandom(seed: 0, purpose: .covarianceDirections, index: UInt64(0))
      let start = (0..<working * players).map { _ in Double.random(in: -1...1, using: &random) }
      let isActive = Set(subjects.activePlayers(of: subject))
      current += Self.orthonormal(
        start.enumerated().map { isActive.contains($0.offset % players) ? $0.element : 0 },
        players, isCentred)
    }
    for _ in 0..<Self.iterations {
      let images = try await subjects.fronts(along: current, run)
      let back = try await subjects.playerSums(of: images, run)
      let size = working * players
      current = (0..<subjects.count).flatMap { subject in
        Self.orthonormal(Array(back[subject * size..<(subject + 1) * size]), players, isCentred)
      }
    }
    var kept: [Double] = []
    for subject in 0..<subjects.count {
      kept += current[subject * working * players..<(subject * working + used) * players]
      kept += [Double](repeating: 0, count: (rank - used) * players)
    }
    directions = kept
    fronts = try await Self.shaped(subjects, directions, rank, run)
  }

  private static let iterations = 4
  /// A few more than wanted make the leading ones settle sooner.
  private static let spareDirections = 2

  /// Rows that go to the fronts, or back, for one subject.
  static func passes(rank: Int, players: Int) -> Int {
    2 * iterations * min(rank + spareDirections, players) + rank
  }

  private static func shaped(
    _ subjects: MomentSubjects, _ directions: [Double], _ rank: Int, _ run: RunOptions
  ) async throws(CoalitionError) -> [Tensor] {
    let rows = try await subjects.fronts(along: directions, run)
    var tensors: [Tensor] = []
    for row in rows {
      tensors.append(
        try row.reshaped(to: [subjects.count, rank, row.count / (subjects.count * rank)]))
    }
    return tensors
  }

  /// Rows of `width` numbers made orthonormal in order (Gram and Schmidt, twice); rows that depend on earlier ones
  /// become 0.
  private static func orthonormal(_ rows: [Double], _ width: Int, _ isCentred: Bool) -> [Double] {
    var result = rows
    for row in 0..<rows.count / width {
      let own = row * width..<(row + 1) * width
      let scale = norm(result[own])
      guard scale > 0 else { continue }
      for _ in 0..<2 {
        if isCentred {
          let mean = result[own].reduce(0, +) / Double(width)
          for place in own { result[place] -= mean }
        }
        for other in 0..<row {
          let start = other * width
          let along = own.reduce(0) { $0 + result[$1] * result[start + $1 - own.lowerBound] }
          for place in own { result[place] -= along * result[start + place - own.lowerBound] }
        }
      }
      let length = norm(result[own])
      let factor = length > 1e-9 * scale ? 1 / length : 0
      for place in own { result[place] *= factor }
    }
    return result
  }

  private static func norm(_ row: ArraySlice<Double>) -> Double {
    row.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }
}
