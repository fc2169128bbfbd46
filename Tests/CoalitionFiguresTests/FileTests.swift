// The files that figures become: text in SVG and PNG, the same bytes, limits, compression.

import CoalitionBase
import CoalitionData
import Testing

@testable import CoalitionFigures

@Suite struct FileTests {
  private let small = LineChart(
    title: "<Über> & \"co\" 'x'\n\u{1}", xLabel: "n", yLabel: "漢字",
    series: [.init("a<b", x: [0, 1], y: [1, 2]), .init("c", x: [0], y: [0])])

  @Test("SVG and HTML are well-formed whatever the texts hold")
  func wellFormed() throws {
    let figure = try small.figure()
    let texts = try XMLCheck(figure.svg()).all("text").map(\.text)
    #expect(texts.contains("<Über> & \"co\" 'x' \u{FFFD}"))
    #expect(texts.contains("a<b") && texts.contains("漢字"))
    let html = figure.html()
    #expect(html.hasPrefix("<!DOCTYPE html>\n"))
    // The head's `meta` is closed as in XML, so that the same check can read it.
    let page = try XMLCheck(String(html.dropFirst("<!DOCTYPE html>\n".count)))
    #expect(page.elements.first?.name == "html")
    #expect(page.all("title").first?.text == "<Über> & \"co\" 'x' \u{FFFD}")
    #expect(page.all("svg").count == 1 && page.all("text").map(\.text) == texts)
  }

  @Test("The check for XML refuses what is not")
  func checkRefuses() {
    for text in [
      "", "a", "<a>", "<a></b>", "<a/><b/>", "<a>&nbsp;</a>", "<a>&</a>", "<a x=1/>",
      "<a x=\"1\" x=\"2\"/>", "<a>\u{1}</a>", "<a/>x", "<a x=\"<\"/>",
    ] {
      #expect(throws: XMLCheck.Problem.self, "\(text)") { _ = try XMLCheck(text) }
    }
  }

  @Test("The same figure gives the same bytes")
  func sameBytes() throws {
    let (first, second) = (try small.figure(), try small.figure())
    #expect(first.svg() == second.svg())
    #expect(try first.png() == second.png())
  }

  @Test(
    "A scale that is no scale or asks for too many pixels is refused",
    arguments: [0, -1, .nan, .infinity, 1e6, 1e200] as [Double])
  func scales(scale: Double) throws {
    let figure = try small.figure()
    #expect(throws: CoalitionError.self) { _ = try figure.png(scale: scale) }
    #expect(try Pixels(figure.png(scale: 1e-9)).width == 1)
  }

  @Test("Pictures come back from PNG as they were", arguments: [1, 2, 3, 7, 100, 1000])
  func roundTrip(width: Int) throws {
    let height = 37
    // Noise, runs and repeated rows, so that every kind of code and filter is met.
    var state: UInt32 = 1
    let pixels = (0..<3 * width * height).map { index in
      state = state &* 1_664_525 &+ 1_013_904_223
      let row = index / (3 * width)
      return row % 3 == 0 ? UInt8(state >> 24) : UInt8(truncatingIfNeeded: index % 3 * row / 4)
    }
    let png = PNGWriter.encode(Picture(width: width, height: height, pixels: pixels))
    let decoded = try ImageFile.decode(png)
    #expect(decoded.shape == [height, width, 3])
    #expect(decoded.elements == .uint8(pixels))
  }

  @Test("Runs of every length and matches at every distance are decoded as they were")
  func deflate() throws {
    for length in [0, 1, 2, 3, 4, 10, 11, 12, 18, 19, 130, 257, 258, 259, 260, 261, 600] {
      // A run, then the same noise twice, `gap` bytes apart.
      for gap in [1, 4, 5, 100, 8191, 32_766, 32_767, 32_768, 40_000] {
        var state = UInt32(length + gap)
        let noise = (0..<length).map { _ in
          state = state &* 1_664_525 &+ 1_013_904_223
          return UInt8(state >> 24)
        }
        let bytes =
          [UInt8](repeating: 7, count: length) + noise
          + (0..<gap).map { UInt8(truncatingIfNeeded: $0 / 3) } + noise
        let size = (bytes.count + 2) / 3
        let padded = bytes + [UInt8](repeating: 0, count: 3 * size - bytes.count)
        let png = PNGWriter.encode(Picture(width: size, height: 1, pixels: padded))
        #expect(try ImageFile.decode(png).elements == .uint8(padded), "\(length) \(gap)")
      }
    }
  }

  @Test("A white page is small")
  func compression() throws {
    let png = PNGWriter.encode(Picture(width: 2000, height: 1000))
    #expect(png.count < 10_000)
  }

  @Test("Base64 is that of RFC 4648")
  func base64() {
    let pairs = [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
      ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ]
    for (text, code) in pairs { #expect(SVGWriter.base64(Array(text.utf8)) == code) }
  }

  @Test("Every printable character has a glyph of its own inside of its width")
  func glyphs() throws {
    var drawn: Set<[UInt8]> = []
    for value in 33...126 {
      let text = String(Character(Unicode.Scalar(UInt8(value))))
      var page = Page(width: 40, height: 40, title: "")
      page.shapes = [.label(Label(text, at: Point(4, 28), size: 20))]
      var raster = Raster(width: 40, height: 40, scale: 1)
      raster.draw(page)
      drawn.insert(raster.picture.pixels)
      let pixels = try Pixels(PNGWriter.encode(raster.picture))
      let end = 4 + StrokeFont.width(text, size: 20)
      #expect(pixels.ink(x: 0..<40, y: 0..<40) > 3, "\(text)")
      #expect(pixels.ink(x: 0..<3, y: 0..<40) == 0, "\(text)")
      #expect(pixels.ink(x: Int(end + 1.5)..<40, y: 0..<40) == 0, "\(text)")
      // Capitals and digits stand on the line and are 0.72 high.
      if text.first?.isUppercase == true || text.first?.isNumber == true {
        #expect(pixels.ink(x: 0..<40, y: 0..<13) == 0, "\(text)")
        #expect(pixels.ink(x: 0..<40, y: 14..<17) > 0, "\(text)")
        #expect(pixels.ink(x: 0..<40, y: 26..<28) > 0, "\(text)")
        #expect(pixels.ink(x: 0..<40, y: 29..<40) == 0, "\(text)")
      }
    }
    #expect(drawn.count == 94)
  }

  @Test("Texts that are too long end in dots and fit")
  func fitting() {
    let long = String(repeating: "method ", count: 100_000)
    let fitted = StrokeFont.fitted(long, size: 12, into: 100)
    #expect(fitted.hasPrefix("method meth") && fitted.hasSuffix("..."))
    #expect(StrokeFont.width(fitted, size: 12) <= 100)
    #expect(StrokeFont.fitted("short", size: 12, into: 100) == "short")
    #expect(StrokeFont.fitted("iiiiiiiiii", size: 12, into: 32) == "iiiiiiiiii")
    #expect(StrokeFont.fitted("short", size: 12, into: 0).isEmpty)
  }
}
