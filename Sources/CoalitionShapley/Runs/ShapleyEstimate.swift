// What a run knows so far.

/// Values of players with their errors. Improves from one estimate of a run to the next.
public struct ShapleyEstimate: Sendable, Hashable, Codable {
  /// N, T and P.
  public private(set) var exampleCount: Int
  public let targetCount: Int
  public let playerCount: Int
  /// [N, T, P]; NaN where the samples do not suffice yet.
  public var values: [Double]
  /// [N, T, P]: 0 for exact values, NaN where there are too few samples, and for values by moments.
  public var standardErrors: [Double]
  /// [N, T, P]: of values by moments, the root mean square error of the example's values as a small sample shows it, NaN where it
  /// was not asked for, and 0 of players that are known to add nothing; of values that are drawn towards them each value's own.
  /// Else empty.
  public var errorEstimates: [Double] = []
  /// [N, T]: of values that are drawn towards those by moments, the weight of the samples. Else empty.
  public var sampleWeights: [Double] = []
  /// Of values by moments: passes of moments through the model, for an example. Else 0.
  public var momentPasses = 0
  /// [N, T, P, P], symmetric with zeros on the diagonal, where they were asked for; else empty.
  public var interactions: [Double]
  /// As the interactions, of examples that are done; NaN of others, and where they would take too long.
  public var interactionErrors: [Double]
  /// The values of nobody and of everybody, [N, T].
  public var emptyValues: [Double]
  public var fullValues: [Double]
  /// Per example.
  public var evaluations: [Int]
  public var samples: [Int]
  /// Independent replicates behind the standard errors.
  public var replicates: [Int]
  /// Per example why it stopped; nil while it goes on.
  public var stops: [StopReason?]
  public var estimator: Estimator
  /// Why `auto` took it; nil when it was asked for.
  public var choice: String?
  /// What values are off by in expectation; nil when they are not.
  public var bias: String?

  private let interactionCount: Int

  /// Of no examples yet.
  /// - Parameter scheme: nil for estimators that do not sample.
  init(
    playerCount: Int, targetCount: Int, estimator: Estimator, choice: String? = nil,
    scheme: (any SamplingScheme)? = nil
  ) {
    exampleCount = 0
    self.targetCount = targetCount
    self.playerCount = playerCount
    (values, standardErrors, emptyValues, fullValues) = ([], [], [], [])
    (evaluations, samples, replicates, stops) = ([], [], [], [])
    (interactions, interactionErrors) = ([], [])
    self.estimator = estimator
    self.choice = choice
    bias = scheme?.bias
    interactionCount =
      scheme is any InteractionScheme ? targetCount * playerCount * playerCount : 0
  }

  /// Adds an example's values by moments, [T, P].
  /// - Parameters:
  ///   - errors: per target, of an active player's value.
  ///   - active: the players that are not known to add nothing.
  mutating func append(
    _ values: [Double], errors: [Double], active: [Int], ends: [GameEnds], evaluations: Int,
    passes: Int
  ) {
    append(
      Jackknife.Outcome(
        values: values, standardErrors: [Double](repeating: .nan, count: values.count),
        replicates: 0, interactions: []),
      ends: ends, samples: 0, evaluations: evaluations, stop: .moments)
    for error in errors {
      let start = errorEstimates.count
      errorEstimates += [Double](repeating: 0, count: playerCount)
      for player in active { errorEstimates[start + player] = error }
    }
    momentPasses = passes
  }

  /// Adds an example; nil for what is not known yet.
  mutating func append(
    _ outcome: Jackknife.Outcome?, ends: [GameEnds]?, samples: Int, evaluations: Int,
    stop: StopReason?
  ) {
    let unknown = [Double](repeating: .nan, count: targetCount * playerCount)
    exampleCount += 1
    values += outcome?.values ?? unknown
    standardErrors += outcome?.standardErrors ?? unknown
    interactions +=
      outcome?.interactions ?? [Double](repeating: .nan, count: interactionCount)
    let errors = outcome?.interactionErrors ?? []
    interactionErrors +=
      errors.isEmpty ? [Double](repeating: .nan, count: interactionCount) : errors
    replicates.append(outcome?.replicates ?? 0)
    for target in 0..<targetCount {
      emptyValues.append(ends?[target].empty ?? .nan)
      fullValues.append(ends?[target].full ?? .nan)
    }
    self.samples.append(samples)
    self.evaluations.append(evaluations)
    stops.append(stop)
  }

  public var isFinal: Bool { stops.allSatisfy { $0 != nil } }

  /// The values of the players of one example.
  public func values(example: Int, target: Int = 0) -> ArraySlice<Double> {
    let start = (example * targetCount + target) * playerCount
    return values[start..<start + playerCount]
  }

  public func standardErrors(example: Int, target: Int = 0) -> ArraySlice<Double> {
    let start = (example * targetCount + target) * playerCount
    return standardErrors[start..<start + playerCount]
  }

  /// Per example and target, [N, T], the root mean square of the error estimates in that of the values.
  public var relativeErrorEstimates: [Double] {
    guard !errorEstimates.isEmpty else { return [] }
    return (0..<exampleCount * targetCount).map { row in
      let own = row * playerCount..<(row + 1) * playerCount
      let error = errorEstimates[own].reduce(0) { $0 + $1 * $1 }
      return error == 0 ? 0 : (error / values[own].reduce(0) { $0 + $1 * $1 }).squareRoot()
    }
  }

  /// The root mean square of the error estimates of an example and target, without players that are known to add nothing.
  public func errorEstimate(example: Int, target: Int = 0) -> Double {
    let start = (example * targetCount + target) * playerCount
    return Self.errorEstimate(of: errorEstimates[start..<start + playerCount])
  }

  /// The same of the error estimates of all players.
  package static func errorEstimate(of errors: ArraySlice<Double>) -> Double {
    let open = errors.filter { $0 != 0 }
    return (open.reduce(0) { $0 + $1 * $1 } / Double(max(open.count, 1))).squareRoot()
  }

  /// The half width of the 95 % interval of every value, [N, T, P], by Student's distribution.
  public var margins: [Double] {
    let perExample = targetCount * playerCount
    return standardErrors.enumerated().map { index, error in
      error == 0 ? 0 : error * StudentT.quantile975(replicates[index / perExample] - 1)
    }
  }

  /// What values leave unexplained of the difference between everybody and nobody, [N, T].
  public var residuals: [Double] {
    (0..<exampleCount * targetCount).map { row in
      let own = values[row * playerCount..<(row + 1) * playerCount]
      return fullValues[row] - emptyValues[row] - own.reduce(0, +)
    }
  }

  /// The largest standard error over the range of the values, per example and target the worst: NaN before it is
  /// known.
  public var relativeError: Double {
    var worst = 0.0
    for row in 0..<exampleCount * targetCount {
      let own = row * playerCount..<(row + 1) * playerCount
      let error = standardErrors[own].reduce(0) { $0.isNaN || $1.isNaN ? .nan : max($0, $1) }
      let range = (values[own].max() ?? 0) - (values[own].min() ?? 0)
      let relative = error == 0 ? 0 : error / range
      if !(relative <= worst) { worst = relative }
      if worst.isNaN { return .nan }
    }
    return worst
  }
}
