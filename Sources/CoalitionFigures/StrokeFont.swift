// The built-in font: how wide texts are, for the layout of every drawing, and their strokes, for PNG.
//
// Widths are near those of Helvetica and Arial, so that a layout also holds for the text of an SVG.

enum StrokeFont {
  struct Glyph: Sendable {
    var advance = 0.0
    /// In units of the font, y upwards.
    var strokes: [[Point]] = []
  }

  /// Points per unit in a text of size 1.
  private static let unit = 0.032
  private static let pen = 2.5

  private static let glyphs = Glyphs.descriptions.map(parse)
  private static let box = parse(Glyphs.box)
  /// East Asian characters and symbols are as wide as the text is high.
  private static let wideAdvance = 31.0

  private static func glyph(_ scalar: Unicode.Scalar) -> Glyph {
    let index = Int(scalar.value) - 32
    return glyphs.indices.contains(index) ? glyphs[index] : box
  }

  private static func advance(_ scalar: Unicode.Scalar) -> Double {
    scalar.value >= 0x1100 ? wideAdvance : glyph(scalar).advance
  }

  /// The width of a line of text.
  static func width(_ text: String, size: Double, isBold: Bool = false) -> Double {
    let sum = text.unicodeScalars.reduce(0) { $0 + advance($1) }
    return sum * unit * size * (isBold ? 1.07 : 1)
  }

  /// The text, or as much of it as fits with dots behind.
  static func fitted(
    _ text: String, size: Double, into space: Double, isBold: Bool = false
  ) -> String {
    // What is left out is not even looked at: texts from files can be very long.
    let most = max(1, Int(max(0, min(space, 1e6)) / (6 * unit * size)))
    var shown = Array(text.unicodeScalars.prefix(most + 1))
    let isWhole = shown.count <= most
    func joined(_ ending: String) -> String {
      var view = String.UnicodeScalarView()
      view.append(contentsOf: shown)
      return String(view) + ending
    }
    if isWhole, width(text, size: size, isBold: isBold) <= space { return text }
    while !shown.isEmpty, width(joined("..."), size: size, isBold: isBold) > space {
      shown.removeLast()
    }
    return shown.isEmpty ? "" : joined("...")
  }

  /// The strokes of a label in points of the page, and the width of the pen.
  static func strokes(_ label: Label) -> (lines: [[Point]], width: Double) {
    let size = unit * label.size
    let stretch = label.isBold ? 1.07 : 1
    let width = width(label.text, size: label.size, isBold: label.isBold)
    var place =
      switch label.anchor {
      case .start: 0.0
      case .middle: -width / 2
      case .end: -width
      }
    var lines: [[Point]] = []
    for scalar in label.text.unicodeScalars {
      for stroke in glyph(scalar).strokes {
        lines.append(
          stroke.map { point in
            let along = place + point.x * size * stretch
            // The pen's lower edge stands on the baseline.
            let up = (point.y + pen / 2) * size
            return label.isVertical
              ? Point(label.at.x - up, label.at.y - along)
              : Point(label.at.x + along, label.at.y - up)
          })
      }
      place += advance(scalar) * size * stretch
    }
    return (lines, pen * size * (label.isBold ? 1.5 : 1))
  }

  // MARK: Glyphs from text

  private static func parse(_ description: String) -> Glyph {
    var glyph = Glyph()
    var strokes: [(kind: Character, points: [Point])] = []
    for word in description.split(separator: " ") {
      var word = word
      if let first = word.first, first.isLetter {
        strokes.append((first, []))
        word = word.dropFirst()
      }
      let numbers = word.split(separator: ",").compactMap { Double($0) }
      if numbers.count == 2, !strokes.isEmpty {
        strokes[strokes.count - 1].points.append(Point(numbers[0], numbers[1]))
      } else if let advance = numbers.first {
        glyph.advance = advance
      }
    }
    glyph.strokes = strokes.map { kind, points in
      switch kind {
      case "s": smooth(points)
      case "c": closed(points)
      default: points
      }
    }
    return glyph
  }

  private static let stepsPerBend = 6

  private static func middle(_ first: Point, _ second: Point) -> Point {
    Point((first.x + second.x) / 2, (first.y + second.y) / 2)
  }

  /// Points of a quadratic Bezier curve, without its start.
  private static func bend(_ start: Point, _ control: Point, _ end: Point) -> [Point] {
    (1...stepsPerBend).map { step in
      let t = Double(step) / Double(stepsPerBend)
      let (a, b, c) = ((1 - t) * (1 - t), 2 * t * (1 - t), t * t)
      return Point(
        a * start.x + b * control.x + c * end.x, a * start.y + b * control.y + c * end.y)
    }
  }

  private static func smooth(_ points: [Point]) -> [Point] {
    guard points.count > 2 else { return points }
    var line = [points[0]]
    for index in 1..<points.count - 1 {
      let isLast = index == points.count - 2
      let end = isLast ? points[index + 1] : middle(points[index], points[index + 1])
      line += bend(line[line.count - 1], points[index], end)
    }
    return line
  }

  private static func closed(_ points: [Point]) -> [Point] {
    guard points.count > 2 else { return points }
    var line = [middle(points[points.count - 1], points[0])]
    for index in points.indices {
      let end = middle(points[index], points[(index + 1) % points.count])
      line += bend(line[line.count - 1], points[index], end)
    }
    return line
  }
}
