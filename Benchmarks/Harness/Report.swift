// All results as JSON and as the tables of RESULTS.md.

import Foundation

struct Report: Codable {
  var machine: Machine
  var results: [WorkloadResult]
  var curves: [ErrorCurves]

  private static let fileName = "results.json"

  /// What a folder has: nil for nothing, or what another version of the harness has written.
  static func read(from folder: URL) -> Report? {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    guard let data = try? Data(contentsOf: folder.appending(path: fileName)) else { return nil }
    return try? decoder.decode(Report.self, from: data)
  }

  /// Takes over what the same machine has measured before.
  mutating func keepResults(of earlier: Report?) {
    guard let earlier, earlier.machine.isSame(as: machine) else {
      return print("there are no earlier results of this machine")
    }
    results = earlier.results
    curves = earlier.curves
  }

  /// Adds a result in the place of an earlier one, in the order of the workloads.
  mutating func add(_ result: WorkloadResult) {
    results.removeAll { $0.name == result.name }
    results.append(result)
    let order = Workload.all.map(\.name)
    results.sort { (order.firstIndex(of: $0.name) ?? 0) < (order.firstIndex(of: $1.name) ?? 0) }
  }

  mutating func add(_ result: ErrorCurves) {
    curves.removeAll { $0.name == result.name }
    curves.append(result)
    let order = ErrorProblem.curves.map(\.name)
    curves.sort { (order.firstIndex(of: $0.name) ?? 0) < (order.firstIndex(of: $1.name) ?? 0) }
  }

  func write(to folder: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    try encoder.encode(self).write(to: folder.appending(path: Self.fileName), options: .atomic)
    try ErrorCurves.writeFigures(curves, to: folder)
    try Data(text.utf8).write(to: folder.appending(path: "RESULTS.md"), options: .atomic)
  }

