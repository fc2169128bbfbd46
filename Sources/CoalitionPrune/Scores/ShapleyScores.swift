// Shapley values of units: sampled or enumerated coalitions, propagated moments, or what a few examples speak for.

import CoalitionBase
import CoalitionExplain
import CoalitionNet
import CoalitionShapley

extension UnitScorer {
  /// Units of which `auto` evaluates all coalitions.
  public static let enumerated = 10

  func shapley(_ layer: HiddenLayer) async throws(CoalitionError) -> LayerScores {
    var sampling = options.sampling
    sampling.seed = options.seed
    sampling.run = options.run
    if sampling.estimator == .exact, layer.unitCount > UnitScoreOptions.exactLimit {
      throw CoalitionError(
        .limitExceeded, "there are too many units for all coalitions; choose another estimator",
        expected: "at most \(UnitScoreOptions.exactLimit)", found: "\(layer.unitCount)")
    }
    let (tail, targets) = try tail(layer)
    let rows = try await tail.rows(inputs, targets, options.run)
    // What the layer's inputs take is no longer there for what runs on them.
    let held = rows.values.reduce(0) { $0 + $1.byteCount }
    sampling.run.memoryLimit = max(0, options.run.memoryLimit - held)
    let subject = UnitSubject(
      layer: layer, tail: tail, rows: rows, exampleCount: targets.shape.first ?? 0)
    if sampling.estimator == .auto, !sampling.hasStopRule {
      return try await chosen(subject, sampling)
    }
    if sampling.estimator.usesMoments { return try await moments(subject, sampling) }
    return try await sampled(subject, sampling)
  }

  /// All coalitions of few units; else whichever has the smaller error on a few examples, moments or toggles that take
  /// about as long: how far moments are off depends on the network, and is only known by trying.
  private func chosen(
    _ subject: UnitSubject, _ sampling: ShapleyOptions
  ) async throws(CoalitionError) -> LayerScores {
    var others = sampling
    others.estimator = .exact
    if subject.layer.unitCount > Self.enumerated {
      (others.estimator, others.samples) = (.toggle, UnitScoreOptions.defaultToggles)
    }
    guard others.estimator == .toggle, options.payoff != .accuracy,
      options.aggregation != .meanAndOwnDeviations
    else {
      return try await sampled(subject, others)
    }
    var moments = sampling
    moments.estimator = .momentGradient
    if moments.moments.checkedPlayers == 0 {
      moments.moments.checkedPlayers = MomentOptions().checkedPlayers
    }
    let few = try subject.few()
    let errors: [Double]
    do throws(CoalitionError) {
      errors = try await momentErrors(few, moments)
    } catch {
      guard error.code == .unsupported else { throw error }
      return try await sampled(subject, others)
    }
    let drawn = try await estimate(few, others)
    let spread = (0..<few.exampleCount).map { example in
      let errors = drawn.standardErrors(example: 0, target: example)
      return (errors.reduce(0) { $0 + $1 * $1 } / Double(max(errors.count, 1))).squareRoot()
    }
    return errors.reduce(0, +) <= spread.reduce(0, +)
      ? try await self.moments(subject, moments, errors: errors)
      : try await sampled(subject, others)
  }

  private func sampled(
    _ subject: UnitSubject, _ sampling: ShapleyOptions
  ) async throws(CoalitionError) -> LayerScores {
    let estimate = try await estimate(subject, sampling)
    let units = subject.layer.unitCount
    let examples = (0..<subject.exampleCount).map {
      Array(estimate.values(example: 0, target: $0))
    }
    var variances = [Double](repeating: 0, count: units)
    for example in examples.indices {
      for (unit, error) in estimate.standardErrors(example: 0, target: example).enumerated() {
        variances[unit] += error * error / Double(examples.count)
      }
    }
    guard options.aggregation != .meanAndOwnDeviations || variances.allSatisfy(\.isFinite) else {
      throw CoalitionError(
        .usage, "too few samples to tell what sampling adds to the variance over the examples",
        expected: "several permutations")
    }
    return LayerScores(
      subject.layer, examples: examples,
      standardErrors: Array(estimate.standardErrors(example: 0, target: examples.count)),
      samplingVariances: variances, options.aggregation,
      evaluations: estimate.evaluations.first ?? 0, stop: estimate.stops.first ?? nil,
      replicates: sampling.estimator == .exact ? nil : estimate.replicates.first,
      estimator: estimate.estimator)
  }

  /// Values of all examples, and of their mean as the last target.
  private func estimate(
    _ subject: UnitSubject, _ sampling: ShapleyOptions
  ) async throws(CoalitionError) -> ShapleyEstimate {
    var sampling = sampling
    let units = subject.layer.unitCount
    if options.aggregation == .mean {
      sampling.ruledTargets = subject.exampleCount..<subject.exampleCount + 1
    }
    if let lowest = sampling.lowest {
      guard options.aggregation == .mean else {
        throw CoalitionError(
          .usage, "the lowest units are told apart by their means",
          expected: "the mean as aggregation", found: options.aggregation.rawValue)
      }
      // A layer of one unit has nothing to tell apart.
      sampling.lowest = max(min(lowest, units - 1), 1)
    }
    if sampling.estimator == .permutation, !sampling.hasStopRule {
      sampling.samples = UnitScoreOptions.defaultSamples
    }
    let isOpen = sampling.samples == nil && sampling.evaluations == nil
    if isOpen, sampling.tolerance != nil || sampling.lowest != nil {
      sampling.evaluations = ShapleyOptions.defaultEvaluationsPerPlayer * units
    }
    let game = try subject.game()
    let fronts = try await UnitFronts(
      subject.tail, subject.rows, examples: subject.exampleCount, sampling.run)
    return try await Shapley(UnitGame(game, fronts), sampling).result()
  }
}

/// A layer with the rows that its tail reads.
struct UnitSubject: Sendable {
  let layer: HiddenLayer
  let tail: LayerTail
  let rows: [String: Tensor]
  let exampleCount: Int

  /// Examples that errors are looked at on.
  private static let few = 4

  func game() throws(CoalitionError) -> MaskedGame { try tail.game(rows) }

  /// The same on a few of the examples.
  func few() throws(CoalitionError) -> UnitSubject {
    let wanted = min(exampleCount, Self.few)
    let picked = (0..<wanted).map { $0 * exampleCount / wanted }
    var some = rows
    for (name, tensor) in rows where tensor.shape.first == exampleCount && tensor.rank > 0 {
      some[name] = try tensor.rows(picked)
    }
    return UnitSubject(layer: layer, tail: tail, rows: some, exampleCount: wanted)
  }
}
