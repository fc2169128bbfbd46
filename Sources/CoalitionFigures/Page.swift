// The one description of a drawing: a page of shapes and texts in points, y downwards, drawn in order.
//
// Charts make pages; SVGWriter and Raster draw them. A page holds finite numbers only.

struct Point: Hashable, Sendable {
  var x: Double
  var y: Double

  init(_ x: Double, _ y: Double) {
    self.x = x
    self.y = y
  }
}

struct Box: Hashable, Sendable {
  var x: Double
  var y: Double
  var width: Double
  var height: Double

  var right: Double { x + width }
  var bottom: Double { y + height }
  var middle: Point { Point(x + width / 2, y + height / 2) }
  var corners: [Point] {
    [Point(x, y), Point(right, y), Point(right, bottom), Point(x, bottom)]
  }
}

struct Color: Hashable, Sendable {
  var red: UInt8
  var green: UInt8
  var blue: UInt8

  init(_ red: UInt8, _ green: UInt8, _ blue: UInt8) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  init(gray: UInt8) { self.init(gray, gray, gray) }

  static let ink = Color(gray: 30)
  static let faintInk = Color(gray: 95)
  static let grid = Color(gray: 224)

  /// The colour at `share` of the way to another one.
  func mixed(with other: Color, _ share: Double) -> Color {
    func mix(_ from: UInt8, _ to: UInt8) -> UInt8 {
      UInt8((Double(from) + (Double(to) - Double(from)) * min(max(share, 0), 1)).rounded())
    }
    return Color(mix(red, other.red), mix(green, other.green), mix(blue, other.blue))
  }
}

struct Stroke: Hashable, Sendable {
  var color: Color
  var width: Double
  /// Lengths of dashes and gaps in turn: empty for a solid line.
  var dash: [Double] = []
}

/// One line of text.
struct Label: Hashable, Sendable {
  enum Anchor: Sendable { case start, middle, end }

  var text: String
  /// On the baseline.
  var at: Point
  var size: Double
  var anchor = Anchor.start
  /// Reads from the bottom to the top.
  var isVertical = false
  var isBold = false
  var color = Color.ink

  init(
    _ text: String, at place: Point, size: Double, anchor: Anchor = .start,
    isVertical: Bool = false, isBold: Bool = false, color: Color = .ink
  ) {
    self.text = Self.printable(text)
    at = place
    self.size = size
    self.anchor = anchor
    self.isVertical = isVertical
    self.isBold = isBold
    self.color = color
  }

  /// Line breaks and tabs become blanks; what no XML file may hold becomes U+FFFD.
  static func printable(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x09, 0x0A, 0x0D: result.append(" ")
      case 0..<0x20, 0x7F..<0xA0, 0xFFFE, 0xFFFF: result.append("\u{FFFD}")
      default: result.append(scalar)
      }
    }
    return String(result)
  }
}

enum Shape: Hashable, Sendable {
  case polygon([Point], fill: Color, opacity: Double)
  case line([Point], Stroke)
  case label(Label)
  case picture(Picture, in: Box)

  static func rectangle(_ box: Box, fill: Color) -> Shape {
    .polygon(box.corners, fill: fill, opacity: 1)
  }
}

struct Page: Hashable, Sendable {
  var width: Double
  var height: Double
  /// What the drawing shows, for those who cannot see it.
  var title: String
  var shapes: [Shape] = []
}
