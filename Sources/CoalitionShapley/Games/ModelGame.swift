// The game of players on a model, as every estimator plays it.

public import CoalitionExplain

extension MaskedGame: Game {
  public var playerCount: Int { players.playerCount }

  /// A marginal contribution by deltas, with its share of the pass that all players of a coalition have in common;
  /// that of a game without deltas is an evaluation.
  public var cost: GameCost {
    var cost = GameCost(arithmetic: multiplyAdds)
    if let work = (try? togglePlan())?.arithmetic, work.base > 0 {
      let toggles = work.perTurn.reduce(0) { $0 + Double($1) } + Double(work.base)
      cost.marginal = toggles / Double(playerCount) / Double(work.base)
    }
    return cost
  }
}
