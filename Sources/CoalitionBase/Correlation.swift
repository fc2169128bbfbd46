// Correlation of two lists of numbers, and their distance.
//
// A correlation that is not defined (one side constant, fewer than two pairs, a number that is not finite) is NaN, never
// 0: an average skips what was not defined and is not pulled down by it.

/// Measures of agreement between two lists of equal length.
public enum Correlation {
  /// Pearson's correlation: sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2 sum (y - mean y)^2).
  public static func pearson(
    _ x: some RandomAccessCollection<Double>, _ y: some RandomAccessCollection<Double>
  )
    -> Double
  {
    guard x.count == y.count, x.count >= 2, varies(x), varies(y) else { return .nan }
    let count = Double(x.count)
    let meanX = x.reduce(0) { $0 + $1 / count }
    let meanY = y.reduce(0) { $0 + $1 / count }
    // Deviations by their largest one, so that squares neither overflow nor vanish.
    let scaleX = x.reduce(0) { max($0, abs($1 - meanX)) }
    let scaleY = y.reduce(0) { max($0, abs($1 - meanY)) }
    var (products, squaresX, squaresY) = (0.0, 0.0, 0.0)
    for (first, second) in zip(x, y) {
      let (a, b) = ((first - meanX) / scaleX, (second - meanY) / scaleY)
      products += a * b
      squaresX += a * a
      squaresY += b * b
    }
    let correlation = products / (squaresX * squaresY).squareRoot()
    return correlation.isNaN ? .nan : min(max(correlation, -1), 1)
  }

  /// Spearman's correlation: Pearson's of the ranks, equal numbers sharing the mean of their ranks.
  public static func spearman(
    _ x: some RandomAccessCollection<Double>, _ y: some RandomAccessCollection<Double>
  )
    -> Double
  {
    guard x.count == y.count, (x.allSatisfy { !$0.isNaN }), (y.allSatisfy { !$0.isNaN }) else {
      return .nan
    }
    return pearson(ranks(Array(x)), ranks(Array(y)))
  }

  /// The root of the mean squared difference; NaN for empty lists or lists of different lengths.
  public static func rmse(
    _ x: some RandomAccessCollection<Double>, _ y: some RandomAccessCollection<Double>
  )
    -> Double
  {
    guard x.count == y.count, !x.isEmpty else { return .nan }
    let scale = zip(x, y).reduce(0.0) { max($0, abs($1.0 - $1.1)) }
    if scale == 0 { return zip(x, y).contains { ($0 - $1).isNaN } ? .nan : 0 }
    let sum = zip(x, y).reduce(0.0) { sum, pair in
      let difference = (pair.0 - pair.1) / scale
      return sum + difference * difference
    }
    return scale * (sum / Double(x.count)).squareRoot()
  }

  /// Ranks from 1; equal numbers get the mean of the ranks that they take together.
  static func ranks(_ numbers: [Double]) -> [Double] {
    let order = numbers.indices.sorted { numbers[$0] < numbers[$1] }
    var ranks = [Double](repeating: 0, count: numbers.count)
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count, numbers[order[end]] == numbers[order[start]] { end += 1 }
      for place in start..<end { ranks[order[place]] = Double(start + 1 + end) / 2 }
      start = end
    }
    return ranks
  }

  /// Whether there are two different numbers, and only finite ones. A mean that was rounded would make small deviations
  /// out of equal numbers, so the numbers themselves are compared.
  private static func varies(_ numbers: some RandomAccessCollection<Double>) -> Bool {
    guard let first = numbers.first, numbers.allSatisfy(\.isFinite) else { return false }
    return numbers.contains { $0 != first }
  }
}
