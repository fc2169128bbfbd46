// Shapley values of units by propagated moments: all units of a layer from a few passes through the tail of the network.
//
// A unit's contribution to the next affine map is its column times its activation, so the units are players of the rest of the
// network, and the loss is one more step (CoalitionNet, MomentSoftmax.swift). Nothing is sampled; how far the values
// are off is seen on a few examples by sampling.

import CoalitionBase
import CoalitionShapley

extension UnitScorer {
  /// Examples on which values by moments are compared with sampled ones.
  private static let checkedExamples = 4

  func moments(
    _ layer: HiddenLayer, _ sampling: ShapleyOptions
  ) async throws(CoalitionError) -> LayerScores {
    guard options.payoff != .accuracy else {
      throw CoalitionError(
        .usage,
        "accuracy is a step, whose moments say nothing: choose the loss or the score, or "
          + "an estimator that samples", found: sampling.estimator.rawValue)
    }
    let (tail, targets) = try tail(layer)
    let rows = try await tail.rows(inputs, targets, options.run)
    var own = sampling
    (own.samples, own.evaluations, own.tolerance, own.top) = (nil, nil, nil, nil)
    own.moments.checkedPlayers = 0
    // A factor for each unit leaves no rest but rounding.
    own.moments.rank = min(own.moments.rank, layer.unitCount - 1)
    let estimate = try await Shapley(try tail.game(rows), own).result()
    let examples = (0..<estimate.exampleCount).map {
      Array(estimate.values(example: $0, target: 0))
    }
    var errors: [Double] = []
    if sampling.moments.checkedPlayers > 0 {
      let picked = Self.spread(over: examples.count)
      var some = rows
      for (name, tensor) in rows where tensor.shape.first == examples.count && tensor.rank > 0 {
        some[name] = try tensor.rows(picked)
      }
      own.moments.checkedPlayers = sampling.moments.checkedPlayers
      let checked = try await Shapley(try tail.game(some), own).result()
      errors = picked.indices.map { checked.errorEstimates[$0 * layer.unitCount] }
    }
    // The error of a mean is at most the mean of the errors.
    let error = errors.isEmpty ? .nan : errors.reduce(0, +) / Double(errors.count)
    return LayerScores(
      layer, examples: examples, momentError: error, options.aggregation,
      evaluations: estimate.momentPasses)
  }

  private static func spread(over count: Int) -> [Int] {
    let wanted = min(count, checkedExamples)
    return (0..<wanted).map { $0 * count / wanted }
  }
}
