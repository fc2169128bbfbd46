// Line charts: what stands in the SVG, and that the PNG shows the same.

import CoalitionBase
import CoalitionFigures
import Testing

@Suite struct LineChartTests {
  private func chart(_ series: LineChart.Series..., xScale: LineChart.AxisScale = .linear)
    -> LineChart
  {
    LineChart(title: "A title", xLabel: "across", yLabel: "up", xScale: xScale, series: series)
  }

  /// The curves: lines of 1.8, without the samples of the legend, which stand right of the plot.
  private func curves(_ svg: XMLCheck) -> [XMLCheck.Element] {
    let right =
      svg.all("polyline").filter { $0.attributes["stroke-width"] == "1" }
      .flatMap { $0.points.map(\.x) }.max() ?? 0
    return svg.all("polyline").filter {
      $0.attributes["stroke-width"] == "1.8" && ($0.points.first?.x ?? 0) < right
    }
  }

  private func texts(_ svg: XMLCheck) -> [String] { svg.all("text").map(\.text) }

  @Test(
    "Heights on a logarithmic axis: equal ratios are equal steps, what is not positive is a gap")
  func logarithmicHeights() throws {
    var chart = chart(
      .init("error", x: [0, 1, 2, 3], y: [100, 10, 0, 1]), .init("other", x: [0, 3], y: [100, 1]))
    chart.yScale = .logarithmic
    let svg = try XMLCheck(chart.figure().svg())
    let lines = curves(svg)
    let (first, other) = (try #require(lines.first?.points), try #require(lines.last?.points))
    #expect(first.count == 2 && other.count == 2)
    // From 100 to 10 is half of the way from 100 to 1.
    #expect(abs((first[1].y - first[0].y) * 2 - (other[1].y - other[0].y)) < 0.05)
    for value in ["1", "10", "100"] { #expect(texts(svg).contains(value)) }
  }

  @Test("Points stand where their numbers are, and the PNG has ink of that colour there")
  func places() throws {
    let figure = try chart(
      .init("straight", x: [0, 1, 2, 4], y: [0, 1, 2, 4]),
      .init("falling", x: [0, 4], y: [4, 0])
    ).figure()
    let svg = try XMLCheck(figure.svg())
    let lines = curves(svg)
    #expect(lines.count == 2)
    let points = try #require(lines.first?.points)
    #expect(points.count == 4)
    // Equal steps of x and of y: 1 to 2 is half of 2 to 4.
    #expect(abs((points[2].x - points[1].x) * 2 - (points[3].x - points[2].x)) < 0.05)
    #expect(abs((points[2].y - points[1].y) * 2 - (points[3].y - points[2].y)) < 0.05)
    #expect(points[3].y < points[0].y)
    // The ticks at 0 and 4 stand where the points do.
    for (value, point) in [("0", points[0]), ("4", points[3])] {
      #expect(
        svg.all("text").contains {
          $0.text == value && abs(($0.number("x") ?? 0) - point.x) < 0.6
        })
    }
    for scale in [1.0, 2, 2.5] {
      let pixels = try Pixels(figure.png(scale: scale))
      #expect(pixels.width == Int((figure.width * scale).rounded(.up)))
      let color = try #require(lines[0].color("stroke"))
      for (from, to) in zip(points, points.dropFirst()) {
        // A third of the way, away from markers and from where the lines cross.
        let (x, y) = (from.x + (to.x - from.x) / 3, from.y + (to.y - from.y) / 3)
        #expect(pixels.at(x * scale, y * scale).isNear(color, within: 60))
        #expect(!pixels.at(x * scale, (y - 9) * scale).isNear(color, within: 60))
      }
    }
  }

  @Test("On a logarithmic axis equal ratios are equal steps, and what is not positive is a gap")
  func logarithmic() throws {
    let figure = try chart(
      .init("a", x: [0, 1, 10, 100, -5], y: [9, 1, 2, 3, 9]), xScale: .logarithmic
    ).figure()
    let svg = try XMLCheck(figure.svg())
    let points = try #require(curves(svg).first?.points)
    #expect(points.count == 3)
    #expect(abs((points[1].x - points[0].x) - (points[2].x - points[1].x)) < 0.03)
    for text in ["1", "10", "100"] { #expect(texts(svg).contains(text)) }
    #expect(throws: CoalitionError.self) {
      _ = try chart(.init("a", x: [0, -1], y: [1, 1]), xScale: .logarithmic).figure()
    }
  }

  @Test("NaN and infinity part a line; a point between two gaps is a marker")
  func gaps() throws {
    let figure = try chart(
      .init("a", x: [0, 1, 2, 3, 4, 5, 6], y: [0, 1, .nan, 5, .infinity, 2, 1])
    ).figure()
    let svg = try XMLCheck(figure.svg())
    let lines = curves(svg)
    #expect(lines.map(\.points.count) == [2, 2])
    // Five points and the legend's sample.
    #expect(svg.all("polygon").count == 6)
  }

  @Test("A band is filled between its ends and ends at gaps")
  func band() throws {
    let figure = try chart(
      .init(
        "a", x: [0, 1, 2, 3], y: [1, 1, 1, 1],
        band: .init(lower: [0, 0, .nan, 0], upper: [2, 2, 2, 2]))
    ).figure()
    let svg = try XMLCheck(figure.svg())
    let bands = svg.all("polygon").filter { $0.attributes["fill-opacity"] == "0.16" }
    #expect(bands.map(\.points.count) == [4])
    let corners = try #require(bands.first?.points)
    let pixels = try Pixels(figure.png(scale: 2))
    let x = corners[0].x * 0.6 + corners[1].x * 0.4
    let quarter = corners[0].y * 0.7 + corners[3].y * 0.3
    let inside = pixels.at(2 * x, 2 * quarter)
    #expect(!inside.isNear(.white, within: 40) && inside.blue > inside.red + 20)
    #expect(inside.isNear(.init(red: 217, green: 230, blue: 242), within: 12))
  }

  @Test("One point, equal numbers and numbers at the ends of their range are drawn")
  func extremes() throws {
    let tiny = Double.leastNonzeroMagnitude
    let huge = Double.greatestFiniteMagnitude
    let lists: [[Double]] = [
      [3], [0], [7, 7, 7], [tiny, 2 * tiny], [huge, 1, -huge], [1e300, -1e300],
      [1e15, 1e15 + 0.125], [1e-300, 2e-300], [-1e-5, 1e12],
    ]
    for values in lists {
      for scale in [LineChart.AxisScale.linear, .logarithmic] {
        for (x, y) in [(values, values), (values.indices.map { Double($0 + 1) }, values)] {
          let figure = try chart(.init("a", x: x, y: y), xScale: scale).figure()
          let svg = try XMLCheck(figure.svg())
          for number in svg.elements.flatMap(\.points) {
            #expect((0...figure.width).contains(number.x) && (0...figure.height).contains(number.y))
          }
          _ = try Pixels(figure.png(scale: 0.5))
        }
        if values == [0] || values == [huge, 1, -huge] { break }
      }
    }
  }

  @Test("Where nothing can be drawn an error says so")
  func nothing() throws {
    func code(_ chart: LineChart) -> CoalitionError.Code? {
      do throws(CoalitionError) {
        _ = try chart.figure()
        return nil
      } catch { return error.code }
    }
    #expect(code(LineChart()) == .invalidData)
    #expect(code(chart(.init("a", x: [], y: []))) == .invalidData)
    #expect(code(chart(.init("a", x: [1, .nan], y: [.nan, 1]))) == .invalidData)
    #expect(code(chart(.init("a", x: [1, 2], y: [1]))) == .shapeMismatch)
    #expect(
      code(chart(.init("a", x: [1], y: [1], band: .init(lower: [], upper: [1]))))
        == .shapeMismatch)
    let many = (0..<65).map { LineChart.Series("\($0)", x: [1], y: [1]) }
    #expect(code(LineChart(series: many)) == .limitExceeded)
    #expect(code(LineChart(series: Array(many.dropLast()))) == nil)
  }

