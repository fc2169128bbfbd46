// Occlusion: how far the score falls when one player, or one window, is at the baseline.
//
// Of players: value_i = score(x) - score(x without i): the marginal contribution to everybody else. Occlusion is exact for
// one removed feature and blind to features that stand in for each other (max(x1, x2) with x1 = x2 gives 0, 0).
//
// Of windows (Ancona et al., 2018, and its released code): every window that fits into the input is set to the
// baseline, and an element gets the mean of (fall of the score / elements of the window) over the windows that cover it.
// `released` takes complete windows only, as the code does: elements that no window covers are NaN. `marginal`
// adds the windows that the far edges cut, with the elements that they have; non-overlapping windows are then
// patches.

public import CoalitionBase
public import CoalitionNet

/// What occlusion finds.
public struct OcclusionResult: Sendable {
  /// The score of every example with everything present: [example][target].
  public var outputs: [[Double]]
  /// The fall of the score per player or window: [example][target][player].
  public var values: [[[Double]]]
}

extension MaskedGame {
  /// The marginal contribution of every player.
  public func occlusion(
    _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> OcclusionResult {
    if let plan = try removalPlan() {
      do throws(CoalitionError) {
        return OcclusionResult(
          outputs: try await wholeScores(options), values: try await falls(by: plan, options))
      } catch  where error.code == .memoryLimit {
        // The base pass keeps more values than full passes do.
      }
    }
    return try await occlusionByPasses(options)
  }

  /// The same from one pass for each player.
  package func occlusionByPasses(
    _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> OcclusionResult {
    try await occlusion(removing: players.playerCount, options) { list, player in
      let row = list.appendFull()
      list[row, player] = false
    }
  }

  /// The scores with everything present: [example][target].
  private func wholeScores(_ options: RunOptions) async throws(CoalitionError) -> [[Double]] {
    var full = Coalitions(playerCount: players.playerCount)
    full.appendFull()
    let whole = try await values(full, options)
    return (0..<exampleCount).map { example in
      Array(whole[example * targetCount..<(example + 1) * targetCount])
    }
  }

  /// The fall of the score for each of `count` removed sets.
  /// - Parameter append: adds the coalition that is left when set `index` is removed.
  func occlusion(
    removing count: Int, _ options: RunOptions,
    _ append: (inout Coalitions, _ index: Int) -> Void
  ) async throws(CoalitionError) -> OcclusionResult {
    let outputs = try await wholeScores(options)
    var result = OcclusionResult(
      outputs: outputs,
      values: outputs.map { $0.map { _ in [Double](repeating: 0, count: count) } })
    // Coalitions of many players are long: about 16 MB of them at a time.
    let block = max((4 << 20) / Coalitions(playerCount: players.playerCount).wordCount, 1)
    for start in stride(from: 0, to: count, by: block) {
      let end = min(start + block, count)
      var coalitions = Coalitions(playerCount: players.playerCount)
      for index in start..<end { append(&coalitions, index) }
      let left = try await values(coalitions, options)
      for example in 0..<exampleCount {
        for index in start..<end {
          let place = (example * (end - start) + index - start) * targetCount
          for target in 0..<targetCount {
            result.values[example][target][index] = outputs[example][target] - left[place + target]
          }
        }
      }
    }
    return result
  }
}
