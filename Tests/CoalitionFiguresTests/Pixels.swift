// PNG files decoded by libpng, which shares nothing with the writer.

import CoalitionBase
import CoalitionData
import CoalitionFigures

struct Pixels {
  let width: Int
  let height: Int
  private let values: [Double]

  init(_ png: [UInt8]) throws {
    let image = try ImageFile.decode(png)
    (height, width) = (image.shape[0], image.shape[1])
    values = image.doubles
  }

  struct Color: Equatable {
    let red, green, blue: Double

    func isNear(_ other: Color, within distance: Double = 24) -> Bool {
      abs(red - other.red) + abs(green - other.green) + abs(blue - other.blue) <= distance
    }
    static let white = Color(red: 255, green: 255, blue: 255)
  }

  func at(_ x: Double, _ y: Double) -> Color {
    let place = 3 * (Int(y) * width + Int(x))
    return Color(red: values[place], green: values[place + 1], blue: values[place + 2])
  }

  /// The number of pixels in a box that are not white.
  func ink(x: Range<Int>, y: Range<Int>) -> Int {
    y.reduce(0) { sum, y in
      sum + x.count { !at(Double($0), Double(y)).isNear(.white) }
    }
  }
}

extension XMLCheck.Element {
  func number(_ name: String) -> Double? { attributes[name].flatMap { Double($0) } }

  /// The places of a polyline or polygon.
  var points: [(x: Double, y: Double)] {
    (attributes["points"] ?? "").split(separator: " ").compactMap { pair in
      let numbers = pair.split(separator: ",").compactMap { Double($0) }
      return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }
  }

  /// `#rrggbb` in an attribute.
  func color(_ name: String) -> Pixels.Color? {
    guard let text = attributes[name], text.count == 7, let value = Int(text.dropFirst(), radix: 16)
    else { return nil }
    return Pixels.Color(
      red: Double(value >> 16), green: Double(value >> 8 & 255), blue: Double(value & 255))
  }
}
