// The families clark and unclark: two taps against integration over the plane, windows against folds by the textbook
// formulas in double, slopes against finite differences.

import CLanes
import Testing

/// A normal variable with factors.
private struct NormalState {
  var mean: Double
  var rest: Double
  var factors: [Double]

  var variance: Double { factors.reduce(rest) { $0 + $1 * $1 } }

  /// Clark's formulas as they are usually written.
  func larger(_ other: NormalState) -> NormalState {
    let covariance = zip(factors, other.factors).reduce(0) { $0 + $1.0 * $1.1 }
    let theta = max(0, variance + other.variance - 2 * covariance).squareRoot()
    if theta == 0 { return other.mean > mean ? other : self }
    let alpha = (mean - other.mean) / theta
    let density = Double.normalDensity(alpha)
    let below = Double.erfc(-alpha / 2.0.squareRoot()) / 2
    let above = Double.erfc(alpha / 2.0.squareRoot()) / 2
    let first = mean * below + other.mean * above + theta * density
    let second =
      (mean * mean + variance) * below + (other.mean * other.mean + other.variance) * above
      + (mean + other.mean) * theta * density
    let factors = zip(self.factors, other.factors).map { below * $0 + above * $1 }
    let rest = second - first * first - factors.reduce(0) { $0 + $1 * $1 }
    return NormalState(mean: first, rest: rest, factors: factors)
  }
}

/// Max pooling of moments; slots as of the family moments.
private func clarkExperiment<Element: LaneElement>(
  _ pool: PoolCase, rank: Int, examples: Int, rows: [[Element]]
) -> LaneExperiment<Element> {
  LaneExperiment(
    examples: examples, inputs: rows, outputRows: momentOutputRows(pool.outCount, rank: rank)
  ) { program in
    let x = program.momentInput(slot: 0, pool.inCount, rank: rank)
    let y = program.momentValue(pool.outCount, rank: rank)
    program.add(LN_clark) {
      $0.clark = ln_clark(
        mean: x.mean, rest: x.rest, factors: x.factors, out_mean: y.mean, out_rest: y.rest,
        out_factors: y.factors, rank: Int32(rank),
        pool: pool.lanePool(in: absentOperand, out: absentOperand))
    }
    program.momentOutput(y, pool.outCount, rank: rank)
  }
}

private func unclarkExperiment<Element: LaneElement>(
  _ pool: PoolCase, rank: Int, examples: Int, rows: [[Element]], signals: [[Element]],
  meanOnly: Bool = false
) -> LaneExperiment<Element> {
  LaneExperiment(
    examples: examples, inputs: rows + signals,
    outputRows: momentOutputRows(pool.inCount, rank: rank)
  ) { program in
    let x = program.momentInput(slot: 0, pool.inCount, rank: rank)
    var signal = program.momentInput(slot: rows.count, pool.outCount, rank: rank)
    if meanOnly { (signal.rest, signal.factors) = (absentOperand, absentOperand) }
    let y = program.momentValue(pool.inCount, rank: rank)
    program.add(LN_unclark) {
      $0.unclark = ln_unclark(
        mean: x.mean, rest: x.rest, factors: x.factors, signal_mean: signal.mean,
        signal_rest: signal.rest, signal_factors: signal.factors, out_mean: y.mean,
        out_rest: y.rest, out_factors: y.factors, rank: Int32(rank),
        pool: pool.lanePool(in: absentOperand, out: absentOperand))
    }
    program.momentOutput(y, pool.inCount, rank: rank)
  }
}

private let pools: [PoolCase] = [
  .init(height: 6, width: 6, channels: 3, kernel: (2, 2), stride: (2, 2)),
  .init(
    images: 2, height: 7, width: 5, channels: 2, kernel: (3, 3), stride: (2, 1), pads: (1, 1, 1, 1)),
  .init(height: 9, width: 8, channels: 1, kernel: (3, 2), dilation: (2, 3), pads: (2, 1, 1, 2)),
  .init(
    height: 5, width: 6, channels: 4, kernel: (3, 3), stride: (2, 2), pads: (0, 0, 1, 1),
    roundUp: true),
  .init(height: 7, width: 7, channels: 1, kernel: (2, 2), stride: (3, 3)),
  .init(height: 1, width: 20, channels: 5, kernel: (1, 4), stride: (1, 3), pads: (0, 2, 0, 3)),
  .init(height: 4, width: 4, channels: 70, kernel: (4, 4)),
]

/// Two taps side by side.
private let pair = PoolCase(height: 1, width: 2, channels: 1, kernel: (1, 2))

