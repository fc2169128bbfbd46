// Numbers for people. Files hold numbers in full; nothing that is printed here is read back.

enum Numbers {
  /// 1234567 as 1,234,567.
  static func grouped(_ value: Int) -> String {
    let digits = Array(String(value.magnitude))
    var text = value < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0 && (digits.count - index) % 3 == 0 { text += "," }
      text.append(digit)
    }
    return text
  }

  /// 1 layer, 1,000 layers.
  static func counted(_ value: Int, _ noun: String) -> String {
    "\(grouped(value)) \(noun)\(value == 1 ? "" : "s")"
  }

  /// With so many digits behind the point.
  static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite else { return "\(value)" }
    var unit = 1.0
    for _ in 0..<digits { unit *= 10 }
    let scaled = (value.magnitude * unit).rounded()
    guard scaled < 0x1p53 else { return "\(value)" }
    let whole = Int(scaled)
    let sign = value < 0 && whole != 0 ? "-" : ""
    guard digits > 0 else { return sign + String(whole) }
    let text = String(whole)
    let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
    return sign + padded.dropLast(digits) + "." + padded.suffix(digits)
  }

  /// With so many significant digits; very large and very small ones with an exponent.
  static func significant(_ value: Double, _ digits: Int = 5) -> String {
    guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
    var exponent = 0
    var magnitude = value.magnitude
    while magnitude >= 10 {
      magnitude /= 10
      exponent += 1
    }
    while magnitude < 1 {
      magnitude *= 10
      exponent -= 1
    }
    if (-4...8).contains(exponent) { return fixed(value, max(0, digits - 1 - exponent)) }
    var text = fixed(magnitude, digits - 1)
    if text.hasPrefix("10") {
      text = fixed(1, digits - 1)
      exponent += 1
    }
    return "\(value < 0 ? "-" : "")\(text)e\(exponent)"
  }

  /// 5 kB, 1.23 MB.
  static func bytes(_ count: Int) -> String {
    scaled(Double(count), ["B", "kB", "MB", "GB", "TB"])
  }

  /// 12.3 M, 4.56 G.
  static func metric(_ count: Int) -> String {
    scaled(Double(count), ["", "k", "M", "G", "T", "P"])
  }

  static func seconds(_ value: Double) -> String {
    if value < 1e-3 { return "\(significant(value * 1e6, 3)) us" }
    if value < 1 { return "\(significant(value * 1e3, 3)) ms" }
    return value < 120 ? "\(significant(value, 3)) s" : "\(fixed(value / 60, 1)) min"
  }

  private static func scaled(_ value: Double, _ units: [String]) -> String {
    var value = value
    var unit = 0
    while value >= 999.5 && unit + 1 < units.count {
      value /= 1000
      unit += 1
    }
    let text = unit == 0 ? fixed(value, 0) : significant(value, 3)
    return units[unit].isEmpty ? text : "\(text) \(units[unit])"
  }

  static func shape(_ sizes: [Int]) -> String {
    sizes.isEmpty ? "scalar" : sizes.map(String.init).joined(separator: "x")
  }
}
