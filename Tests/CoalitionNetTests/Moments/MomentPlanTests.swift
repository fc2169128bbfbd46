// Moment programs against the reference: affine maps in front of the fronts, and moments and their gradients behind.

import CoalitionBase
import TestSupport
import Testing

@testable import CoalitionNet

@Suite struct MomentPlanTests {
  private static func options() -> PlanOptions {
    var options = PlanOptions()
    options.precision = .double
    return options
  }

  /// One random coalition: what a front is made from, in double.
  struct Coalition {
    let base: [Double]
    let contributions: [[Double]]
    let directions: [[Double]]

    var rank: Int { directions.count }

    /// Players present with probabilities q, independently.
    func moments(_ q: [Double], shape: [Int]) -> RandomGrid {
      var mean = base
      var total = base.map { _ in 0.0 }
      var factors = directions.map { _ in base.map { _ in 0.0 } }
      for (player, c) in contributions.enumerated() {
        for place in c.indices {
          mean[place] += q[player] * c[place]
          total[place] += q[player] * (1 - q[player]) * c[place] * c[place]
          for (index, direction) in directions.enumerated() {
            let spread = (q[player] * (1 - q[player])).squareRoot()
            factors[index][place] += spread * c[place] * direction[player]
          }
        }
      }
      let rest = total.indices.map { place in
        max(0, factors.reduce(total[place]) { $0 - $1[place] * $1[place] })
      }
      return RandomGrid(mean: Grid(shape, mean), rest: rest, factors: factors)
    }
  }

  /// The contributions of single elements of x from b, by the plain reference, and orthonormal directions.
  private static func coalition(
    _ net: MomentNet, rank: Int, seed: Int
  ) -> (coalition: Coalition, shape: [Int], x: Grid, b: Grid) {
    var random = Seeded(seed)
    let shape =
      [1]
      + (net.graph.inputs[0].shape ?? []).dropFirst().map {
        if case .fixed(let size) = $0 { size } else { 1 }
      }
    let x = random.grid(shape, -1...1)
    let b = random.grid(shape, -0.3...0.3)
    let input = net.graph.inputs[0].name
    func front(_ grid: Grid) -> Grid {
      guard let value = Reference.run(net.graph, [input: grid])[net.front] else {
        preconditionFailure("no front")
      }
      return value
    }
    let base = front(b)
    let players = x.values.count
    let contributions = (0..<players).map { player -> [Double] in
      var only = b
      only.values[player] = x.values[player]
      return zip(front(only).values, base.values).map { $0 - $1 }
    }
    var directions: [[Double]] = []
    for _ in 0..<rank {
      var direction = random.numbers(players)
      for other in directions {
        let along = zip(direction, other).reduce(0) { $0 + $1.0 * $1.1 }
        direction = zip(direction, other).map { $0 - along * $1 }
      }
      let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
      directions.append(direction.map { $0 / length })
    }
    return (
      Coalition(base: base.values, contributions: contributions, directions: directions),
      base.shape, x, b
    )
  }

  /// Rows of an engine's front in the order of its buffer, from those of the reference.
  private static func rows(
    _ plan: MomentPlan, _ net: MomentNet, _ coalition: Coalition, x: Grid, b: Grid
  ) async throws -> MomentPlan.Work {
    var work = MomentPlan.Work(examples: 0)
    let name = net.graph.inputs[0].name
    let shape = [1] + plan.sources[0].shape
    func tensor(_ values: [Double]) throws -> [String: Tensor] {
      [name: try Tensor(shape: shape, elements: .float64(values))]
    }
    let run = RunOptions()
    let held = MomentPlan.Held()
    let change = zip(x.values, b.values).map { $0 - $1 }
    work.base = try await plan.fronts(.values, of: tensor(b.values), count: 1, held: held, run)
    work.sum = try await plan.fronts(.changes, of: tensor(change), count: 1, held: held, run)
    #expect(plan.hasSingleWays)
    work.squares = try await plan.fronts(
      .squares, of: tensor(change.map { $0 * $0 }), count: 1, held: held, run)
    if plan.rank > 0 {
      var rows: [Double] = []
      for direction in coalition.directions {
        rows += try await plan.fronts(
          .changes, of: tensor(zip(change, direction).map { $0 * $1 }), count: 1, held: held, run
        )[0].doubles
      }
      work.basis = [
        try Tensor(
          shape: [1, plan.rank, rows.count / plan.rank], elements: .float64(rows))
      ]
    }
    return work
  }