@Suite(.serialized) struct ClarkTests {
  @Test("The maximum of two has the mean and variance that integration gives")
  func twoTaps() {
    let cases: [(NormalState, NormalState)] = [
      (.init(mean: 0, rest: 1, factors: [0]), .init(mean: 0, rest: 1, factors: [0])),
      (.init(mean: 1, rest: 0.5, factors: [0.7]), .init(mean: 0.2, rest: 0.3, factors: [0.4])),
      (.init(mean: -1, rest: 0.2, factors: [-0.7]), .init(mean: 0.2, rest: 0.1, factors: [0.9])),
      (.init(mean: 0.5, rest: 9, factors: [1]), .init(mean: 1.5, rest: 1e-3, factors: [0.01])),
      (.init(mean: 2, rest: 1e-3, factors: [0.5]), .init(mean: 1.9, rest: 1e-3, factors: [0.5])),
    ]
    for (a, b) in cases {
      let rows = [[a.mean, b.mean], [a.rest, b.rest], [a.factors[0], b.factors[0]]]
      let found = clarkExperiment(pair, rank: 1, examples: 1, rows: rows).run(bestVariant)
      // a = mean + sd u, b = its part along u and one of its own.
      let spread = a.variance.squareRoot()
      let shared = a.factors[0] * b.factors[0] / spread
      let own = (b.variance - shared * shared).squareRoot()
      func moment(_ power: (Double) -> Double) -> Double {
        Double.integral(-9, 9, step: 0.01) { u in
          let left = a.mean + spread * u
          // The corner lies where both are equal.
          let corner = min(9, max(-9, (left - b.mean - shared * u) / own))
          func inner(_ low: Double, _ high: Double) -> Double {
            Double.integral(low, high, step: 0.5) { v in
              Double.normalDensity(v) * power(max(left, b.mean + shared * u + own * v))
            }
          }
          return Double.normalDensity(u) * (inner(-9, corner) + inner(corner, 9))
        }
      }
      let mean = moment { $0 }
      let variance = moment { ($0 - mean) * ($0 - mean) }
      #expect(abs(found[0][0] - mean) < 1e-6)
      #expect(abs(found[1][0] + found[2][0] * found[2][0] - variance) < 1e-6)
    }
  }

  private func folded(_ pool: PoolCase, _ rank: Int, _ rows: [[Double]]) -> [[Double]] {
    var result = momentOutputRows(pool.outCount, rank: rank).map {
      [Double](repeating: 0, count: $0)
    }
    func tap(_ n: Int, _ y: Int, _ x: Int, _ c: Int) -> NormalState? {
      guard y >= 0, y < pool.height, x >= 0, x < pool.width else { return nil }
      let at = ((n * pool.height + y) * pool.width + x) * pool.channels + c
      return NormalState(
        mean: rows[0][at], rest: rows[1][at],
        factors: (0..<rank).map { rows[2][$0 * pool.inCount + at] })
    }
    var place = 0
    for n in 0..<pool.images {
      for oy in 0..<pool.outHeight {
        for ox in 0..<pool.outWidth {
          for c in 0..<pool.channels {
            var whole: NormalState?
            for ky in 0..<pool.kernel.0 {
              var line: NormalState?
              for kx in 0..<pool.kernel.1 {
                guard
                  let next = tap(
                    n, oy * pool.stride.0 + ky * pool.dilation.0 - pool.pads.0,
                    ox * pool.stride.1 + kx * pool.dilation.1 - pool.pads.1, c)
                else { continue }
                line = line?.larger(next) ?? next
              }
              if let line { whole = whole?.larger(line) ?? line }
            }
            result[0][place] = whole?.mean ?? -.infinity
            result[1][place] = whole?.rest ?? 0
            for a in 0..<rank { result[2][a * pool.outCount + place] = whole?.factors[a] ?? 0 }
            place += 1
          }
        }
      }
    }
    return result
  }

  private func checkWindows<Element: LaneElement>(_: Element.Type, within: Double) {
    for pool in pools {
      for rank in [0, 1, 3, 8] {
        let rows: [[Element]] = momentRows(
          pool.inCount, rank: rank, examples: 1, seed: UInt64(pool.inCount + rank))
        let found = clarkExperiment(pool, rank: rank, examples: 1, rows: rows).run(bestVariant)
        let exact = folded(pool, rank, rows.map { $0.map { Double($0) } })
        for slot in exact.indices {
          for (found, exact) in zip(found[slot], exact[slot]) {
            let close = abs(Double(found) - exact) <= within * max(1, abs(exact))
            #expect(close || Double(found) == exact, "\(pool), rank \(rank), slot \(slot)")
          }
        }
        #expect(found[1].allSatisfy { $0 >= 0 })
      }
    }
  }

