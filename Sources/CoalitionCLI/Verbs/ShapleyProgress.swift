// How far an estimation has come, on standard error: evaluations, their rate, the error so far and the time left.

import Coalition
import CoalitionBase

struct ShapleyProgress {
  private let style: ProgressStyle
  private let interval: Double
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var last: ContinuousClock.Instant
  /// Evaluations that were there already.
  private let before: Int
  private var isShown = false

  init(_ style: ProgressStyle, before: Int) {
    self.style = style.shown
    interval = style == .plain ? 2 : 0.2
    self.before = before
    start = clock.now
    last = start
  }

  /// Whether anything is ever said.
  var isShowing: Bool { style != .none }

  /// After a slice of work: says something when it is time to.
  mutating func report(_ run: ShapleyRun) {
    guard style != .none, last.duration(to: clock.now).seconds >= interval else { return }
    last = clock.now
    show(run)
  }

  /// At the end: the line that somebody watched is wiped out; a program gets to know the end.
  mutating func finish(_ run: ShapleyRun) {
    switch style {
    case .auto: if isShown { Terminal.writeError("\r\u{1B}[K") }
    case .json: show(run)
    case .plain, .none: break
    }
  }

  private mutating func show(_ run: ShapleyRun) {
    isShown = true
    let done = run.evaluationsDone
    let total = run.evaluationsForeseen
    let rate = Double(done - before) / max(start.duration(to: clock.now).seconds, 1e-9)
    let error = run.estimate.relativeError
    let left = Self.secondsLeft(run, done: done, total: total, rate: rate, error: error)
    switch style {
    case .json:
      let number = { (value: Double?) -> String in
        guard let value, value.isFinite else { return "null" }
        return "\(value)"
      }
      Terminal.writeError(
        "{\"done\": \(done), \"total\": \(total.map(String.init) ?? "null"), "
          + "\"rate\": \(number(rate)), \"error\": \(number(error)), "
          + "\"seconds-left\": \(number(left))}\n")
    default:
      var text = Numbers.grouped(done)
      if let total {
        text += " of \(run.options.looksAtResults ? "at most " : "")\(Numbers.grouped(total))"
      }
      text += " evaluations, \(Numbers.metric(Int(rate))) a second"
      if error.isFinite { text += ", error \(Numbers.significant(100 * error, 2)) % of the range" }
      if let left { text += ", about \(Numbers.seconds(left)) left" }
      Terminal.writeError(style == .auto ? "\r\u{1B}[K\(text)" : text + "\n")
    }
  }

  /// Until the budget ends, or the error, which falls with the root of the evaluations, meets the tolerance.
  private static func secondsLeft(
    _ run: ShapleyRun, done: Int, total: Int?, rate: Double, error: Double
  ) -> Double? {
    guard rate > 0 else { return nil }
    var left = total.map { Double(max($0 - done, 0)) }
    if let tolerance = run.options.tolerance, error.isFinite, error > 0 {
      let ratio = error / tolerance
      let rest = Double(done) * max(ratio * ratio - 1, 0)
      left = left.map { min($0, rest) } ?? rest
    }
    return left.map { $0 / rate }
  }
}
