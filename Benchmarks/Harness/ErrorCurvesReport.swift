// Error against time as tables, as a file of numbers and as charts.

import Coalition
import CoalitionFigures
import Foundation

extension ErrorCurves {
  /// Milliseconds to each target.
  var lines: [String] {
    var lines = ["", "\(name): milliseconds to a relative RMSE of \(Self.targetTexts)"]
    for curve in curves where !curve.points.isEmpty {
      let times = Self.targets.map { curve.seconds(to: $0).map(Self.milliseconds) ?? "-" }
      lines.append("  \(curve.name): \(times.joined(separator: ", "))")
    }
    if let exactDifference {
      lines.append("  exact values of a peer differ by \(scientific(exactDifference))")
    }
    for (name, reason) in missing.sorted(by: { $0.key < $1.key }) {
      lines.append("  \(name): not measured (\(reason))")
    }
    return lines
  }

  /// Rows of the table in RESULTS.md: the best of ours, of the libraries and of what is written by hand.
  var rows: [[String]] {
    Self.targets.map { target in
      func cell(_ found: (curve: ErrorCurve, seconds: Double)?, _ engineIsKnown: Bool) -> String {
        found.map {
          "\(Self.milliseconds($0.seconds)) (\(engineIsKnown ? $0.curve.estimator : $0.curve.name))"
        } ?? "not reached"
      }
      func peerCell(
        _ found: (curve: ErrorCurve, seconds: Double)?, _ engineIsKnown: Bool,
        _ isMeasured: Bool
      ) -> String {
        isMeasured ? cell(found, engineIsKnown) : "not measured"
      }
      let ours = best(to: target) { $0.isOurs }
      let library = best(to: target) { !$0.isOurs && $0.engine != ErrorCurve.written }
      let written = best(to: target) { $0.engine == ErrorCurve.written }
      let automatic = best(to: target) { $0.isOurs && $0.estimator == "auto" }
      let fastest = [library?.seconds, written?.seconds].compactMap { $0 }.min()
      let ratio = ours.flatMap { ours in fastest.map { "\(fixed($0 / ours.seconds, 2))x" } }
      return [
        name, percent(target), cell(ours, true),
        automatic.map { Self.milliseconds($0.seconds) } ?? "not reached",
        peerCell(library, false, peers.contains { $0.name != ErrorCurve.written }),
        peerCell(written, true, peers.contains { $0.name == ErrorCurve.written }),
        ratio ?? (peers.isEmpty ? "not measured" : ""),
      ]
    }
  }

  static let titles = [
    "problem", "relative RMSE", "Coalition, ms", "auto, ms", "best library, ms",
    "best written by hand, ms", "to the fastest",
  ]

  /// Each engine with its fastest estimators, and ours by moments: more lines cannot be told apart.
  var chart: LineChart {
    let groups = Dictionary(grouping: curves.filter { $0.points.count > 1 }) { curve in
      curve.isByMoments ? "moments" : curve.engine
    }
    let shown = groups.flatMap { group, curves in
      curves.sorted { Self.rank($0) < Self.rank($1) }
        .prefix(["moments", ErrorCurve.ours].contains(group) ? 4 : 2)
    }
    return LineChart(
      title: "\(name): error against time", xLabel: "milliseconds", yLabel: "relative RMSE, %",
      xScale: .logarithmic, yScale: .logarithmic,
      series: shown.sorted { $0.name < $1.name }.map { curve in
        LineChart.Series(
          curve.name, x: curve.points.map { $0.seconds * 1e3 },
          y: curve.points.map { $0.error * 100 })
      })
  }

  /// By the time to the smallest target that is reached.
  private static func rank(_ curve: ErrorCurve) -> Double {
    for (place, target) in targets.reversed().enumerated() {
      if let seconds = curve.seconds(to: target) { return Double(place) * 1e6 + seconds }
    }
    return .infinity
  }

  private static let targetTexts = targets.map(percent).joined(separator: ", ")

  private static func milliseconds(_ seconds: Double) -> String {
    fixed(seconds * 1e3, seconds < 0.01 ? 2 : seconds < 0.1 ? 1 : 0)
  }

  /// Writes the charts of all problems.
  static func writeFigures(_ all: [ErrorCurves], to folder: URL) throws {
    let figures = folder.appending(path: "figures")
    try FileManager.default.createDirectory(at: figures, withIntermediateDirectories: true)
    for curves in all where curves.curves.contains(where: { $0.points.count > 1 }) {
      let file = curves.name.replacingOccurrences(of: "/", with: "-") + ".png"
      try Files.writeAtomically(
        curves.chart.figure().png(scale: 1), to: figures.appending(path: file).path)
    }
  }
}
