// Pages as SVG 1.1: text as text, images as PNG inside of the file, numbers with two decimals.

enum SVGWriter {
  private static let fonts = "Helvetica, Arial, 'Liberation Sans', sans-serif"

  /// A file of its own.
  static func document(_ page: Page) -> String {
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + element(page) + "\n"
  }

  /// The `svg` element, for a file or for a page of HTML.
  static func element(_ page: Page) -> String {
    let (width, height) = (number(page.width), number(page.height))
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" \
      width="\(width)" height="\(height)" viewBox="0 0 \(width) \(height)" role="img" \
      font-family="\(fonts)">
      <title>\(escaped(page.title))</title>
      <rect width="\(width)" height="\(height)" fill="#ffffff"/>

      """
    for shape in page.shapes { text += element(shape) + "\n" }
    return text + "</svg>"
  }

  private static func element(_ shape: Shape) -> String {
    switch shape {
    case .polygon(let points, let fill, let opacity):
      let seen = opacity < 1 ? " fill-opacity=\"\(number(opacity))\"" : ""
      return "<polygon points=\"\(list(points))\" fill=\"\(hexadecimal(fill))\"\(seen)/>"
    case .line(let points, let stroke):
      let dash =
        stroke.dash.isEmpty
        ? "" : " stroke-dasharray=\"\(stroke.dash.map(number).joined(separator: " "))\""
      return
        "<polyline points=\"\(list(points))\" fill=\"none\" stroke=\"\(hexadecimal(stroke.color))\" "
        + "stroke-width=\"\(number(stroke.width))\" stroke-linejoin=\"round\" "
        + "stroke-linecap=\"\(stroke.dash.isEmpty ? "round" : "butt")\"\(dash)/>"
    case .label(let label):
      return element(label)
    case .picture(let picture, let box):
      return "<image x=\"\(number(box.x))\" y=\"\(number(box.y))\" width=\"\(number(box.width))\" "
        + "height=\"\(number(box.height))\" preserveAspectRatio=\"none\" "
        + "style=\"image-rendering:pixelated\" "
        + "xlink:href=\"data:image/png;base64,\(base64(PNGWriter.encode(picture)))\"/>"
    }
  }

  private static func element(_ label: Label) -> String {
    let (x, y) = (number(label.at.x), number(label.at.y))
    let anchor =
      switch label.anchor {
      case .start: ""
      case .middle: " text-anchor=\"middle\""
      case .end: " text-anchor=\"end\""
      }
    let turn = label.isVertical ? " transform=\"rotate(-90 \(x) \(y))\"" : ""
    let weight = label.isBold ? " font-weight=\"bold\"" : ""
    return "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(number(label.size))\"\(anchor)\(weight) "
      + "fill=\"\(hexadecimal(label.color))\"\(turn)>\(escaped(label.text))</text>"
  }

  // MARK: Parts

  static func escaped(_ text: String) -> String {
    var result = ""
    for character in Label.printable(text).unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  private static func list(_ points: [Point]) -> String {
    points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
  }

  /// With at most two decimals. Pages are small: whatever is not is an error elsewhere, and is kept from trapping.
  static func number(_ value: Double) -> String {
    guard value.isFinite else { return "0" }
    let hundredths = Int((min(max(value, -1e9), 1e9) * 100).rounded())
    let sign = hundredths < 0 ? "-" : ""
    let (whole, rest) = hundredths.magnitude.quotientAndRemainder(dividingBy: 100)
    if rest == 0 { return "\(sign)\(whole)" }
    let decimals = rest % 10 == 0 ? "\(rest / 10)" : (rest < 10 ? "0\(rest)" : "\(rest)")
    return "\(sign)\(whole).\(decimals)"
  }

  private static func hexadecimal(_ color: Color) -> String {
    "#"
      + [color.red, color.green, color.blue]
      .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func base64(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count / 3 * 4 + 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let count = min(3, bytes.count - start)
      var group = 0
      for index in 0..<3 { group = group << 8 | (index < count ? Int(bytes[start + index]) : 0) }
      for index in 0..<4 {
        out.append(
          index <= count ? alphabet[group >> (18 - 6 * index) & 63] : UInt8(ascii: "="))
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
