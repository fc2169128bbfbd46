// Progress on standard error while something runs.

import Synchronization

enum ProgressStyle: String, Sendable, CaseIterable {
  /// A line that is written anew, when a person is watching.
  case auto
  /// A line of text each time.
  case plain
  /// A line of JSON each time.
  case json
  case none

  /// What it comes to: nobody watches but at a terminal.
  var shown: ProgressStyle { self == .auto && !Terminal.isErrorInteractive ? .none : self }
}

/// Reports how far a run has come, from its start until `stop`. People are not told of short runs.
struct ProgressReport: Sendable {
  private let task: Task<Void, Never>?

  /// - Parameters:
  ///   - unit: what is counted, for people.
  ///   - count: how much is done.
  init(
    of total: Int, unit: String, style: ProgressStyle, count: @escaping @Sendable () -> Int
  ) {
    guard style.shown != .none else {
      task = nil
      return
    }
    task = Task {
      let interval = Duration.milliseconds(style == .plain ? 2000 : 200)
      while (try? await Task.sleep(for: interval)) != nil {
        Terminal.writeError(Self.line(count(), total, unit, style))
      }
      switch style {
      // The line that somebody watched is wiped out; a program gets to know the end.
      case .auto: Terminal.writeError("\r\u{1B}[K")
      case .json: Terminal.writeError(Self.line(count(), total, unit, style))
      case .plain, .none: break
      }
    }
  }

  /// Ends the report and waits until it has written its last.
  func stop() async {
    task?.cancel()
    await task?.value
  }

  /// Passes that a method makes beside the counted ones do not carry it beyond its end.
  private static func line(
    _ count: Int, _ total: Int, _ unit: String, _ style: ProgressStyle
  ) -> String {
    let done = min(count, total)

    switch style {
    case .json: return "{\"done\": \(done), \"total\": \(total)}\n"
    default:
      let percent = total > 0 ? 100 * done / total : 100
      let text = "\(Numbers.grouped(done)) of \(Numbers.grouped(total)) \(unit), \(percent) %"
      return style == .auto ? "\r\u{1B}[K\(text)" : text + "\n"
    }
  }
}

/// What is done of work that is not counted by the engine.
final class WorkCount: Sendable {
  let total: Int
  private let count = Mutex(0)

  init(total: Int) { self.total = total }

  func add(_ more: Int) { count.withLock { $0 += more } }
  var done: Int { count.withLock { $0 } }
}
