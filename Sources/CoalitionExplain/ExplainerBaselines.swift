// Baselines of an explainer: what stands for absence in the inputs that attributions are for.
//
// Inputs that are not explained, whole numbers and, behind a cut, what is not named, are never absent: at every baseline
// they keep the example's own values.

import CoalitionBase
import CoalitionNet

/// Rows of every source, as many of each.
struct BaselineRows: Sendable {
  var rows: [String: Tensor] = [:]
  var count = 1
}

extension Explainer {
  /// The inputs that keep their values.
  var heldInputs: [Plan.Value] {
    let names = Set(sources.map(\.name))
    return forward.inputs.filter { !names.contains($0.name) }
  }

  /// - Throws: `usage` for baselines of inputs that are not explained.
  func checkNames(of baselines: [String: Baseline]) throws(CoalitionError) {
    let known = Set(sources.map(\.name) + (cut.front?.inputs.map(\.name) ?? []))
    for name in baselines.keys.sorted() where !known.contains(name) {
      throw CoalitionError(
        .usage, "a baseline is given for an input that is not explained", node: name,
        expected: known.sorted().joined(separator: ", "))
    }
  }

  func baselineRows(
    _ baselines: [String: Baseline], _ run: RunOptions
  ) async throws(CoalitionError) -> BaselineRows {
    var rows: [String: Tensor] = [:]
    var count = 1
    for input in sources {
      var baseline = baselines[input.name] ?? .zero
      // A token stands for its embedding; it may be named at the input that holds the tokens.
      if baselines[input.name] == nil, cut.front != nil,
        let token = baselines.values.first(where: { if case .token = $0 { true } else { false } })
      {
        baseline = token
      }
      if case .token(let id) = baseline {
        rows[input.name] = try await cut.embedding(ofToken: id, input.name, run)
      } else {
        rows[input.name] = try baseline.rows(input.name, shape: input.shape)
      }
      count = max(count, rows[input.name]?.shape[0] ?? 1)
    }
    for (name, tensor) in rows where tensor.shape[0] != count {
      guard tensor.shape[0] == 1 else {
        throw CoalitionError(
          .shapeMismatch, "inputs have different numbers of baselines", node: name,
          expected: "1 or \(count)", found: "\(tensor.shape[0])")
      }
      rows[name] = try tensor.rows([Int](repeating: 0, count: count))
    }
    return BaselineRows(rows: rows, count: count)
  }

  /// The mean of every score over the baselines, [N, scores].
  /// - Parameters:
  ///   - rows: of the examples.
  ///   - known: the scores at each baseline, where somebody has computed them and they are the same for all examples.
  func baselineScores(
    _ baselines: BaselineRows, beside rows: [String: Tensor], examples: Int,
    known: [Double]? = nil, _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    let held = heldInputs
    if held.isEmpty || known != nil {
      let scores: [Double]
      if let known { scores = known } else { scores = try await scoreValues(baselines.rows, run) }
      let mean = means(of: scores, over: baselines.count)
      return (0..<examples).flatMap { _ in mean }
    }
    // About as many rows at a time as other runs take.
    let block = max(1, (1 << 14) / baselines.count)
    var result: [Double] = []
    for first in stride(from: 0, to: examples, by: block) {
      let range = first..<min(first + block, examples)
      var points: [String: Tensor] = [:]
      for input in held {
        points[input.name] = try rows[input.name]?.rows(
          range.flatMap { [Int](repeating: $0, count: baselines.count) })
      }
      for (name, tensor) in baselines.rows {
        points[name] = try tensor.rows(range.flatMap { _ in 0..<baselines.count })
      }
      result += means(of: try await scoreValues(points, run), over: baselines.count)
    }
    return result
  }

  /// The scores of rows of all inputs, [rows, scores].
  func scoreValues(
    _ rows: [String: Tensor], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    try await forward.run(rows, run)[scores]?.doubles ?? []
  }

  /// Means over each `count` rows of scores that follow each other.
  private func means(of scores: [Double], over count: Int) -> [Double] {
    let size = scoreShape.reduce(1, *)
    return stride(from: 0, to: scores.count, by: max(1, size * count)).flatMap { first in
      (0..<size).map { score in
        (0..<count).reduce(0) { $0 + scores[first + $1 * size + score] / Double(count) }
      }
    }
  }
}
