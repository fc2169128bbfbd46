// The family moment_slope against finite differences of the family moments in double.

import CLanes
import Testing

@Suite(.serialized) struct MomentSlopeTests {
  /// The sum of signals times outputs, position by position.
  private func objective(
    _ function: ln_function, _ count: Int, _ rank: Int, _ rows: [[Double]], _ signals: [[Double]]
  ) -> [Double] {
    let found = momentExperiment(
      function, count, rank: rank, examples: 1, rows: rows
    ).run(bestVariant)
    return (0..<count).map { i in
      var sum = signals[0][i] * found[0][i] + signals[1][i] * found[1][i]
      for a in 0..<rank { sum += signals[2][a * count + i] * found[2][a * count + i] }
      return sum
    }
  }

  private func check(_ item: FunctionCase, rank: Int) -> WorstError {
    let count = 60
    var rows: [[Double]] = momentRows(count, rank: rank, examples: 1, seed: UInt64(7 + rank))
    if item.hasPole { rows[0] = rows[0].map { abs($0) + 0.2 } }
    // From narrow to wide, past the limits of the rules but not on them.
    for i in 0..<count {
      let width = [0.02, 0.11, 0.4, 1, 1, 4][i % 6]
      rows[1][i] *= width * width
      for a in 0..<rank { rows[2][a * count + i] *= width }
    }
    let signals: [[Double]] = momentRows(count, rank: rank, examples: 1, seed: 77)
    let found = momentSlopeExperiment(
      item.function, count, rank: rank, examples: 1, rows: rows, signals: signals
    ).run(bestVariant)
    let forward = momentExperiment(
      item.function, count, rank: rank, examples: 1, rows: rows
    ).run(bestVariant)
    let deviations = (0..<count).map { i in
      (0..<rank).reduce(rows[1][i]) {
        $0 + rows[2][$1 * count + i] * rows[2][$1 * count + i]
      }.squareRoot()
    }
    var worst = WorstError()
    for slot in 0..<rows.count {
      for part in 0..<(slot == 2 ? rank : 1) {
        let range = part * count..<(part + 1) * count
        func moved(_ sign: Double) -> [Double] {
          var moved = rows
          for (i, at) in range.enumerated() {
            moved[slot][at] += sign * step(i)
          }
          return objective(item.function, count, rank, moved, signals)
        }
        func step(_ i: Int) -> Double {
          1e-5 * (slot == 1 ? rows[1][i] : deviations[i])
        }
        let (high, low) = (moved(1), moved(-1))
        for (i, at) in range.enumerated() {
          let sd = deviations[i]
          var size = 1 + abs(forward[0][i]) + forward[1][i]
          // What a derivative by the mean, the variance and a factor is made of.
          size *= [1 + sd, 1 + 1 / sd, 2 + sd][slot]
          worst.note(
            found: found[slot][at], reference: (high[i] - low[i]) / (2 * step(i)), allowed: size,
            "slot \(slot), mean \(rows[0][i]), sd \(sd), rank \(rank)")
        }
      }
    }
    return worst
  }

  @Test("Slopes are those of the forward step", arguments: momentCases)
  func slopes(_ item: FunctionCase) {
    let isExact = [
      LN_FUNCTION_identity, LN_FUNCTION_negative, LN_FUNCTION_relu, LN_FUNCTION_leaky_relu,
      LN_FUNCTION_absolute, LN_FUNCTION_square, LN_FUNCTION_exp,
    ].contains(item.id)
    for rank in [0, 1, 3] {
      let worst = check(item, rank: rank)
      print("slopes of the moments of \(item), rank \(rank): \(worst)")
      #expect(worst.ratio <= (isExact ? 1e-6 : 1e-4))
    }
  }

  @Test("Slopes of tangents", arguments: functionCases.filter { tangentFunctions.contains($0.id) })
  func tangents(_ item: FunctionCase) {
    if item.id == LN_FUNCTION_truncate || item.id == LN_FUNCTION_stabilize { return }
    #expect(check(item, rank: 2).ratio <= 1e-4)
  }

