// Grids of panels: maps of numbers as colours, images, bars; as rows of examples and columns of methods.
//
// What is here says what is drawn; PanelGridLayout says where. NaN is gray (with diagonal lines where cells are
// large enough), infinities have the colours of the ends, and neither counts for the scale of colours.

public import CoalitionBase

/// Panels in rows and columns with a common legend of colours.
public struct PanelGrid: Hashable, Sendable {
  public enum Content: Hashable, Sendable {
    /// Numbers as colours, row by row. `under` is a gray image of the same size that is seen where numbers are small.
    case map([Double], rows: Int, columns: Int, under: [Double]? = nil)
    /// A gray image; black is the lower end of the range. Without a range it is that of the numbers.
    case gray([Double], rows: Int, columns: Int, range: ClosedRange<Double>? = nil)
    /// An image whose pixels are red, green and blue, one behind the other.
    case rgb([Double], rows: Int, columns: Int, range: ClosedRange<Double>? = nil)
    /// A bar for each number, with a line of one error up and down where `errors` are given.
    case bars([Double], errors: [Double] = [])
    case blank
  }

  public struct Panel: Hashable, Sendable {
    public var content: Content
    /// A line under the panel.
    public var caption: String

    public init(_ content: Content, caption: String = "") {
      self.content = content
      self.caption = caption
    }
  }

  /// Which maps and bars share the scale of their numbers.
  public enum Sharing: String, Hashable, Sendable, CaseIterable {
    /// Each panel has its own scale, written under it.
    case panel
    /// The panels of a column share one, written under each.
    case column
    /// All panels share one, which the colour bar shows.
    case all
  }

  public var title: String
  public var columnTitles: [String]
  public var rowTitles: [String]
  /// Rows may be of unlike lengths; what is missing stays empty.
  public var rows: [[Panel]]
  public var sharing: Sharing
  /// nil: diverging where a number is negative.
  public var colorMap: ColorMap?

  public init(
    title: String = "", columnTitles: [String] = [], rowTitles: [String] = [],
    rows: [[Panel]] = [], sharing: Sharing = .panel, colorMap: ColorMap? = nil
  ) {
    self.title = title
    self.columnTitles = columnTitles
    self.rowTitles = rowTitles
    self.rows = rows
    self.sharing = sharing
    self.colorMap = colorMap
  }

  static let panelLimit = 2500
  static let columnLimit = 50

  /// Draws the grid.
  /// - Throws: `shapeMismatch` when numbers do not fill a panel, `invalidData` when no panel has any,
  ///   `limitExceeded` for more than 2500 panels or 50 columns.
  public func figure() throws(CoalitionError) -> Figure {
    let columns = rows.map(\.count).max() ?? 0
    let (count, overflow) = columns.multipliedReportingOverflow(by: rows.count)
    guard columns <= Self.columnLimit, !overflow, count <= Self.panelLimit else {
      throw CoalitionError(
        .limitExceeded, "the figure would have too many panels",
        expected: "at most \(Self.panelLimit) in \(Self.columnLimit) columns",
        found: "\(rows.count) rows of \(columns)")
    }
    for (row, panels) in rows.enumerated() {
      for (column, panel) in panels.enumerated() {
        try panel.content.check("panel \(column) of row \(row)")
      }
    }
    guard rows.joined().contains(where: { $0.content != .blank }) else {
      throw CoalitionError(.invalidData, "the figure has no panel to draw")
    }
    return Figure(page: PanelGridLayout(self, columns: columns).page())
  }
}

extension PanelGrid.Content {
  /// - Throws: `shapeMismatch` when there is nothing to draw or numbers are missing.
  fileprivate func check(_ place: String) throws(CoalitionError) {
    let (count, shape): (Int, [Int])
    switch self {
    case .blank: return
    case .map(let values, let rows, let columns, let under):
      (count, shape) = (values.count, [rows, columns])
      if let under, under.count != values.count {
        throw CoalitionError(
          .shapeMismatch, "the image under a map is not of its size", node: place,
          expected: "\(values.count)", found: "\(under.count)")
      }
    case .gray(let values, let rows, let columns, _):
      (count, shape) = (values.count, [rows, columns])
    case .rgb(let values, let rows, let columns, _):
      (count, shape) = (values.count, [rows, columns, 3])
    case .bars(let values, let errors):
      (count, shape) = (values.count, [values.count])
      if !errors.isEmpty, errors.count != values.count {
        throw CoalitionError(
          .shapeMismatch, "there is not one error for each bar", node: place,
          expected: "\(values.count)", found: "\(errors.count)")
      }
    }
    guard count > 0, Tensor.count(of: shape) == count else {
      throw CoalitionError(
        .shapeMismatch, "the numbers do not fill the panel", node: place,
        expected: shape.map(String.init).joined(separator: " x "), found: "\(count)")
    }
  }

  /// The numbers that a scale of colours or heights is for.
  var scaled: [Double] {
    switch self {
    case .map(let values, _, _, _): values
    case .bars(let values, let errors):
      values + zip(values, errors).flatMap { [$0 + $1, $0 - $1] }
    case .gray, .rgb, .blank: []
    }
  }

  var isMap: Bool { if case .map = self { true } else { false } }
  var isBars: Bool { if case .bars = self { true } else { false } }

  /// Rows and columns of a map or image.
  var size: (rows: Int, columns: Int)? {
    switch self {
    case .map(_, let rows, let columns, _), .gray(_, let rows, let columns, _),
      .rgb(_, let rows, let columns, _):
      (rows, columns)
    case .bars, .blank: nil
    }
  }
}
