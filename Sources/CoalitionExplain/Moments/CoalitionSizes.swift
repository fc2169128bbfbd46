// DASP: Shapley values from the moments of coalitions of each size (Ancona, Oztireli, Gross 2019).
//
//     phi_i = (1 / P) sum over sizes k = 0 ... P - 1 of  E v(S with i) - E v(S),  S of k of the M = P - 1 other players
// and both expectations are those of the target's mean when the moments of a random S are propagated. Of the fronts
//     mean = base + k / M others (+ c_i),     others = sum of c_g over g other than i
//     variance = k (M - k) / (M (M - 1)) (sum of c_g^2 - others^2 / M)
// exactly (equation 7 of the paper, with the finite population), and the factor for directions U is
//     sqrt(k (M - k) / (M (M - 1))) (C U - c_i U_i - others (sum of U - U_i) / M).

import CoalitionBase
import CoalitionNet

/// The sizes of coalitions that are taken, and what each counts.
struct CoalitionSizes: Sendable {
  let sizes: [Int]
  let weights: [Double]

  /// The middle of `count` contiguous parts of 0 ... P - 1, as even as they can be, each counting its share.
  init(_ count: Int, players: Int) {
    let parts = max(1, min(count, players))
    var sizes: [Int] = []
    var weights: [Double] = []
    for part in 0..<parts {
      // The first parts take what is left over.
      let (length, rest) = players.quotientAndRemainder(dividingBy: parts)
      let start = part * length + min(part, rest)
      let own = length + (part < rest ? 1 : 0)
      sizes.append(start + own / 2)
      weights.append(Double(own) / Double(players))
    }
    self.sizes = sizes
    self.weights = weights
  }
}

extension MomentSubjects {
  /// The values of all players by coalition sizes: [subject][player][score].
  /// - Parameter scores: of an example, each by elements of the target.
  func values(
    by sizes: CoalitionSizes, scores: (Int) -> [[ScoreWeight]], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    let width = plan.target.count
    var basis: CovarianceBasis?
    if plan.rank > 0 {
      basis = try await CovarianceBasis(self, rank: plan.rank, isCentred: true, run)
    }
    let scores = exampleOf.map(scores)
    let scoreCount = scores.first?.count ?? 0
    var values = [Double](repeating: 0, count: count * playerCount * scoreCount)
    let lanes = 2 * sizes.sizes.count
    let chunks = chunks(
      of: activeMembers, besides: plan.meanByteCount(coalitions: lanes),
      atMost: max(1, (1 << 14) / lanes))
    for chunk in chunks {
      let means = try await plan.means(
        try await work(Array(chunk), sizes.sizes, basis, run), run
      ).doubles
      for (index, member) in chunk.enumerated() {
        let place = (member.subject * playerCount + member.player) * scoreCount
        for (score, elements) in scores[member.subject].enumerated() {
          values[place + score] = elements.reduce(0.0) { total, element in
            var sum = 0.0
            for (size, weight) in sizes.weights.enumerated() {
              let without = (index * lanes + 2 * size) * width + element.index
              sum += weight * (means[without + width] - means[without])
            }
            return total + element.weight * sum
          }
        }
      }
    }
    return values
  }

  /// For each member and size a coalition of the others, without the member and with it.
  private func work(
    _ members: [Member], _ sizes: [Int], _ basis: CovarianceBasis?, _ run: RunOptions
  ) async throws(CoalitionError) -> MomentPlan.Work {
    let lanes = 2 * sizes.count
    var work = MomentPlan.Work(examples: members.count * lanes)
    (work.base, work.sum, work.squares, work.basis) = (base, sum, squares, basis?.fronts ?? [])
    work.own = try await contributions(members, run)
    work.held = MomentPlan.Held(rows: held)
    let others = playerCount - 1
    // Per size, without the member and with it: p, w, kappa, mu and root, which all members share.
    var sides: [Double] = []
    for size in sizes {
      let share = others > 0 ? Double(size) / Double(others) : 0
      let kappa = others > 1 ? share * Double(others - size) / Double(others - 1) : 0
      for isIn in [0.0, 1.0] {
        sides += [share, isIn, kappa, others > 0 ? kappa / Double(others) : 0, kappa.squareRoot()]
      }
    }
    let sums = (0..<count * plan.rank).map { row in
      basis?.directions[row * playerCount..<(row + 1) * playerCount].reduce(0, +) ?? 0
    }
    var scalarOf: [Int32] = []
    scalarOf.reserveCapacity(work.examples)
    work.subjectOf.reserveCapacity(work.examples)
    work.ownOf.reserveCapacity(work.examples)
    work.held.rowOf.reserveCapacity(work.examples)
    if plan.rank == 0 { work.scalars = sides }
    for (index, member) in members.enumerated() {
      for lane in 0..<lanes {
        work.subjectOf.append(Int32(member.subject))
        work.ownOf.append(Int32(index))
        work.held.rowOf.append(Int32(exampleOf[member.subject]))
        scalarOf.append(Int32(plan.rank == 0 ? lane : index * lanes + lane))
      }
      guard plan.rank > 0 else { continue }
      var directions = [Double](repeating: 0, count: 2 * plan.rank)
      for direction in 0..<plan.rank {
        let row = member.subject * plan.rank + direction
        let own = basis?.directions[row * playerCount + member.player] ?? 0
        directions[direction] = own
        directions[plan.rank + direction] = others > 0 ? (sums[row] - own) / Double(others) : 0
      }
      for lane in 0..<lanes {
        work.scalars += sides[5 * lane..<5 * lane + 5]
        work.scalars += directions
      }
    }
    work.scalarOf = scalarOf
    return work
  }
}