  @Test("Means are those of the reference", arguments: MomentNet.all, [0, 1, 3])
  func means(_ net: MomentNet, rank: Int) async throws {
    let (coalition, shape, x, b) = Self.coalition(net, rank: rank, seed: 5 + rank)
    let plan = try MomentPlan(
      Model(net.graph), target: net.graph.outputs[0].name, rank: rank, Self.options())
    var work = try await Self.rows(plan, net, coalition, x: x, b: b)
    let ts = [0.0, 0.02, 0.3, 0.5, 0.9, 1.0]
    work.examples = ts.count
    work.subjectOf = ts.map { _ in 0 }
    for t in ts {
      let spread = t * (1 - t)
      work.scalars += [t, 0, spread, 0, spread.squareRoot()]
      work.scalars += [Double](repeating: 0, count: 2 * rank)
    }
    let found = try await plan.means(work, RunOptions()).doubles
    let width = plan.target.count
    for (index, t) in ts.enumerated() {
      let moments = coalition.moments([Double](repeating: t, count: x.values.count), shape: shape)
      let expected = try #require(
        MomentReference.run(net.graph, fronts: [net.front: moments])[net.graph.outputs[0].name])
      let scale = expected.mean.values.reduce(0.1) { max($0, abs($1)) }
      for (place, value) in expected.mean.values.enumerated() {
        #expect(
          abs(found[index * width + place] - value) <= net.tolerance * scale,
          "t \(t): \(found[index * width + place]), reference \(value)")
      }
    }
  }

  /// The derivative of the target's mean by the probability of each player, all others at t, from signals at the
  /// front, against differences of the reference.
  @Test("Gradients are differences of the reference's means", arguments: MomentNet.all, [0, 2])
  func gradients(_ net: MomentNet, rank: Int) async throws {
    let (coalition, shape, x, b) = Self.coalition(net, rank: rank, seed: 9)
    let plan = try MomentPlan(
      Model(net.graph), target: net.graph.outputs[0].name, rank: rank, Self.options())
    var work = try await Self.rows(plan, net, coalition, x: x, b: b)
    let t = 0.4
    let root = (t * (1 - t)).squareRoot()
    work.examples = 1
    work.subjectOf = [0]
    work.scalars = [t, 0, t * (1 - t), 0, root] + [Double](repeating: 0, count: 2 * rank)
    var seed = [Double](repeating: 0, count: plan.target.count)
    seed[1] = 1
    let gradient = try await plan.gradients(
      work,
      MomentPlan.Summation(
        groupOf: [0], weights: [1], slopes: [1 - 2 * t, (1 - 2 * t) / (2 * root)],
        segmentLength: 1),
      seeds: [(Tensor(filling: [1, seed.count], with: .float64(seed)), [0])], RunOptions())[0]

    // Contributions of the players in the order of the engine's buffer.
    let change = zip(x.values, b.values).map { $0 - $1 }
    let players = change.count
    func mean(_ q: [Double]) throws -> Double {
      let moments = coalition.moments(q, shape: shape)
      let values = MomentReference.run(net.graph, fronts: [net.front: moments])
      return try #require(values[net.graph.outputs[0].name]).mean.values[1]
    }
    var errors: [Double] = []
    var scale = 0.0
    for player in stride(from: 0, to: players, by: max(1, players / 6)) {
      var only = [Double](repeating: 0, count: players)
      only[player] = change[player]
      let own = try await plan.fronts(
        .changes,
        of: [
          net.graph.inputs[0].name: Tensor(
            filling: [1] + plan.sources[0].shape, with: .float64(only))
        ], count: 1, held: .init(), RunOptions())[0].doubles
      let (m, v) = (gradient.mean[0].doubles, gradient.variance[0].doubles)
      var found = own.indices.reduce(0) { $0 + own[$1] * m[$1] + own[$1] * own[$1] * v[$1] }
      for direction in 0..<rank {
        let l = gradient.factors[0].doubles[direction * own.count..<(direction + 1) * own.count]
        found +=
          coalition.directions[direction][player]
          * zip(own, l).reduce(0) { $0 + $1.0 * $1.1 }
      }
      let step = 1e-3
      var (low, high) = (
        [Double](repeating: t, count: players), [Double](repeating: t, count: players)
      )
      low[player] -= step
      high[player] += step
      let expected = (try mean(high) - mean(low)) / (2 * step)
      errors.append(abs(found - expected))
      scale = max(scale, abs(expected))
    }
    #expect(
      (errors.max() ?? 1) <= max(2e-4, 3 * net.tolerance) * max(scale, 0.05),
      "\(errors), scale \(scale)")
  }

  @Test("Gradients of large networks go one example at a time, and are the same")
  func narrowGradients() async throws {
    let net = MomentNet.all[4]
    let (coalition, _, x, b) = Self.coalition(net, rank: 2, seed: 3)
    var options = PlanOptions()
    options.precision = .single
    let plan = try MomentPlan(
      Model(net.graph), target: net.graph.outputs[0].name, rank: 2, options)
    var work = try await Self.rows(plan, net, coalition, x: x, b: b)
    let count = 11
    work.examples = count
    var summation = MomentPlan.Summation(groupOf: [], weights: [], slopes: [], segmentLength: 1)
    for index in 0..<count {
      let t = Double(index + 1) / Double(count + 1)
      work.subjectOf.append(0)
      work.scalars += [t, 0, t * (1 - t), 0, (t * (1 - t)).squareRoot(), 0, 0, 0, 0]
      summation.groupOf.append(index / 7)
      summation.weights.append(0.3 + t)
      summation.slopes += [1 - 2 * t, (1 - 2 * t) / (2 * (t * (1 - t)).squareRoot())]
    }
    let ones = Tensor(filling: [1, 3], with: .float64([1, -1, 0.5]))
    let seeds = [(rows: ones, rowOf: [Int32](repeating: 0, count: count))]
    var results: [MomentPlan.FrontGradients] = []
    for (lanes, threads) in [(1, 1), (1, 3), (16, 2)] {
      var run = RunOptions()
      (run.lanes, run.threads) = (lanes, threads)
      results += try await plan.gradients(work, summation, seeds: seeds, largestTile: 0, run)
    }
    // In wide tiles the same examples are summed one by one as well.
    results += try await plan.gradients(work, summation, seeds: seeds, RunOptions())
    for other in results.dropFirst() {
      for (own, found) in zip(
        results[0].mean + results[0].variance + results[0].factors,
        other.mean + other.variance + other.factors)
      {
        #expect(own.shape[0] == 2 && identical(own, found))
      }
    }
    #expect(results[0].factors[0].doubles.contains { $0 != 0 })
  }

  @Test("Bytes depend on neither lanes nor threads nor the instruction set")
  func sameBytes() async throws {
    let net = MomentNet.all[4]
    let (coalition, _, x, b) = Self.coalition(net, rank: 2, seed: 3)
    var options = PlanOptions()
    options.precision = .single
    let plan = try MomentPlan(
      Model(net.graph), target: net.graph.outputs[0].name, rank: 2, options)
    var work = try await Self.rows(plan, net, coalition, x: x, b: b)
    work.examples = 37
    for index in 0..<37 {
      let t = Double(index) / 36
      work.subjectOf.append(0)
      work.scalars += [t, 0, t * (1 - t), 0, (t * (1 - t)).squareRoot(), 0, 0, 0, 0]
    }
    var results: [Tensor] = []
    for (lanes, threads) in [(1, 1), (16, 1), (32, 2), (64, 3)] {
      for set in [InstructionSet.generic, .avx2, .avx512] where set.isAvailable {
        var run = RunOptions()
        (run.lanes, run.threads, run.instructionSet) = (lanes, threads, set)
        results.append(try await plan.means(work, run))
      }
    }
    for other in results.dropFirst() { #expect(identical(results[0], other)) }
  }
}
