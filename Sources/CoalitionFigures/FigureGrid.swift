// Several finished drawings on one page, row by row.

public import CoalitionBase

extension Figure {
  private static let gap = 12.0

  /// - Parameters:
  ///   - figures: at least one.
  ///   - columns: how many stand beside each other.
  ///   - title: what the page shows, for those who cannot see it.
  /// - Throws: `invalidData` for no drawing, `usage` for no column.
  public static func grid(
    _ figures: [Figure], columns: Int, title: String
  ) throws(CoalitionError) -> Figure {
    guard !figures.isEmpty else {
      throw CoalitionError(.invalidData, "the page has no drawing")
    }
    guard columns >= 1 else {
      throw CoalitionError(
        .usage, "a page has at least one column", expected: "1 or more", found: "\(columns)")
    }
    let rows = stride(from: 0, to: figures.count, by: columns).map { start in
      Array(figures[start..<min(start + columns, figures.count)])
    }
    let widths = (0..<min(columns, figures.count)).map { column in
      rows.compactMap { column < $0.count ? $0[column].width : nil }.max() ?? 0
    }
    var page = Page(
      width: widths.reduce(0, +) + gap * Double(widths.count - 1), height: 0, title: title)
    for row in rows {
      if page.height > 0 { page.height += gap }
      var left = 0.0
      for (figure, width) in zip(row, widths) {
        page.shapes += figure.page.shapes.map { $0.moved(x: left, y: page.height) }
        left += width + gap
      }
      page.height += row.map(\.height).max() ?? 0
    }
    return Figure(page: page)
  }
}

extension Shape {
  /// The same shape further right and down.
  fileprivate func moved(x: Double, y: Double) -> Shape {
    func moved(_ point: Point) -> Point { Point(point.x + x, point.y + y) }
    switch self {
    case .polygon(let points, let fill, let opacity):
      return .polygon(points.map(moved), fill: fill, opacity: opacity)
    case .line(let points, let stroke): return .line(points.map(moved), stroke)
    case .label(var label):
      label.at = moved(label.at)
      return .label(label)
    case .picture(let picture, var box):
      box.x += x
      box.y += y
      return .picture(picture, in: box)
    }
  }
}
