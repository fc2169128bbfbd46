// Occlusion and RISE through an explainer: its cut, its scores, its baselines and targets.

package import CoalitionBase
package import CoalitionNet

/// What masked passes found: attributions as those of other methods, and what is known beside them.
package struct MaskedExplanation: Sendable {
  package var explanation: Explanation
  /// Per player [N, (T,) P].
  package var values: Tensor?
  /// In the shape of the attributions.
  package var standardErrors: Tensor?
}

extension Explainer {
  /// Occlusion of players, which divide the shapes of attributions: embeddings are removed token by token.
  package func occlusion(
    _ inputs: [String: Tensor], players: PlayerSet, target: Target = .predicted,
    baselines: [String: Baseline] = [:], _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> MaskedExplanation {
    let subject = try await maskedSubject(inputs, target, baselines, run)
    let game = try MaskedGame(
      forward, output: scores, players: try players.spread(over: sources),
      inputs: subject.rows, baselines: subject.baselines.rows, targets: subject.targets)
    let result = try await game.occlusion(run)
    let count = players.playerCount
    let falls = result.values.flatMap { $0.flatMap { $0 } }
    let values = try subject.scored(falls, size: count)
    var explanation = Explanation(
      attributions: [:], output: try subject.scored(result.outputs.flatMap { $0 }, size: 1, []),
      target: subject.description,
      evaluations: subject.evaluations(game.evaluations(coalitions: count + 1)))
    let baseline = try await baselineScores(subject, run)
    explanation.baselineOutput = baseline
    let spread = try players.attributions(of: values, targets: subject.resultTargets)
    explanation.attributions = spread
    let sums = values.doubles
    let changes = zip(explanation.output.doubles, baseline.doubles).map { $0 - $1 }
    let residuals = changes.enumerated().map { row, change in
      change - sums[row * count..<(row + 1) * count].reduce(0, +)
    }
    explanation.residual = try Tensor(
      shape: explanation.output.shape, elements: .float64(residuals))
    return MaskedExplanation(explanation: explanation, values: values)
  }

  /// Occlusion of windows that slide over the only input.
  package func occlusion(
    _ inputs: [String: Tensor], windows: OcclusionWindows, target: Target = .predicted,
    baselines: [String: Baseline] = [:], _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> MaskedExplanation {
    let source = try onlySource("windows slide over")
    let subject = try await maskedSubject(inputs, target, baselines, run)
    let found = try await windows.occlude(
      forward, output: scores, input: source.name, inputs: subject.rows,
      baselines: subject.baselines.rows, targets: subject.targets, run)
    let count = found.result.values.first?.first?.count ?? 0
    var explanation = Explanation(
      attributions: [
        source.name: try subject.scored(
          found.attributions.doubles, size: source.count, source.shape)
      ],
      output: try subject.scored(found.result.outputs.flatMap { $0 }, size: 1, []),
      target: subject.description,
      evaluations: subject.evaluations((count + 1) * subject.baselines.count))
    explanation.baselineOutput = try await baselineScores(subject, run)
    explanation.warnings = found.warnings
    return MaskedExplanation(explanation: explanation)
  }

  /// RISE on the only input.
  package func rise(
    _ inputs: [String: Tensor], _ rise: RISE, target: Target = .predicted,
    baselines: [String: Baseline] = [:], _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> MaskedExplanation {
    let source = try onlySource("RISE explains")
    if case .difference = target {
      throw CoalitionError(
        .usage, "RISE weighs masks by one score: explain both ends of the difference by themselves")
    }
    let subject = try await maskedSubject(inputs, target, baselines, run)
    let found = try await rise.explain(
      forward, output: scores, input: source.name, inputs: subject.rows,
      baselines: subject.baselines.rows, targets: subject.targets, run)
    let outputs: [Double]
    if let known = subject.knownScores {
      outputs = known.doubles
    } else {
      outputs = try await scoreValues(subject.rows, run)
    }
    let explanation = Explanation(
      attributions: [
        source.name: try subject.scored(
          found.attributions.doubles, size: source.count, source.shape)
      ],
      output: try subject.picked(from: outputs), target: subject.description,
      evaluations: subject.evaluations(rise.masks * subject.baselines.count))
    return MaskedExplanation(
      explanation: explanation,
      standardErrors: try subject.scored(
        found.standardErrors.doubles, size: source.count, source.shape))
  }

  private func onlySource(_ what: String) throws(CoalitionError) -> Plan.Value {
    guard sources.count == 1, let source = sources.first, !explainsEmbeddings else {
      throw CoalitionError(
        .unsupported, "\(what) one input of floating-point numbers",
        found: explainsEmbeddings
          ? "whole numbers" : sources.map(\.name).joined(separator: ", "))
    }
    return source
  }

  // MARK: Subjects

  func maskedSubject(
    _ inputs: [String: Tensor], _ target: Target, _ baselines: [String: Baseline],
    _ run: RunOptions
  ) async throws(CoalitionError) -> MaskedSubject {
    let rows = try await rows(of: inputs, run)
    let examples = rows.values.first?.shape[0] ?? 0
    let (weights, outputs) = try await scoreWeights(target, rows, examples: examples, run)
    try checkNames(of: baselines)
    let references = try await baselineRows(baselines, run)
    return MaskedSubject(
      rows: rows, baselines: references, weights: weights, knownScores: outputs,
      examples: examples, scoreCount: scoreShape.reduce(1, *))
  }

  /// The scores at the baselines, in the mean.
  private func baselineScores(
    _ subject: MaskedSubject, _ run: RunOptions
  ) async throws(CoalitionError) -> Tensor {
    try subject.picked(
      from: try await baselineScores(
        subject.baselines, beside: subject.rows, examples: subject.examples, run))
  }
}

extension OcclusionWindows {
  /// Evaluations for one example: a window each, and everything present.
  package func evaluations(_ shape: [Int]) throws(CoalitionError) -> Int {
    try positions(shape).count + 1
  }
}

/// Examples with their baselines and the elements of the scores that are asked for.
struct MaskedSubject {
  let rows: [String: Tensor]
  let baselines: BaselineRows
  let weights: ScoreWeights
  /// The scores of the examples, where the target has asked for them.
  let knownScores: Tensor?
  let examples: Int
  let scoreCount: Int

  var description: Tensor { weights.description }
  private var isDifference: Bool { description.rank == 2 }
  /// The axis of targets of results: nil when there is none.
  var resultTargets: Int? { weights.isAll ? scoreCount : nil }

  /// The same number for every score.
  func evaluations(_ count: Int) -> [Int] {
    [Int](repeating: count, count: examples * (resultTargets ?? 1))
  }

  /// Per example, which elements of the scores.
  var targets: [[Int]] {
    let named = description.integers ?? []
    if weights.isAll { return Array(repeating: Array(0..<scoreCount), count: examples) }
    let width = isDifference ? 2 : 1
    return (0..<examples).map { Array(named[$0 * width..<($0 + 1) * width]) }
  }

  /// Numbers [N, targets, size] as results [N, (T,) shape]: of a difference, the first minus the second.
  func scored(
    _ numbers: [Double], size: Int, _ shape: [Int]? = nil
  ) throws(CoalitionError) -> Tensor {
    let leading = [examples] + (resultTargets.map { [$0] } ?? [])
    var numbers = numbers
    if isDifference {
      numbers = (0..<examples).flatMap { example in
        let start = example * 2 * size
        return (start..<start + size).map { numbers[$0] - numbers[$0 + size] }
      }
    }
    return try Tensor(shape: leading + (shape ?? [size]), elements: .float64(numbers))
  }

  /// The asked elements of scores [N, scores].
  func picked(from outputs: [Double]) throws(CoalitionError) -> Tensor {
    let numbers = targets.enumerated().flatMap { example, row in
      row.map { outputs[example * scoreCount + $0] }
    }
    return try scored(numbers, size: 1, [])
  }
}

extension PlayerSet {
  /// The same players over sources whose last axis belongs together: embeddings of tokens.
  func spread(over sources: [Plan.Value]) throws(CoalitionError) -> PlayerSet {
    var divisions: [String: Players] = [:]
    for (name, map) in zip(names, maps) {
      guard let source = sources.first(where: { $0.name == name }), source.shape != map.shape
      else { continue }
      let width = source.count / max(map.elementCount, 1)
      let ids = map.ids.flatMap { [Int32](repeating: $0, count: width) }
      divisions[name] = .map(
        try Tensor(
          shape: (map.exampleCount.map { [$0] } ?? []) + source.shape, elements: .int32(ids)))
    }
    guard !divisions.isEmpty else { return self }
    // Numbers are those of this set in every input.
    for (name, map) in zip(names, maps) where divisions[name] == nil {
      divisions[name] = .map(
        try Tensor(
          shape: (map.exampleCount.map { [$0] } ?? []) + map.shape, elements: .int32(map.ids)))
    }
    return try PlayerSet(
      divisions, inputs: sources.filter { names.contains($0.name) }.map { ($0.name, $0.shape) })
  }
}
