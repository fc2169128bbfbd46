// Columns of text.

struct Table {
  enum Alignment { case left, right }

  private let headings: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  init(_ columns: (heading: String, alignment: Alignment)...) {
    self.init(columns: columns)
  }

  init(columns: [(heading: String, alignment: Alignment)]) {
    headings = columns.map(\.heading)
    alignments = columns.map(\.alignment)
  }

  mutating func add(cells: [String]) { rows.append(cells) }

  /// Missing cells stay empty.
  mutating func add(_ cells: String...) { add(cells: cells) }

  /// Lines with two spaces before each column; no line ends in spaces.
  var text: String {
    let lines = [headings] + rows
    let widths = headings.indices.map { column in
      lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return lines.map { cells in
      var line = ""
      for (column, width) in widths.enumerated() {
        let cell = column < cells.count ? cells[column] : ""
        let space = String(repeating: " ", count: width - cell.count)
        line += "  " + (alignments[column] == .left ? cell + space : space + cell)
      }
      while line.last == " " { line.removeLast() }
      return line + "\n"
    }.joined()
  }
}
