// Sums over positions: parts merged in any order are the whole, to the last bit.

import CoalitionBase
import CoalitionShapley
import Testing

struct DyadicSumsTests {
  private static func row(_ position: Int) -> [Double] {
    var random = CounterRandom(
      seed: 7, purpose: .init(rawValue: 0), index: UInt64(position))
    // Of very different sizes, so that another order of addition gives other bits.
    return (0..<3).map { _ in random.normal() * 10.0.power(random.below(12) - 6) }
  }

  private static func sums(_ positions: Range<Int>) -> DyadicSums {
    var sums = DyadicSums()
    for position in positions { sums.append(row(position), at: position) }
    return sums
  }

  @Test(arguments: [1, 2, 3, 7, 8, 33, 100])
  func `Parts merge to what one pass gives`(count: Int) throws {
    let whole = Self.sums(0..<count)
    #expect(whole.covers(count))
    for cuts in [1, 2, 3, 7] where cuts <= count {
      let parts = (0..<cuts).map { Self.sums(count * $0 / cuts..<count * ($0 + 1) / cuts) }
      let merged = try #require(DyadicSums(parts.reversed().flatMap(\.nodes)))
      #expect(merged == whole)
      #expect(merged.total == whole.total)
    }
  }

  @Test func `The total is the sum of all rows`() throws {
    let total = try #require(Self.sums(0..<57).total)
    for index in 0..<3 {
      let plain = (0..<57).reduce(0.0) { $0 + Self.row($1)[index] }
      #expect(abs(total[index] - plain) <= 1e-9 * max(1, abs(plain)))
    }
  }

  @Test func `What overlaps or has gaps is noticed`() {
    #expect(DyadicSums(Self.sums(0..<5).nodes + Self.sums(4..<6).nodes) == nil)
    let gap = DyadicSums(Self.sums(0..<4).nodes + Self.sums(5..<6).nodes)
    #expect(gap?.covers(6) == false)
    #expect(DyadicSums().total == nil)
  }
}

extension Double {
  fileprivate func power(_ exponent: Int) -> Double {
    (0..<abs(exponent)).reduce(1.0) { product, _ in exponent < 0 ? product / self : product * self }
  }
}
