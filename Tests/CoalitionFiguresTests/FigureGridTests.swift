// Drawings beside each other: everything of each is there, moved into its own place.

import CoalitionBase
import CoalitionFigures
import Testing

@Suite struct FigureGridTests {
  private func figure(_ title: String) throws -> Figure {
    try LineChart(title: title, series: [.init("a", x: [0, 1, 2], y: [0, 1, 0])]).figure()
  }

  @Test("Four drawings fill two rows of two, without overlap")
  func places() throws {
    let titles = ["one", "two", "three", "four"]
    let figures = try titles.map { try figure($0) }
    let page = try Figure.grid(figures, columns: 2, title: "all")
    let svg = try XMLCheck(page.svg())
    let places = try titles.map { title in
      let label = try #require(svg.all("text").first { $0.text == title })
      return (try #require(label.number("x")), try #require(label.number("y")))
    }
    let (width, height) = (figures[0].width, figures[0].height)
    #expect(page.width > 2 * width && page.width < 2 * width + 30)
    #expect(page.height > 2 * height && page.height < 2 * height + 30)
    #expect(abs(places[1].0 - places[0].0 - (page.width - width)) < 0.1)
    #expect(abs(places[2].1 - places[0].1 - (page.height - height)) < 0.1)
    #expect(places[0].1 == places[1].1 && places[0].0 == places[2].0)
    let alone = try XMLCheck(figures[0].svg())
    #expect(svg.all("polyline").count == 4 * alone.all("polyline").count)
    #expect(svg.all("text").count == 4 * alone.all("text").count)
  }

  @Test("An empty page and no columns are refused")
  func refusals() throws {
    #expect(throws: CoalitionError.self) { try Figure.grid([], columns: 2, title: "") }
    let one = try figure("one")
    #expect(throws: CoalitionError.self) { try Figure.grid([one], columns: 0, title: "") }
    #expect(try Figure.grid([one], columns: 3, title: "").width == one.width)
  }
}
