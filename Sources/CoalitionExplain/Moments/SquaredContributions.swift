// How the squared contributions of all players are found.

import CoalitionBase
package import CoalitionNet

enum SquaredContributions: Sendable {
  /// From one pass of squared changes through squared weights: every player is a single element.
  case elements
  /// From one pass in which players have channels of their own in front of the front.
  case own(OwnChannels)
  /// From rows that players share who reach no position together.
  case classes

  init(_ game: MaskedGame, _ plan: MomentPlan) {
    let maps = game.maps(of: plan)
    let divisions = maps.compactMap(\.exampleCount).first ?? 1
    if plan.hasSingleWays
      && (0..<divisions).allSatisfy({ example in
        game.players.sizes(ofExample: example).allSatisfy { $0 <= 1 }
      })
    {
      self = .elements
    } else if divisions == 1, let own = plan.ownChannels(plan.ids(maps, ofExample: 0)) {
      self = .own(own)
    } else {
      self = .classes
    }
  }
}

extension MaskedGame {
  /// Rows that go from the sources to the fronts for one subject, and back: of the base, the sum and the squares, of the
  /// directions of the factor, and of players for DASP, signals for the gradient.
  package func momentFrontPasses(_ method: MomentMethod, _ plan: MomentPlan) -> Int {
    var (squares, contributions) = (1, 1)
    switch SquaredContributions(self, plan) {
    case .elements: contributions = players.playerCount
    case .own: break
    case .classes:
      let numbers = plan.apartClasses(
        plan.ids(maps(of: plan), ofExample: 0), playerCount: players.playerCount)
      squares = 1 + Int(numbers.max() ?? 0)
      contributions = players.playerCount
    }
    var passes = 2 + squares
    if plan.rank > 0 {
      passes += CovarianceBasis.passes(rank: plan.rank, players: players.playerCount)
    }
    switch method {
    case .sizes: passes += contributions
    case .gradient: passes += targetCount * (1 + plan.rank + squares)
    }
    return passes
  }

  /// Per source of the plan the players of its elements.
  func maps(of plan: MomentPlan) -> [PlayerMap] {
    plan.sources.compactMap { source in
      players.names.firstIndex(of: source.name).map { players.maps[$0] }
    }
  }
}

extension MomentPlan {
  /// Per source the players of its elements in an example.
  func ids(_ maps: [PlayerMap], ofExample example: Int) -> [String: [Int32]] {
    var ids: [String: [Int32]] = [:]
    for (source, map) in zip(sources, maps) {
      ids[source.name] = Array(map.ids(ofExample: example))
    }
    return ids
  }
}
