// Metrics on models whose answer is known by hand.

import CoalitionBase
import CoalitionExplain
import CoalitionNet
import Testing

@testable import CoalitionEvaluate

@Suite(.serialized) struct ModelMetricTests {
  private let weights = [2.0, -1, 0.5, 4, -3, 1.5, 0.25, -0.75]

  /// x . weights, or the larger of the pairwise products' sum and 0 when `isNonlinear`.
  private func plan(isNonlinear: Bool = false) throws -> Plan {
    var graph = Graph(
      nodes: [Node("Gemm", inputs: ["x", "w", "b"], outputs: ["z"])],
      inputs: [Port("x", shape: [.symbolic("N"), .fixed(8)])],
      outputs: [Port("z", shape: nil)],
      constants: [
        "w": try Tensor(shape: [8, 1], elements: .float32(weights.map { Float($0) })),
        "b": Tensor(.float32([3])),
      ])
    if isNonlinear {
      graph.nodes.append(Node("Tanh", inputs: ["z"], outputs: ["y"]))
      graph.outputs = [Port("y", shape: nil)]
    }
    var options = PlanOptions()
    options.precision = .double
    return try Plan(try Model(graph), options)
  }

  private let x = [
    [1.0, 2, -1, 0.5, 0.25, 3, -2, 1], [0.5, -0.5, 1, 1, -1, 2, 4, 0.125],
    [1, 1, 1, 1, 1, 1, 1, 1],
  ]
  private let baseline = [0.5, 0, 0, 1, 0, 0, -1, 0]

  private func game(isNonlinear: Bool = false) throws -> MaskedGame {
    let players = try PlayerSet(inputs: [("x", [8])])
    return try MaskedGame(
      try plan(isNonlinear: isNonlinear), players: players,
      inputs: ["x": try Tensor(shape: [3, 8], elements: .float64(x.flatMap { $0 }))],
      baselines: ["x": try Tensor(shape: [8], elements: .float64(baseline))],
      targets: [[0], [0], [0]])
  }

  /// w_i (x_i - b_i).
  private var contributions: [[Double]] {
    x.map { row in row.indices.map { weights[$0] * (row[$0] - baseline[$0]) } }
  }

  @Test("A linear model: Sensitivity-n is 1 for every n below P and not defined at P")
  func linearSensitivity() async throws {
    let subsets = try SensitivitySubsets(playerCount: 8, sizes: Array(1...8), count: 30)
    let double = contributions.map { $0.map { 2 * $0 } }
    let result = try await game().sensitivity([contributions, double], subsets)
    for method in result.perExample {
      for example in method {
        #expect(example.dropLast().allSatisfy { abs($0 - 1) < 1e-12 }, "\(example)")
        #expect(example[7].isNaN)
      }
    }
    #expect(result.means[0][7].mean.isNaN && result.means[0][7].count == 0)
    #expect(abs(result.means[1][0].mean - 1) < 1e-12)
    let difference = try result.difference(0, 1)
    #expect(abs(difference[2].mean) < 1e-12)
  }

  @Test("A nonlinear model: the same numbers by hand, by any threads and lanes")
  func nonlinearSensitivity() async throws {
    let subsets = try SensitivitySubsets(playerCount: 8, sizes: [1, 3], count: 20, seed: 3)
    let game = try game(isNonlinear: true)
    func score(_ row: [Double]) -> Double {
      var sum = 3.0
      for i in 0..<8 { sum += row[i] * weights[i] }
      return tanhReference(sum)
    }
    let result = try await game.sensitivity([contributions], subsets)
    for example in 0..<3 {
      for place in 0..<2 {
        var sums: [Double] = []
        var drops: [Double] = []
        for row in place * 20..<(place + 1) * 20 {
          let removed = subsets.removed.players(of: row)
          var masked = x[example]
          for player in removed { masked[player] = baseline[player] }
          sums.append(removed.reduce(0) { $0 + contributions[example][$1] })
          drops.append(score(x[example]) - score(masked))
        }
        let wanted = Correlation.pearson(sums, drops)
        #expect(abs(result.perExample[0][example][place] - wanted) < 1e-9)
      }
    }
    for (threads, lanes) in [(1, 1), (2, 16), (3, 64)] {
      var options = RunOptions()
      options.threads = threads
      options.lanes = lanes
      let again = try await game.sensitivity([contributions], subsets, options)
      #expect(again.perExample == result.perExample)
    }
  }

  /// (e^2z - 1) / (e^2z + 1) by the series of e^z with halving.
  private func tanhReference(_ z: Double) -> Double {
    let scaled = 2 * z / 1024
    var (term, sum) = (1.0, 1.0)
    for k in 1..<20 {
      term *= scaled / Double(k)
      sum += term
    }
    for _ in 0..<10 { sum *= sum }
    return (sum - 1) / (sum + 1)
  }

