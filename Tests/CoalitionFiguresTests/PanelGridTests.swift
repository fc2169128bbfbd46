// Grids of panels: colours at known cells, by a decoder that is not ours.

import CoalitionBase
import CoalitionFigures
import Testing

@Suite struct PanelGridTests {
  /// The boxes of the pictures in the order in which they are drawn; the colour bar is the last.
  private func boxes(_ figure: Figure) throws -> [(x: Double, y: Double, w: Double, h: Double)] {
    try XMLCheck(figure.svg()).all("image").map { image in
      (
        try #require(image.number("x")), try #require(image.number("y")),
        try #require(image.number("width")), try #require(image.number("height"))
      )
    }
  }

  private func grid(_ contents: PanelGrid.Content...) -> PanelGrid {
    PanelGrid(rows: [contents.map { PanelGrid.Panel($0) }])
  }

  @Test("Positive cells are red, negative ones blue, zero is white, NaN is gray with lines")
  func signedMap() throws {
    let figure = try grid(.map([2, -2, 0, .nan, .infinity, -.infinity], rows: 2, columns: 3))
      .figure()
    let box = try #require(try boxes(figure).first)
    for scale in [1.0, 2] {
      let pixels = try Pixels(figure.png(scale: scale))
      func cell(_ row: Int, _ column: Int) -> Pixels.Color {
        pixels.at(
          (box.x + (Double(column) + 0.5) * box.w / 3) * scale,
          (box.y + (Double(row) + 0.5) * box.h / 2) * scale)
      }
      #expect(cell(0, 0).isNear(.init(red: 168, green: 12, blue: 36)))
      #expect(cell(0, 1).isNear(.init(red: 14, green: 64, blue: 140)))
      #expect(cell(0, 2) == .white)
      #expect(cell(1, 1) == cell(0, 0))
      #expect(cell(1, 2) == cell(0, 1))
      let gray = cell(1, 0)
      #expect(gray.red == gray.green && gray.green == gray.blue)
      // Both the ground and the lines.
      let across = (0..<24).map {
        pixels.at(
          (box.x + (0.2 + Double($0) * 0.025) * box.w / 3) * scale, (box.y + box.h * 0.75) * scale
        ).red
      }
      #expect((across.max() ?? 0) > 150 && (across.min() ?? 255) < 150)
    }
    #expect(try XMLCheck(figure.svg()).all("text").contains { $0.text == "no value" })
  }

  @Test("Colours are symmetric around 0 and get stronger with the magnitude")
  func symmetry() throws {
    let values = (-8...8).map(Double.init)
    let figure = try grid(.map(values, rows: 1, columns: 17)).figure()
    let box = try #require(try boxes(figure).first)
    let pixels = try Pixels(figure.png(scale: 2))
    let lightness = (0..<17).map { column in
      let color = pixels.at(
        2 * (box.x + (Double(column) + 0.5) * box.w / 17), 2 * (box.y + box.h / 2))
      return color.red + color.green + color.blue
    }
    #expect(lightness[8] == 765)
    for step in 1...8 {
      #expect(lightness[8 + step] < lightness[7 + step])
      #expect(lightness[8 - step] < lightness[9 - step])
    }
  }

  @Test("Maps without negative numbers go from white to dark, and 0 is the lower end of the bar")
  func unsignedMap() throws {
    let figure = try grid(.map([0, 1, 2, 4], rows: 1, columns: 4)).figure()
    let box = try #require(try boxes(figure).first)
    let pixels = try Pixels(figure.png(scale: 1))
    let lightness = (0..<4).map { column in
      let color = pixels.at(box.x + (Double(column) + 0.5) * box.w / 4, box.y + box.h / 2)
      return color.red + color.green + color.blue
    }
    #expect(lightness[0] == 765)
    #expect(lightness == lightness.sorted(by: >) && Set(lightness).count == 4)
    let texts = try XMLCheck(figure.svg()).all("text").map(\.text)
    #expect(texts.contains("max 4") && texts.contains("0") && !texts.contains("-max"))
  }

