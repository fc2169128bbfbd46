// The work of `coalition shapley`: a run slice by slice, saved as it goes, stopped and resumed.

import Coalition
import CoalitionBase
import CoalitionNet

struct ShapleySession {
  private(set) var run: ShapleyRun
  /// How often the run was resumed.
  let resumes: Int
  private let checkpoint: ShapleyCheckpoint?
  private let interval: Double
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  /// Seconds of work before this process.
  private let secondsBefore: Double

  /// - Parameters:
  ///   - options: with `run`.
  ///   - interval: seconds between checkpoints.
  /// - Throws: what the run and its checkpoint throw.
  init(
    _ game: any Game, _ options: ShapleyOptions, _ checkpoint: ShapleyCheckpoint?,
    interval: Double
  ) throws(CoalitionError) {
    let saved = try checkpoint?.load(game, memoryLimit: options.run.memoryLimit)
    run = try ShapleyRun(
      game, options, resuming: saved?.state, secondsBefore: saved?.seconds ?? 0)
    resumes = saved.map { $0.resumes + 1 } ?? 0
    secondsBefore = saved?.seconds ?? 0
    self.checkpoint = checkpoint
    self.interval = interval
    start = clock.now
  }

  /// Seconds of work, also of processes before this one.
  var seconds: Double { secondsBefore + start.duration(to: clock.now).seconds }

  /// Works until the run is done.
  /// - Throws: `stopped` when a signal ended it and the checkpoint has been written.
  mutating func finish(_ style: ProgressStyle) async throws(CoalitionError) {
    var progress = ShapleyProgress(style, before: run.evaluationsDone)
    // Checkpoints want short slices in any case.
    run.isWatched = progress.isShowing || checkpoint != nil
    var lastSave = clock.now
    // The state after the last whole slice: one that was broken off has left nothing behind.
    var state = run.state
    do throws(CoalitionError) {
      while !run.isDone {
        try Signals.check()
        let isMore = try await run.step()
        state = run.state
        if checkpoint != nil, lastSave.duration(to: clock.now).seconds >= interval {
          try save(state)
          lastSave = clock.now
        }
        progress.report(run)
        if !isMore { break }
      }
    } catch {
      progress.finish(run)
      throw try keep(state, error)
    }
    progress.finish(run)
    try save(state)
  }

  private func save(_ state: ShapleyState) throws(CoalitionError) {
    try checkpoint?.save(.init(state: state, seconds: seconds, resumes: resumes))
  }

  /// Keeps what is done when the work fails, and says so.
  private func keep(
    _ state: ShapleyState, _ error: CoalitionError
  ) throws(CoalitionError) -> CoalitionError {
    guard let checkpoint, error.node != checkpoint.path else { return error }
    try save(state)
    guard error.code == .cancelled else { return error }
    return CoalitionError(
      .stopped, "interrupted; the same command goes on from the checkpoint", node: checkpoint.path)
  }
}
