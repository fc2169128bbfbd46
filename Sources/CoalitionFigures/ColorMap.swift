// Colours for numbers and for lines, chosen to be told apart with any colour vision and in print.

/// How the numbers of a map become colours.
public enum ColorMap: String, Hashable, Sendable, CaseIterable {
  /// Blue for negative numbers, white for 0, red for positive ones.
  case diverging
  /// White for 0, darker for larger numbers; negative numbers are white.
  case sequential

  private static let positive = [
    Color(gray: 255), Color(247, 178, 142), Color(224, 86, 68), Color(168, 12, 36),
  ]
  private static let negative = [
    Color(gray: 255), Color(158, 203, 236), Color(62, 137, 200), Color(14, 64, 140),
  ]
  private static let rising = [
    Color(gray: 255), Color(250, 212, 128), Color(226, 98, 62), Color(84, 16, 74),
  ]

  /// What stands for NaN: gray, in maps of large cells with diagonal lines of the darker one.
  static let missing = Color(gray: 176)
  static let missingLine = Color(gray: 110)

  /// The colour of a number; infinities have those of the ends.
  /// - Parameter limit: the magnitude that has the last colour, positive.
  func color(_ value: Double, limit: Double) -> Color {
    guard !value.isNaN else { return Self.missing }
    let share = min(value.magnitude / limit, 1)
    switch self {
    case .diverging: return Self.blend(value < 0 ? Self.negative : Self.positive, share)
    case .sequential: return Self.blend(Self.rising, value < 0 ? 0 : share)
    }
  }

  /// The strength of a number when it is laid over an image, 0 to 1.
  func opacity(_ value: Double, limit: Double) -> Double {
    guard !value.isNaN else { return 1 }
    return self == .sequential && value < 0 ? 0 : min(value.magnitude / limit, 1).squareRoot()
  }

  private static func blend(_ colors: [Color], _ share: Double) -> Color {
    let place = share * Double(colors.count - 1)
    let index = min(Int(place), colors.count - 2)
    return colors[index].mixed(with: colors[index + 1], place - Double(index))
  }
}

/// How a line of a chart looks: neighbours differ in colour, dashes and markers.
struct LineStyle: Sendable {
  enum Marker: CaseIterable, Sendable { case circle, square, triangle, diamond, inverted }

  let color: Color
  let dash: [Double]
  let marker: Marker

  init(_ index: Int) {
    color = Self.colors[index % Self.colors.count]
    dash = Self.dashes[index % Self.dashes.count]
    marker = Marker.allCases[index % Marker.allCases.count]
  }

  /// Of clearly different lightness, and none of them a mere red against green.
  private static let colors = [
    Color(20, 98, 176), Color(214, 96, 14), Color(12, 148, 118), Color(150, 66, 150),
    Color(40, 40, 40), Color(94, 176, 224), Color(176, 134, 20),
  ]
  private static let dashes: [[Double]] = [[], [7, 3], [2.5, 2.5], [9, 3, 2.5, 3]]

  /// The outline of the marker around a point.
  func outline(_ center: Point, radius: Double) -> [Point] {
    let r = radius
    let offsets: [(Double, Double)] =
      switch marker {
      case .circle: Self.circle.map { ($0.x * r, $0.y * r) }
      case .square:
        [(-0.9 * r, -0.9 * r), (0.9 * r, -0.9 * r), (0.9 * r, 0.9 * r), (-0.9 * r, 0.9 * r)]
      case .triangle: [(0, -1.2 * r), (1.1 * r, 0.8 * r), (-1.1 * r, 0.8 * r)]
      case .diamond: [(0, -1.3 * r), (1.3 * r, 0), (0, 1.3 * r), (-1.3 * r, 0)]
      case .inverted: [(0, 1.2 * r), (1.1 * r, -0.8 * r), (-1.1 * r, -0.8 * r)]
      }
    return offsets.map { Point(center.x + $0.0, center.y + $0.1) }
  }

  /// A polygon of 16 corners: the sines of 0, 22.5, 45, 67.5 and 90 degrees.
  private static let circle: [Point] = {
    let sines = [0, 0.382_683_432, 0.707_106_781, 0.923_879_533, 1]
    let quarter = (0..<4).map { Point(sines[4 - $0], sines[$0]) }
    return quarter + quarter.map { Point(-$0.y, $0.x) } + quarter.map { Point(-$0.x, -$0.y) }
      + quarter.map { Point($0.y, -$0.x) }
  }()
}
