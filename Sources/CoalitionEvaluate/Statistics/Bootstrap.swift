// Intervals over examples by the percentile bootstrap, and comparisons of two methods on the same examples.
//
// Examples are drawn again with replacement; the interval lies between percentiles of the means of these draws. Numbers
// that are not defined (NaN) are left out of every mean; what is counted is the others.

public import CoalitionBase

/// The mean over examples with its interval.
public struct MeanEstimate: Sendable, Hashable {
  /// NaN when no example has a number.
  public let mean: Double
  /// Percentiles of resampled means; NaN for fewer than two examples.
  public let low: Double
  public let high: Double
  /// Examples whose number is defined.
  public let count: Int
}

/// The percentile bootstrap. Draws depend on the seed and the draw's index alone.
public struct Bootstrap: Sendable, Hashable {
  public var resamples = 2000
  /// The share of the means that lies within an interval.
  public var confidence = 0.95
  public var seed: UInt64 = 0

  public init(resamples: Int = 2000, confidence: Double = 0.95, seed: UInt64 = 0) {
    self.resamples = resamples
    self.confidence = confidence
    self.seed = seed
  }

  /// - Throws: `usage` for no resamples or a confidence outside of 0 ..< 1.
  public func mean(_ numbers: [Double]) throws(CoalitionError) -> MeanEstimate {
    try means([numbers])[0]
  }

  /// The means of several numbers of the same examples, which are drawn once for all of them.
  /// - Parameter columns: per kind of number, one for each example.
  /// - Throws: as `mean`, and `shapeMismatch` for columns of different lengths.
  public func means(_ columns: [[Double]]) throws(CoalitionError) -> [MeanEstimate] {
    guard resamples >= 1, confidence >= 0, confidence < 1 else {
      throw CoalitionError(
        .usage, "an interval needs resamples and a confidence",
        expected: "at least 1, and 0 to less than 1", found: "\(resamples) and \(confidence)")
    }
    let count = columns.first?.count ?? 0
    guard columns.allSatisfy({ $0.count == count }) else {
      throw CoalitionError(.shapeMismatch, "there are numbers of different examples")
    }
    var drawn = [[Double]](repeating: [], count: columns.count)
    if count >= 2 {
      for draw in 0..<resamples {
        var random = CounterRandom(seed: seed, purpose: .bootstrap, index: UInt64(draw))
        let examples = (0..<count).map { _ in random.below(count) }
        for (place, column) in columns.enumerated() {
          let mean = Self.mean(of: column, examples)
          if !mean.isNaN { drawn[place].append(mean) }
        }
      }
    }
    let tail = (1 - confidence) / 2
    return zip(columns, drawn).map { column, means in
      let defined = column.reduce(0) { $1.isNaN ? $0 : $0 + 1 }
      let sorted = defined < 2 ? [] : means.sorted()
      return MeanEstimate(
        mean: Self.mean(of: column, column.indices),
        low: sorted.isEmpty ? .nan : Self.percentile(sorted, tail),
        high: sorted.isEmpty ? .nan : Self.percentile(sorted, 1 - tail), count: defined)
    }
  }

  /// The mean of some examples' numbers, without those that are not defined; NaN when none is.
  private static func mean(of numbers: [Double], _ examples: some Collection<Int>) -> Double {
    var (sum, count) = (0.0, 0)
    for example in examples where !numbers[example].isNaN {
      sum += numbers[example]
      count += 1
    }
    return sum / Double(count)
  }

  /// The mean of a[i] - b[i] over the examples where both are defined: methods differ beyond chance in the examples
  /// when the interval leaves 0 out.
  public func difference(_ a: [Double], _ b: [Double]) throws(CoalitionError) -> MeanEstimate {
    guard a.count == b.count else {
      throw CoalitionError(
        .shapeMismatch, "methods are compared on the same examples", expected: "\(a.count)",
        found: "\(b.count)")
    }
    return try mean(zip(a, b).map { $0 - $1 })
  }

  /// The number at a share of a sorted list, between two neighbours by their distance.
  static func percentile(_ sorted: [Double], _ share: Double) -> Double {
    let place = share * Double(sorted.count - 1)
    let below = Int(place)
    let above = min(below + 1, sorted.count - 1)
    return sorted[below] + (place - Double(below)) * (sorted[above] - sorted[below])
  }
}
