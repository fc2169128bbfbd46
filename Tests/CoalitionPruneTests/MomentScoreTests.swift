// Scores by propagated moments against all coalitions, and the layer-wise error against least squares by elimination.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import CoalitionShapley
import TestSupport
import Testing

@Suite struct MomentScoreTests {
  private func scorer(
    _ architecture: Architecture, scale: Float = 1, last: String = "d2.w",
    _ change: (inout UnitScoreOptions) -> Void
  ) throws -> UnitScorer {
    let (network, builder) = architecture.build()
    var graph = network
    let weight = try #require(graph.constants[last])
    graph.constants[last] = Tensor(
      filling: weight.shape, with: .float32(weight.floats.map { $0 * scale }))
    let coupling = try UnitCoupling(try Model(graph))
    let classes = weight.shape.min() ?? 1
    var random = Seeded(5)
    let labels = (0..<12).map { _ in Int64.random(in: 0..<Int64(classes), using: &random) }
    var options = UnitScoreOptions()
    change(&options)
    return try UnitScorer(
      coupling, inputs: ["x": builder.rows(12)], labels: Tensor(.int64(labels)), options)
  }

  private func scores(
    _ architecture: Architecture, _ layer: String, scale: Float = 1, last: String = "d2.w",
    _ change: @escaping (inout UnitScoreOptions) -> Void
  ) async throws -> LayerScores {
    let scorer = try scorer(architecture, scale: scale, last: last, change)
    return try await scorer.scores(layer: try scorer.coupling.layer(named: layer))
  }

  /// Root mean square difference of the examples' values, as a share of the root mean square of the exact ones.
  private func difference(_ a: LayerScores, _ exact: LayerScores) throws -> Double {
    let found = try #require(a.examples).joined()
    let expected = try #require(exact.examples).joined()
    let squares = zip(found, expected).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return (squares / expected.reduce(0) { $0 + $1 * $1 }).squareRoot()
  }

  private func exactly(_ options: inout UnitScoreOptions) {
    options.sampling.estimator = .exact
  }

