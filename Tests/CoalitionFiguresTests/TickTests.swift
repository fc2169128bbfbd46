// Ticks are round numbers inside of the range, and their texts read back as them.

import Testing

@testable import CoalitionFigures

@Suite struct TickTests {
  @Test("Linear ticks are inside, evenly spaced, few, and say their value")
  func linear() throws {
    let ranges = [
      (0.0, 1.0), (-1, 1), (0, 784), (0.001, 0.0017), (-3e-9, 4e-8), (1e6, 5e6), (-1e300, 1e300),
      (99, 101), (0.123456, 0.123457), (1e-290, 9e-290), (-7, -2),
    ]
    for (low, high) in ranges {
      let scale = try #require(Scale.linear([low, high], room: 0.05))
      let values = scale.ticks.map(\.value)
      #expect((3...14).contains(values.count), "\(low) \(high)")
      for tick in scale.ticks {
        #expect(tick.value >= scale.low && tick.value <= scale.high)
        let read = try #require(Double(tick.text))
        #expect(abs(read - tick.value) <= 1e-9 * max(abs(tick.value), high - low), "\(tick)")
      }
      for (a, (b, c)) in zip(values, zip(values.dropFirst(), values.dropFirst(2))) {
        #expect(abs((b - a) - (c - b)) <= 1e-6 * (c - a))
      }
      #expect(Set(scale.ticks.map(\.text)).count == values.count)
    }
  }

  @Test(
    "A single number stands in the middle", arguments: [0, 5, -3, 1e-300, 1e300, 1e15] as [Double])
  func constant(value: Double) throws {
    let scale = try #require(Scale.linear([value, value, .nan, .infinity], room: 0.05))
    #expect(abs((scale.position(value) ?? 0) - 0.5) < 1e-9)
    #expect(!scale.ticks.isEmpty)
    if value > 0 {
      let log = try #require(Scale.logarithmic([value, 0, -1], room: 0.05))
      #expect(abs((log.position(value) ?? 0) - 0.5) < 1e-9)
    }
  }

  @Test("Powers of ten are named on a logarithmic axis; few decades get more numbers")
  func logarithmic() throws {
    func texts(_ low: Double, _ high: Double) -> [String] {
      (Scale.logarithmic([low, high], room: 0)?.ticks ?? []).map(\.text).filter { !$0.isEmpty }
    }
    #expect(texts(1, 1000) == ["1", "10", "100", "1000"])
    #expect(
      texts(0.01, 1e6) == ["0.01", "0.1", "1", "10", "100", "1000", "10000", "100000", "1e6"])
    #expect(texts(2, 50) == ["2", "5", "10", "20", "50"])
    #expect(texts(2, 9) == ["2", "3", "4", "5", "6", "7", "8", "9"])
    #expect((2...9).contains(texts(1e-300, 1e300).count))
  }

  @Test("Nothing finite has no scale")
  func nothing() {
    #expect(Scale.linear([], room: 0) == nil)
    #expect(Scale.linear([.nan, .infinity, -.infinity], room: 0) == nil)
    #expect(Scale.logarithmic([0, -1, .nan], room: 0) == nil)
  }

  @Test("Short texts have three digits")
  func short() {
    let pairs: [(Double, String)] = [
      (0, "0"), (1, "1"), (-1, "-1"), (0.5, "0.5"), (0.12345, "0.123"), (150, "150"),
      (1234, "1230"), (999.9, "1000"), (1e6, "1e6"), (1.23456e-7, "1.23e-7"), (0.00012, "0.00012"),
      (.nan, "nan"), (.infinity, "inf"), (-.infinity, "-inf"), (.leastNonzeroMagnitude, "0"),
      (100, "100"),
    ]
    for (value, text) in pairs { #expect(NumberText.short(value) == text) }
  }
}
