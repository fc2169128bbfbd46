// Pages as pixels, with soft edges.
//
// A shape first becomes a mask, the share of each pixel that it covers, which is then painted once: parts of a
// stroke that overlap do not darken each other. Strokes have round ends and joints and are covered by distance;
// polygons (even-odd) by exact spans on eight lines per pixel. Whatever lies beyond the page is left out.

struct Raster {
  private(set) var picture: Picture
  private let scale: Double

  init(width: Int, height: Int, scale: Double) {
    picture = Picture(width: width, height: height)
    self.scale = scale
  }

  mutating func draw(_ page: Page) {
    for shape in page.shapes {
      switch shape {
      case .polygon(let points, let fill, let opacity): self.fill(points, fill, opacity)
      case .line(let points, let stroke):
        draw(
          Self.dashed(points, stroke.dash), width: stroke.width, stroke.color,
          isFlat: !stroke.dash.isEmpty)
      case .label(let label):
        let (lines, width) = StrokeFont.strokes(label)
        draw(lines, width: width, label.color, isFlat: false)
      case .picture(let picture, let box): paste(picture, box)
      }
    }
  }

  // MARK: Masks

  /// Shares of the pixels of a part of the page.
  private struct Mask {
    let x: Int
    let y: Int
    let width: Int
    let height: Int
    var shares: [Float]

    /// Around points in pixels: nil where nothing is on the page.
    init?(_ points: some Sequence<Point>, margin: Double, on picture: Picture) {
      var (left, right, top, bottom) = (
        Double.infinity, -Double.infinity, Double.infinity, -Double.infinity
      )
      for point in points where point.x.isFinite && point.y.isFinite {
        (left, right) = (min(left, point.x), max(right, point.x))
        (top, bottom) = (min(top, point.y), max(bottom, point.y))
      }
      let xs = Self.range(left - margin, right + margin, picture.width)
      let ys = Self.range(top - margin, bottom + margin, picture.height)
      guard !xs.isEmpty, !ys.isEmpty else { return nil }
      (x, y, width, height) = (xs.lowerBound, ys.lowerBound, xs.count, ys.count)
      shares = [Float](repeating: 0, count: xs.count * ys.count)
    }

    /// The whole pixels from one place to another that exist.
    static func range(_ from: Double, _ to: Double, _ size: Int) -> Range<Int> {
      guard from <= to else { return 0..<0 }
      let start = Int(min(max(from.rounded(.down), 0), Double(size)))
      let end = Int(min(max(to.rounded(.up), 0), Double(size)))
      return start..<max(start, end)
    }
  }

  private mutating func paint(_ mask: Mask, _ color: Color, _ opacity: Double) {
    let ink = [Float(color.red), Float(color.green), Float(color.blue)]
    for row in 0..<mask.height {
      for column in 0..<mask.width {
        let share = min(1, mask.shares[row * mask.width + column]) * Float(opacity)
        guard share > 0 else { continue }
        let pixel = 3 * ((mask.y + row) * picture.width + mask.x + column)
        for channel in 0..<3 {
          let paper = Float(picture.pixels[pixel + channel])
          picture.pixels[pixel + channel] = UInt8(
            (paper + (ink[channel] - paper) * share).rounded())
        }
      }
    }
  }

  // MARK: Strokes

  /// - Parameter isFlat: ends are cut off at the last point, as dashes are.
  private mutating func draw(_ lines: [[Point]], width: Double, _ color: Color, isFlat: Bool) {
    let lines = lines.map { $0.map { Point($0.x * scale, $0.y * scale) } }
    // Below one pixel a line gets fainter, not thinner.
    let half = max(width * scale, 1) / 2
    guard var mask = Mask(lines.joined(), margin: half + 1, on: picture) else { return }
    for line in lines {
      if line.count == 1 { Self.cover(line[0], line[0], half, isFlat: false, &mask) }
      for index in 1..<max(1, line.count) {
        let isCut = isFlat && line.count == 2
        Self.cover(line[index - 1], line[index], half, isFlat: isCut, &mask)
      }
    }
    paint(mask, color, min(1, width * scale))
  }

