// `coalition shapley --dry-run`: what a run would take. Evaluations and memory are counted; time comes from a trial of
// about a second, of which nothing is kept.

import Coalition
import CoalitionBase
import CoalitionNet

struct ShapleyForecast {
  let run: ShapleyRun
  let examples: Int
  let players: Int
  /// Bytes besides those of the run's sums.
  let held: Int
  let memoryLimit: Int
  let threads: Int
  let instructionSet: InstructionSet

  func text() async throws(CoalitionError) -> String {
    let trial = try await trial()
    var rows: [(String, String)] = [
      ("examples", Numbers.grouped(examples)), ("players", Numbers.grouped(players)),
      ("estimator", run.estimator.rawValue + (run.choice.map { " (\($0))" } ?? "")),
    ]
    let moments = try run.momentForecast()
    if let moments {
      let what =
        run.triesMoments
        ? "tried on the first examples, and taken for all where they are no further off than the samples"
        : "what values are drawn towards"
      rows.append(
        (
          "moments",
          "\(what): \(Numbers.grouped(moments.passes)) passes for an example, each of "
            + "\(Numbers.significant(moments.passCost, 2)) plain forward passes, and \(Numbers.significant(moments.frontCost, 2)) in front of them"
        ))
    }
    let limit = run.options.looksAtResults || run.options.seconds != nil ? "at most " : ""
    if let total = run.evaluationsForeseen {
      rows.append(
        (
          "evaluations",
          limit + Numbers.grouped(total)
            + " (\(Numbers.grouped(total / max(examples, 1))) for an example)"
        ))
    } else {
      rows.append(("evaluations", "as many as the rules of stopping take"))
    }
    rows.append(
      (
        "memory",
        "\(Numbers.bytes(held + max(run.sumByteCount, moments?.memory ?? 0))) of \(Numbers.bytes(memoryLimit)) allowed"
      ))
    rows.append(("threads", "\(threads)"))
    rows.append(("instruction set", instructionSet.rawValue))
    let measured =
      "\(Numbers.grouped(trial.evaluations)) evaluations took \(Numbers.seconds(trial.seconds))"
    var seconds =
      trial.evaluations > 0
      ? run.evaluationsForeseen.map { Double($0) * trial.seconds / Double(trial.evaluations) } : nil
    if let time = run.options.seconds { seconds = min(seconds ?? time, time) }
    rows.append(
      (
        "time",
        seconds.map {
          "\(limit.isEmpty ? "about" : "at most") \(Numbers.seconds($0)) (\(measured))"
        } ?? measured
      ))
    return rows.map { name, text in
      name + String(repeating: " ", count: max(1, 17 - name.count)) + text + "\n"
    }.joined()
  }

  /// The first slice, which also packs weights and starts threads, is not counted where there are others.
  private func trial() async throws(CoalitionError) -> (evaluations: Int, seconds: Double) {
    var run = run
    run.isWatched = Terminal.isErrorInteractive
    let clock = ContinuousClock()
    let start = clock.now
    /// Behind every slice.
    var marks: [(evaluations: Int, seconds: Double)] = [(0, 0)]
    while try await run.step() {
      try Signals.check()
      // Work with moments follows the samples.
      guard run.evaluationsDone > marks[marks.count - 1].evaluations else { break }
      marks.append((run.evaluationsDone, start.duration(to: clock.now).seconds))
      if marks.count > 2, marks[marks.count - 1].seconds - marks[1].seconds >= 0.7 { break }
    }
    let (first, last) = (marks.count > 2 ? marks[1] : marks[0], marks[marks.count - 1])
    return (last.evaluations - first.evaluations, last.seconds - first.seconds)
  }
}
