// What estimators make of an evaluation: standard error times the root of the evaluations, relative to plain
// permutations. `auto` chooses by these numbers (EstimatorChoice.swift), so they are printed to be copied there.

import Coalition
import Foundation

struct ErrorConstants {
  let options: EngineOptions
  let threads: Int
  /// As many as fit into the seconds.
  var runs = 6...24
  var seconds = 2.0

  /// Budgets in evaluations per player.
  private static let budgets = [16, 64, 256]
  private static let estimators: [Estimator] = [
    .permutation, .orthogonal, .toggle, .stratified, .complementary, .owenSampling, .kernel,
    .kernelUnbiased, .leverage, .oddRegression,
  ]

  /// Prints a table in Markdown, a row per game and budget as they are measured, geometric means last.
  func printTable() async throws {
    print(
      "| game | evaluations per player | "
        + Self.estimators.map(\.rawValue).joined(separator: " | ") + " |")
    print("|---|---:|" + String(repeating: "---:|", count: Self.estimators.count))
    var logarithms: [Int: [[Double?]]] = [:]
    for problem in ErrorProblem.constants {
      let loaded = try await problem.load(options, threads: threads)
      for budget in Self.budgets {
        let ratios = try await ratios(loaded, budget * loaded.players.playerCount)
        logarithms[budget, default: []].append(ratios.map { $0.map(log) })
        let name = problem.name.split(separator: "/").last.map(String.init) ?? problem.name
        printRow(name, budget, ratios)
      }
    }
    for budget in Self.budgets {
      let rows = logarithms[budget] ?? []
      printRow(
        "geometric mean", budget,
        Self.estimators.indices.map { column in
          // Of all games or of none: means over different games cannot be compared.
          let known = rows.compactMap { $0[column] }
          return known.count == rows.count ? exp(known.reduce(0, +) / Double(known.count)) : nil
        })
    }
  }

  private func printRow(_ name: String, _ budget: Int, _ ratios: [Double?]) {
    let cells = ratios.map { $0.map { fixed($0, 3) } ?? "" }
    print("| \(name) | \(budget) | \(cells.joined(separator: " | ")) |")
    fflush(nil)
  }

  /// Per estimator, relative to plain permutations.
  private func ratios(_ problem: LoadedProblem, _ evaluations: Int) async throws -> [Double?] {
    let plain = try await constant(.permutation, antithetic: false, evaluations, problem)
    var ratios: [Double?] = []
    for estimator in Self.estimators {
      let own = try await constant(estimator, antithetic: true, evaluations, problem)
      ratios.append(own.flatMap { own in plain.map { own / $0 } })
    }
    return ratios
  }

  /// Root mean square error times the root of the evaluations: nil where the budget does not suffice.
  private func constant(
    _ estimator: Estimator, antithetic: Bool, _ evaluations: Int, _ problem: LoadedProblem
  ) async throws -> Double? {
    var sum = 0.0
    var count = 0
    let clock = ContinuousClock()
    let start = clock.now
    while count < runs.lowerBound
      || count < runs.upperBound && clock.now - start < .seconds(seconds)
    {
      let run = count
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
      count += 1
    }
    return (sum / Double(count)).squareRoot()
  }
}
