// Scores of a layer's units: larger ones are kept.

import CoalitionBase
public import CoalitionShapley

/// How scores of examples become one score.
public enum UnitAggregation: String, Sendable, Hashable, CaseIterable {
  case mean
  /// The mean plus two standard deviations over the examples: keeps units that matter for a few.
  case meanAndDeviations = "mean+2std"
  /// The same, less what the sampling of coalitions adds to the variance over the examples.
  case meanAndOwnDeviations = "mean+2std-debiased"
}

public struct LayerScores: Sendable {
  public let layer: HiddenLayer
  /// Per unit.
  public let scores: [Double]
  /// Errors of the mean over the examples at hand: of sampling coalitions, 0 where nothing is sampled, NaN where they
  /// are not known, as of values by moments.
  public let standardErrors: [Double]
  /// Errors of `scores` as estimates for the examples that these were drawn from; NaN without examples.
  public let dataErrors: [Double]
  /// Degrees of freedom behind the errors, the fewer of sampling and examples: 0 without examples.
  public let degreesOfFreedom: Int
  /// Of values by moments, what the root mean square error of an example's values looks like on a few; nil for others, NaN
  /// where it was not asked for.
  public let momentError: Double?
  /// The standard deviation of a unit's scores over the examples, as published: of the population; NaN without examples.
  public let deviations: [Double]
  /// [example][unit]: nil for metrics that do not look at examples.
  public let examples: [[Double]]?
  /// Networks that were evaluated, per example.
  public let evaluations: Int
  /// Of Shapley values, what they come from.
  public let estimator: Estimator?
  /// Why sampling ended; nil where nothing was sampled.
  public let stop: StopReason?

  /// Whether the scores are more than means, of which `standardErrors` say nothing.
  private let hasDeviations: Bool

  /// What is not known of a score: its sampling error (or what moments miss) and its error over the examples together; NaN
  /// where either is not known.
  public var errors: [Double] {
    zip(standardErrors, dataErrors).map { standard, data in
      let sampling = hasDeviations && standard > 0 ? .nan : standard
      let own = momentError ?? sampling
      return (own * own + data * data).squareRoot()
    }
  }

  /// Of a metric that gives examples no scores of their own.
  init(_ layer: HiddenLayer, _ scores: [Double]) {
    self.layer = layer
    self.scores = scores
    standardErrors = [Double](repeating: 0, count: scores.count)
    momentError = nil
    deviations = [Double](repeating: .nan, count: scores.count)
    dataErrors = [Double](repeating: .nan, count: scores.count)
    examples = nil
    evaluations = 0
    (estimator, stop, hasDeviations) = (nil, nil, false)
    degreesOfFreedom = 0
  }

  /// - Parameters:
  ///   - standardErrors: of sampling, of the mean; nil: nothing was sampled.
  ///   - samplingVariances: per unit, the mean over the examples of the squared errors of their scores.
  ///   - momentError: of values by moments.
  ///   - replicates: behind the standard errors; nil: nothing was sampled.
  init(
    _ layer: HiddenLayer, examples: [[Double]], standardErrors: [Double]? = nil,
    samplingVariances: [Double]? = nil, momentError: Double? = nil, _ aggregation: UnitAggregation,
    evaluations: Int, stop: StopReason? = nil, replicates: Int? = nil, estimator: Estimator? = nil
  ) {
    self.layer = layer
    self.examples = examples
    self.evaluations = evaluations
    (self.estimator, self.stop) = (estimator, stop)
    hasDeviations = aggregation != .mean
    degreesOfFreedom = max(min(examples.count, replicates ?? .max) - 1, 0)
    self.momentError = momentError
    self.standardErrors =
      standardErrors
      ?? [Double](repeating: momentError == nil ? 0 : .nan, count: layer.unitCount)
    let columns = (0..<layer.unitCount).map { unit in
      Column(examples.map { $0[unit] }, aggregation, samplingVariances?[unit] ?? 0)
    }
    scores = columns.map(\.score)
    deviations = columns.map(\.deviation)
    dataErrors = columns.map(\.error)
  }

  /// One unit's scores over the examples.
  private struct Column {
    let score: Double
    let deviation: Double
    /// Of the mean s / sqrt(N); of mean + 2 std by the influence d + (d^2 - std^2) / std of an example that lies d
    /// above the mean.
    let error: Double

    init(_ values: [Double], _ aggregation: UnitAggregation, _ samplingVariance: Double) {
      let count = Double(values.count)
      let mean = values.reduce(0, +) / count
      let deviations = values.map { $0 - mean }
      let variance = deviations.reduce(0) { $0 + $1 * $1 } / count
      deviation = variance.squareRoot()
      let isOwn = aggregation == .meanAndOwnDeviations
      let spread = (isOwn ? max(0, variance - samplingVariance) : variance).squareRoot()
      score = aggregation == .mean ? mean : mean + 2 * spread
      var influences = deviations
      if aggregation != .mean, spread > 0 {
        influences = deviations.map { $0 + ($0 * $0 - variance) / spread }
      }
      let squares = influences.reduce(0) { $0 + $1 * $1 }
      error = values.count > 1 ? (squares / (count * (count - 1))).squareRoot() : .nan
    }
  }
}
