// Pixels in a drawing: cells of a map, or an image.

struct Picture: Hashable, Sendable {
  let width: Int
  let height: Int
  /// Red, green and blue of each pixel, row by row.
  var pixels: [UInt8]

  init(width: Int, height: Int, pixels: [UInt8]) {
    assert(pixels.count == 3 * width * height)
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  init(width: Int, height: Int, fill: Color = Color(gray: 255)) {
    self.width = width
    self.height = height
    pixels = [UInt8](repeating: fill.red, count: 3 * width * height)
    guard fill.green != fill.red || fill.blue != fill.red else { return }
    for pixel in 0..<width * height { self[pixel] = fill }
  }

  /// By flat index.
  subscript(pixel: Int) -> Color {
    get { Color(pixels[3 * pixel], pixels[3 * pixel + 1], pixels[3 * pixel + 2]) }
    set {
      pixels[3 * pixel] = newValue.red
      pixels[3 * pixel + 1] = newValue.green
      pixels[3 * pixel + 2] = newValue.blue
    }
  }

  /// Each pixel as a square of `factor` x `factor`; the pixels in `hatched` get diagonal lines.
  /// Viewers that smooth images then smooth only the borders of cells.
  func enlarged(by factor: Int, hatched: [Bool], with line: Color) -> Picture {
    guard factor > 1 else { return self }
    var large = Picture(width: width * factor, height: height * factor)
    for y in 0..<large.height {
      for x in 0..<large.width {
        let cell = y / factor * width + x / factor
        let isLine = hatched[cell] && (x + y) % Self.hatchPeriod < Self.hatchPeriod / 3
        large[y * large.width + x] = isLine ? line : self[cell]
      }
    }
    return large
  }

  private static let hatchPeriod = 9

  /// The mean colour of what each pixel of the new size covers.
  func resampled(width newWidth: Int, height newHeight: Int) -> Picture {
    guard newWidth != width || newHeight != height else { return self }
    let columns = Self.covers(width, newWidth)
    var result = [UInt8]()
    result.reserveCapacity(3 * newWidth * newHeight)
    var line = [Float](repeating: 0, count: 3 * width)
    for cover in Self.covers(height, newHeight) {
      for index in line.indices { line[index] = 0 }
      for (offset, weight) in cover.weights.enumerated() {
        let start = 3 * width * (cover.start + offset)
        for index in line.indices { line[index] += weight * Float(pixels[start + index]) }
      }
      for column in columns {
        for channel in 0..<3 {
          var sum: Float = 0
          for (offset, weight) in column.weights.enumerated() {
            sum += weight * line[3 * (column.start + offset) + channel]
          }
          result.append(UInt8(min(max(sum.rounded(), 0), 255)))
        }
      }
    }
    return Picture(width: newWidth, height: newHeight, pixels: result)
  }

  /// For each of `count` equal parts of `size` pixels: the pixels that it covers and their shares of it.
  private static func covers(_ size: Int, _ count: Int) -> [(start: Int, weights: [Float])] {
    (0..<count).map { part in
      let from = Double(part) * Double(size) / Double(count)
      let to = Double(part + 1) * Double(size) / Double(count)
      let start = min(Int(from), size - 1)
      let end = min(max(start + 1, Int(to.rounded(.up))), size)
      let shares = (start..<end).map { min(Double($0 + 1), to) - max(Double($0), from) }
      let sum = shares.reduce(0, +)
      return (start, shares.map { sum > 0 ? Float($0 / sum) : 1 / Float(shares.count) })
    }
  }
}
