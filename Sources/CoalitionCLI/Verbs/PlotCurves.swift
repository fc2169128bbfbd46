// Line charts of results: correlations over the number of elements, mean curves of deletion and insertion, losses over
// epochs.

import CoalitionBase
import CoalitionFigures

struct PlotCurves {
  private(set) var chart: LineChart
  let description: String

  /// nil when results of this kind are no curves.
  init?(
    _ kind: PlotSource.Kind, _ sources: [PlotSource], title: String
  ) throws(CoalitionError) {
    chart = LineChart(title: title)
    switch kind {
    case .correlation:
      chart.xLabel = "number of elements n"
      chart.yLabel = "correlation"
    case .curve:
      chart.xLabel = "share of elements changed"
      chart.yLabel = "mean output"
    case .history:
      chart.xLabel = "epoch"
      chart.yLabel = "mean loss"
    default: return nil
    }
    for source in sources {
      let series =
        switch kind {
        case .curve: try Self.curves(source)
        case .history(let names): try Self.losses(names, source)
        default: try Self.correlations(source)
        }
      // The same method in several files goes by the file, too.
      chart.series += series.map { line in
        var line = line
        if sources.count > 1 { line.name += " (\(PlotSource.stem(source.path)))" }
        return line
      }
    }
    if kind == .correlation {
      let isPositive = chart.series.allSatisfy { $0.x.allSatisfy { $0 > 0 } }
      chart.xScale = isPositive ? .logarithmic : .linear
    }
    description =
      "\(title); \(chart.series.count) \(chart.series.count == 1 ? "curve" : "curves")"
  }

  private static func correlations(
    _ source: PlotSource
  ) throws(CoalitionError) -> [LineChart.Series] {
    let values = try source.tensor("correlation")
    let sizes = try source.tensor("n")
    guard values.rank == 2, sizes.shape == [values.shape[1]] else {
      throw CoalitionError(
        .shapeMismatch, "correlation and n do not fit together", node: source.path,
        expected: "[methods, n] and [n]", found: "\(values.shape) and \(sizes.shape)")
    }
    let (count, length) = (values.shape[0], values.shape[1])
    let names = source.texts("methods", count: count) ?? numbered(count)
    let lower = try source.tensor("correlation.lower", shape: values.shape)?.doubles
    let upper = try source.tensor("correlation.upper", shape: values.shape)?.doubles
    let (x, y) = (sizes.doubles, values.doubles)
    return (0..<count).map { method in
      let range = method * length..<(method + 1) * length
      var series = LineChart.Series(names[method], x: x, y: Array(y[range]))
      if let lower, let upper {
        series.band = .init(lower: Array(lower[range]), upper: Array(upper[range]))
      }
      return series
    }
  }

  /// Means over examples with a band of one standard error.
  private static func curves(_ source: PlotSource) throws(CoalitionError) -> [LineChart.Series] {
    let tensor = try source.tensor("curve")
    guard tensor.rank == 3, tensor.shape[2] > 0 else {
      throw CoalitionError(
        .shapeMismatch, "the array curve has the wrong shape", node: source.path,
        expected: "[methods, examples, steps]", found: "\(tensor.shape)")
    }
    let (count, examples, steps) = (tensor.shape[0], tensor.shape[1], tensor.shape[2])
    let names = source.texts("methods", count: count) ?? numbered(count)
    let values = tensor.doubles
    let x = (0..<steps).map { Double($0) / Double(max(1, steps - 1)) }
    return (0..<count).map { method in
      let moments = (0..<steps).map { step in
        Moments(
          (0..<examples).lazy.map { values[(method * examples + $0) * steps + step] })
      }
      var series = LineChart.Series(names[method], x: x, y: moments.map(\.mean))
      if examples > 1 {
        series.band = .init(
          lower: moments.map { $0.mean - $0.standardError },
          upper: moments.map { $0.mean + $0.standardError })
      }
      return series
    }
  }

  /// A curve per array, over the epochs from 0, the model as it came, on.
  private static func losses(
    _ names: [String], _ source: PlotSource
  ) throws(CoalitionError) -> [LineChart.Series] {
    var series: [LineChart.Series] = []
    for name in names {
      let losses = try source.row(name, of: "epochs")
      series.append(
        LineChart.Series(
          name.replacing("_", with: " "), x: losses.indices.map { Double($0) }, y: losses))
    }
    return series
  }

  private static func numbered(_ count: Int) -> [String] { (0..<count).map { "method \($0)" } }
}

/// Mean and standard error of the numbers that are finite: NaN without any, an error of NaN below two.
struct Moments {
  let mean: Double
  let standardError: Double

  init(_ values: some Sequence<Double>) {
    let finite = values.filter(\.isFinite)
    let count = Double(finite.count)
    let mean = finite.isEmpty ? .nan : finite.reduce(0) { $0 + $1 / count }
    let squares = finite.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    self.mean = mean
    standardError =
      finite.count > 1 ? (squares / (count - 1) / count).squareRoot() : .nan
  }
}
