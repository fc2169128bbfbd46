// Moment programs against the reference: affine maps in front of the fronts, and moments and their gradients behind.

import CoalitionBase
import TestSupport
import Testing

@testable import CoalitionNet

@Suite struct MomentPlanTests {
  static func options() -> PlanOptions {
    var options = PlanOptions()
    options.precision = .double
    return options
  }

  /// Random coalitions of single elements: what the fronts are made from, in double.
  struct Players {
    let net: MomentNet
    /// By input.
    let x: [String: Grid]
    let b: [String: Grid]
    /// By front.
    let base: [String: Grid]
    /// Per player, by front.
    let contributions: [[String: [Double]]]
    /// Orthonormal: per direction a number for every player.
    let directions: [[Double]]

    var count: Int { contributions.count }

    /// - Parameter rank: nil: a direction for every player, which leaves no rest.
    init(_ net: MomentNet, rank: Int?, seed: Int) throws {
      self.net = net
      var random = Seeded(seed)
      var (x, b): ([String: Grid], [String: Grid]) = ([:], [:])
      for (port, shape) in zip(net.graph.inputs, net.shapes) {
        x[port.name] = random.grid([1] + shape, -1...1)
        b[port.name] = random.grid([1] + shape, -0.3...0.3)
      }
      func fronts(_ inputs: [String: Grid]) -> [String: Grid] {
        Reference.run(net.graph, inputs).filter { net.fronts.contains($0.key) }
      }
      let base = fronts(b)
      try #require(base.count == net.fronts.count)
      var contributions: [[String: [Double]]] = []
      for port in net.graph.inputs {
        let row = try #require(x[port.name])
        for element in row.values.indices {
          var only = b
          only[port.name]?.values[element] = row.values[element]
          contributions.append(
            fronts(only).reduce(into: [:]) { differences, front in
              let before = base[front.key]?.values ?? []
              differences[front.key] = zip(front.value.values, before).map { $0 - $1 }
            })
        }
      }
      var directions: [[Double]] = []
      for _ in 0..<(rank ?? contributions.count) {
        var direction = random.numbers(contributions.count)
        for _ in 0..<2 {
          for other in directions {
            let along = zip(direction, other).reduce(0) { $0 + $1.0 * $1.1 }
            direction = zip(direction, other).map { $0 - along * $1 }
          }
        }
        let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
        directions.append(direction.map { $0 / length })
      }
      (self.x, self.b, self.base) = (x, b, base)
      (self.contributions, self.directions) = (contributions, directions)
    }

    /// Players present with probabilities q, independently: by front.
    func moments(_ q: [Double]) -> [String: RandomGrid] {
      base.reduce(into: [:]) { $0[$1.key] = moments(q, ofFront: $1.key, $1.value) }
    }

    private func moments(_ q: [Double], ofFront front: String, _ base: Grid) -> RandomGrid {
      var mean = base
      var total = base.values.map { _ in 0.0 }
      var factors = directions.map { _ in total }
      for (player, contribution) in contributions.enumerated() {
        let spread = (q[player] * (1 - q[player])).squareRoot()
        for (place, c) in (contribution[front] ?? []).enumerated() {
          mean.values[place] += q[player] * c
          total[place] += spread * spread * c * c
          for (index, direction) in directions.enumerated() {
            factors[index][place] += spread * c * direction[player]
          }
        }
      }
      let rest = total.indices.map { place in
        max(0, factors.reduce(total[place]) { $0 - $1[place] * $1[place] })
      }
      return RandomGrid(mean: mean, rest: rest, factors: factors)
    }

    /// Rows of the sources with a number for every player's element.
    func rows(_ numbers: [Double]) -> [String: Tensor] {
      var rows: [String: Tensor] = [:]
      var first = 0
      for (port, shape) in zip(net.graph.inputs, net.shapes) {
        let count = shape.reduce(1, *)
        rows[port.name] = Tensor(
          filling: [1] + shape, with: .float64(Array(numbers[first..<first + count])))
        first += count
      }
      return rows
    }

    /// Of all elements, in the order of the inputs.
    func elements(_ grids: [String: Grid]) -> [Double] {
      net.graph.inputs.flatMap { grids[$0.name]?.values ?? [] }
    }

    var changes: [Double] { zip(elements(x), elements(b)).map { $0 - $1 } }

