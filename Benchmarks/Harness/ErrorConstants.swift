// What estimators make of an evaluation: standard error times the root of the evaluations, relative to plain
// permutations. `auto` chooses by these numbers (EstimatorChoice.swift), so they are printed to be copied there.

import Coalition
import Foundation

struct ErrorConstants {
  let options: EngineOptions
  let threads: Int
  var runs = 24

  /// Budgets in evaluations per player.
  private static let budgets = [16, 64, 256]
  private static let estimators: [Estimator] = [
    .permutation, .orthogonal, .toggle, .stratified, .complementary, .owenSampling, .kernel,
    .kernelUnbiased, .leverage, .oddRegression,
  ]

  /// Tables in Markdown: a row per estimator, a column per game.
  func tables() async throws -> [String] {
    var columns: [[String: [Int: Double]]] = []
    var names: [String] = []
    for problem in ErrorProblem.constants {
      let loaded = try await problem.load(options, threads: threads)
      names.append(problem.name.split(separator: "/").last.map(String.init) ?? problem.name)
      columns.append(try await ratios(loaded))
    }
    return Self.budgets.flatMap { budget in
      [
        "", "### \(budget) evaluations per player", "",
        "| estimator | \(names.joined(separator: " | ")) | geometric mean |",
        "|---|" + String(repeating: "---:|", count: names.count + 1),
      ]
        + Self.estimators.map { estimator in
          let found = columns.map { $0[estimator.rawValue]?[budget] }
          let known = found.compactMap { $0 }
          let mean = exp(known.reduce(0) { $0 + log($1) } / Double(known.count))
          let cells = found.map { $0.map { fixed($0, 3) } ?? "" }
          return "| \(estimator.rawValue) | \(cells.joined(separator: " | ")) | "
            + "\(known.count == found.count ? fixed(mean, 3) : "") |"
        }
    }
  }

  /// By estimator and budget, relative to plain permutations.
  private func ratios(_ problem: LoadedProblem) async throws -> [String: [Int: Double]] {
    var ratios: [String: [Int: Double]] = [:]
    for budget in Self.budgets {
      let evaluations = budget * problem.players.playerCount
      guard
        let plain = try await constant(.permutation, antithetic: false, evaluations, problem)
      else { continue }
      for estimator in Self.estimators {
        if let own = try await constant(estimator, antithetic: true, evaluations, problem) {
          ratios[estimator.rawValue, default: [:]][budget] = own / plain
        }
      }
    }
    return ratios
  }

  /// Root mean square error times the root of the evaluations: nil where the budget does not suffice.
  private func constant(
    _ estimator: Estimator, antithetic: Bool, _ evaluations: Int, _ problem: LoadedProblem
  ) async throws -> Double? {
    var sum = 0.0
    for run in 0..<runs {
      let input = run % problem.targets.count
      let estimate: ShapleyEstimate
      do {
        estimate = try await problem.estimate(
          estimator, antithetic: antithetic, evaluations: evaluations, seed: run, input: input)
      } catch let error as CoalitionError
        where error.code == .usage || error.code == .limitExceeded
      {
        return nil
      }
      let error = problem.error(estimate.values, input: input)
      guard error.isFinite else { return nil }
      sum += error * error * Double(estimate.evaluations[0])
    }
    return (sum / Double(runs)).squareRoot()
  }
}
