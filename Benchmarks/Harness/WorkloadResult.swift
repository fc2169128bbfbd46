// What was measured of one workload, and as lines for the terminal.

struct WorkloadResult: Codable {
  struct Naive: Codable {
    var rate: Double
    /// Largest difference of our outputs from the naive reference in double precision.
    var difference: Double
  }
  struct Layer: Codable {
    var node: String
    var step: String
    var shareOfTime: Double
    /// nil for steps without multiply-adds.
    var shareOfPeak: Double?
  }

  var name: String
  var unit: Workload.Unit
  var threads: Int
  /// Two per multiply-add; taps on padding not counted.
  var operationsPerUnit: Double
  /// nil where time per unit says it all.
  var unitsPerInput: Double?
  var lanes: Int
  /// Medians, units per second by engine: "ours", "one thread", "passes" (the network's passes alone), "rank N" (of
  /// moments; "ours" is rank 0), "moments N" (scores of units by moments of that rank) and peers; "peak" in operations per second.
  var rates: [String: Double]
  var peers: [PeerDescription]
  /// Peers that could not be measured, with the reason.
  var missing: [String: String]
  /// Largest difference of a peer's outputs from ours; of attributions relative to the largest.
  var agreement: [String: Double] = [:]
  var naive: Naive?
  /// Of one thread in the steps behind the forward pass.
  var backwardShareOfPeak: Double?
  var layers: [Layer] = []
  /// The state of the code.
  var commit = ""

  var isShapley: Bool { name.hasPrefix("shapley/") }
  var isByMoments: Bool { name.hasPrefix("dasp/") }
  var isTraining: Bool { name.hasPrefix("train/") }
  var isPruning: Bool { name.hasPrefix("prune/") }
  var ours: Double { rates["ours"] ?? .nan }
  var operationsPerSecond: Double { ours * operationsPerUnit }
  var shareOfPeak: Double { operationsPerSecond / (rates["peak"] ?? .nan) }
  /// nil for a workload that is measured with one number of threads.
  var scaling: Double? { rates["one thread"].map { ours / $0 } }
  /// The time as a multiple of that of the network's passes alone.
  var timeOverPasses: Double? { rates["passes"].map { $0 / ours } }
  /// Of an input, in milliseconds.
  var millisecondsPerInput: Double? { unitsPerInput.map { $0 / ours * 1e3 } }

  /// What a pass of moments with so many factors costs, in forward passes.
  func forwardPasses(rank: Int) -> Double? {
    guard let forward = rates["passes"] else { return nil }
    return (rank == 0 ? ours : rates["rank \(rank)"]).map { forward / $0 }
  }
  var fastestPeer: (name: String, rate: Double)? {
    peers.compactMap { peer in rates[peer.name].map { (peer.name, $0) } }.max { $0.1 < $1.1 }
  }
  /// The largest difference from a peer that computes the same.
  var largestDifference: Double? {
    peers.filter { $0.note.isEmpty }.compactMap { agreement[$0.name] }.max()
  }

  /// A rate as the workload's unit has it.
  func text(_ rate: Double) -> String {
    unit == .microseconds ? grouped(1e6 / rate) : grouped(rate)
  }

  var lines: [String] {
    var facts = [
      "\(text(ours)) \(unit.rawValue)", "\(fixed(operationsPerSecond / 1e9, 1)) GFLOP/s",
      "\(percent(shareOfPeak)) of the FMA peak",
    ]
    if let share = backwardShareOfPeak { facts.append("backward alone \(percent(share))") }
    facts.append("\(lanes) lanes")
    if let scaling { facts.append("\(fixed(scaling, 2))x from one thread to \(threads)") }
    if isByMoments {
      let costs = ([0] + MomentTask.ranks).compactMap { rank in
        forwardPasses(rank: rank).map { "\(fixed($0, 2)) at rank \(rank)" }
      }
      facts.append("a pass takes as long as " + costs.joined(separator: ", ") + " forward passes")
      if let millisecondsPerInput { facts.append("\(fixed(millisecondsPerInput, 3)) ms per input") }
    } else if let timeOverPasses {
      facts.append("\(fixed(timeOverPasses, 3)) times the time of its passes alone")
    }
    if let naive {
      facts.append(
        "\(fixed(ours / naive.rate, 0))x the naive reference (differs by \(scientific(naive.difference)))"
      )
    }
    if let fastest = fastestPeer {
      facts.append("\(fixed(ours / fastest.rate, 2))x the fastest peer, \(fastest.name)")
    }
    if let permutations = rates["permutations"] {
      facts.append("\(text(permutations)) \(unit.rawValue) by permutations")
    }
    for rank in [0, PruningTask.rank] {
      guard let rate = rates["moments \(rank)"] else { continue }
      facts.append("\(text(rate)) \(unit.rawValue) stood for by moments of rank \(rank)")
    }
    var lines = ["", "\(name): " + facts.joined(separator: ", ")]
    for peer in peers {
      guard let rate = rates[peer.name] else { continue }
      let note = peer.note.isEmpty ? "" : "; \(peer.note)"
      lines.append(
        "  \(peer.name) \(peer.version), \(peer.requests) x batch \(peer.batch): \(text(rate)) "
          + "\(unit.rawValue), ratio \(fixed(ours / rate, 2)) "
          + "(differs by \(agreement[peer.name].map(scientific) ?? "?")\(note))"
      )
    }
    for (name, reason) in missing.sorted(by: { $0.key < $1.key }) {
      lines.append("  \(name): not measured (\(reason))")
    }
    for layer in layers {
      let peak = layer.shareOfPeak.map { "\(percent($0)) of peak" } ?? ""
      lines.append("    \(percent(layer.shareOfTime))  \(layer.step)  \(peak)")
    }
    return lines
  }
}
