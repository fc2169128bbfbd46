// Axes: round numbers between the ends of a range, and their texts.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// A range of numbers laid along an axis.
struct Scale: Sendable {
  struct Tick: Hashable, Sendable {
    let value: Double
    /// Empty for a small tick without a number.
    let text: String
  }

  let isLogarithmic: Bool
  let low: Double
  let high: Double
  let ticks: [Tick]

  /// Numbers of larger magnitude count as not finite: differences of two of them may be.
  static let largest = 1e300

  static func isDrawable(_ value: Double) -> Bool { value.magnitude <= largest }

  /// A linear scale that shows all values, with some room at both ends.
  static func linear(_ values: some Sequence<Double>, room: Double) -> Scale? {
    guard let (least, most) = ends(values) else { return nil }
    let magnitude = max(least.magnitude, most.magnitude)
    var (low, high) = (least, most)
    if high - low <= magnitude * 1e-9 || high - low < 1e-290 {
      // One number: it stands in the middle.
      let spread = magnitude < 1e-290 ? 1 : magnitude / 2
      (low, high) = (low - spread, high + spread)
    } else {
      let margin = (high - low) * room
      (low, high) = (low - margin, high + margin)
    }
    return Scale(
      isLogarithmic: false, low: low, high: high, ticks: linearTicks(low, high, about: 8))
  }

  /// A logarithmic scale of the positive values.
  static func logarithmic(_ values: some Sequence<Double>, room: Double) -> Scale? {
    guard let (least, most) = ends(values.lazy.filter { $0 > 0 }) else { return nil }
    var (low, high) = (log10(least), log10(most))
    let margin = high - low < 1e-9 ? 0.5 : (high - low) * room
    (low, high) = (low - margin, high + margin)
    return Scale(
      isLogarithmic: true, low: low, high: high, ticks: logarithmicTicks(low, high))
  }

  private static func ends(_ values: some Sequence<Double>) -> (Double, Double)? {
    var found: (Double, Double)?
    for value in values where isDrawable(value) {
      found = found.map { (min($0.0, value), max($0.1, value)) } ?? (value, value)
    }
    return found
  }

  /// The place of a value, 0 to 1: nil where it has none.
  func position(_ value: Double) -> Double? {
    guard Self.isDrawable(value), !isLogarithmic || value > 0 else { return nil }
    return ((isLogarithmic ? log10(value) : value) - low) / (high - low)
  }

  // MARK: Ticks

  private static func linearTicks(_ low: Double, _ high: Double, about count: Int) -> [Tick] {
    let (digit, exponent) = roundStep((high - low) / Double(count))
    let step = Double(digit) * pow(10, Double(exponent))
    let (first, last) = ((low / step).rounded(.up), (high / step).rounded(.down))
    guard step > 0, first.magnitude < 1e12, last.magnitude < 1e12, last - first < 100 else {
      return []
    }
    return stride(from: Int(first), through: Int(last), by: 1).map {
      let digits = $0 * digit
      return Tick(
        value: Double($0) * step, text: NumberText.decimal(digits, exponent)
      )
    }
  }

  /// The next of 1, 2, 5 and 10 times a power of ten.
  private static func roundStep(_ wanted: Double) -> (digit: Int, exponent: Int) {
    guard wanted > 0, wanted.isFinite else { return (1, 0) }
    let exponent = Int(log10(wanted).rounded(.down))
    let leading = wanted / pow(10, Double(exponent))
    switch leading {
    case ...1.0001: return (1, exponent)
    case ...2.0001: return (2, exponent)
    case ...5.0001: return (5, exponent)
    default: return (1, exponent + 1)
    }
  }

  private static func logarithmicTicks(_ low: Double, _ high: Double) -> [Tick] {
    let decades = high - low
    let stepsOfDecades = max(1, Int((decades / 8).rounded(.up)))
    var ticks: [Tick] = []
    for exponent in Int(low.rounded(.down))...max(Int(low.rounded(.down)), Int(high)) {
      for digit in 1...9 {
        let value = Double(digit) * pow(10, Double(exponent))
        let place = log10(value)
        guard place >= low - 1e-9, place <= high + 1e-9 else { continue }
        let isNamed =
          switch digit {
          case 1: exponent % stepsOfDecades == 0
          case 2, 5: decades <= 2
          default: decades <= 0.8
          }
        guard isNamed || decades <= 6 else { continue }
        ticks.append(
          Tick(
            value: value,
            text: isNamed ? NumberText.decimal(digit, exponent) : ""))
      }
    }
    return ticks
  }
}

/// Numbers for people, made from digits so that no rounding shows.
enum NumberText {
  /// digits x 10^exponent. Numbers with many zeros are written with an exponent.
  static func decimal(_ digits: Int, _ exponent: Int) -> String {
    guard digits != 0 else { return "0" }
    let sign = digits < 0 ? "-" : ""
    var text = String(digits.magnitude)
    let leading = exponent + text.count - 1
    if leading >= 6 || leading < -4 {
      while text.count > 1, text.hasSuffix("0") { text.removeLast() }
      let rest = text.count > 1 ? "." + text.dropFirst() : ""
      return "\(sign)\(text.prefix(1))\(rest)e\(leading)"
    }
    if exponent >= 0 { return sign + text + String(repeating: "0", count: exponent) }
    text = String(repeating: "0", count: max(0, 1 - exponent - text.count)) + text
    let decimals = text.suffix(-exponent)
    return "\(sign)\(text.dropLast(-exponent)).\(decimals)"
  }

  /// With three significant digits.
  static func short(_ value: Double) -> String {
    guard value != 0, Scale.isDrawable(value), value.magnitude > 1e-300 else {
      return value.isNaN
        ? "nan" : value == 0 || value.magnitude < 1 ? "0" : value > 0 ? "inf" : "-inf"
    }
    var exponent = Int(log10(value.magnitude).rounded(.down)) - 2
    var digits = Int((value / pow(10, Double(exponent))).rounded())
    while digits != 0, digits % 10 == 0, exponent < 0 || digits.magnitude >= 1000 {
      digits /= 10
      exponent += 1
    }
    return decimal(digits, exponent)
  }
}