  @Test("A million points become a drawing of bounded size that keeps the peaks")
  func manyPoints() throws {
    let count = 1_000_000
    var y = [Double](repeating: 0, count: count)
    y[654_321] = 5
    let figure = try chart(.init("a", x: (0..<count).map(Double.init), y: y)).figure()
    let svg = figure.svg()
    #expect(svg.utf8.count < 200_000)
    let points = try #require(curves(try XMLCheck(svg)).first?.points)
    let peak = try #require(points.min { $0.y < $1.y })
    let (left, right) = (points[0].x, points[points.count - 1].x)
    #expect(abs((peak.x - left) / (right - left) - 0.654321) < 0.002)
  }

  @Test("Series differ in colour, dashes and markers")
  func styles() throws {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"]
    let figure = try LineChart(
      series: names.enumerated().map { .init($1, x: [0, 1], y: [Double($0), 1]) }
    ).figure()
    let svg = try XMLCheck(figure.svg())
    let lines = curves(svg)
    let looks = lines.map {
      ($0.attributes["stroke"] ?? "") + ($0.attributes["stroke-dasharray"] ?? "")
    }
    #expect(Set(looks).count == names.count)
    #expect(Set(lines.prefix(7).map { $0.attributes["stroke"] }).count == 7)
    #expect(texts(svg).filter(names.contains) == names)
  }
}
