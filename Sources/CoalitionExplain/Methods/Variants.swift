// The variants of an example that a gradient method averages over.

import CoalitionBase

/// One variant: where it stands between a baseline and the example, and its weight in the sum.
struct Variant: Sendable {
  var baseline = 0
  var alpha = 1.0
  var weight = 1.0
}

extension GradientMethod {
  /// Whether every example has variants of its own.
  var variesByExample: Bool {
    if case .expectedGradients = self { true } else { false }
  }

  /// Whether the engine gets other rows than those of the inputs: with noise, or places of paths.
  var remakesRows: Bool {
    switch self {
    case .smoothGrad, .adaptiveIntegratedGradients: true
    default: false
    }
  }

  /// The variants of one example: as many for every example.
  func variants(ofExample example: Int, baselines: Int) throws(CoalitionError) -> [Variant] {
    switch self {
    case .integratedGradients(let steps, let quadrature):
      try Self.check(steps, "a path has at least one step")
      let path = quadrature.nodes(steps)
      return (0..<baselines).flatMap { baseline in
        path.map { node in
          Variant(
            baseline: baseline, alpha: node.place, weight: node.weight / Double(baselines))
        }
      }
    case .expectedGradients(let samples, let seed):
      try Self.check(samples, "there is at least one sample")
      var random = CounterRandom(seed: seed, purpose: .expectedGradients, index: UInt64(example))
      return (0..<samples).map { sample in
        // One place in each of as many equal parts of the path.
        let place = (Double(sample) + random.uniform()) / Double(samples)
        return Variant(
          baseline: random.below(baselines), alpha: place, weight: 1 / Double(samples))
      }
    case .smoothGrad(let samples, let noise, _):
      try Self.check(samples, "there is at least one sample")
      guard noise >= 0, noise.isFinite else {
        throw CoalitionError(.usage, "the noise is at least 0", found: "\(noise)")
      }
      return [Variant](repeating: Variant(weight: 1 / Double(samples)), count: samples)
    case .deepLIFT, .deepLIFTRevealCancel:
      return (0..<baselines).map { Variant(baseline: $0, weight: 1 / Double(baselines)) }
    default: return [Variant()]
    }
  }

  private static func check(_ count: Int, _ message: String) throws(CoalitionError) {
    guard count > 0 else { throw CoalitionError(.usage, message, found: "\(count)") }
  }

  /// Rows of examples with noise, one per variant, of several inputs: nil for methods without noise.
  func noisy(
    _ inputs: [Tensor], _ examples: Range<Int>
  ) throws(CoalitionError) -> [Tensor]? {
    guard case .smoothGrad(let samples, let noise, let seed) = self else { return nil }
    let values = inputs.map(\.doubles)
    let sizes = inputs.map { $0.count / max($0.shape[0], 1) }
    var results = [[Double]](repeating: [], count: inputs.count)
    for input in inputs.indices {
      results[input].reserveCapacity(examples.count * samples * sizes[input])
    }
    for example in examples {
      let rows = inputs.indices.map { input in
        values[input][example * sizes[input]..<(example + 1) * sizes[input]]
      }
      let deviations = rows.map { noise * (($0.max() ?? 0) - ($0.min() ?? 0)) }
      for sample in 0..<samples {
        // One stream goes through all inputs, so that they share no numbers.
        var random = CounterRandom(
          seed: seed, purpose: .smoothGrad, index: UInt64(example) << 32 | UInt64(sample))
        for input in inputs.indices {
          for value in rows[input] {
            results[input].append(value + deviations[input] * random.normal())
          }
        }
      }
    }
    var tensors: [Tensor] = []
    for (input, numbers) in zip(inputs, results) {
      tensors.append(
        try Tensor(
          shape: [examples.count * samples] + input.shape.dropFirst(), elements: .float64(numbers)))
    }
    return tensors
  }
}
