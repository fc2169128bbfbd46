// Orders of the players along orthogonal directions: Mitchell, Cooper, Frank, Holmes, Sampling permutations for
// Shapley value estimation, JMLR 23 (2022), algorithm 4 (orthogonal spherical codes).
//
// A direction x of the (P - 1)-dimensional space of vectors whose elements add up to zero orders the players by their
// elements. Directions of a block are orthogonal to each other, and each is followed by -x, whose order is the
// reverse. They come from normally distributed vectors by the method of Gram and Schmidt, so each alone is uniform on
// the sphere and its order uniform among all orders: any samples of a block give an unbiased mean. There are at most
// 16 directions in a block, so that many players leave enough independent blocks for error bars.

import CoalitionBase

/// Samples are orders of the players, in blocks of orthogonal ones.
package struct OrthogonalScheme: OrderScheme {
  package let playerCount: Int
  private let seed: UInt64

  private static let maxDirections = 16

  package init(playerCount: Int, seed: UInt64) {
    self.playerCount = playerCount
    self.seed = seed
  }

  package var blockSamples: Int { 2 * max(min(playerCount - 1, Self.maxDirections), 1) }

  package func orders(of block: SampleBlock) -> PlayerOrders {
    var random = CounterRandom(
      seed: seed, purpose: .orthogonalDirections, index: UInt64(block.index))
    var orders = PlayerOrders(playerCount: playerCount, capacity: block.samples)
    var directions: [[Double]] = []
    while orders.count < block.samples {
      var order = Array(0..<playerCount)
      if playerCount > 1 {
        let direction = direction(orthogonalTo: directions, &random)
        directions.append(direction)
        order.sort { direction[$0] < direction[$1] }
      }
      orders.append(order)
      if orders.count < block.samples { orders.appendReverse(order) }
    }
    return orders
  }

  /// A random unit vector that is orthogonal to the given ones and to (1, ..., 1).
  private func direction(
    orthogonalTo others: [[Double]], _ random: inout CounterRandom
  ) -> [Double] {
    while true {
      var vector = (0..<playerCount).map { _ in random.normal() }
      let length = Self.product(vector, vector).squareRoot()
      // Twice: what the first pass leaves by rounding, the second one takes away.
      for _ in 0..<2 {
        let mean = vector.reduce(0, +) / Double(playerCount)
        for index in vector.indices { vector[index] -= mean }
        for other in others {
          let share = Self.product(vector, other)
          for index in vector.indices { vector[index] -= share * other[index] }
        }
      }
      let rest = Self.product(vector, vector).squareRoot()
      // A vector that lay among the others by chance has no direction of its own to give.
      if rest > 1e-6 * length { return vector.map { $0 / rest } }
    }
  }

  private static func product(_ left: [Double], _ right: [Double]) -> Double {
    var sum = 0.0
    for index in left.indices { sum += left[index] * right[index] }
    return sum
  }
}