    /// What the engine's fronts are made from, in the order of its buffers, for coalitions that are yet to be said.
    func work(_ plan: MomentPlan) async throws -> MomentPlan.Work {
      func fronts(_ passage: MomentPlan.Passage, _ numbers: [Double]) async throws -> [Tensor] {
        try await plan.fronts(
          passage, of: rows(numbers), count: 1, held: .init(), RunOptions())
      }
      try #require(plan.frontCounts.count == net.fronts.count)
      var work = MomentPlan.Work(examples: 0)
      work.base = try await fronts(.values, elements(b))
      work.sum = try await fronts(.changes, changes)
      if plan.hasSingleWays {
        work.squares = try await fronts(.squares, changes.map { $0 * $0 })
      } else {
        var squares = plan.frontCounts.map { [Double](repeating: 0, count: $0) }
        for player in 0..<count {
          for (front, row) in try await contributions(of: player, plan).enumerated() {
            for place in row.indices { squares[front][place] += row[place] * row[place] }
          }
        }
        work.squares = squares.map { Tensor(filling: [1, $0.count], with: .float64($0)) }
      }
      if plan.rank > 0 {
        var rows = plan.frontCounts.map { _ in [Double]() }
        for direction in directions {
          let along = try await fronts(.changes, zip(changes, direction).map { $0 * $1 })
          for front in rows.indices { rows[front] += along[front].doubles }
        }
        work.basis = zip(rows, plan.frontCounts).map {
          Tensor(filling: [1, plan.rank, $0.1], with: .float64($0.0))
        }
      }
      return work
    }

    /// Of one player, by the engine: per front.
    func contributions(of player: Int, _ plan: MomentPlan) async throws -> [[Double]] {
      var only = changes.map { _ in 0.0 }
      only[player] = changes[player]
      return try await plan.fronts(
        .changes, of: rows(only), count: 1, held: .init(), RunOptions()
      ).map(\.doubles)
    }
  }

  static func plan(_ players: Players, _ options: PlanOptions) throws -> MomentPlan {
    try MomentPlan(
      Model(players.net.graph), target: players.net.graph.outputs[0].name,
      rank: players.directions.count, options)
  }

  @Test("Means are those of the reference", arguments: MomentNet.all, [0, 1, 3])
  func means(_ net: MomentNet, rank: Int) async throws {
    try await checkMeans(try Players(net, rank: rank, seed: 5 + rank))
  }

  @Test("So they are with the whole covariance", arguments: MomentNet.small)
  func wholeMeans(_ net: MomentNet) async throws {
    try await checkMeans(try Players(net, rank: nil, seed: 12))
  }