  @Test("Windows are folds by the textbook formulas") func windows() {
    checkWindows(Float.self, within: 1e-5)
    checkWindows(Double.self, within: 1e-12)
  }

  @Test("Far apart, alike, and certain taps") func limits() {
    func larger(_ means: [Float], _ rests: [Float], _ factors: [Float]) -> [Float] {
      clarkExperiment(pair, rank: 1, examples: 1, rows: [means, rests, factors])
        .run(bestVariant).map { $0[0] }
    }
    // 30 standard deviations apart nothing is left of the smaller one.
    #expect(larger([30, 0], [0.25, 0.75], [0.5, 0.1]) == [30, 0.25, 0.5])
    #expect(larger([0, 30], [0.25, 0.75], [0.5, 0.1]) == [30, 0.75, 0.1])
    // The same variable twice; the first of equal ones.
    #expect(larger([2, 2], [0, 0], [0.5, 0.5]) == [2, 0, 0.5])
    #expect(larger([2, 1], [0, 0], [0, 0]) == [2, 0, 0])
    #expect(larger([1, 2], [0, 0], [0.5, 0.5]) == [2, 0, 0.5])
    let nan = larger([.nan, 2], [0, 0], [0, 0])
    #expect(nan[0].isNaN)
    // One tap far more uncertain than the other: the mean of the positive part.
    let wide = larger([0, 0], [1e8, 1e-8], [0, 0])
    #expect(abs(wide[0] - 1e4 * 0.39894228) < 1 && abs(wide[1] / 1e8 - 0.34084506) < 1e-5)
  }

  @Test("Maxima scale with their input, to the last bit") func scales() {
    let pool = pools[1]
    let rows: [[Float]] = momentRows(pool.inCount, rank: 2, examples: 1, seed: 9)
    let found = clarkExperiment(pool, rank: 2, examples: 1, rows: rows).run(bestVariant)
    for scale in [0x1p20 as Float, 0x1p-20] {
      let scaled = [
        rows[0].map { $0 * scale }, rows[1].map { $0 * scale * scale }, rows[2].map { $0 * scale },
      ]
      let results = clarkExperiment(pool, rank: 2, examples: 1, rows: scaled).run(bestVariant)
      #expect(results[0] == found[0].map { $0 * scale })
      #expect(results[1] == found[1].map { $0 * scale * scale })
      #expect(results[2] == found[2].map { $0 * scale })
    }
  }

  /// An input is moved in an example of its own.
  private func checkSlopes(_ pool: PoolCase, rank: Int) {
    let rows: [[Double]] = momentRows(
      pool.inCount, rank: rank, examples: 1, seed: UInt64(pool.inCount), scale: 0.8)
    let signals: [[Double]] = momentRows(pool.outCount, rank: rank, examples: 1, seed: 5)
    let found = unclarkExperiment(
      pool, rank: rank, examples: 1, rows: rows, signals: signals
    ).run(bestVariant)
    let step = 1e-6
    var worst = WorstError()
    for slot in rows.indices {
      let count = rows[slot].count
      let examples = 2 * count
      var moved = rows.map { row in Array((0..<examples).map { _ in row }.joined()) }
      for i in 0..<count {
        moved[slot][2 * i * count + i] += step
        moved[slot][(2 * i + 1) * count + i] -= step
      }
      let results = clarkExperiment(
        pool, rank: rank, examples: examples, rows: moved
      ).run(LaneVariant(isa: ln_isa_best(), lanes: 64, threads: 1))
      for i in 0..<count {
        var rise = 0.0
        for part in results.indices {
          let width = results[part].count / examples
          for k in 0..<width where results[part][2 * i * width + k].isFinite {
            rise +=
              signals[part][k]
              * (results[part][2 * i * width + k] - results[part][(2 * i + 1) * width + k])
          }
        }
        worst.note(
          found: found[slot][i], reference: rise / (2 * step), allowed: 1e-6,
          "slot \(slot), element \(i)")
      }
    }
    print("slopes of \(pool), rank \(rank): \(worst)")
    #expect(worst.ratio <= 1)
  }

  @Test("Slopes are those of the forward step") func slopes() {
    for pool in pools.dropLast() {
      for rank in [0, 1, 3] { checkSlopes(pool, rank: rank) }
    }
  }

