// The family front against its formulas, with rows that lanes share and rows of their own.

import CLanes
import Testing

@Suite(.serialized) struct FrontTests {
  private struct Case {
    var count: Int
    var rank: Int
    var examples: Int
    var hasOwn = true
    /// Which row an example reads, per slot: all the same one, or one by its number.
    var shared: [Bool]
  }

  private static let distinctRows = 4

  private func experiment<Element: LaneElement>(_ c: Case) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(c.count + 10 * c.rank))
    let rows = Self.distinctRows
    // Slots: base, sum, squares, own, basis, scalars.
    let widths = [c.count, c.count, c.count, c.count, c.count * max(c.rank, 1), 5 + 2 * c.rank]
    var inputs: [[Element]] = widths.map { random.numbers($0 * rows, -1, 1) }
    inputs[2] = inputs[2].map { abs($0) + 3 }
    for row in 0..<rows {
      let at = row * widths[5]
      for (k, value) in [0.3, 0.7, 0.21, 0.01, 0.5].enumerated() {
        inputs[5][at + k] = Element(value + 0.01 * Double(row))
      }
    }
    var experiment = LaneExperiment<Element>(
      examples: c.examples, inputs: inputs, outputRows: momentOutputRows(c.count, rank: c.rank)
    ) { program in
      let y = program.momentValue(c.count, rank: c.rank)
      program.add(LN_front) {
        $0.front = ln_front(
          out_mean: y.mean, out_rest: y.rest, out_factors: y.factors, count: Int64(c.count),
          rank: Int32(c.rank), base: 0, sum: 1, squares: 2, own: c.hasOwn ? 3 : -1, basis: 4,
          scalars: 5)
      }
      program.momentOutput(y, c.count, rank: c.rank)
    }
    experiment.rowOf = c.shared.enumerated().map { slot, isShared in
      (0..<c.examples).map { isShared ? 1 : Int32(($0 * 3 + slot) % rows) }
    }
    return experiment
  }

  private func check<Element: LaneElement>(_ c: Case, _: Element.Type, within: Double) {
    let experiment: LaneExperiment<Element> = experiment(c)
    var worst = WorstError()
    for lanes in allLaneCounts {
      let found = experiment.run(LaneVariant(isa: ln_isa_best(), lanes: lanes, threads: 1))
      for example in 0..<c.examples {
        func row(_ slot: Int) -> [Double] {
          let width = experiment.inputs[slot].count / Self.distinctRows
          let row = Int(experiment.rowOf[slot]?[example] ?? 0)
          return experiment.inputs[slot][row * width..<(row + 1) * width].map { Double($0) }
        }
        let (base, sum, squares, basis, scalars) = (row(0), row(1), row(2), row(4), row(5))
        let own = c.hasOwn ? row(3) : [Double](repeating: 0, count: c.count)
        for i in 0..<c.count {
          let others = sum[i] - own[i]
          let mean = base[i] + scalars[0] * others + scalars[1] * own[i]
          var rest = scalars[2] * (squares[i] - own[i] * own[i]) - scalars[3] * others * others
          rest = max(0, rest)
          for a in 0..<c.rank {
            let factor =
              scalars[4]
              * (basis[a * c.count + i] - own[i] * scalars[5 + a]
                - others * scalars[5 + c.rank + a])
            rest -= factor * factor
            worst.note(
              found: Double(found[2][(example * c.rank + a) * c.count + i]), reference: factor,
              allowed: within, "factor \(a)")
          }
          worst.note(
            found: Double(found[0][example * c.count + i]), reference: mean, allowed: within, "mean"
          )
          worst.note(
            found: Double(found[1][example * c.count + i]), reference: max(0, rest),
            allowed: within, "rest")
        }
      }
    }
    #expect(worst.ratio <= 1, "\(c): \(worst)")
  }

  private static let cases = [
    Case(count: 1, rank: 0, examples: 1, shared: [true, true, true, true, true, true]),
    Case(count: 37, rank: 0, examples: 18, shared: [true, true, true, false, true, false]),
    Case(count: 16, rank: 1, examples: 35, shared: [false, true, false, true, true, false]),
    Case(count: 301, rank: 3, examples: 18, shared: [true, true, true, false, true, false]),
    Case(count: 45, rank: 8, examples: 5, shared: [false, false, false, false, false, false]),
    Case(
      count: 67, rank: 2, examples: 18, hasOwn: false,
      shared: [true, true, true, true, true, false]),
  ]

  @Test("Means, rests and factors are those of the formulas") func formulas() {
    for item in Self.cases {
      check(item, Float.self, within: 3e-6)
      check(item, Double.self, within: 1e-14)
    }
  }

  @Test("All variants give the same bytes") func sameBytes() {
    for item in Self.cases {
      let single: LaneExperiment<Float> = experiment(item)
      #expect(LaneInvariance(threads: [1, 3]).firstDifference(single) == nil)
      let double: LaneExperiment<Double> = experiment(item)
      #expect(LaneInvariance(threads: [1]).firstDifference(double) == nil)
    }
  }

  @Test("A variance that rounding makes negative is 0") func cutOff() {
    let experiment = LaneExperiment<Float>(
      examples: 1, inputs: [[0], [3], [1], [0], [0], [0.5, 0.5, 0.25, 0.25, 0]], outputRows: [1, 1]
    ) { program in
      let y = program.momentValue(1, rank: 0)
      program.add(LN_front) {
        $0.front = ln_front(
          out_mean: y.mean, out_rest: y.rest, out_factors: y.factors, count: 1, rank: 0, base: 0,
          sum: 1, squares: 2, own: 3, basis: 4, scalars: 5)
      }
      program.momentOutput(y, 1, rank: 0)
    }
    #expect(experiment.run(bestVariant) == [[1.5], [0]])
  }

  @Test(
    "A position that the player alone reaches is certain; small contributions of others are not lost"
  )
  func alone() {
    let own: [Float] = (0..<64).map { 0.3 + 0.01 * Float($0) }
    for other in [0, 1e-2 as Float] {
      let squares = own.map { Float(Double($0) * Double($0) + Double(other) * Double(other)) }
      let experiment = LaneExperiment<Float>(
        examples: 1,
        inputs: [
          own.map { _ in 0 }, own.map { $0 + other }, squares, own, [0], [0.5, 1, 0.25, 0, 0],
        ],
        outputRows: [64, 64]
      ) { program in
        let y = program.momentValue(64, rank: 0)
        program.add(LN_front) {
          $0.front = ln_front(
            out_mean: y.mean, out_rest: y.rest, out_factors: y.factors, count: 64, rank: 0, base: 0,
            sum: 1, squares: 2, own: 3, basis: 4, scalars: 5)
        }
        program.momentOutput(y, 64, rank: 0)
      }
      let rests = experiment.run(bestVariant)[1]
      #expect(rests.allSatisfy { abs($0 - 0.25 * other * other) <= 1e-2 * other * other })
      if other == 0 {
        #expect(zip(own, squares).contains { Double($1) != Double($0) * Double($0) })
      }
    }
  }
}
