// Random orders of the players, all equally likely; antithetic: each followed by its reverse, which puts those before
// a player behind it (Mitchell, Cooper, Frank, Holmes, Sampling permutations for Shapley value estimation, 2022,
// section 2.3). A block is two orders in both forms.
//
// With groups: the orders that keep every group together, all equally likely, for the Owen value (Owen, Values of
// games with a priori unions, 1977). The reverse of such an order is such an order.

import CoalitionBase

/// Samples are orders of the players.
package struct PermutationScheme: OrderScheme {
  package let playerCount: Int
  package let isAntithetic: Bool
  private let groups: PlayerGroups
  private let seed: UInt64

  package init(playerCount: Int, groups: PlayerGroups? = nil, isAntithetic: Bool, seed: UInt64) {
    self.playerCount = playerCount
    self.groups = groups ?? PlayerGroups(playerCount: playerCount)
    self.isAntithetic = isAntithetic
    self.seed = seed
  }

  package var blockSamples: Int { 2 }

  package func orders(of block: SampleBlock) -> PlayerOrders {
    var random = CounterRandom(seed: seed, purpose: .permutations, index: UInt64(block.index))
    var orders = PlayerOrders(playerCount: playerCount, capacity: block.samples)
    while orders.count < block.samples {
      let order = order(&random)
      orders.append(order)
      if isAntithetic, orders.count < block.samples { orders.appendReverse(order) }
    }
    return orders
  }

  private func order(_ random: inout CounterRandom) -> [Int] {
    var places = Array(groups.members.indices)
    random.shuffle(&places)
    var order: [Int] = []
    order.reserveCapacity(playerCount)
    for group in places {
      var members = groups.members[group]
      random.shuffle(&members)
      order += members
    }
    return order
  }
}
