// How far a run has come.

/// Counts what runs have done, readable from any task while they go on. Give a new one to each run
/// (`RunOptions.progress`).
public final class RunProgress: Sendable {
  let control = CallControl()

  public init() {}

  public var examplesDone: Int { control.examplesDone }
}