  @Test("Taps that differ for certain hand everything to the larger one, but what has no rest")
  func certainSlopes() {
    let found = unclarkExperiment(
      pair, rank: 1, examples: 1, rows: [[1, 2], [0, 0], [0.5, 0.5]], signals: [[3], [4], [5]]
    ).run(bestVariant)
    #expect(found == [[0, 3], [0, 0], [0, 5]])
    let first = unclarkExperiment(
      pair, rank: 1, examples: 1, rows: [[2, 2], [0, 0], [0.5, 0.5]], signals: [[3], [4], [5]]
    ).run(bestVariant)
    #expect(first == [[3, 0], [0, 0], [5, 0]])
  }

  @Test("Taps that vary alike but for rounding are a tie, and rests of rounding get no signal")
  func roundedTies() {
    let near = (0.5 as Float).nextUp
    let rows: [[Float]] = [[2, 2], [0, 1e-9], [0.5, near]]
    let found = clarkExperiment(pair, rank: 1, examples: 1, rows: rows).run(bestVariant)
    #expect(abs(found[0][0] - 2) < 2e-5 && abs(found[2][0] - 0.5) < 1e-6)
    let signals = unclarkExperiment(
      pair, rank: 1, examples: 1, rows: rows, signals: [[3], [4], [5]]
    ).run(bestVariant)
    #expect(signals[0][0] + signals[0][1] == 3 && signals[1] == [0, 0])
    #expect(abs(signals[2][0] + signals[2][1] - 5) < 1e-5 && abs(signals[2][0]) < 10)
    // The same variable, differently rounded.
    let tie: [[Float]] = [[2, 2], [0, 0], [0.5, near]]
    let first = unclarkExperiment(
      pair, rank: 1, examples: 1, rows: tie, signals: [[3], [4], [5]]
    ).run(bestVariant)
    #expect(first == [[3, 0], [0, 0], [5, 0]])
  }

  @Test("Rests of certain taps get no signal, however little the others vary", arguments: [0, 1])
  func nothingVaries(rank: Int) {
    let row = PoolCase(height: 1, width: 3, channels: 1, kernel: (1, 3))
    // The maximum of the first two hardly varies, so theta beside the third one, its equal, is tiny.
    var rows: [[Float]] = [[1, -8, 1], [0, 1, 0]]
    var signals: [[Float]] = [[3], [4]]
    if rank > 0 {
      // The middle one varies with a factor alone.
      (rows[1], signals) = ([0, 0, 0], signals + [[0]])
      rows.append([0, 1, 0])
    }
    let found = unclarkExperiment(
      row, rank: rank, examples: 1, rows: rows, signals: signals
    ).run(bestVariant)
    #expect(found[0][0] + found[0][1] + found[0][2] == 3)
    #expect(found[1][0] == 0 && found[1][2] == 0)
    #expect(found[1][1].isFinite && abs(found[1][1]) < 1e-3)
  }

  @Test("Signals that are absent are zeros") func absent() {
    let pool = pools[1]
    let rows: [[Float]] = momentRows(pool.inCount, rank: 2, examples: 3, seed: 1)
    var signals: [[Float]] = momentRows(pool.outCount, rank: 2, examples: 3, seed: 2)
    for slot in 1...2 { signals[slot] = signals[slot].map { _ in 0 } }
    func run(_ meanOnly: Bool) -> [[Float]] {
      unclarkExperiment(
        pool, rank: 2, examples: 3, rows: rows, signals: signals, meanOnly: meanOnly
      ).run(bestVariant)
    }
    #expect(run(true) == run(false))
  }

  @Test("All variants give the same bytes") func sameBytes() {
    for pool in pools {
      let rows: [[Float]] = momentRows(pool.inCount, rank: 2, examples: 18, seed: 5)
      let signals: [[Float]] = momentRows(pool.outCount, rank: 2, examples: 18, seed: 6)
      let forward = clarkExperiment(pool, rank: 2, examples: 18, rows: rows)
      #expect(LaneInvariance(threads: [1, 3]).firstDifference(forward) == nil)
      let reverse = unclarkExperiment(pool, rank: 2, examples: 18, rows: rows, signals: signals)
      #expect(LaneInvariance(threads: [1, 3]).firstDifference(reverse) == nil)
    }
    let rows: [[Double]] = momentRows(pools[0].inCount, rank: 0, examples: 17, seed: 5)
    let signals: [[Double]] = momentRows(pools[0].outCount, rank: 0, examples: 17, seed: 6)
    #expect(
      LaneInvariance(threads: [1]).firstDifference(
        unclarkExperiment(pools[0], rank: 0, examples: 17, rows: rows, signals: signals)) == nil)
  }
}
