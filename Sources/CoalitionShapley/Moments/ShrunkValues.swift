// Sampled values drawn towards those by moments, as far as the samples leave open which are right.

import CoalitionBase
import CoalitionExplain

struct ShrunkValues: Sendable {
  let moments: MomentShapley

  /// - Throws: as `MomentShapley.init`, and `usage` for what is not sampled as a whole.
  init(
    _ game: any Game, _ options: ShapleyOptions, towards estimator: Estimator
  ) throws(CoalitionError) {
    guard estimator.usesMoments else {
      throw CoalitionError(
        .usage, "sampled values are drawn towards values by moments",
        expected: "dasp or moment-gradient", found: estimator.rawValue)
    }
    guard options.estimator != .exact, !options.estimator.usesMoments else {
      throw CoalitionError(
        .usage, "sampled values are drawn towards others: these are not sampled",
        found: options.estimator.rawValue)
    }
    var own = options.byMoments(estimator)
    // The samples add up.
    own.moments.isProjected = true
    moments = try MomentShapley(game, own).fittingThreads()
  }

  /// Every example and target has a weight of its own. Sums stay, and players that are known to add nothing keep 0.
  func estimate(
    from samples: ShapleyEstimate, _ ends: [[GameEnds]]
  ) async throws(CoalitionError) -> ShapleyEstimate {
    var estimate = samples
    estimate.errorEstimates = samples.standardErrors
    guard samples.replicates.contains(where: { $0 > 1 }) else {
      // Nothing is known of what samples of one replicate are off by.
      return estimate.keepingSamples
    }
    estimate.momentPasses = moments.passes
    let others: [Double]
    do throws(CoalitionError) {
      others = try await moments.values(0..<samples.exampleCount, ends)
    } catch {
      // Moments may leave the numbers that there are where samples do not.
      guard error.code == .notFinite else { throw error }
      return estimate.keepingSamples
    }
    let players = samples.playerCount
    var active: [Int] = []
    for (row, start) in stride(from: 0, to: others.count, by: players).enumerated() {
      if row % samples.targetCount == 0 {
        active = moments.game.activePlayers(ofExample: row / samples.targetCount)
      }
      let own = start..<start + players
      let agreement = MomentAgreement(
        samples.values[own], errors: samples.standardErrors[own], moments: others[own],
        active: active)
      let weight = agreement.sampleWeight
      estimate.sampleWeights.append(weight)
      guard weight < 1 else { continue }
      let rest = (1 - weight) * (1 - weight) * agreement.momentSquare
      for place in active.map({ start + $0 }) {
        let error = weight * samples.standardErrors[place]
        estimate.values[place] = others[place] + weight * (samples.values[place] - others[place])
        estimate.errorEstimates[place] = (error * error + rest).squareRoot()
      }
    }
    if estimate.sampleWeights.contains(where: { $0 < 1 }) {
      let own = "they are drawn towards values by \(moments.options.estimator.rawValue)"
      estimate.bias = [samples.bias, own].compactMap { $0 }.joined(separator: "; ")
    }
    return estimate
  }
}

extension ShapleyEstimate {
  /// The same, drawn towards nothing.
  fileprivate var keepingSamples: ShapleyEstimate {
    var estimate = self
    estimate.sampleWeights = [Double](repeating: 1, count: exampleCount * targetCount)
    return estimate
  }
}

extension ShapleyOptions {
  /// The same by moments, which no rule stops.
  func byMoments(_ estimator: Estimator) -> ShapleyOptions {
    var options = self
    options.estimator = estimator
    options.shrinkage = nil
    (options.samples, options.evaluations, options.seconds) = (nil, nil, nil)
    (options.tolerance, options.rankStability) = (nil, nil)
    (options.top, options.lowest) = (nil, nil)
    return options
  }
}
