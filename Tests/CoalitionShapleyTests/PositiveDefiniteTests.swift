// Symmetric systems and constrained minima against elimination; singular ones are said to be.

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Testing

@Suite struct PositiveDefiniteTests {
  /// The sum of x x^T over random vectors x.
  private static func gram(_ count: Int, vectors: Int, seed: UInt64) -> [[Double]] {
    var random = CounterRandom(seed: seed, purpose: .init(rawValue: 1002), index: 0)
    var matrix = [[Double]](
      repeating: [Double](repeating: 0, count: count), count: count)
    for _ in 0..<vectors {
      let x = (0..<count).map { _ in random.normal() }
      for row in 0..<count {
        for column in 0..<count { matrix[row][column] += x[row] * x[column] }
      }
    }
    return matrix
  }

  @Test(arguments: [1, 2, 3, 4, 5, 7, 8, 9, 16, 23, 66])
  func `Solutions are those of elimination`(count: Int) throws {
    let matrix = Self.gram(count, vectors: 2 * count + 2, seed: UInt64(count))
    let right = (0..<count).map { Double($0 % 5) - 1.5 }
    // What is above the diagonal does not matter.
    var lower = matrix
    for row in 0..<count {
      for column in row + 1..<max(count, row + 1) { lower[row][column] = .nan }
    }
    let factor = try #require(CholeskyFactor(lower.flatMap(\.self), count: count))
    let found = factor.solved(right)
    for (x, y) in zip(found, solution(matrix, right)) { #expect(abs(x - y) < 1e-9) }
    let constrained = try #require(leastSquares(matrix.flatMap(\.self), right, total: 3))
    let bordered =
      matrix.map { $0 + [1] } + [[Double](repeating: 1, count: count) + [0]]
    for (x, y) in zip(constrained, solution(bordered, right + [3])) { #expect(abs(x - y) < 1e-9) }
  }

  @Test(arguments: InstructionSet.available)
  func `Every instruction set gives the same bits`(set: InstructionSet) throws {
    let count = 51
    let matrix = Self.gram(count, vectors: 2 * count, seed: 3).flatMap(\.self)
    let right = (0..<count).map { Double($0 % 7) - 2.5 }
    func solved(_ set: InstructionSet) throws -> [Double] {
      try #require(CholeskyFactor(matrix, count: count, instructionSet: set)).solved(right)
    }
    #expect(try solved(set) == solved(.generic))
  }

  @Test(arguments: [2, 5, 12, 40])
  func `Fewer vectors than unknowns are singular`(count: Int) {
    let matrix = Self.gram(count, vectors: count - 1, seed: 5).flatMap(\.self)
    #expect(CholeskyFactor(matrix, count: count) == nil)
    let few = Self.gram(count, vectors: max(count - 2, 0), seed: 5).flatMap(\.self)
    #expect(leastSquares(few, [Double](repeating: 1, count: count), total: 1) == nil)
  }

  @Test func `The constraint takes the place of one direction`() throws {
    // Vectors that add up to 0 say nothing about the direction of the constraint.
    let matrix = [1.0, -1, 0, -1, 2, -1, 0, -1, 1]
    let found = try #require(leastSquares(matrix, [0, 0, 0], total: 6))
    #expect(found.allSatisfy { abs($0 - 2) < 1e-12 })
  }

  @Test func `What is not finite is singular`() {
    #expect(CholeskyFactor([.nan], count: 1) == nil)
    #expect(CholeskyFactor([1, 0, .infinity, 1], count: 2) == nil)
    #expect(CholeskyFactor([1, 0, 2, 1], count: 2) == nil)
  }
}
