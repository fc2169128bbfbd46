// The game behind an explainer: players present or absent, the explained score as the value.

package import CoalitionBase
package import CoalitionNet

extension Explainer {
  /// The game whose values are the explained score, one number per coalition and example.
  /// - Parameter players: they divide the shapes of attributions: embeddings come and go token by token.
  /// - Returns: the game, and which score it is: [N], for a difference [N, 2].
  /// - Throws: `usage` for all targets at once, and what the inputs, players and baselines throw.
  package func game(
    _ inputs: [String: Tensor], players: PlayerSet, target: Target = .predicted,
    baselines: [String: Baseline] = [:], _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> (game: MaskedGame, target: Tensor) {
    if target == .all {
      throw CoalitionError(
        .usage, "the value of a coalition is one score: name the target", found: "all")
    }
    let subject = try await maskedSubject(inputs, target, baselines, run)
    let isDifference = if case .difference = target { true } else { false }
    let game = try MaskedGame(
      forward, output: scores, players: try players.spread(over: sources),
      inputs: subject.rows, baselines: subject.baselines, targets: subject.targets,
      isDifference: isDifference)
    return (game, subject.description)
  }
}
