// Where the parts of a line chart stand.
//
// The page is as wide as the plot, its numbers and its legend need; sizes are in points.

struct LineChartLayout {
  private let chart: LineChart
  private let xScale: Scale
  private let yScale: Scale
  private let plot: Box
  private let size: (width: Double, height: Double)
  private let legendWidth: Double

  private static let textSize = 12.0
  private static let titleSize = 15.0
  private static let plotSize = (width: 520.0, height: 330.0)
  private static let legendLine = 21.0
  private static let legendText = 170.0
  private static let sample = 34.0

  /// nil when no point can be drawn.
  init?(_ chart: LineChart) {
    self.chart = chart
    // Only where both numbers exist is there a point.
    var xs: [Double] = []
    var ys: [Double] = []
    let isLogarithmic = chart.xScale == .logarithmic
    let isHeightLogarithmic = chart.yScale == .logarithmic
    for series in chart.series {
      for index in series.x.indices {
        let (x, y) = (series.x[index], series.y[index])
        guard Scale.isDrawable(x), !isLogarithmic || x > 0 else { continue }
        let band = series.band.map { [$0.lower[index], $0.upper[index]] } ?? []
        let heights = ([y] + (band.allSatisfy(Scale.isDrawable) ? band : []))
          .filter { Scale.isDrawable($0) && (!isHeightLogarithmic || $0 > 0) }
        guard !heights.isEmpty else { continue }
        xs.append(x)
        ys += heights
      }
    }
    guard
      let yScale = isHeightLogarithmic
        ? Scale.logarithmic(ys, room: 0.05) : Scale.linear(ys, room: 0.05),
      let xScale = isLogarithmic
        ? Scale.logarithmic(xs, room: 0.03) : Scale.linear(xs, room: 0.03)
    else { return nil }
    (self.xScale, self.yScale) = (xScale, yScale)

    let numbers =
      yScale.ticks.map { StrokeFont.width($0.text, size: Self.textSize) }.max() ?? 0
    let left = 18 + (chart.yLabel.isEmpty ? 0 : 22) + numbers
    let top = chart.title.isEmpty ? 20.0 : 46
    let height = max(
      Self.plotSize.height, Double(chart.series.count) * Self.legendLine + 10)
    plot = Box(
      x: left.rounded() + 0.5, y: top + 0.5, width: Self.plotSize.width, height: height)
    let hasLegend = chart.series.count > 1 || !(chart.series.first?.name.isEmpty ?? true)
    let names = chart.series.map {
      min(StrokeFont.width($0.name, size: Self.textSize), Self.legendText)
    }
    // Room to spare: other fonts are wider.
    legendWidth = hasLegend ? Self.sample + 8 + (names.max() ?? 0) * 1.08 : 0
    size = (
      (plot.right + 20 + (hasLegend ? legendWidth + 12 : 0)).rounded(.up),
      (plot.bottom + 30 + (chart.xLabel.isEmpty ? 0 : 22)).rounded(.up)
    )
  }

  func page() -> Page {
    var page = Page(
      width: size.width, height: size.height,
      title: chart.title.isEmpty ? "\(chart.yLabel) over \(chart.xLabel)" : chart.title)
    drawAxes(&page)
    for (index, series) in chart.series.enumerated() {
      drawBand(series, LineStyle(index), &page)
    }
    for (index, series) in chart.series.enumerated() {
      drawLine(series, LineStyle(index), &page)
    }
    drawLegend(&page)
    return page
  }

  // MARK: Axes

  private func x(_ position: Double) -> Double { plot.x + position * plot.width }
  private func y(_ position: Double) -> Double { plot.bottom - position * plot.height }

  private func drawAxes(_ page: inout Page) {
    let thin = Stroke(color: .grid, width: 1)
    let axis = Stroke(color: .ink, width: 1)
    func snapped(_ value: Double) -> Double { value.rounded(.down) + 0.5 }
    for tick in xScale.ticks {
      guard let position = xScale.position(tick.value) else { continue }
      let place = snapped(x(position))
      if !tick.text.isEmpty {
        page.shapes.append(.line([Point(place, plot.y), Point(place, plot.bottom)], thin))
      }
      let length = tick.text.isEmpty ? 3.0 : 5
      page.shapes.append(
        .line([Point(place, plot.bottom), Point(place, plot.bottom + length)], axis))
    }
    drawNumbers(&page)
    for tick in yScale.ticks {
      guard let position = yScale.position(tick.value) else { continue }
      let place = snapped(y(position))
      let isZero = tick.value == 0 && !yScale.isLogarithmic
      if !tick.text.isEmpty {
        page.shapes.append(
          .line(
            [Point(plot.x, place), Point(plot.right, place)],
            isZero ? Stroke(color: Color(gray: 150), width: 1) : thin))
      }
      let length = tick.text.isEmpty ? 3.0 : 5
      page.shapes.append(.line([Point(plot.x - length, place), Point(plot.x, place)], axis))
      guard !tick.text.isEmpty else { continue }
      page.shapes.append(
        .label(
          Label(
            tick.text, at: Point(plot.x - 8, place + 4), size: Self.textSize, anchor: .end)))
    }
    page.shapes.append(
      .line(
        [Point(plot.x, plot.y), Point(plot.x, plot.bottom), Point(plot.right, plot.bottom)], axis))
    drawTitles(&page)
  }

