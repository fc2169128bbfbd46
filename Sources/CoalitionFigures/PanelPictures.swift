// Maps and images as pixels.

extension Picture {
  /// Larger pictures are reduced, smaller ones have their cells enlarged towards this.
  private static let wantedSize = 384
  /// Below this many pixels to a cell, diagonal lines for NaN would not be seen.
  private static let largestCell = 24

  /// The picture of a map or image: nil for other panels.
  /// - Parameter limit: the magnitude of the last colour of a map.
  init?(_ content: PanelGrid.Content, _ colors: ColorMap, limit: Double) {
    guard let (rows, columns) = content.size else { return nil }
    var cells = Picture(width: columns, height: rows)
    var missing = [Bool](repeating: false, count: rows * columns)
    switch content {
    case .map(let values, _, _, let under):
      let gray = under.map { Self.levels($0, range: nil) }
      for (cell, value) in values.enumerated() {
        missing[cell] = value.isNaN
        let color = colors.color(value, limit: limit)
        if let gray {
          // Faint, so that the map stays what is seen first.
          let paper = Color(gray: UInt8(200 + Int(gray[cell]) * 55 / 255))
          cells[cell] = paper.mixed(with: color, colors.opacity(value, limit: limit))
        } else {
          cells[cell] = color
        }
      }
    case .gray(let values, _, _, let range):
      let levels = Self.levels(values, range: range)
      for (cell, value) in values.enumerated() {
        missing[cell] = value.isNaN
        cells[cell] = value.isNaN ? ColorMap.missing : Color(gray: levels[cell])
      }
    case .rgb(let values, _, _, let range):
      let levels = Self.levels(values, range: range)
      for cell in missing.indices {
        missing[cell] = values[3 * cell..<3 * cell + 3].contains(where: \.isNaN)
        cells[cell] =
          missing[cell]
          ? ColorMap.missing
          : Color(levels[3 * cell], levels[3 * cell + 1], levels[3 * cell + 2])
      }
    case .bars, .blank: return nil
    }
    let largest = max(rows, columns)
    if largest > Self.wantedSize {
      let ratio = Double(Self.wantedSize) / Double(largest)
      self = cells.resampled(
        width: max(1, Int((Double(columns) * ratio).rounded())),
        height: max(1, Int((Double(rows) * ratio).rounded())))
    } else {
      self = cells.enlarged(
        by: min(Self.largestCell, Self.wantedSize / largest), hatched: missing,
        with: ColorMap.missingLine)
    }
  }

  /// Numbers as levels of gray from the lower end of the range, 0, to the upper one, 255.
  private static func levels(_ values: [Double], range: ClosedRange<Double>?) -> [UInt8] {
    let drawable = values.lazy.filter(Scale.isDrawable)
    let low = range?.lowerBound ?? drawable.min() ?? 0
    let high = range?.upperBound ?? drawable.max() ?? 1
    return values.map { value in
      // An image without a range that can be divided by is a middle gray.
      guard high > low, Scale.isDrawable(high - low), !value.isNaN else { return 128 }
      return UInt8((min(max((value - low) / (high - low), 0), 1) * 255).rounded())
    }
  }
}
