// Numbers as text.

import Foundation

func fixed(_ value: Double, _ digits: Int) -> String {
  value.isFinite ? String(format: "%.\(digits)f", value) : "-"
}
func percent(_ value: Double) -> String {
  value.isFinite ? String(format: "%.1f %%", 100 * value) : "-"
}
func scientific(_ value: Double) -> String { String(format: "%.1e", value) }

/// A rate with three or more significant digits: 26,300.
func grouped(_ value: Double) -> String {
  guard value.isFinite else { return "-" }
  if value < 100 { return String(format: "%.2f", value) }
  var digits = String(Int(value.rounded()))
  var index = digits.count - 3
  while index > 0 {
    digits.insert(",", at: digits.index(digits.startIndex, offsetBy: index))
    index -= 3
  }
  return digits
}