  @Test("Single precision follows double precision", arguments: momentCases)
  func single(_ item: FunctionCase) {
    let count = 90
    for rank in [0, 2] {
      let rows: [[Float]] = momentRows(count, rank: rank, examples: 1, seed: 31, scale: 0.7)
      let signals: [[Float]] = momentRows(count, rank: rank, examples: 1, seed: 32)
      func wide(_ rows: [[Float]]) -> [[Double]] { rows.map { $0.map { Double($0) } } }
      let found = momentSlopeExperiment(
        item.function, count, rank: rank, examples: 1, rows: rows, signals: signals
      ).run(bestVariant)
      let exact = momentSlopeExperiment(
        item.function, count, rank: rank, examples: 1, rows: wide(rows), signals: wide(signals)
      ).run(bestVariant)
      for slot in found.indices {
        for i in found[slot].indices {
          let error = abs(Double(found[slot][i]) - exact[slot][i])
          #expect(error <= 2e-5 * max(4, abs(exact[slot][i])), "\(item), slot \(slot)")
        }
      }
    }
  }

  @Test("Signals that are absent are zeros") func absent() {
    let gelu = ln_function(id: Int32(LN_FUNCTION_gelu.rawValue), a: 0, b: 0)
    let rows: [[Float]] = momentRows(20, rank: 2, examples: 3, seed: 1)
    for present in [[true, false, false], [false, true, false], [false, false, true]] {
      var signals: [[Float]] = momentRows(20, rank: 2, examples: 3, seed: 2)
      for slot in 0..<3 where !present[slot] {
        signals[slot] = signals[slot].map { _ in 0 }
      }
      let zeros = momentSlopeExperiment(
        gelu, 20, rank: 2, examples: 3, rows: rows, signals: signals
      ).run(bestVariant)
      let missing = momentSlopeExperiment(
        gelu, 20, rank: 2, examples: 3, rows: rows, signals: signals, present: present
      ).run(bestVariant)
      #expect(zeros == missing)
    }
  }

  @Test("Certain values pass the slope on") func certain() {
    let tanh = ln_function(id: Int32(LN_FUNCTION_tanh.rawValue), a: 0, b: 0)
    let means: [Double] = [-1, 0.3, 2]
    let slopes = applySlope(tanh, LN_SLOPE_DERIVATIVE, means)
    let found = momentSlopeExperiment(
      tanh, 3, rank: 1, examples: 1, rows: [means, [0, 0, 0], [0, 0, 0]],
      signals: [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    ).run(bestVariant)
    #expect(found[0] == zip(slopes, [1, 2, 3]).map(*))
    #expect(found[1] == zip(slopes, [4, 5, 6]).map { $0 * ($0 * $1) })
    #expect(found[2] == zip(slopes, [7, 8, 9]).map(*))
  }

  @Test(
    "Infinite slopes of certain values lead nowhere",
    arguments: [LN_FUNCTION_sqrt, LN_FUNCTION_reciprocal, LN_FUNCTION_log])
  func infinite(_ id: ln_function_id) {
    let function = ln_function(id: Int32(id.rawValue), a: 0, b: 0)
    let found = momentSlopeExperiment(
      function, 2, rank: 1, examples: 1, rows: [[0, 4.0], [0, 0], [0, 0]],
      signals: [[1, 2], [4, 5], [7, 8]]
    ).run(bestVariant)
    let slope = applySlope(function, LN_SLOPE_DERIVATIVE, [4.0])[0]
    #expect(found == [[0, 2 * slope], [0, slope * (slope * 5)], [0, 8 * slope]])
  }

  @Test("All variants give the same bytes", arguments: functionCases)
  func sameBytes(_ item: FunctionCase) {
    let rows: [[Float]] = momentRows(37, rank: 2, examples: 18, seed: 5)
    let signals: [[Float]] = momentRows(37, rank: 2, examples: 18, seed: 6)
    #expect(
      LaneInvariance(threads: [1, 3]).firstDifference(
        momentSlopeExperiment(
          item.function, 37, rank: 2, examples: 18, rows: rows, signals: signals)) == nil)
  }
}
