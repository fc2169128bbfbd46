// Quadratures on [0, 1] for path integrals.

/// How an integral along a path becomes a sum.
public enum Quadrature: String, Sendable, Hashable, CaseIterable {
  /// Gauss-Legendre: exact for polynomials of degree 2 n - 1.
  case gauss
  /// (k - 1/2) / n.
  case midpoint
  /// k / n, as in the released code of the paper.
  case right

  /// Places and weights; the weights add up to 1.
  public func nodes(_ count: Int) -> [(place: Double, weight: Double)] {
    switch self {
    case .midpoint: (0..<count).map { ((Double($0) + 0.5) / Double(count), 1 / Double(count)) }
    case .right: (1...max(count, 1)).map { (Double($0) / Double(count), 1 / Double(count)) }
    case .gauss: Self.gaussLegendre(count)
    }
  }

  /// Roots of the Legendre polynomial P_n by Newton's method from Tricomi's approximation, moved from [-1, 1] to
  /// [0, 1]. Weights 2 / ((1 - x^2) P_n'(x)^2), halved.
  private static func gaussLegendre(_ count: Int) -> [(place: Double, weight: Double)] {
    (0..<count).map { index in
      // Symmetric pairs come from one root, so that they are exactly symmetric.
      let mirror = count - 1 - index
      let isMirrored = index > mirror
      let rank = Double(isMirrored ? mirror : index)
      let n = Double(count)
      var x = index == mirror ? 0 : cosine(.pi * (rank + 0.75) / (n + 0.5))
      var slope = 0.0
      for _ in 0..<100 {
        let (value, derivative) = legendre(count, x)
        slope = derivative
        guard index != mirror else { break }
        let step = value / derivative
        x -= step
        if abs(step) < 1e-16 { break }
      }
      slope = legendre(count, x).derivative
      let place = isMirrored ? (1 + x) / 2 : (1 - x) / 2
      return (place, 1 / ((1 - x * x) * slope * slope))
    }
  }

  /// P_n(x) and P_n'(x).
  private static func legendre(_ degree: Int, _ x: Double) -> (value: Double, derivative: Double) {
    var (previous, value) = (1.0, x)
    if degree == 0 { return (1, 0) }
    for k in 1..<max(degree, 1) {
      let k = Double(k)
      (previous, value) = (value, ((2 * k + 1) * x * value - k * previous) / (k + 1))
    }
    return (value, Double(degree) * (x * value - previous) / (x * x - 1))
  }

  /// cos by its Taylor series around the nearest multiple of pi / 2: a start for Newton's method, the same everywhere.
  private static func cosine(_ angle: Double) -> Double {
    let y = Double.pi / 2 - angle
    var (term, sum) = (y, y)
    for k in 1..<12 {
      term *= -y * y / Double(2 * k * (2 * k + 1))
      sum += term
    }
    return sum
  }
}