  @Test("Panels scale by themselves, by column or together, and the numbers say so")
  func sharing() throws {
    var grid = PanelGrid(
      rows: [
        [.init(.map([1, -1], rows: 1, columns: 2)), .init(.map([8, -8], rows: 1, columns: 2))],
        [.init(.map([2, -2], rows: 1, columns: 2)), .init(.map([4, -4], rows: 1, columns: 2))],
      ])
    func look() throws -> (colors: [Double], texts: Set<String>) {
      let figure = try grid.figure()
      let pixels = try Pixels(figure.png(scale: 1))
      let reds = try boxes(figure).prefix(4).map {
        let color = pixels.at($0.x + $0.w / 4, $0.y + $0.h / 2)
        return color.red + color.green + color.blue
      }
      return (reds, Set(try XMLCheck(figure.svg()).all("text").map(\.text)))
    }
    let own = try look()
    #expect(Set(own.colors).count == 1)
    #expect(own.texts.isSuperset(of: ["max 1", "max 8", "max 2", "max 4", "-max"]))
    grid.sharing = .column
    let column = try look()
    #expect(column.colors[0] > column.colors[2] && column.colors[1] < column.colors[3])
    #expect(column.colors[1] == column.colors[2])
    #expect(column.texts.isSuperset(of: ["max 2", "max 8"]) && !column.texts.contains("max 1"))
    grid.sharing = .all
    let all = try look()
    #expect(all.colors[0] > all.colors[2] && all.colors[2] > all.colors[3])
    #expect(all.texts.isSuperset(of: ["8", "0", "-8"]) && !all.texts.contains("max 8"))
  }

  @Test("Images are gray by their range or red, green and blue by pixel")
  func images() throws {
    let figure = try grid(
      .gray([0, 10, 20, 30], rows: 2, columns: 2),
      .gray([64, 64], rows: 1, columns: 2, range: 0...255),
      .rgb([255, 0, 0, 0, 0, 255], rows: 1, columns: 2, range: 0...255),
      .rgb([.nan, 0, 0, 9, 9, 9], rows: 1, columns: 2)
    ).figure()
    let boxes = try boxes(figure)
    #expect(boxes.count == 4)
    let pixels = try Pixels(figure.png(scale: 2))
    func color(_ panel: Int, _ x: Double, _ y: Double) -> Pixels.Color {
      let box = boxes[panel]
      return pixels.at(2 * (box.x + x * box.w), 2 * (box.y + y * box.h))
    }
    #expect(color(0, 0.25, 0.25) == .init(red: 0, green: 0, blue: 0))
    #expect(color(0, 0.75, 0.25) == .init(red: 85, green: 85, blue: 85))
    #expect(color(0, 0.25, 0.75) == .init(red: 170, green: 170, blue: 170))
    #expect(color(0, 0.75, 0.75) == .white)
    #expect(color(1, 0.25, 0.5) == .init(red: 64, green: 64, blue: 64))
    #expect(color(2, 0.25, 0.5) == .init(red: 255, green: 0, blue: 0))
    #expect(color(2, 0.75, 0.5) == .init(red: 0, green: 0, blue: 255))
    #expect(color(3, 0.75, 0.5) == .white)
  }

  @Test("An image under a map is seen where the map is weak")
  func overlay() throws {
    let figure = try grid(
      .map([1, 0, 0], rows: 1, columns: 3, under: [0, 0, 255])
    ).figure()
    let box = try #require(try boxes(figure).first)
    let pixels = try Pixels(figure.png(scale: 2))
    let colors = (0..<3).map {
      pixels.at(2 * (box.x + (Double($0) + 0.5) * box.w / 3), 2 * (box.y + box.h / 2))
    }
    #expect(colors[0].isNear(.init(red: 84, green: 16, blue: 74)))
    #expect(colors[1] == .init(red: 200, green: 200, blue: 200))
    #expect(colors[2] == .white)
  }

