// The game of players on a model, as every estimator plays it.

import CoalitionBase
public import CoalitionExplain

extension MaskedGame: Game {
  public var playerCount: Int { players.playerCount }
}
