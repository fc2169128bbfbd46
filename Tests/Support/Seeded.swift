// Random numbers of tests.

/// A generator with a seed (SplitMix64): the same numbers in every run.
package struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  package init(_ seed: Int) {
    state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  package mutating func numbers(
    _ count: Int, _ range: ClosedRange<Double> = -1...1
  ) -> [Double] {
    (0..<count).map { _ in .random(in: range, using: &self) }
  }
}
