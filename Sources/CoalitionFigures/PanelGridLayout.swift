// Where the panels of a grid stand, with their titles, captions and the colour bar.
//
// All panels have boxes of one width, and of one height within a row; a map or image keeps its proportions (up to
// 1:8) in the middle of its box.

struct PanelGridLayout {
  private let grid: PanelGrid
  private let columns: Int
  private let colors: ColorMap
  /// The magnitude at the end of the scale, by row and column.
  private let limits: [[Double]]
  private let panelWidth: Double
  /// Where rows begin, with the end of the last one, and how high the panels of each are.
  private let rowTops: [Double]
  private let panelHeights: [Double]
  private let hasBars: Bool
  private let captions: (any: Bool, scales: Bool)
  private let left: Double
  private let top: Double

  private static let gap = 14.0
  private static let textSize = 12.0
  private static let smallSize = 10.5
  private static let titleSize = 15.0
  private static let rowTitleRoom = 130.0
  private static let barRoom = 84.0

  init(_ grid: PanelGrid, columns: Int) {
    self.grid = grid
    self.columns = columns
    let isSigned = grid.rows.joined().contains { $0.content.scaled.contains { $0 < 0 } }
    colors = grid.colorMap ?? (isSigned ? .diverging : .sequential)
    limits = Self.limits(grid, columns: columns)
    let hasBars = grid.rows.joined().contains { $0.content.isBars }
    self.hasBars = hasBars
    let panelWidth = min(
      max(900 / Double(max(1, columns)), hasBars ? 150 : 96), hasBars ? 260 : 170
    ).rounded()
    self.panelWidth = panelWidth
    captions = (
      grid.rows.joined().contains { !$0.caption.isEmpty },
      grid.sharing != .all && grid.rows.joined().contains { $0.content.isMap }
    )
    let rowTitles =
      grid.rowTitles.prefix(grid.rows.count)
      .map { StrokeFont.width($0, size: Self.textSize) }.max() ?? 0
    left =
      16 + (rowTitles > 0 ? min(rowTitles, Self.rowTitleRoom) + 12 : 0)
      + (hasBars ? Self.axisRoom : 0)
    top =
      (grid.title.isEmpty ? 12 : 42)
      + (grid.columnTitles.allSatisfy(\.isEmpty) ? 0 : 20)
    let underPanels =
      Self.gap + (captions.any ? 16 : 0) + (captions.scales ? 14 : 0) + (hasBars ? 16 : 0)
    panelHeights = grid.rows.map { row in
      let ratio = row.lazy.compactMap { Self.proportion($0.content) }.max() ?? 0
      return max(18, panelWidth * min(ratio, 1.6)).rounded()
    }
    rowTops = panelHeights.reduce(into: [top]) { tops, height in
      tops.append(tops[tops.count - 1] + height + underPanels)
    }
  }

  private static func limits(_ grid: PanelGrid, columns: Int) -> [[Double]] {
    func largest(_ panels: some Sequence<PanelGrid.Panel>) -> Double {
      var largest = 0.0
      for panel in panels {
        for value in panel.content.scaled where Scale.isDrawable(value) {
          largest = max(largest, value.magnitude)
        }
      }
      // Smaller numbers could not be divided by.
      return largest > 1e-290 ? largest : 1
    }
    switch grid.sharing {
    case .panel: return grid.rows.map { $0.map { largest([$0]) } }
    case .column:
      let byColumn = (0..<columns).map { column in
        largest(grid.rows.lazy.compactMap { column < $0.count ? $0[column] : nil })
      }
      return grid.rows.map { $0.indices.map { byColumn[$0] } }
    case .all:
      let all = largest(grid.rows.joined())
      return grid.rows.map { $0.map { _ in all } }
    }
  }

  private static let proportions = 0.125...8.0

  /// Height over width of a map or image.
  private static func proportion(_ content: PanelGrid.Content) -> Double? {
    guard let (rows, columns) = content.size else { return content.isBars ? 0.7 : nil }
    let ratio = Double(rows) / Double(columns)
    return min(max(ratio, proportions.lowerBound), proportions.upperBound)
  }

  // MARK: Page

  private static let axisRoom = 34.0

  private var columnWidth: Double { panelWidth + Self.gap + (hasBars ? Self.axisRoom : 0) }

  private func box(_ row: Int, _ column: Int) -> Box {
    Box(
      x: left + Double(column) * columnWidth, y: rowTops[row], width: panelWidth,
      height: panelHeights[row])
  }

  func page() -> Page {
    let hasBar = grid.rows.joined().contains { $0.content.isMap }
    let right = left + Double(columns) * columnWidth
    let width = max(right + (hasBar ? Self.barRoom : 4), 260)
    let bottom = rowTops[rowTops.count - 1]
    let height = max(bottom + 4, hasBar ? top + 120 : 0)
    var page = Page(
      width: width.rounded(.up), height: height.rounded(.up),
      title: grid.title.isEmpty ? "panels" : grid.title)
    drawTitles(&page)
    for (row, panels) in grid.rows.enumerated() {
      for (column, panel) in panels.enumerated() {
        draw(panel, box(row, column), limit: limits[row][column], &page)
      }
    }
    if hasBar { drawColorBar(x: right + 2, &page) }
    return page
  }

