// The game behind an explainer: players present or absent, the explained scores as the values.

public import CoalitionBase
public import CoalitionNet

extension Explainer {
  /// The players of the explained inputs.
  /// - Parameters:
  ///   - division: how inputs are divided that `named` does not name.
  ///   - named: the division of inputs by name.
  ///   - examples: how many examples there are, for maps that differ by example.
  /// - Throws: as `PlayerSet.init`.
  public func players(
    _ division: Players = .element, named: [String: Players] = [:], examples: Int? = nil
  ) throws(CoalitionError) -> PlayerSet {
    try PlayerSet(
      named, others: division, inputs: sources.map { ($0.name, attributionShape(of: $0)) },
      examples: examples)
  }

  /// The game whose values are the explained scores, for every coalition and example.
  /// - Parameter players: they divide the shapes of attributions: embeddings come and go token by token.
  /// - Returns: the game, and which scores they are: [N], for a difference [N, 2], for all of them every one.
  /// - Throws: what the inputs, players, targets and baselines throw.
  public func game(
    _ inputs: [String: Tensor], players: PlayerSet, target: Target = .predicted,
    baselines: [String: Baseline] = [:], _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> (game: MaskedGame, target: Tensor) {
    let subject = try await maskedSubject(inputs, target, baselines, run)
    let isDifference = if case .difference = target { true } else { false }
    let game = try MaskedGame(
      forward, output: scores, players: try players.spread(over: sources),
      inputs: subject.rows, baselines: subject.baselines.rows, targets: subject.targets,
      isDifference: isDifference)
    return (game, subject.description)
  }
}
