// The moment gradient: Shapley values of all players from the gradient of propagated moments.
//
// Let every player be present with probability q_i, independently. The target's mean M(q) when the moments of the fronts
//     mean = base + sum q_i c_i,     covariance = sum q_i (1 - q_i) c_i c_i'
// are propagated approximates Owen's multilinear extension, whose gradient along the diagonal integrates to the Shapley
// value: phi_i = integral over t of dM/dq_i at q = (t, ..., t). One reverse pass through the moments gives dM/dq_i of all
// players, and since dM/dt is their sum, the values add up to M(1) - M(0) = f(x) - f(b) but for the quadrature.
//
// Standard deviations grow like sqrt(t) at the ends: t = s^2 (3 - 2 s) makes the integrand smooth in s, and
// Gauss-Legendre nodes in s serve. With signals (adjoints) m of the front's mean, v of its total variance and l of the
// factor L = sqrt(t (1 - t)) C U at a given total variance,
//     dM/dq_i = c_i . m + (1 - 2 t) c_i^2 . v + (1 - 2 t) / (2 sqrt(t (1 - t))) sum_a U_ia c_i . l_a.

import CoalitionBase
import CoalitionNet

extension MomentSubjects {
  /// The values of all players: [subject][player][seed].
  /// - Parameters:
  ///   - nodes: of the quadrature.
  ///   - seeds: per score rows of weights over the target's elements, and per example of the subjects its row.
  func gradientValues(
    nodes: Int, seeds: [MomentPlan.Seed], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    var basis: CovarianceBasis?
    if plan.rank > 0 {
      basis = try await CovarianceBasis(self, rank: plan.rank, isCentred: false, run)
    }
    let path = Self.path(nodes)
    var work = MomentPlan.Work(examples: count * nodes)
    (work.base, work.sum, work.squares, work.basis) = (base, sum, squares, basis?.fronts ?? [])
    work.held = heldRows(nodes)
    var summation = MomentPlan.Summation(
      groupOf: [], weights: [], slopes: [], segmentLength: Self.segmentLength(nodes))
    var slopes: [Double] = []
    for (t, _) in path {
      let spread = t * (1 - t)
      work.scalars += [t, 0, spread, 0, spread.squareRoot()]
      work.scalars += [Double](repeating: 0, count: 2 * plan.rank)
      slopes += [1 - 2 * t, (1 - 2 * t) / (2 * spread.squareRoot())]
    }
    // All subjects share them.
    var scalarOf: [Int32] = []
    for subject in 0..<count {
      work.subjectOf += [Int32](repeating: Int32(subject), count: nodes)
      scalarOf += 0..<Int32(nodes)
      summation.groupOf += [Int](repeating: subject, count: nodes)
      summation.weights += path.map(\.weight)
      summation.slopes += slopes
    }
    work.scalarOf = scalarOf
    let firstExample = exampleOf.first ?? 0
    var values = [Double](repeating: 0, count: count * playerCount * seeds.count)
    for first in stride(from: 0, to: seeds.count, by: memory.seeds) {
      let part = seeds[first..<min(first + memory.seeds, seeds.count)].map { seed in
        (
          rows: seed.rows,
          rowOf: work.subjectOf.map { seed.rowOf[exampleOf[Int($0)] - firstExample] }
        )
      }
      let sumBytes = plan.gradientByteCount(seeds: part.count)
      let gradients = try await plan.gradients(
        work, summation, seeds: part, sumLimit: memory.chunkByteCount - sumBytes, run)
      for (seed, gradient) in gradients.enumerated() {
        let sums = try await integrated(gradient, basis, run)
        for (place, sum) in sums.enumerated() {
          values[place * seeds.count + first + seed] = sum
        }
      }
    }
    return values
  }

  /// Places t = s^2 (3 - 2 s) and weights, which add up to 1.
  private static func path(_ nodes: Int) -> [(t: Double, weight: Double)] {
    let path = Quadrature.gauss.nodes(nodes).map { node -> (t: Double, weight: Double) in
      let s = node.place
      return (s * s * (3 - 2 * s), node.weight * 6 * s * (1 - s))
    }
    // They do by themselves from two nodes on.
    let sum = path.reduce(0) { $0 + $1.weight }
    return path.map { ($0.t, $0.weight / sum) }
  }

  /// The largest of 16, 8, ... that divides the number of nodes: a subject then has the same sums wherever it stands.
  private static func segmentLength(_ nodes: Int) -> Int {
    [16, 8, 4, 2].first { nodes % $0 == 0 } ?? 1
  }

  /// dM/dq_i, integrated: [subject][player].
  private func integrated(
    _ gradient: MomentPlan.FrontGradients, _ basis: CovarianceBasis?, _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    let rank = plan.rank
    // Per subject the signal of the mean, then those of the factors.
    var signals: [Tensor] = []
    for (front, size) in plan.frontCounts.enumerated() {
      let mean = gradient.mean[front].doubles
      let factors = rank > 0 ? gradient.factors[front].doubles : []
      var rows: [Double] = []
      rows.reserveCapacity(count * (1 + rank) * size)
      for subject in 0..<count {
        rows += mean[subject * size..<(subject + 1) * size]
        if rank > 0 { rows += factors[subject * rank * size..<(subject + 1) * rank * size] }
      }
      signals.append(
        try Tensor(shape: [count * (1 + rank), size], elements: .float64(rows)))
    }
    let along = try await playerSums(of: signals, run)
    var sums = try await squareSums(of: gradient.variance, run)
    let directions = basis?.directions ?? []
    for subject in 0..<count {
      for player in 0..<playerCount {
        let start = subject * (1 + rank) * playerCount + player
        var sum = along[start]
        for direction in 0..<rank {
          let place = (subject * rank + direction) * playerCount + player
          sum += directions[place] * along[start + (1 + direction) * playerCount]
        }
        sums[subject * playerCount + player] += sum
      }
    }
    return sums
  }
}