  private func drawTitles(_ page: inout Page) {
    let title = StrokeFont.fitted(
      grid.title, size: Self.titleSize, into: page.width - 32, isBold: true)
    if !title.isEmpty {
      page.shapes.append(
        .label(Label(title, at: Point(16, 27), size: Self.titleSize, isBold: true)))
    }
    for (column, text) in grid.columnTitles.prefix(columns).enumerated() {
      let box = box(0, column)
      let fitted = StrokeFont.fitted(
        text, size: Self.textSize, into: box.width + 6, isBold: true)
      page.shapes.append(
        .label(
          Label(
            fitted, at: Point(box.middle.x, box.y - 7), size: Self.textSize, anchor: .middle,
            isBold: true)))
    }
    for (row, text) in grid.rowTitles.prefix(grid.rows.count).enumerated() {
      let fitted = StrokeFont.fitted(text, size: Self.textSize, into: Self.rowTitleRoom)
      page.shapes.append(
        .label(Label(fitted, at: Point(16, box(row, 0).middle.y + 4), size: Self.textSize)))
    }
  }

  // MARK: Panels

  private static let frame = Stroke(color: Color(gray: 190), width: 0.75)

  private func draw(_ panel: PanelGrid.Panel, _ box: Box, limit: Double, _ page: inout Page) {
    var below = box.bottom
    if let picture = Picture(panel.content, colors, limit: limit) {
      let ratio = Self.proportion(panel.content) ?? 1
      let width = min(box.width, box.height / ratio).rounded()
      let height = (width * ratio).rounded()
      let place = Box(
        x: (box.x + (box.width - width) / 2).rounded(), y: box.y, width: width,
        height: max(1, height))
      page.shapes.append(.picture(picture, in: place))
      let corners = place.corners
      page.shapes.append(.line(corners + [corners[0]], Self.frame))
      below = place.bottom
    }
    if case .bars(let values, let errors) = panel.content {
      BarPanel(values: values, errors: errors, box: box, colors: colors, limit: limit)
        .draw(&page)
      below += 16
    }
    func write(_ text: String, size: Double, color: Color) {
      below += size + 3
      let fitted = StrokeFont.fitted(text, size: size, into: columnWidth - 4)
      page.shapes.append(
        .label(
          Label(
            fitted, at: Point(box.middle.x, below), size: size, anchor: .middle, color: color)))
    }
    if !panel.caption.isEmpty { write(panel.caption, size: Self.textSize, color: .ink) }
    if captions.scales, panel.content.isMap {
      write("max \(NumberText.short(limit))", size: Self.smallSize, color: .faintInk)
    }
  }

  // MARK: Colour bar

  private func drawColorBar(x: Double, _ page: inout Page) {
    let height = min(max(100, page.height - top - Self.gap - 60), 180).rounded()
    let steps = 64
    var picture = Picture(width: 1, height: steps)
    let low = colors == .diverging ? -1.0 : 0
    for step in 0..<steps {
      // The middles of the steps, from the top.
      let share = 1 - (Double(step) + 0.5) / Double(steps)
      picture[step] = colors.color(low + (1 - low) * share, limit: 1)
    }
    let box = Box(x: x.rounded(), y: top, width: 12, height: height)
    page.shapes.append(.picture(picture, in: box))
    let corners = box.corners
    page.shapes.append(.line(corners + [corners[0]], Self.frame))
    let shared = grid.sharing == .all ? limits.joined().first : nil
    let end = shared.map(NumberText.short) ?? "max"
    var marks = [(box.y, end), (box.bottom, "0")]
    if low < 0 { marks = [(box.y, end), (box.middle.y, "0"), (box.bottom, "-" + end)] }
    for (y, text) in marks {
      page.shapes.append(
        .line(
          [Point(box.right, y), Point(box.right + 3, y)], Stroke(color: .faintInk, width: 0.75)))
      page.shapes.append(
        .label(Label(text, at: Point(box.right + 6, y + 4), size: Self.smallSize)))
    }
    guard grid.rows.joined().contains(where: { $0.content.isMap && $0.content.hasMissing }) else {
      return
    }
    let swatch = Box(x: box.x, y: box.bottom + 12, width: 12, height: 12)
    page.shapes.append(.rectangle(swatch, fill: ColorMap.missing))
    page.shapes.append(
      .line(
        [Point(swatch.x, swatch.bottom), Point(swatch.right, swatch.y)],
        Stroke(color: ColorMap.missingLine, width: 1.5)))
    page.shapes.append(
      .label(
        Label(
          "no value", at: Point(swatch.right + 6, swatch.bottom - 2), size: Self.smallSize)))
  }
}

extension PanelGrid.Content {
  fileprivate var hasMissing: Bool { scaled.contains(where: \.isNaN) }
}
