// How far array functions are from exact ones, and that their bits depend on nothing but the numbers.

import CLanes
import Testing

/// Largest errors in ulp, near 0 and everywhere.
struct Accuracy {
  var near = 0.0
  var far = 0.0
  var faults: [String] = []

  mutating func compare<Element: LaneElement, Wide: ReferenceReal>(
    _ x: Element, _ found: Element, _ exact: Wide, floor: Double
  ) {
    let rounded = Element(exact)
    if exact.isNaN || rounded.isInfinite || found.isNaN || found.isInfinite {
      // An overflow may come half an ulp early or late.
      let limit = Wide(Element.greatestFiniteMagnitude)
      let close = rounded.isInfinite != found.isInfinite && abs(exact) > limit * (1 - 0x1p-20)
      if !(found == rounded || (found.isNaN && exact.isNaN) || close) {
        faults.append("\(found) for \(exact) at \(x)")
      }
      return
    }
    let error = Double(abs(Wide(found) - exact) / Element.spacing(at: max(abs(exact), Wide(floor))))
    far = max(far, error)
    if abs(x) <= 5 { near = max(near, error) }
  }

  /// Of single precision, at every `step`-th bit pattern, in pieces that fit a cache.
  static func single(
    _ item: FunctionCase, step: UInt32, _ compute: ([Float]) -> [Float],
    exact: (Double) -> Double
  ) -> Accuracy {
    var accuracy = Accuracy()
    var pattern: UInt32 = 0
    var wrapped = false
    while !wrapped {
      var numbers: [Float] = []
      while numbers.count < 4096 && !wrapped {
        numbers.append(Float(bitPattern: pattern))
        (pattern, wrapped) = pattern.addingReportingOverflow(step)
      }
      for (x, y) in zip(numbers, compute(numbers)) {
        accuracy.compare(x, y, exact(Double(x)), floor: item.floor)
      }
    }
    return accuracy
  }

  /// Of double precision, at random bit patterns and over the ranges where the functions live.
  static func double(
    _ item: FunctionCase, seed: UInt64, _ compute: ([Double]) -> [Double],
    exact: (WidestReal) -> WidestReal
  ) -> Accuracy {
    var accuracy = Accuracy()
    var random = TestRandom(seed)
    var numbers = (0..<40_000).map { _ in Double(bitPattern: random.bits()) }
    for range in [0.1, 1, 6, 50, 800] { numbers += random.numbers(40_000, -range, range) }
    for (x, y) in zip(numbers, compute(numbers)) {
      accuracy.compare(x, y, exact(WidestReal(x)), floor: item.floor)
    }
    return accuracy
  }
}

/// Checks that all instruction sets and tails give the same bits: whatever the length, each number has those that it
/// has in the middle of an array.
/// - Parameter results: of the first numbers of `count`, as many as asked.
func checkSameBits<Element: LaneElement>(
  _ label: String, count: Int, _ results: (ln_isa, Int) -> [Element],
  location: SourceLocation = #_sourceLocation
) {
  let expected = results(LN_GENERIC, count)
  for isa in availableISAs {
    for length in [count] + Array(1...33) {
      let found = results(isa, length)
      #expect(
        found.count == length && zip(expected, found).allSatisfy { $0.matches($1) },
        "\(label), \(isaName(isa)), \(length) numbers", sourceLocation: location)
    }
  }
}