  /// From scores that hardly differ to such that saturate.
  @Test(arguments: [Float(0.1), 1, 3, 10]) func widths(_ scale: Float) async throws {
    let exact = try await scores(.vgg, "d1", scale: scale) { self.exactly(&$0) }
    let found = try await scores(.vgg, "d1", scale: scale) {
      $0.sampling.estimator = .momentGradient
    }
    #expect(try difference(found, exact) < 0.12)
    // They add up as the exact ones do.
    let ends = try #require(exact.examples).map { $0.reduce(0, +) }
    let sums = try #require(found.examples).map { $0.reduce(0, +) }
    for (sum, end) in zip(sums, ends) { #expect(abs(sum - end) < 0.02 * (1 + abs(end))) }
    #expect(found.standardErrors.allSatisfy { $0.isNaN })
    let error = try #require(found.momentError)
    #expect(error.isFinite && error >= 0)
  }

  @Test(arguments: [
    (Architecture.vgg, "c3", "d2.w"), (.perceptron, "d1", "d3.w"),
    (.squeezenet, "one1", "classes.w"),
  ]) func layers(_ architecture: Architecture, _ layer: String, _ last: String) async throws {
    let exact = try await scores(architecture, layer, last: last) { self.exactly(&$0) }
    let found = try await scores(architecture, layer, last: last) {
      $0.sampling.estimator = .momentGradient
    }
    #expect(try difference(found, exact) < 0.15)
    // Few units are sampled nearly exactly.
    guard exact.scores.count > 8 else { return }
    let sampled = try await scores(architecture, layer, last: last) {
      $0.sampling.estimator = .permutation
      $0.sampling.samples = 2
    }
    #expect(try difference(found, exact) < difference(sampled, exact))
  }

  /// The score of a class is nearly linear in d1: exact for any method.
  @Test func scoreAsPayoff() async throws {
    let exact = try await scores(.vgg, "d1") {
      self.exactly(&$0)
      $0.payoff = .score
    }
    let found = try await scores(.vgg, "d1") {
      $0.sampling.estimator = .momentGradient
      $0.payoff = .score
    }
    #expect(try difference(found, exact) < 1e-4)
    let error = await failure {
      _ = try await self.scores(.vgg, "d1") {
        $0.sampling.estimator = .momentGradient
        $0.payoff = .accuracy
      }
    }
    #expect(error.code == .usage)
  }

  // MARK: Layer-wise error

  /// The least change of the next layer's outputs when a unit's weight is 0 and the others are free, as a share of the
  /// variance, by elimination.
  @Test func layerError() async throws {
    let (graph, builder) = Architecture.perceptron.build()
    let rows = builder.rows(12)
    let found = try await scores(.perceptron, "d1", last: "d3.w") { $0.metric = .reconstruction }
    let reader = try #require(graph.nodes.first { $0.name == "d2" })
    let weight = try #require(graph.constants["m.w"]).doubles
    let input = try await outputs(graph, rows, of: reader.inputs[0])
    let (units, outputs) = (9, 7)
    let x = input.doubles
    let means = (0..<units).map { (unit: Int) -> Double in
      (0..<12).reduce(0.0) { $0 + x[$1 * units + unit] } / 12
    }
    var covariance = [[Double]](
      repeating: [Double](repeating: 0, count: units), count: units)
    for i in 0..<units {
      for j in 0..<units {
        for row in 0..<12 {
          let (left, right) = (x[row * units + i] - means[i], x[row * units + j] - means[j])
          covariance[i][j] += left * right / 12
        }
      }
    }
    let trace = (0..<units).reduce(0.0) { $0 + covariance[$1][$1] }
    let penalty = 0.01 * trace / Double(units)
    func product(_ a: [Double], _ b: [Double], _ extra: Double) -> Double {
      var sum = 0.0
      for i in 0..<units {
        for j in 0..<units { sum += a[i] * b[j] * (covariance[i][j] + (i == j ? extra : 0)) }
      }
      return sum
    }
    var whole = 0.0
    var errors = [Double](repeating: 0, count: units)
    for output in 0..<outputs {
      let own = (0..<units).map { weight[$0 * outputs + output] }
      whole += product(own, own, 0)
      for unit in 0..<units {
        // The change d with d_unit = -w_unit that minimises d' (C + penalty) d.
        let free = (0..<units).filter { $0 != unit }
        let matrix = free.map { i in
          free.map { j in covariance[i][j] + (i == j ? penalty : 0) }
        }
        let solved = Self.solved(matrix, free.map { covariance[$0][unit] * own[unit] })
        var change = [Double](repeating: 0, count: units)
        change[unit] = -own[unit]
        for (place, other) in free.enumerated() { change[other] = solved[place] }
        errors[unit] += product(change, change, penalty)
      }
    }
    for unit in 0..<units {
      #expect(abs(found.scores[unit] - errors[unit] / whole) < 1e-4 * (errors[unit] / whole))
    }
    #expect(found.examples == nil)
  }

  /// Gaussian elimination with pivots.
  private static func solved(_ matrix: [[Double]], _ right: [Double]) -> [Double] {
    var rows = zip(matrix, right).map { $0 + [$1] }
    let count = rows.count
    for column in 0..<count {
      let pivot = (column..<count).max { abs(rows[$0][column]) < abs(rows[$1][column]) } ?? column
      rows.swapAt(column, pivot)
      for row in 0..<count where row != column {
        let factor = rows[row][column] / rows[column][column]
        for place in column...count { rows[row][place] -= factor * rows[column][place] }
      }
    }
    return (0..<count).map { rows[$0][count] / rows[$0][$0] }
  }

  /// A unit whose double stays costs next to nothing, whatever its weights.
  @Test func doublesAreCheap() async throws {
    let (network, builder) = Architecture.vgg.build()
    var graph = network
    let constant = try #require(graph.constants["c2.w"])
    let size = constant.count / 8
    var numbers = constant.floats
    for index in 0..<size { numbers[3 * size + index] = numbers[5 * size + index] }
    graph.constants["c2.w"] = Tensor(filling: constant.shape, with: .float32(numbers))
    for kind in ["scale", "shift", "mean", "variance"] {
      var own = try #require(graph.constants["c2.bn.\(kind)"]).floats
      own[3] = own[5]
      graph.constants["c2.bn.\(kind)"] = Tensor(.float32(own))
    }
    let coupling = try UnitCoupling(try Model(graph))
    var options = UnitScoreOptions()
    options.metric = .reconstruction
    let scorer = try UnitScorer(coupling, inputs: ["x": builder.rows(40)], options)
    let scores = try await scorer.scores(layer: try coupling.layer(named: "c2")).scores
    let others = scores.indices.filter { $0 != 3 && $0 != 5 }.map { scores[$0] }
    #expect(max(scores[3], scores[5]) < (others.min() ?? 0))
  }
}
