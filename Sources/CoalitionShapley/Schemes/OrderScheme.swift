// Estimates from orders of the players: the mean marginal contribution to those who came before,
//
//     phi_i = E[v(players up to i) - v(players before i)]    over orders of the players.
//
// Castro, Gomez, Tejada: Polynomial calculation of the Shapley value based on sampling (2009). One sample is one
// order; it asks for its P - 1 coalitions between nobody and everybody. The contributions of every order add up to
// v(all) - v(none), and a player whose contributions are all zero gets exactly zero. Which orders there are, and
// which belong to one block, is for the schemes to say; any one order of a block is marginally distributed as the
// value demands, so any samples of a block give an unbiased mean.

package import CoalitionBase

/// Orders of all players, one after the other.
package struct PlayerOrders: Sendable {
  let playerCount: Int
  private(set) var places: [Int] = []

  init(playerCount: Int, capacity: Int) {
    self.playerCount = playerCount
    places.reserveCapacity(capacity * playerCount)
  }

  var count: Int { places.count / playerCount }

  subscript(order: Int) -> ArraySlice<Int> {
    places[order * playerCount..<(order + 1) * playerCount]
  }

  mutating func append(_ order: [Int]) { places += order }
  mutating func appendReverse(_ order: [Int]) { places += order.reversed() }
}

/// A scheme whose samples are orders of the players.
package protocol OrderScheme: CoalitionScheme where Draw == PlayerOrders {
  /// The block's orders, as many as it has samples.
  func orders(of block: SampleBlock) -> PlayerOrders
}

extension OrderScheme {
  package var sumCount: Int { playerCount }
  package func evaluations(samples: Int) -> Int { samples * (playerCount - 1) }

  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> PlayerOrders {
    let orders = orders(of: block)
    for order in 0..<orders.count { coalitions.appendPrefixes(of: orders[order]) }
    return orders
  }

  package func add(
    _ draw: PlayerOrders, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    let base = sums.startIndex
    var next = 0
    for order in 0..<draw.count {
      let players = draw[order]
      var reached = ends.empty
      for player in players.dropLast() {
        sums[base + player] += values[next] - reached
        reached = values[next]
        next += 1
      }
      if let last = players.last { sums[base + last] += ends.full - reached }
    }
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    guard samples > 0 else { return Array(repeating: .nan, count: playerCount) }
    return sums.map { $0 / Double(samples) }
  }
}
