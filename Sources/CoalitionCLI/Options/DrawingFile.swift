// The file that a drawing goes to: its format is the ending of its name.

import CoalitionBase
import CoalitionFigures

struct DrawingFile: Sendable {
  private enum Format: String, CaseIterable { case svg, png, html }

  let path: String
  private let format: Format

  /// - Throws: `usage` for a name without one of the endings, `cannotCreate` when no file of this name can be made.
  init(_ path: String) throws(CoalitionError) {
    let name = path.lowercased()
    guard let format = Format.allCases.first(where: { name.hasSuffix("." + $0.rawValue) }) else {
      throw CoalitionError(
        .usage, "the name of a drawing ends in its format", node: path,
        expected: ".svg, .png or .html")
    }
    self.path = path
    self.format = format
    try Files.checkCreatable(path)
  }

  /// - Parameter scale: pixels of a PNG per point.
  func write(_ figure: Figure, scale: Double = 2) throws(CoalitionError) {
    switch format {
    case .svg: try Files.writeAtomically(Array(figure.svg().utf8), to: path)
    case .html: try Files.writeAtomically(Array(figure.html().utf8), to: path)
    case .png: try Files.writeAtomically(try figure.png(scale: scale), to: path)
    }
  }
}
