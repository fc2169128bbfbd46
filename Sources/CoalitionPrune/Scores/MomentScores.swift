// Shapley values of units by propagated moments: all units of a layer from a few passes through the tail of the network.
//
// A unit's contribution to the next affine map is its column times its activation, so the units are players of the rest of the
// network, and the loss is one more step (CoalitionNet, MomentSoftmax.swift). Nothing is sampled; how far the values
// are off is seen on a few examples by sampling.

import CoalitionBase
import CoalitionShapley

extension UnitScorer {
  /// - Parameter errors: of values on a few examples, where they are known already.
  func moments(
    _ subject: UnitSubject, _ sampling: ShapleyOptions, errors known: [Double]? = nil
  ) async throws(CoalitionError) -> LayerScores {
    guard options.payoff != .accuracy else {
      throw CoalitionError(
        .usage,
        "accuracy is a step, whose moments say nothing: choose the loss or the score, or "
          + "an estimator that samples", found: sampling.estimator.rawValue)
    }
    guard options.aggregation != .meanAndOwnDeviations else {
      throw CoalitionError(
        .usage, "moments sample nothing that could be taken out of the variance",
        expected: "mean or mean+2std as aggregation", found: options.aggregation.rawValue)
    }
    var own = moments(of: subject.layer, sampling)
    own.moments.checkedPlayers = 0
    let estimate = try await Shapley(try subject.game(), own).result()
    let examples = (0..<estimate.exampleCount).map {
      Array(estimate.values(example: $0, target: 0))
    }
    var errors = known ?? []
    if known == nil, sampling.moments.checkedPlayers > 0 {
      errors = try await momentErrors(try subject.few(), sampling)
    }
    // The error of a mean is at most the mean of the errors.
    let error = errors.isEmpty ? .nan : errors.reduce(0, +) / Double(errors.count)
    return LayerScores(
      subject.layer, examples: examples, momentError: error, options.aggregation,
      evaluations: estimate.momentPasses, estimator: sampling.estimator)
  }

  /// What the root mean square error of each example's values looks like by samples.
  func momentErrors(
    _ subject: UnitSubject, _ sampling: ShapleyOptions
  ) async throws(CoalitionError) -> [Double] {
    let checked = try await Shapley(
      try subject.game(), moments(of: subject.layer, sampling)
    ).result()
    let units = subject.layer.unitCount
    return (0..<subject.exampleCount).map { example in
      let own = checked.errorEstimates[example * units..<(example + 1) * units]
      return (own.reduce(0) { $0 + $1 * $1 } / Double(units)).squareRoot()
    }
  }

  private func moments(of layer: HiddenLayer, _ sampling: ShapleyOptions) -> ShapleyOptions {
    var own = sampling
    (own.samples, own.evaluations, own.tolerance, own.top, own.lowest) = (nil, nil, nil, nil, nil)
    // A factor for each unit leaves no rest but rounding.
    own.moments.rank = min(own.moments.rank, layer.unitCount - 1)
    return own
  }
}
