// Bars around zero in a box, with the numbers of the axis at its left and the first and last index under it.

struct BarPanel {
  let values: [Double]
  let errors: [Double]
  let box: Box
  let colors: ColorMap
  /// The magnitude at the end of the axis.
  let limit: Double

  private static let textSize = 10.5

  /// -1 to 1, or 0 to 1 where nothing is negative.
  private var low: Double { colors == .diverging ? -1 : 0 }

  private func y(_ value: Double) -> Double {
    let share = min(max(value / limit, low), 1)
    return box.bottom - (share - low) / (1 - low) * (box.height - 4) - 2
  }

  func draw(_ page: inout Page) {
    let axis = Stroke(color: .faintInk, width: 1)
    let corners = box.corners
    page.shapes.append(
      .polygon(corners, fill: Color(gray: 248), opacity: 1))
    for (value, text) in numbers {
      let place = y(value)
      page.shapes.append(.line([Point(box.x - 3, place), Point(box.x, place)], axis))
      page.shapes.append(
        .label(
          Label(text, at: Point(box.x - 5, place + 4), size: Self.textSize, anchor: .end)))
    }
    if values.count <= Int(box.width) { drawEach(&page) } else { drawRanges(&page) }
    page.shapes.append(.line([Point(box.x, box.y), Point(box.x, box.bottom)], axis))
    page.shapes.append(.line([Point(box.x, y(0)), Point(box.right, y(0))], axis))
    let width = box.width / Double(values.count)
    let last = values.count - 1
    for index in last > 0 ? [0, last] : [0] {
      let middle = box.x + (Double(index) + 0.5) * width
      let half = StrokeFont.width("\(index)", size: Self.textSize) / 2
      // The last number does not reach beyond the box.
      page.shapes.append(
        .label(
          Label(
            "\(index)", at: Point(min(middle, box.right - half), box.bottom + 12),
            size: Self.textSize, anchor: .middle)))
    }
  }

  private var numbers: [(Double, String)] {
    let end = NumberText.short(limit)
    return (low < 0 ? [(-limit, "-" + end)] : []) + [(0, "0"), (limit, end)]
  }

  private func color(_ value: Double) -> Color {
    // Strong enough to be seen on white, whatever the height.
    let strength = 0.75 * limit
    return colors.color(value < 0 ? -strength : strength, limit: limit)
  }

  private func drawEach(_ page: inout Page) {
    let width = box.width / Double(values.count)
    for (index, value) in values.enumerated() {
      let left = box.x + (Double(index) + 0.12) * width
      var bar = Box(x: left, y: box.y, width: 0.76 * width, height: box.height)
      guard !value.isNaN else {
        page.shapes.append(.rectangle(bar, fill: ColorMap.missing))
        continue
      }
      bar.y = min(y(value), y(0))
      bar.height = abs(y(value) - y(0))
      if bar.height > 0 { page.shapes.append(.rectangle(bar, fill: color(value))) }
      if !errors.isEmpty, Scale.isDrawable(value), Scale.isDrawable(errors[index]),
        errors[index] != 0
      {
        page.shapes.append(
          .line(
            [
              Point(bar.x + bar.width / 2, y(value - errors[index])),
              Point(bar.x + bar.width / 2, y(value + errors[index])),
            ], Stroke(color: .ink, width: 1)))
      }
    }
  }

  /// More bars than points of the page: each point shows the range of its values.
  private func drawRanges(_ page: inout Page) {
    let columns = Int(box.width)
    for column in 0..<columns {
      let from = Int(Double(column) / Double(columns) * Double(values.count))
      let to = Int(Double(column + 1) / Double(columns) * Double(values.count))
      let group = values[from..<max(from, min(to, values.count))].lazy.filter { !$0.isNaN }
      for end in [min(0, group.min() ?? 0), max(0, group.max() ?? 0)] where end != 0 {
        page.shapes.append(
          .rectangle(
            Box(
              x: box.x + Double(column), y: min(y(end), y(0)), width: 1,
              height: abs(y(end) - y(0))),
            fill: color(end)))
      }
    }
  }
}