  @Test("Infidelity: 0 for the contributions of a linear model; a factor is scaled away")
  func infidelity() async throws {
    let wrong = contributions.map { $0.map { 3 * $0 } }
    let zero = contributions.map { $0.map { _ in 0.0 } }
    let metric = Infidelity(perturbations: 50, seed: 1)
    let result = try await metric.evaluate([contributions, wrong, zero], on: game())
    #expect(result.values[0].allSatisfy { $0 < 1e-24 })
    #expect(result.scaled[1].allSatisfy { $0 < 1e-24 })
    // Three times the contributions are wrong by twice the drop, nothing by the drop itself.
    for example in 0..<3 {
      #expect(result.values[2][example] > 0)
      #expect(abs(result.values[1][example] / result.values[2][example] - 4) < 1e-9)
      #expect(result.scaled[2][example] == result.values[2][example])
    }
    await #expect(throws: CoalitionError.self) {
      try await Infidelity(perturbations: 0).evaluate([contributions], on: game())
    }
  }

  @Test("Deletion and insertion: curves and areas worked by hand")
  func curves() async throws {
    // Two players at a time would be four steps; here one at a time.
    let deletion = try await game().removalCurves(.deletion, [contributions])
    let insertion = try await game().removalCurves(.insertion, [contributions])
    #expect(deletion.counts == Array(0...8))
    for example in 0..<3 {
      let order = contributions[example].sorted(by: >)
      let start = 3 + zip(weights, x[example]).reduce(0) { $0 + $1.0 * $1.1 }
      let end = 3 + zip(weights, baseline).reduce(0) { $0 + $1.0 * $1.1 }
      var (low, high) = ([start], [end])
      for value in order {
        low.append((low.last ?? 0) - value)
        high.append((high.last ?? 0) + value)
      }
      for point in 0...8 {
        #expect(abs(deletion.curves[0][example][point] - low[point]) < 1e-12)
        #expect(abs(insertion.curves[0][example][point] - high[point]) < 1e-12)
      }
      let area = (low.reduce(0, +) - low[0] / 2 - low[8] / 2) / 8
      #expect(abs(deletion.areas[0][example] - area) < 1e-12)
    }
    let coarse = try await game().removalCurves(.deletion, [contributions], steps: 3)
    #expect(coarse.counts == [0, 3, 5, 8])
    for (place, count) in coarse.counts.enumerated() {
      #expect(coarse.curves[0][1][place] == deletion.curves[0][1][count])
    }
    // The largest contributions first: no other order has a smaller area.
    let reversed = contributions.map { $0.map { -$0 } }
    let worst = try await game().removalCurves(.deletion, [reversed])
    #expect(zip(worst.areas[0], deletion.areas[0]).allSatisfy { $0 > $1 })
    #expect(MaskedGame.order([1, 3, 3, -1]) == [1, 2, 0, 3])
  }

  @Test("Values that do not fit are refused")
  func refusals() async throws {
    let subsets = try SensitivitySubsets(playerCount: 8, sizes: [1], count: 2)
    let other = try SensitivitySubsets(playerCount: 7, sizes: [1], count: 2)
    await #expect(throws: CoalitionError.self) {
      try await game().sensitivity([Array(contributions.dropLast())], subsets)
    }
    await #expect(throws: CoalitionError.self) {
      try await game().sensitivity([contributions], other)
    }
    var broken = contributions
    broken[1][2] = .nan
    await #expect(throws: CoalitionError.self) {
      try await game().sensitivity([broken], subsets)
    }
    await #expect(throws: CoalitionError.self) {
      try await game().removalCurves(.deletion, [contributions], steps: 0)
    }
  }

  @Test("Max-sensitivity of explanations that are known")
  func maxSensitivity() async throws {
    let tensor = try Tensor(shape: [3, 8], elements: .float64(x.flatMap { $0 }))
    let metric = MaxSensitivity(radius: 0.1, perturbations: 6, seed: 2)
    // A constant explanation does not move.
    let still = try await metric.evaluate(["x": tensor]) { _ in [[1], [2], [0]] }
    #expect(still.values == [0, 0, 0])
    #expect(still.relative[0] == 0 && still.relative[2].isNaN)
    // The input itself as explanation moves by the perturbation: the largest norm of the draws.
    func rows(_ inputs: [String: Tensor]) -> [[Double]] {
      let numbers = inputs["x"]?.doubles ?? []
      return (0..<3).map { Array(numbers[$0 * 8..<($0 + 1) * 8]) }
    }
    let moved = try await metric.evaluate(["x": tensor]) { rows($0) }
    for example in 0..<3 {
      var largest = 0.0
      for index in 0..<6 {
        let drawn = rows(try metric.perturbed(["x": tensor], index: index, examples: 3))[example]
        let steps = zip(drawn, x[example]).map { $0 - $1 }
        #expect(steps.allSatisfy { abs($0) <= 0.1 + 1e-12 })
        #expect(Set(steps).count == 8)
        largest = max(largest, steps.reduce(0) { $0 + $1 * $1 }.squareRoot())
      }
      #expect(abs(moved.values[example] - largest) < 1e-12)
      let norm = x[example].reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(abs(moved.relative[example] - largest / norm) < 1e-12)
    }
    await #expect(throws: CoalitionError.self) {
      try await MaxSensitivity(radius: 0).evaluate(["x": tensor]) { rows($0) }
    }
  }
}
