// Error against time: Coalition's estimators and those of its peers in turns, on problems with known values.
//
// A point of a curve is a budget of evaluations, or a number of coalition sizes or of nodes for values by moments: the
// medians of the error and of the seconds over runs with their own seeds, which take the inputs in turns. An estimator
// leaves when its error or its time is past the limits.

import Coalition
import Foundation

/// One estimator of one engine on one problem.
struct ErrorCurve: Codable {
  struct Point: Codable {
    /// Passes of values by moments.
    var evaluations: Int
    var seconds: Double
    /// Root mean square, relative to that of the values.
    var error: Double
  }

  var engine: String
  var estimator: String
  var points: [Point] = []

  var name: String { "\(engine) \(estimator)" }
  var isOurs: Bool { engine == Self.ours }
  var isByMoments: Bool {
    isOurs && OwnSeries.all.contains { $0.name == estimator && $0.rank != nil }
  }
  static let ours = "coalition"
  static let written = "written"

  /// Seconds until the error has fallen to `target`: straight lines between points in logarithms.
  func seconds(to target: Double) -> Double? {
    guard let place = points.firstIndex(where: { $0.error <= target }) else { return nil }
    let reached = points[place]
    guard place > 0 else { return reached.seconds }
    let before = points[place - 1]
    guard reached.error > 0, before.seconds < reached.seconds else { return reached.seconds }
    let share = log(before.error / target) / log(before.error / reached.error)
    return before.seconds * pow(reached.seconds / before.seconds, share)
  }
}

/// All curves of a problem.
struct ErrorCurves: Codable {
  var name: String
  var curves: [ErrorCurve]
  var peers: [PeerDescription]
  var missing: [String: String]
  /// The largest difference of a peer's exact values from ours, relative to the largest value.
  var exactDifference: Double?
  /// The state of the code.
  var commit = ""

  static let targets = [0.1, 0.03, 0.01]

  /// The fastest to a target among some curves.
  func best(
    to target: Double, where isMeant: (ErrorCurve) -> Bool
  ) -> (curve: ErrorCurve, seconds: Double)? {
    curves.filter(isMeant).compactMap { curve in
      curve.seconds(to: target).map { (curve, $0) }
    }.min { $0.seconds < $1.seconds }
  }
}

/// One of our own curves.
struct OwnSeries {
  let estimator: Estimator
  /// Of the covariance factor, for values by moments.
  var rank: Int?

  static let all =
    [
      Estimator.permutation, .orthogonal, .toggle, .stratified, .complementary, .owenSampling,
      .kernel, .kernelUnbiased, .leverage, .oddRegression, .exact, .auto,
    ].map { OwnSeries(estimator: $0) }
    + [Estimator.dasp, .momentGradient].flatMap { estimator in
      [0, MomentOptions.defaultRank].map { OwnSeries(estimator: estimator, rank: $0) }
    }

  var name: String { rank.map { "\(estimator.rawValue) rank \($0)" } ?? estimator.rawValue }

  /// 1, 2, 4, ... sizes (up to all) or nodes (up to 32), unchecked, and the passes that they take; nil beyond.
  func moments(level: Int, players: Int) -> (options: MomentOptions, passes: Int)? {
    guard let rank else { return nil }
    var options = MomentOptions()
    options.rank = rank
    options.checkedPlayers = 0
    if estimator == .momentGradient {
      guard level <= 5 else { return nil }
      options.nodes = 1 << level
      return (options, 1 << level)
    }
    guard level == 0 || 1 << (level - 1) < players else { return nil }
    let sizes = min(1 << level, players)
    options.sizes = sizes
    return (options, 2 * sizes * players)
  }
}

struct ErrorMeasurement {
  let problem: LoadedProblem
  let peers: [Peer]
  var runs = 6
  /// Runs of a point after which the time of all of them is looked at.
  var fewestRuns = 3
  /// Seconds of a run, and an error, past which a curve ends.
  var longest = 0.25
  var smallestError = 0.006

  static let budgets = (6...17).map { 1 << $0 }

  private struct Outcome {
    var values: [Double]
    var seconds: Double
    var evaluations: Int
  }

  /// The curves, and what peers' exact values differ by.
  func measure() async throws -> ([ErrorCurve], exactDifference: Double?) {
    var curves = OwnSeries.all.map { ErrorCurve(engine: ErrorCurve.ours, estimator: $0.name) }
    for peer in peers {
      curves += peer.estimators.map { ErrorCurve(engine: peer.name, estimator: $0) }
    }
    var active = Set(curves.indices)
    var difference: Double?
    for level in Self.budgets.indices {
      var found: [Int: [(outcome: Outcome, error: Double)]] = [:]
      for run in 0..<runs {
        for index in curves.indices where active.contains(index) {
          let input = run % problem.targets.count
          let spent = (found[index] ?? []).reduce(0) { $0 + $1.outcome.seconds }
          guard run < fewestRuns || spent < Double(runs) * longest,
            let outcome = try await outcome(curves[index], level, seed: run, input: input)
          else { continue }
          found[index, default: []].append((outcome, problem.error(outcome.values, input: input)))
          if curves[index].estimator == Estimator.exact.rawValue, !curves[index].isOurs {
            let largest = problem.exact[input].map(abs).max() ?? 1
            let worst =
              zip(outcome.values, problem.exact[input]).map { abs($0 - $1) }.max() ?? 0
            difference = max(difference ?? 0, worst / largest)
          }
        }
      }
      for (index, outcomes) in found {
        let point = ErrorCurve.Point(
          evaluations: outcomes[0].outcome.evaluations,
          seconds: median(outcomes.map(\.outcome.seconds)), error: median(outcomes.map(\.error)))
        if point.error.isFinite { curves[index].points.append(point) }
        if point.seconds > longest || point.error < smallestError
          || curves[index].estimator == Estimator.exact.rawValue
        {
          active.remove(index)
        }
      }
    }
    return (curves, difference)
  }

  /// nil where the budget is too small, or the peer failed.
  private func outcome(
    _ curve: ErrorCurve, _ level: Int, seed: Int, input: Int
  ) async throws -> Outcome? {
    let evaluations = Self.budgets[level]
    if let peer = peers.first(where: { $0.name == curve.engine }) {
      return peer.estimate(curve.estimator, evaluations: evaluations, seed: seed, input: input).map
      {
        Outcome(values: $0.values, seconds: $0.seconds, evaluations: evaluations)
      }
    }
    guard let series = OwnSeries.all.first(where: { $0.name == curve.estimator }) else {
      return nil
    }
    let moments = series.moments(level: level, players: problem.players.playerCount)
    guard moments != nil || series.rank == nil else { return nil }
    let clock = ContinuousClock()
    let start = clock.now
    let estimate: ShapleyEstimate
    do {
      estimate = try await problem.estimate(
        series.estimator, evaluations: series.rank == nil ? evaluations : nil,
        moments: moments?.options ?? MomentOptions(), seed: seed, input: input)
    } catch let error as CoalitionError where error.code == .usage || error.code == .limitExceeded {
      // The budget is below what the estimator can do anything with.
      return nil
    }
    let seconds = (clock.now - start) / .seconds(1)
    return estimate.values.contains(where: \.isNaN)
      ? nil
      : Outcome(
        values: estimate.values, seconds: seconds, evaluations: moments?.passes ?? evaluations)
  }
}
