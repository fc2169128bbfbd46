// Random numbers that are a function of where they are used.
//
// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC 2011): ten rounds of
// multiplications turn a 128-bit counter and a 64-bit key into 128 random bits. The key is the seed; the counter holds
// the purpose (32 bits), the index of the sample (64 bits) and the block within it (32 bits). So sample 17 of
// a seed is the same whoever draws it, in whatever order, on however many threads.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// A stream of random numbers for one sample of one purpose.
public struct CounterRandom: RandomNumberGenerator, Sendable {
  /// What random numbers are for. Two purposes never share numbers, whatever the seed.
  public struct Purpose: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    // Every purpose of the package has its row here, so that no two have the same number.
    /// Random subsets of players of Sensitivity-n.
    package static let sensitivitySubsets = Purpose(rawValue: 1)
    /// Resampling of examples for intervals.
    package static let bootstrap = Purpose(rawValue: 2)
    /// Masks of RISE.
    package static let riseMasks = Purpose(rawValue: 3)
    /// Perturbations of infidelity and of max-sensitivity.
    package static let infidelity = Purpose(rawValue: 4)
    package static let maxSensitivity = Purpose(rawValue: 5)
    /// Baselines and places of expected gradients, and the noise of SmoothGrad.
    package static let expectedGradients = Purpose(rawValue: 6)
    package static let smoothGrad = Purpose(rawValue: 7)
    /// Attributions that know nothing, as the floor of comparisons.
    package static let randomAttributions = Purpose(rawValue: 8)
    /// Samples of estimators of Shapley values, one purpose per kind of sample.
    package static let permutations = Purpose(rawValue: 9)
    package static let toggles = Purpose(rawValue: 10)
    package static let sizeStrata = Purpose(rawValue: 11)
    package static let complements = Purpose(rawValue: 12)
    package static let multilinear = Purpose(rawValue: 13)
    package static let kernelRows = Purpose(rawValue: 14)
    package static let leverageRows = Purpose(rawValue: 15)
    package static let oddRegressionRows = Purpose(rawValue: 16)
    package static let banzhafCoalitions = Purpose(rawValue: 17)
    package static let orthogonalDirections = Purpose(rawValue: 18)
    /// Where the search for directions of a covariance begins, and coalitions that check values by moments.
    package static let covarianceDirections = Purpose(rawValue: 19)
    package static let momentChecks = Purpose(rawValue: 20)
    /// Scores of hidden units that know nothing.
    package static let unitScores = Purpose(rawValue: 21)
    /// Training: weights to begin with, the order of examples, and what dropouts drop.
    package static let initialWeights = Purpose(rawValue: 22)
    package static let exampleOrder = Purpose(rawValue: 23)
    package static let dropout = Purpose(rawValue: 24)
    package static let validationSplit = Purpose(rawValue: 25)
    /// Positions of maps that stand for all of them.
    package static let samplePlaces = Purpose(rawValue: 26)
  }

  private let key: (UInt32, UInt32)
  private let purpose: UInt32
  private let index: UInt64
  private var block: UInt32 = 0
  private var spare: UInt64?

  public init(seed: UInt64, purpose: Purpose, index: UInt64) {
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    self.purpose = purpose.rawValue
    self.index = index
  }

  public mutating func next() -> UInt64 {
    if let number = spare {
      spare = nil
      return number
    }
    let words = Self.philox(
      counter: (
        block, purpose, UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32)
      ), key: key)
    block &+= 1
    spare = UInt64(words.3) << 32 | UInt64(words.2)
    return UInt64(words.1) << 32 | UInt64(words.0)
  }

  /// Uniform in 0 ..< 1, a multiple of 2^-53.
  public mutating func uniform() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  /// Uniform in 0 ..< bound, without bias (Lemire's multiplication with rejection). `bound` is at least 1.
  public mutating func below(_ bound: Int) -> Int {
    let bound = UInt64(bound)
    var product = next().multipliedFullWidth(by: bound)
    if product.low < bound {
      let threshold = (0 &- bound) % bound
      while product.low < threshold { product = next().multipliedFullWidth(by: bound) }
    }
    return Int(product.high)
  }

  /// Puts a list in random order, all orders equally likely (Fisher and Yates).
  package mutating func shuffle(_ list: inout [Int]) {
    for last in stride(from: list.count - 1, to: 0, by: -1) { list.swapAt(last, below(last + 1)) }
  }

  /// A number of the standard normal distribution (Box and Muller).
  public mutating func normal() -> Double {
    // 1 - u is never 0.
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * Double.pi * uniform())
  }

  static func philox(
    counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
  ) -> (UInt32, UInt32, UInt32, UInt32) {
    var (a, b, c, d) = counter
    var (first, second) = key
    for _ in 0..<10 {
      let left = a.multipliedFullWidth(by: 0xd251_1f53)
      let right = c.multipliedFullWidth(by: 0xcd9e_8d57)
      (a, b, c, d) = (right.high ^ b ^ first, right.low, left.high ^ d ^ second, left.low)
      first &+= 0x9e37_79b9
      second &+= 0xbb67_ae85
    }
    return (a, b, c, d)
  }
}