  /// Numbers under the axis, without those that would touch the one before.
  private func drawNumbers(_ page: inout Page) {
    var free = -Double.infinity
    for tick in xScale.ticks where !tick.text.isEmpty {
      guard let position = xScale.position(tick.value) else { continue }
      let half = StrokeFont.width(tick.text, size: Self.textSize) / 2
      guard x(position) - half >= free else { continue }
      free = x(position) + half + 8
      page.shapes.append(
        .label(
          Label(
            tick.text, at: Point(x(position), plot.bottom + 20), size: Self.textSize,
            anchor: .middle)))
    }
  }

  private func drawTitles(_ page: inout Page) {
    if !chart.title.isEmpty {
      let text = StrokeFont.fitted(
        chart.title, size: Self.titleSize, into: size.width - 24, isBold: true)
      // Over the plot, unless it is too long for that.
      let half = StrokeFont.width(text, size: Self.titleSize, isBold: true) / 2
      let middle = min(max(plot.middle.x, half + 12), max(half + 12, size.width - half - 12))
      page.shapes.append(
        .label(
          Label(
            text, at: Point(middle, 27), size: Self.titleSize, anchor: .middle, isBold: true)))
    }
    if !chart.xLabel.isEmpty {
      let text = StrokeFont.fitted(chart.xLabel, size: 13, into: plot.width)
      page.shapes.append(
        .label(
          Label(text, at: Point(plot.middle.x, plot.bottom + 42), size: 13, anchor: .middle)))
    }
    if !chart.yLabel.isEmpty {
      let text = StrokeFont.fitted(chart.yLabel, size: 13, into: plot.height)
      page.shapes.append(
        .label(
          Label(
            text, at: Point(20, plot.middle.y), size: 13, anchor: .middle, isVertical: true)))
    }
  }

  // MARK: Lines

  /// A point of a series on the page: its place across, and heights (one, or the two of a band).
  private typealias Column = (x: Double, heights: [Double])

  /// The unbroken parts of a series. Where many points share a third of a point of the page, only those are kept
  /// that can be seen: the first, the lowest, the highest and the last.
  private func runs(_ xs: [Double], _ heights: (Int) -> [Double]) -> [[Column]] {
    var runs: [[Column]] = []
    var run: [Column] = []
    for index in xs.indices {
      let positions = heights(index).compactMap(yScale.position)
      if let position = xScale.position(xs[index]), positions.count == heights(index).count {
        run.append((x(position), positions.map(y)))
      } else if !run.isEmpty {
        runs.append(Self.thinned(run))
        run = []
      }
    }
    if !run.isEmpty { runs.append(Self.thinned(run)) }
    return runs
  }

  private static func thinned(_ run: [Column]) -> [Column] {
    var kept: [Column] = []
    var start = 0
    while start < run.count {
      let column = (run[start].x * 3).rounded(.down)
      var end = start + 1
      while end < run.count, (run[end].x * 3).rounded(.down) == column { end += 1 }
      if end - start <= 4 {
        kept += run[start..<end]
      } else {
        var places: Set<Int> = [start, end - 1]
        for height in run[start].heights.indices {
          let group = (start..<end).map { (run[$0].heights[height], $0) }
          for extreme in [group.min { $0 < $1 }, group.max { $0 < $1 }] {
            if let extreme { places.insert(extreme.1) }
          }
        }
        kept += places.sorted().map { run[$0] }
      }
      start = end
    }
    return kept
  }

  private func drawBand(_ series: LineChart.Series, _ style: LineStyle, _ page: inout Page) {
    guard let band = series.band else { return }
    for run in runs(series.x, { [band.lower[$0], band.upper[$0]] }) {
      if run.count == 1 {
        // The band of a lone point is a bar.
        page.shapes.append(
          .line(
            run[0].heights.map { Point(run[0].x, $0) }, Stroke(color: style.color, width: 1.2)))
      } else {
        let outline =
          run.map { Point($0.x, $0.heights[0]) } + run.reversed().map { Point($0.x, $0.heights[1]) }
        page.shapes.append(.polygon(outline, fill: style.color, opacity: 0.16))
      }
    }
  }

  private static let lineWidth = 1.8
  private static let markerRadius = 3.4
  private static let markerCount = 12

  private func drawLine(_ series: LineChart.Series, _ style: LineStyle, _ page: inout Page) {
    let runs = runs(series.x) { [series.y[$0]] }.map { run in
      run.map { Point($0.x, $0.heights[0]) }
    }
    for run in runs where run.count > 1 {
      page.shapes.append(
        .line(run, Stroke(color: style.color, width: Self.lineWidth, dash: style.dash)))
    }
    let count = runs.reduce(0) { $0 + $1.count }
    let step = max(1, count / Self.markerCount)
    var index = 0
    for run in runs {
      for point in run {
        if index % step == 0 || run.count == 1 {
          page.shapes.append(
            .polygon(
              style.outline(point, radius: Self.markerRadius), fill: style.color, opacity: 1))
        }
        index += 1
      }
    }
  }

  // MARK: Legend

  private func drawLegend(_ page: inout Page) {
    guard legendWidth > 0 else { return }
    let left = plot.right + 20
    for (index, series) in chart.series.enumerated() {
      let style = LineStyle(index)
      let middle = plot.y + 8 + Double(index) * Self.legendLine
      page.shapes.append(
        .line(
          [Point(left, middle), Point(left + Self.sample, middle)],
          Stroke(color: style.color, width: Self.lineWidth, dash: style.dash)))
      page.shapes.append(
        .polygon(
          style.outline(Point(left + Self.sample / 2, middle), radius: Self.markerRadius),
          fill: style.color, opacity: 1))
      let name = StrokeFont.fitted(series.name, size: Self.textSize, into: Self.legendText)
      page.shapes.append(
        .label(
          Label(name, at: Point(left + Self.sample + 8, middle + 4), size: Self.textSize)))
    }
  }
}
