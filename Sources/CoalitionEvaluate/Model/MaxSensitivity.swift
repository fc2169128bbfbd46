// Max-sensitivity (Yeh et al., NeurIPS 2019): how far an explanation moves when the input hardly does.
//
// The largest, over random perturbations d whose elements are uniform in [-radius, radius], of
//     || explanation(x + d) - explanation(x) ||       (Euclidean, over all elements),
// and `relative`, the same divided by || explanation(x) ||, which lets methods of different scales be compared.
// The true maximum over the ball is only approached from below.

public import CoalitionBase

public struct MaxSensitivity: Sendable, Hashable {
  public var radius = 0.02
  public var perturbations = 10
  public var seed: UInt64 = 0

  public init(radius: Double = 0.02, perturbations: Int = 10, seed: UInt64 = 0) {
    self.radius = radius
    self.perturbations = perturbations
    self.seed = seed
  }

  public struct Result: Sendable, Hashable {
    /// Per example.
    public let values: [Double]
    /// NaN where the explanation of x is all zeros.
    public let relative: [Double]
  }

  /// An explanation of rows of inputs: [example][element].
  public typealias Method = ([String: Tensor]) async throws(CoalitionError) -> [[Double]]

  /// - Parameters:
  ///   - inputs: rows of all inputs; those of floating-point numbers are perturbed.
  ///   - method: explains such rows.
  /// - Throws: `usage` for options out of range, `shapeMismatch` for explanations that differ in shape, and what the
  ///   method throws.
  public func evaluate(
    _ inputs: [String: Tensor], method: Method
  ) async throws(CoalitionError) -> Result {
    guard radius > 0, radius.isFinite, perturbations >= 1 else {
      throw CoalitionError(
        .usage, "max-sensitivity needs a radius and perturbations",
        expected: "above 0, and 1 or more", found: "\(radius) and \(perturbations)")
    }
    let original = try await method(inputs)
    var largest = [Double](repeating: 0, count: original.count)
    for index in 0..<perturbations {
      let moved = try await method(
        try perturbed(inputs, index: index, examples: original.count))
      guard moved.map(\.count) == original.map(\.count) else {
        throw CoalitionError(
          .shapeMismatch, "explanations of the same examples have different shapes")
      }
      for example in original.indices {
        let distance = Self.norm(zip(moved[example], original[example]).map { $0 - $1 })
        // A NaN stays.
        if !(distance <= largest[example]) && !largest[example].isNaN {
          largest[example] = distance
        }
      }
    }
    return Result(
      values: largest,
      relative: zip(largest, original).map { distance, explanation in
        let norm = Self.norm(explanation)
        return norm > 0 ? distance / norm : .nan
      })
  }

  /// The inputs moved by perturbation `index`: a function of seed, perturbation and example.
  func perturbed(
    _ inputs: [String: Tensor], index: Int, examples: Int
  ) throws(CoalitionError) -> [String: Tensor] {
    var moved = inputs
    var generators = (0..<examples).map { example in
      CounterRandom(
        seed: seed, purpose: .maxSensitivity, index: UInt64(index) << 32 | UInt64(example))
    }
    for name in inputs.keys.sorted() {
      guard let tensor = inputs[name], [.float32, .float64].contains(tensor.elementType) else {
        continue
      }
      guard examples > 0, tensor.count % examples == 0 else {
        throw CoalitionError(
          .shapeMismatch, "the input does not hold as many examples as there are explanations",
          node: name, expected: "\(examples)", found: "\(tensor.shape)")
      }
      let width = tensor.count / examples
      var numbers = tensor.doubles
      for place in numbers.indices {
        numbers[place] += radius * (2 * generators[place / width].uniform() - 1)
      }
      moved[name] = try Tensor(
        shape: tensor.shape,
        elements: tensor.elementType == .float32
          ? .float32(numbers.map { Float($0) }) : .float64(numbers))
    }
    return moved
  }

  private static func norm(_ numbers: [Double]) -> Double {
    numbers.reduce(0.0) { $0 + $1 * $1 }.squareRoot()
  }
}