  private func checkMeans(_ players: Players) async throws {
    let net = players.net
    let plan = try Self.plan(players, Self.options())
    var work = try await players.work(plan)
    let ts = [0.0, 0.02, 0.3, 0.5, 0.9, 1.0]
    work.examples = ts.count
    work.subjectOf = ts.map { _ in 0 }
    for t in ts {
      let spread = t * (1 - t)
      work.scalars += [t, 0, spread, 0, spread.squareRoot()]
      work.scalars += [Double](repeating: 0, count: 2 * plan.rank)
    }
    let found = try await plan.means(work, RunOptions()).doubles
    let width = plan.target.count
    for (index, t) in ts.enumerated() {
      let moments = players.moments([Double](repeating: t, count: players.count))
      let expected = try #require(
        MomentReference.run(net.graph, fronts: moments)[net.graph.outputs[0].name])
      let scale = expected.mean.values.reduce(0.1) { max($0, abs($1)) }
      for (place, value) in expected.mean.values.enumerated() {
        #expect(
          abs(found[index * width + place] - value) <= net.tolerance * scale,
          "t \(t): \(found[index * width + place]), reference \(value)")
      }
    }
  }

  /// The derivative of the target's mean by the probability of each player, all others at t, from signals at the
  /// fronts, against differences of the reference.
  @Test("Gradients are differences of the reference's means", arguments: MomentNet.all, [0, 2])
  func gradients(_ net: MomentNet, rank: Int) async throws {
    try await checkGradients(try Players(net, rank: rank, seed: 9))
  }

  @Test("So they are with the whole covariance", arguments: MomentNet.small)
  func wholeGradients(_ net: MomentNet) async throws {
    try await checkGradients(try Players(net, rank: nil, seed: 13))
  }

  private func checkGradients(_ players: Players) async throws {
    let net = players.net
    let plan = try Self.plan(players, Self.options())
    let rank = plan.rank
    var work = try await players.work(plan)
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

    func mean(_ q: [Double]) throws -> Double {
      let values = MomentReference.run(net.graph, fronts: players.moments(q))
      return try #require(values[net.graph.outputs[0].name]).mean.values[1]
    }
    var errors: [Double] = []
    var scale = 0.0
    for player in stride(from: 0, to: players.count, by: max(1, players.count / 6)) {
      var found = 0.0
      for (front, own) in try await players.contributions(of: player, plan).enumerated() {
        let (m, v) = (gradient.mean[front].doubles, gradient.variance[front].doubles)
        found += own.indices.reduce(0) { $0 + own[$1] * m[$1] + own[$1] * own[$1] * v[$1] }
        for direction in 0..<rank {
          let l = gradient.factors[front].doubles[
            direction * own.count..<(direction + 1) * own.count]
          found +=
            players.directions[direction][player]
            * zip(own, l).reduce(0) { $0 + $1.0 * $1.1 }
        }
      }
      // Wide enough for the reference's quadrature.
      let step = 2e-3
      var low = [Double](repeating: t, count: players.count)
      var high = low
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

  @Test(
    "Gradients of large networks, and where memory is short, go one example at a time and are the same",
    arguments: [1, 4, 8, 16])
  func narrowGradients(segmentLength: Int) async throws {
    let net = MomentNet.all[4]
    let players = try Players(net, rank: 2, seed: 3)
    let plan = try Self.plan(players, PlanOptions())
    var work = try await players.work(plan)
    let count = 48
    work.examples = count
    var summation = MomentPlan.Summation(
      groupOf: [], weights: [], slopes: [], segmentLength: segmentLength)
    for index in 0..<count {
      let t = Double(index + 1) / Double(count + 1)
      work.subjectOf.append(0)
      work.scalars += [t, 0, t * (1 - t), 0, (t * (1 - t)).squareRoot(), 0, 0, 0, 0]
      summation.groupOf.append(index / 32)
      summation.weights.append(0.3 + t)
      summation.slopes += [1 - 2 * t, (1 - 2 * t) / (2 * (t * (1 - t)).squareRoot())]
    }
    let ones = Tensor(filling: [1, 3], with: .float64([1, -1, 0.5]))
    let seeds = [(rows: ones, rowOf: [Int32](repeating: 0, count: count))]
    let wide = try await plan.gradients(work, summation, seeds: seeds, RunOptions())[0]
    #expect(wide.mean[0].shape[0] == 2 && wide.factors[0].doubles.contains { $0 != 0 })
    let bytes = plan.gradientByteCount(seeds: 1)
    let arenas = try plan.arenaByteCount(
      .init(seeds: [1], ownsElements: false, own: nil), examples: count, threads: 2, within: 0)
    // Lanes and threads; bytes of a tile, of sums, and of arenas.
    let runs: [(Int?, Int, tile: Int, sums: Int, arenas: Int)] = [
      (nil, 1, 0, .max, .max), (1, 3, .max, 0, .max), (16, 2, .max, .max, .max),
      (32, 2, .max, 0, .max), (nil, 2, .max, 3 * bytes, .max), (nil, 2, .max, 0, .max),
      (nil, 2, .max, .max, arenas), (nil, 2, .max, 5 * bytes, arenas),
    ]
    for (lanes, threads, tile, sums, arenas) in runs {
      var run = RunOptions()
      (run.lanes, run.threads, run.memoryLimit) = (lanes, threads, arenas)
      let found = try await plan.gradients(
        work, summation, seeds: seeds, largestTile: tile, sumLimit: sums, run)[0]
      for (own, other) in zip(
        wide.mean + wide.variance + wide.factors, found.mean + found.variance + found.factors)
      {
        #expect(identical(own, other), "\(String(describing: lanes)), \(tile), \(sums)")
      }
    }
    var run = RunOptions()
    (run.threads, run.memoryLimit) = (2, arenas - 1)
    await #expect(throws: CoalitionError.self) {
      try await plan.gradients(work, summation, seeds: seeds, run)
    }
  }

  /// Beside the packed weights, whose number depends on which programs share what, arenas that are held between runs.
  @Test("What is held after runs is what was foreseen", arguments: [0, 2])
  func heldMemory(rank: Int) async throws {
    for net in [MomentNet.all[0], MomentNet.all[4]] {
      let players = try Players(net, rank: rank, seed: 3)
      let plan = try Self.plan(players, PlanOptions())
      var work = try await players.work(plan)
      let count = 40
      work.examples = count
      work.subjectOf = [Int32](repeating: 0, count: count)
      for index in 0..<count {
        let t = Double(index + 1) / Double(count + 1)
        work.scalars += [t, 0, t * (1 - t), 0, (t * (1 - t)).squareRoot()]
        work.scalars += [Double](repeating: 0, count: 2 * rank)
      }
      let width = plan.target.count
      let seed = Tensor(
        filling: [1, width], with: .float64([Double](repeating: 1, count: width)))
      var run = RunOptions()
      run.threads = 2
      let found = try await plan.gradients(
        work,
        MomentPlan.Summation(
          groupOf: [Int](repeating: 0, count: count),
          weights: [Double](repeating: 1, count: count),
          slopes: [Double](repeating: 1, count: 2 * count), segmentLength: 16),
        seeds: [(seed, [Int32](repeating: 0, count: count))], run)[0]
      _ = try await plan.sources(
        .changes, of: found.mean, count: 1, held: .init(), run)
      let use = MomentPlan.Use(seeds: [1], ownsElements: plan.hasSingleWays, own: nil)
      if plan.hasSingleWays {
        _ = try await plan.sources(.squares, of: found.variance, count: 1, held: .init(), run)
      }
      let held = plan.model.store.byteCount
      let foreseen = try plan.constantByteCount(use, isPacking: false)
      #expect(held <= foreseen && 2 * held > foreseen, "\(net): \(held) of \(foreseen)")
      let arenas = try plan.arenaByteCount(use, examples: count, threads: 2, within: .max)
      #expect(plan.spareByteCount > 0 && plan.spareByteCount <= arenas)
    }
  }

  @Test("Bytes depend on neither lanes nor threads nor the instruction set")
  func sameBytes() async throws {
    let net = MomentNet.all[4]
    let players = try Players(net, rank: 2, seed: 3)
    let plan = try Self.plan(players, PlanOptions())
    var work = try await players.work(plan)
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