  private static func cover(
    _ start: Point, _ end: Point, _ half: Double, isFlat: Bool, _ mask: inout Mask
  ) {
    let (dx, dy) = (end.x - start.x, end.y - start.y)
    let squared = dx * dx + dy * dy
    let length = squared.squareRoot()
    let reach = half + 1
    let bottom = mask.y + mask.height
    let rows = Mask.range(min(start.y, end.y) - reach, max(start.y, end.y) + reach, bottom)
    for row in rows where row >= mask.y {
      let y = Double(row) + 0.5
      // The part of the segment that is near this row, as shares of its length.
      var (from, to) = (0.0, 1.0)
      if abs(dy) > 1e-9 {
        let ends = ((y - reach - start.y) / dy, (y + reach - start.y) / dy)
        from = min(max(min(ends.0, ends.1), 0), 1)
        to = min(max(max(ends.0, ends.1), 0), 1)
      }
      let xs = (start.x + from * dx, start.x + to * dx)
      let columns = Mask.range(
        min(xs.0, xs.1) - reach, max(xs.0, xs.1) + reach, mask.x + mask.width)
      for column in columns where column >= mask.x {
        let x = Double(column) + 0.5
        let along = squared > 0 ? ((x - start.x) * dx + (y - start.y) * dy) / squared : 0
        let nearest = min(max(along, 0), 1)
        let (ox, oy) = (x - start.x - nearest * dx, y - start.y - nearest * dy)
        var share = half + 0.5 - (ox * ox + oy * oy).squareRoot()
        if isFlat {
          share = min(share, along * length + 0.5, (1 - along) * length + 0.5)
        }
        guard share > 0 else { continue }
        let place = (row - mask.y) * mask.width + column - mask.x
        mask.shares[place] = max(mask.shares[place], Float(min(share, 1)))
      }
    }
  }

  /// The dashes of a line, or the line itself.
  private static func dashed(_ points: [Point], _ dash: [Double]) -> [[Point]] {
    guard points.count > 1, !dash.isEmpty, dash.allSatisfy({ $0 > 0.1 }) else { return [points] }
    var lines: [[Point]] = []
    var current = [points[0]]
    var (index, left) = (0, dash[0])
    for (start, end) in zip(points, points.dropFirst()) {
      let (dx, dy) = (end.x - start.x, end.y - start.y)
      let length = (dx * dx + dy * dy).squareRoot()
      var done = 0.0
      while length - done > left {
        done += left
        let place = Point(start.x + dx * done / length, start.y + dy * done / length)
        if index % 2 == 0 { lines.append(current + [place]) }
        current = [place]
        index = (index + 1) % dash.count
        left = dash[index]
      }
      left -= length - done
      if index % 2 == 0 { current.append(end) }
    }
    if index % 2 == 0, current.count > 1 { lines.append(current) }
    return lines
  }

  // MARK: Polygons

  private static let linesPerPixel = 8

  private mutating func fill(_ points: [Point], _ color: Color, _ opacity: Double) {
    let points = points.map { Point($0.x * scale, $0.y * scale) }
    guard points.count > 2, points.allSatisfy({ $0.x.isFinite && $0.y.isFinite }),
      var mask = Mask(points, margin: 0, on: picture)
    else { return }
    let lines = Double(Self.linesPerPixel)
    // Where the sides cross each line, from the top of the mask.
    var crossings = [[Double]](repeating: [], count: mask.height * Self.linesPerPixel)
    for index in points.indices {
      let (a, b) = (points[index], points[(index + 1) % points.count])
      let (upper, lower) = a.y < b.y ? (a, b) : (b, a)
      let top = ((upper.y - Double(mask.y)) * lines - 0.5).rounded(.up)
      let bottom = ((lower.y - Double(mask.y)) * lines - 0.5).rounded(.up)
      let range =
        Int(
          min(max(top, 0), Double(crossings.count)))..<Int(
          min(max(bottom, 0), Double(crossings.count)))
      let slope = (lower.x - upper.x) / (lower.y - upper.y)
      for line in range {
        let y = Double(mask.y) + (Double(line) + 0.5) / lines
        crossings[line].append(upper.x + (y - upper.y) * slope - Double(mask.x))
      }
    }
    for (line, places) in crossings.enumerated() {
      let sorted = places.sorted()
      let row = line / Self.linesPerPixel * mask.width
      for pair in stride(from: 0, to: sorted.count - 1, by: 2) {
        let from = min(max(sorted[pair], 0), Double(mask.width))
        let to = min(max(sorted[pair + 1], 0), Double(mask.width))
        for column in Int(from)..<max(Int(from), Int(to.rounded(.up))) {
          let covered = min(to, Double(column + 1)) - max(from, Double(column))
          mask.shares[row + column] += Float(covered / lines)
        }
      }
    }
    paint(mask, color, opacity)
  }

  // MARK: Pictures

  /// Pictures begin and end at whole pixels.
  private mutating func paste(_ source: Picture, _ box: Box) {
    let left = Int((box.x * scale).rounded())
    let top = Int((box.y * scale).rounded())
    let width = max(1, Int((box.right * scale).rounded()) - left)
    let height = max(1, Int((box.bottom * scale).rounded()) - top)
    let scaled = source.resampled(width: width, height: height)
    for row in 0..<height where (0..<picture.height).contains(top + row) {
      for column in 0..<width where (0..<picture.width).contains(left + column) {
        picture[(top + row) * picture.width + left + column] = scaled[row * width + column]
      }
    }
  }
}
