// Line charts: curves over linear or logarithmic axes, with bands of uncertainty.
//
// What is here says what is drawn; LineChartLayout says where. Numbers that are not finite (or past 1e300 in
// magnitude), and on a logarithmic axis those that are not positive, are gaps in a line.

public import CoalitionBase

/// Named curves over one axis.
public struct LineChart: Hashable, Sendable {
  public enum AxisScale: String, Hashable, Sendable { case linear, logarithmic }

  /// One curve. A point between two gaps is drawn as a marker.
  public struct Series: Hashable, Sendable {
    public var name: String
    public var x: [Double]
    public var y: [Double]
    /// The ends of a band around the curve, one number per point each: nil for no band.
    public var band: Band?

    public struct Band: Hashable, Sendable {
      public var lower: [Double]
      public var upper: [Double]

      public init(lower: [Double], upper: [Double]) {
        self.lower = lower
        self.upper = upper
      }
    }

    public init(_ name: String, x: [Double], y: [Double], band: Band? = nil) {
      self.name = name
      self.x = x
      self.y = y
      self.band = band
    }
  }

  public var title: String
  public var xLabel: String
  public var yLabel: String
  public var xScale: AxisScale
  public var yScale: AxisScale
  public var series: [Series]

  public init(
    title: String = "", xLabel: String = "", yLabel: String = "", xScale: AxisScale = .linear,
    yScale: AxisScale = .linear, series: [Series] = []
  ) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.xScale = xScale
    self.yScale = yScale
    self.series = series
  }

  /// More lines cannot be told apart.
  static let seriesLimit = 64

  /// Draws the chart.
  /// - Throws: `shapeMismatch` when the numbers of a series are not equally many, `invalidData` when there is
  ///   no point to draw, `limitExceeded` for more than 64 series.
  public func figure() throws(CoalitionError) -> Figure {
    guard series.count <= Self.seriesLimit else {
      throw CoalitionError(
        .limitExceeded, "a line chart with so many series cannot be read",
        expected: "at most \(Self.seriesLimit)", found: "\(series.count)")
    }
    for series in series {
      let counts = [
        series.x.count, series.y.count, series.band?.lower.count ?? series.x.count,
        series.band?.upper.count ?? series.x.count,
      ]
      guard Set(counts).count == 1 else {
        throw CoalitionError(
          .shapeMismatch, "the series '\(series.name)' has unlike numbers of x, y and band",
          expected: "\(series.x.count)",
          found: counts.dropFirst().map(String.init).joined(separator: ", "))
      }
    }
    guard let layout = LineChartLayout(self) else {
      throw CoalitionError(
        .invalidData, "the chart has no point to draw",
        expected: "a series with a finite number"
          + (xScale == .logarithmic || yScale == .logarithmic ? " at a positive place" : ""),
        found: "\(series.count) series")
    }
    return Figure(page: layout.page())
  }
}