  private var text: String {
    var lines = [
      "# Results",
      "",
      "Written by `make bench`; \(machine.line(commits: commits)).",
      "Medians of interleaved turns, every peer at its best batch size; in brackets how much faster Coalition is.",
      "GFLOP/s count two operations per multiply-add and no taps on padding.",
    ]
    lines += ["", "## Forward passes, examples per second", ""] + forwardTable
    lines += ["", "## Training, examples per second", ""] + trainingTable
    lines += ["", "## Explanations and their evaluation", ""] + explanationTable
    lines += [""] + notes
    lines += ["", "## Shapley values by sampling and enumeration", ""] + shapleyTable
    lines += ["", "## Shapley values by moments", ""] + momentTable
    lines += ["", "## Shapley values: time to an error", ""] + curveTable
    lines += ["", "## Scores of hidden units", ""] + pruningTable
    for result in results where !result.layers.isEmpty {
      lines += ["", "## Steps of \(result.name), one thread, \(result.lanes) lanes", ""]
      lines += ["| step | share of time | of FMA peak |", "|---|---:|---:|"]
      lines += result.layers.map {
        "| \($0.step) | \(percent($0.shareOfTime)) | \($0.shareOfPeak.map(percent) ?? "") |"
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The states of the code that results come from, in the order of the results.
  private var commits: [String] {
    var commits: [String] = []
    for commit in results.map(\.commit) + curves.map(\.commit) where !commits.contains(commit) {
      commits.append(commit)
    }
    return commits
  }

  private var forwardTable: [String] {
    let results = results.filter { $0.naive != nil }
    let peers = peerNames(results)
    return table(
      [
        "workload", "Coalition", "GFLOP/s", "of FMA peak", "1 -> \(machine.threads) threads",
        "naive",
      ]
        + peers,
      results.map { result in
        [
          result.name, result.text(result.ours), fixed(result.operationsPerSecond / 1e9, 1),
          percent(result.shareOfPeak), result.scaling.map { "\(fixed($0, 2))x" } ?? "",
          result.naive.map { "\(grouped($0.rate)) (\(fixed(result.ours / $0.rate, 0))x)" } ?? "",
        ] + peers.map { peerCell($0, result) }
      })
  }

  /// The ratio to the fastest peer, and the largest difference from any: the last two columns of most tables.
  private func comparison(_ result: WorkloadResult, orElse missing: String) -> [String] {
    [
      result.fastestPeer.map { "\(fixed(result.ours / $0.rate, 2))x" } ?? missing,
      result.largestDifference.map(scientific) ?? "",
    ]
  }

  private var trainingTable: [String] {
    let results = results.filter(\.isTraining)
    let peers = peerNames(results)
    return table(
      ["workload", "Coalition", "of FMA peak", "1 -> \(machine.threads) threads"] + peers
        + ["to the fastest", "differs by"],
      results.map { result in
        [
          result.name, result.text(result.ours), percent(result.shareOfPeak),
          result.scaling.map { "\(fixed($0, 2))x" } ?? "",
        ] + peers.map { peerCell($0, result) }
          + comparison(result, orElse: "not measured")
      }) + [
        "",
        "Batches of 128, cross-entropy, stochastic gradient descent with momentum, setting up included. A step counts as three forward",
        "passes. \"Differs by\": the largest difference of scores after four steps, relative to the largest score.",
      ]
  }

  private var explanationTable: [String] {
    let results = results.filter {
      $0.naive == nil && !$0.isShapley && !$0.isByMoments && !$0.isTraining && !$0.isPruning
    }
    let peers = peerNames(results)
    return table(
      [
        "workload", "unit", "Coalition", "of FMA peak", "backward alone",
        "1 -> \(machine.threads) threads",
      ] + peers + ["to the fastest", "differs by"],
      results.map { result in
        [
          result.name, result.unit.rawValue, result.text(result.ours), percent(result.shareOfPeak),
          result.backwardShareOfPeak.map(percent) ?? "",
          result.scaling.map { "\(fixed($0, 2))x" } ?? "",
        ] + peers.map { peerCell($0, result) }
          + comparison(result, orElse: "")
      })
  }

  private var shapleyTable: [String] {
    let results = results.filter(\.isShapley)
    let peers = peerNames(results)
    return table(
      [
        "workload", "unit", "Coalition", "1 -> \(machine.threads) threads",
        "Coalition, permutations",
      ] + peers + ["to the fastest", "differs by"],
      results.map { result in
        [
          result.name, result.unit.rawValue, result.text(result.ours),
          result.scaling.map { "\(fixed($0, 2))x" } ?? "",
          result.rates["permutations"].map(result.text) ?? "",
        ] + peers.map { peerCell($0, result) }
          + comparison(result, orElse: "not measured")
      }) + [
        "",
        "One input, output 0, zero baseline; captum-N explains N inputs at a time. A marginal contribution is one player joining one",
        "coalition; Coalition samples by toggles (docs/Methods.md), peers by permutations. \"Differs by\": the largest difference of the",
        "contributions along one order (or of exact values) from a peer's, relative to the largest.",
      ]
  }

  private var momentTable: [String] {
    let results = results.filter(\.isByMoments)
    let peers = peerNames(results)
    let ranks = [0] + MomentTask.ranks
    var titles = ["workload", "Coalition, passes/s", "ms per input", "of FMA peak"]
    titles += ranks.map { "forward passes, rank \($0)" }
    titles += peers
    titles += ["to the fastest", "differs by"]
    let rows = results.map { result -> [String] in
      var row = [result.name, result.text(result.ours)]
      row.append(result.millisecondsPerInput.map { fixed($0, 3) } ?? "")
      row.append(percent(result.shareOfPeak))
      row += ranks.map { rank in result.forwardPasses(rank: rank).map { fixed($0, 2) } ?? "" }
      row += peers.map { peerCell($0, result) }
      return row + comparison(result, orElse: "not measured")
    }
    return table(titles, rows) + [
      "",
      "Output 0, zero baseline, no check by samples. A pass is one coalition size of one player, with or without it, or (gradient) one",
      "node there and back; rank 0 unless said, the FMA peak counts means and variances in convolutions and dense layers. \"Forward",
      "passes\": what a pass takes, in plain forward passes of the same network by the same engine, minimal filtering included.",
    ]
  }

  private var pruningTable: [String] {
    let results = results.filter(\.isPruning)
    let peers = peerNames(results)
    let ranks = [0, PruningTask.rank]
    return table(
      ["workload", "Coalition, permutations", "1 -> \(machine.threads) threads"]
        + ranks.map { "by moments, rank \($0)" } + peers + ["to the fastest", "differs by"],
      results.map { result in
        let moments = ranks.map { rank -> String in
          guard let rate = result.rates["moments \(rank)"] else { return "" }
          return result.text(rate)
            + (result.fastestPeer.map { " (\(fixed(rate / $0.rate, 1))x the fastest)" } ?? "")
        }
        return [
          result.name, result.text(result.ours),
          result.scaling.map { "\(fixed($0, 2))x" } ?? "",
        ] + moments + peers.map { peerCell($0, result) }
          + comparison(result, orElse: "not measured")
      }) + [
        "",
        "Marginal contributions per second: one unit joins one coalition on one example, loss as payoff, everything in front of the layer",
        "computed once per example and counted. LeNet: 64 units, 5 permutations, 100 images; VGG16: 512 units, 1 permutation, 32 images. By",
        "moments (\(PruningTask.nodes) nodes, no check by samples) scores count as the permutations that they stand in for: docs/Methods.md has the errors",
        "of both. torch-written adds up contributions to the next layer along the permutation, torch-cached masks the layer.",
      ]
  }

  private var curveTable: [String] {
    table(ErrorCurves.titles, curves.flatMap(\.rows)) + [
      "",
      "Milliseconds for one input until the root mean square of the errors is that share of the root mean square of the exact values",
      "(medians over runs and inputs, straight lines between budgets in logarithms); in brackets by which estimator. Values by moments are",
      "not checked by samples here. Where every pixel is a player, the exact values are those of 8,192 to 65,536 toggled coalitions. All",
      "curves are in results.json, drawn in figures/.",
    ]
  }

  private var notes: [String] {
    var lines = [
      "Output 0 is explained from a zero baseline; integrated gradients take 100 steps; `latency` is one example in "
        + "one thread.",
      "\"Backward alone\" is what one thread reaches in the steps behind the forward pass. \"Differs by\": the largest",
      "difference of attributions from a peer that computes the same, relative to the largest attribution.",
    ]
    for result in results {
      if !result.isByMoments, let ratio = result.timeOverPasses {
        lines += [
          "",
          "- \(result.name) takes \(fixed(ratio, 3)) times the time of its masked passes alone.",
        ]
      }
    }
    let notes = results.flatMap { result in
      result.peers.filter { !$0.note.isEmpty }.map { peer in
        "- \(result.name), \(peer.name) differs by "
          + "\(result.agreement[peer.name].map(scientific) ?? "?"): \(peer.note)"
      }
    }
    return lines + (notes.isEmpty ? [] : [""] + notes)
  }

  private func peerNames(_ results: [WorkloadResult]) -> [String] {
    Set(results.flatMap { $0.peers.map(\.name) + Array($0.missing.keys) }).sorted()
  }

  private func peerCell(_ name: String, _ result: WorkloadResult) -> String {
    result.rates[name].map { "\(result.text($0)) (\(fixed(result.ours / $0, 2))x)" }
      ?? "not measured"
  }

  /// The first column holds names, the others numbers.
  private func table(_ titles: [String], _ rows: [[String]]) -> [String] {
    ([titles] + rows).map { "| " + $0.joined(separator: " | ") + " |" }.inserting(
      "|---|" + titles.dropFirst().map { _ in "---:|" }.joined(), at: 1)
  }
}

extension Array {
  fileprivate func inserting(_ element: Element, at index: Int) -> [Element] {
    Array(self[..<index]) + [element] + self[index...]
  }
}