  @Test(
    "Bars stand on zero: up for positive numbers, down for negative ones, as long as the number")
  func bars() throws {
    let figure = try grid(.bars([4, -2, 0, .nan])).figure()
    let bars = try XMLCheck(figure.svg()).all("polygon").filter {
      $0.attributes["fill"] != "#f8f8f8"
    }
    #expect(bars.count == 3)
    let spans = bars.map { bar in
      (top: bar.points.map(\.y).min() ?? 0, bottom: bar.points.map(\.y).max() ?? 0)
    }
    #expect(abs(spans[0].bottom - spans[1].top) < 0.02)
    #expect(
      abs((spans[0].bottom - spans[0].top) - 2 * (spans[1].bottom - spans[1].top)) < 0.05)
    let colors = try bars.map { try #require($0.color("fill")) }
    #expect(colors[0].red > colors[0].blue && colors[1].blue > colors[1].red)
    #expect(colors[2].red == colors[2].blue)
  }

  @Test("A hundred thousand bars show the range of their values")
  func manyBars() throws {
    var values = [Double](repeating: 0.01, count: 100_000)
    values[50_000] = -7
    let figure = try grid(.bars(values)).figure()
    let svg = figure.svg()
    #expect(svg.utf8.count < 200_000)
    let texts = try XMLCheck(svg).all("text").map(\.text)
    #expect(texts.contains("-7") && texts.contains("99999"))
  }

  @Test("What cannot be drawn is refused; what is strange is drawn")
  func refusals() throws {
    func code(_ grid: PanelGrid) -> CoalitionError.Code? {
      do throws(CoalitionError) {
        _ = try grid.figure()
        return nil
      } catch { return error.code }
    }
    #expect(code(PanelGrid()) == .invalidData)
    #expect(code(grid(.blank)) == .invalidData)
    #expect(code(grid(.map([], rows: 0, columns: 0))) == .shapeMismatch)
    #expect(code(grid(.map([1], rows: 1, columns: 2))) == .shapeMismatch)
    #expect(code(grid(.map([1], rows: -1, columns: -1))) == .shapeMismatch)
    #expect(code(grid(.map([1], rows: .max, columns: .max))) == .shapeMismatch)
    #expect(code(grid(.map([1], rows: 1, columns: 1, under: []))) == .shapeMismatch)
    #expect(code(grid(.rgb([1, 2], rows: 1, columns: 1))) == .shapeMismatch)
    #expect(code(grid(.bars([]))) == .shapeMismatch)
    #expect(code(grid(.bars([1], errors: [1, 2]))) == .shapeMismatch)
    let one = PanelGrid.Panel(.map([1], rows: 1, columns: 1))
    #expect(
      code(PanelGrid(rows: [[PanelGrid.Panel]](repeating: [one], count: 2501)))
        == .limitExceeded)
    #expect(
      code(PanelGrid(rows: [[PanelGrid.Panel](repeating: one, count: 51)])) == .limitExceeded)
    let strange: [PanelGrid.Content] = [
      .map([.nan, .nan], rows: 1, columns: 2), .map([0, 0], rows: 2, columns: 1),
      .map([.infinity], rows: 1, columns: 1),
      .map([.leastNonzeroMagnitude, -.leastNonzeroMagnitude], rows: 1, columns: 2),
      .map([Double.greatestFiniteMagnitude, 1], rows: 1, columns: 2),
      .map([Double](repeating: 1, count: 2000), rows: 1, columns: 2000),
      .map([Double](repeating: 1, count: 2000), rows: 2000, columns: 1),
      .gray([.nan], rows: 1, columns: 1), .gray([5, 5], rows: 1, columns: 2),
      .gray([-.infinity, .infinity, 0], rows: 1, columns: 3),
      .gray([0, 1], rows: 1, columns: 2, range: -.infinity ... .infinity),
      .gray([0, 1], rows: 1, columns: 2, range: 1...1),
      .bars([.nan]), .bars([.infinity, 1], errors: [.nan, .infinity]), .bars([0]),
    ]
    for content in strange {
      let figure = try grid(content).figure()
      _ = try XMLCheck(figure.svg())
      _ = try Pixels(figure.png(scale: 1))
    }
    // Rows of unlike lengths, and more titles than there are rows and columns.
    let ragged = try PanelGrid(
      columnTitles: ["a", "b", "c"], rowTitles: ["x", "y", "z"], rows: [[one], [], [one, one]]
    ).figure()
    #expect(try boxes(ragged).count == 4)
  }
}
