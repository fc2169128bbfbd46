// A finished drawing and the files that it can become.
//
// The same figure gives the same bytes. SVG keeps text as text and holds images inside; PNG is drawn by the
// rasteriser and the font of this module, so that no library and no installed font is needed.

public import CoalitionBase

/// A drawing that charts make (`LineChart.figure()`, `PanelGrid.figure()`).
///
///     let chart = LineChart(xLabel: "n", yLabel: "correlation", series: [
///       LineChart.Series("gradient", x: [1, 2, 4], y: [0.3, 0.5, 0.6])
///     ])
///     try Files.writeAtomically(chart.figure().png(), to: "chart.png")
public struct Figure: Hashable, Sendable {
  let page: Page

  /// The size of the page in points; a PNG of scale 1 has as many pixels.
  public var width: Double { page.width }
  public var height: Double { page.height }

  /// A standalone SVG document.
  public func svg() -> String { SVGWriter.document(page) }

  /// A page of HTML with the drawing in it, which needs no other file.
  public func html() -> String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8"/>
    <meta name="viewport" content="width=device-width"/>
    <title>\(SVGWriter.escaped(page.title))</title>
    <style>body { margin: 1em; background: white; } svg { max-width: 100%; height: auto; }</style>
    </head>
    <body>
    \(SVGWriter.element(page))
    </body>
    </html>

    """
  }

  /// The largest number of pixels of a PNG.
  static let pixelLimit = 50_000_000

  /// A PNG file, 8-bit RGB on white.
  /// - Parameter scale: pixels per point.
  /// - Throws: `usage` for a scale that is not positive and finite, `limitExceeded` past 50 million pixels.
  public func png(scale: Double = 2) throws(CoalitionError) -> [UInt8] {
    guard scale > 0, scale.isFinite else {
      throw CoalitionError(
        .usage, "the scale of a PNG must be positive", expected: "pixels per point, such as 2",
        found: "\(scale)")
    }
    let size = ((page.width * scale).rounded(.up), (page.height * scale).rounded(.up))
    guard size.0 * size.1 <= Double(Self.pixelLimit) else {
      throw CoalitionError(
        .limitExceeded, "the figure has too many pixels at this scale; draw it smaller or as SVG",
        expected: "at most \(Self.pixelLimit)", found: "\(size.0) x \(size.1)")
    }
    var raster = Raster(width: max(1, Int(size.0)), height: max(1, Int(size.1)), scale: scale)
    raster.draw(page)
    return PNGWriter.encode(raster.picture)
  }
}
