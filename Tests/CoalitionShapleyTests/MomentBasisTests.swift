// Sizes of coalitions and directions of the covariance factor, which values by moments are made with.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@testable import CoalitionExplain

@Suite struct MomentBasisTests {
  @Test("Sizes are the middles of even parts, each counting its share")
  func sizes() {
    let published = CoalitionSizes(4, players: 12)
    #expect(published.sizes == [1, 4, 7, 10] && published.weights == [0.25, 0.25, 0.25, 0.25])
    #expect(CoalitionSizes(16, players: 784).sizes == (0..<16).map { 24 + 49 * $0 })
    let uneven = CoalitionSizes(4, players: 10)
    #expect(uneven.sizes == [1, 4, 7, 9] && uneven.weights == [0.3, 0.3, 0.2, 0.2])
    let all = CoalitionSizes(100, players: 5)
    #expect(all.sizes == [0, 1, 2, 3, 4] && all.weights == [Double](repeating: 0.2, count: 5))
  }

  /// The sum of the largest eigenvalues of a symmetric matrix, by powers and deflation.
  private func largest(_ count: Int, _ matrix: [[Double]]) -> Double {
    var matrix = matrix
    var random = Seeded(3)
    var sum = 0.0
    for _ in 0..<count {
      var vector = random.numbers(matrix.count)
      var value = 0.0
      for _ in 0..<5000 {
        let image = matrix.map { row in zip(row, vector).reduce(0) { $0 + $1.0 * $1.1 } }
        value = image.reduce(0) { $0 + $1 * $1 }.squareRoot()
        vector = image.map { $0 / value }
      }
      sum += value
      for i in matrix.indices {
        for j in matrix.indices { matrix[i][j] -= value * vector[i] * vector[j] }
      }
    }
    return sum
  }

  @Test("Directions are orthonormal and hold what the leading ones can", arguments: [false, true])
  func directions(isCentred: Bool) async throws {
    let (players, units, rank) = (10, 14, 3)
    let graph = Perceptron([players, units, 2], seed: 95).graph
    var random = Seeded(96)
    let x = random.numbers(players)
    let game = try await momentGame(graph, [x])
    let plan = try game.momentPlan(rank: rank)
    let memory = try game.momentMemory(plan, .sizes(1), threads: 1, within: .max)
    let subjects = try await MomentSubjects(game, plan, examples: 0..<1, memory, RunOptions())
    let basis = try await CovarianceBasis(
      subjects, rank: rank, isCentred: isCentred, RunOptions())
    // The contributions: [player][unit].
    let weights = try #require(graph.constants["w0"]).doubles
    let contributions = (0..<players).map { player in
      (0..<units).map { weights[player * units + $0] * x[player] }
    }
    let rows = (0..<rank).map { row in
      Array(basis.directions[row * players..<(row + 1) * players])
    }
    var energy = 0.0
    for (index, row) in rows.enumerated() {
      for (other, column) in rows.enumerated() {
        let product = zip(row, column).reduce(0) { $0 + $1.0 * $1.1 }
        #expect(abs(product - (index == other ? 1 : 0)) < 1e-12)
      }
      if isCentred { #expect(abs(row.reduce(0, +)) < 1e-12) }
      let image = (0..<units).map { unit in
        (0..<players).reduce(0) { $0 + row[$1] * contributions[$1][unit] }
      }
      let found = Array(basis.fronts[0].doubles[index * units..<(index + 1) * units])
      #expect(rootMeanSquare(found, image) < 1e-12)
      energy += image.reduce(0) { $0 + $1 * $1 }
    }
    var means = [Double](repeating: 0, count: units)
    if isCentred {
      for unit in 0..<units {
        means[unit] = contributions.reduce(0) { $0 + $1[unit] } / Double(players)
      }
    }
    let gram = contributions.map { a in
      contributions.map { b in
        (0..<units).reduce(0) { $0 + (a[$1] - means[$1]) * (b[$1] - means[$1]) }
      }
    }
    let best = largest(rank, gram)
    #expect(energy <= best * (1 + 1e-9) && energy > 0.9 * best, "\(energy), at best \(best)")
  }
}
