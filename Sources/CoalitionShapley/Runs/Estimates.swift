// Improving estimates, one after the other.

public import CoalitionBase

/// The values of a game's players: `for try await estimate in Shapley(game).estimates { ... }`.
public struct Shapley: Sendable {
  /// Who does the work.
  fileprivate enum Work: Sendable {
    case samples(ShapleyRun)
    case moments(MomentShapley)
  }

  private let work: Work

  /// - Throws: as `ShapleyRun.init`; for estimators by moments `usage` for games that are no model's, and `unsupported`
  ///   with the node for models that moments do not go through.
  public init(
    _ game: any Game, _ options: ShapleyOptions = ShapleyOptions()
  ) throws(CoalitionError) {
    work =
      options.estimator.usesMoments
      ? .moments(try MomentShapley(game, options)) : .samples(try ShapleyRun(game, options))
  }

  /// Estimates as the run goes on, at fixed numbers of samples; the last one is final. Work is done while somebody waits
  /// for the next estimate, and ends with the task.
  public var estimates: Estimates { Estimates(work: work) }

  /// The final estimate.
  public func result() async throws(CoalitionError) -> ShapleyEstimate {
    switch work {
    case .moments(let moments): return try await moments.result()
    case .samples(var run):
      run.isWatched = false
      while try await run.step() {}
      return run.estimate
    }
  }

  /// - Throws: `usage` for estimators that sample.
  package func momentForecast(threads: Int) throws(CoalitionError) -> MomentDemand {
    guard case .moments(let moments) = work else {
      throw CoalitionError(.usage, "the estimator does not propagate moments")
    }
    return try moments.forecast(threads: threads)
  }

  /// A sequence of estimates.
  public struct Estimates: AsyncSequence, Sendable {
    public typealias Element = ShapleyEstimate
    public typealias Failure = CoalitionError
    fileprivate let work: Work

    public func makeAsyncIterator() -> Iterator { Iterator(work: work) }

    public struct Iterator: AsyncIteratorProtocol {
      private var work: Work
      private var isOver = false
      private var last: [Int] = []

      fileprivate init(work: Work) { self.work = work }

      public mutating func next() async throws(CoalitionError) -> ShapleyEstimate? {
        try await next(isolation: nil)
      }

      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws(CoalitionError) -> ShapleyEstimate? {
        guard !isOver else { return nil }
        switch work {
        case .moments(let moments):
          isOver = true
          return try await moments.result()
        case .samples(var run):
          defer { work = .samples(run) }
          while try await run.step() {
            if Task.isCancelled { throw CoalitionError(.cancelled, "the run was cancelled") }
            let estimate = run.estimate
            guard estimate.samples != last, estimate.samples.contains(where: { $0 > 0 }) else {
              continue
            }
            last = estimate.samples
            return estimate
          }
          isOver = true
          return run.estimate
        }
      }
    }
  }
}
