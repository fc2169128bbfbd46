// Improving estimates, one after the other.

public import CoalitionBase

/// The values of a game's players: `for try await estimate in Shapley(game).estimates { ... }`.
public struct Shapley: Sendable {
  private let run: ShapleyRun

  /// - Throws: as `ShapleyRun.init`.
  public init(
    _ game: any Game, _ options: ShapleyOptions = ShapleyOptions()
  ) throws(CoalitionError) {
    run = try ShapleyRun(game, options)
  }

  /// Estimates as the run goes on, at fixed numbers of samples; the last one is final. Work is done while somebody waits
  /// for the next estimate, and ends with the task.
  public var estimates: Estimates { Estimates(run: run) }

  /// The final estimate.
  public func result() async throws(CoalitionError) -> ShapleyEstimate {
    var run = run
    while try await run.step() {}
    return run.estimate
  }

  /// A sequence of estimates.
  public struct Estimates: AsyncSequence, Sendable {
    public typealias Element = ShapleyEstimate
    public typealias Failure = CoalitionError
    let run: ShapleyRun

    public func makeAsyncIterator() -> Iterator { Iterator(run: run) }

    public struct Iterator: AsyncIteratorProtocol {
      var run: ShapleyRun
      private var isOver = false
      private var last: [Int] = []

      init(run: ShapleyRun) { self.run = run }

      public mutating func next() async throws(CoalitionError) -> ShapleyEstimate? {
        try await next(isolation: nil)
      }

      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws(CoalitionError) -> ShapleyEstimate? {
        guard !isOver else { return nil }
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
