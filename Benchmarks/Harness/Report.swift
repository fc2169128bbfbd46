// What was measured, as lines for the terminal, as JSON, and as the table of RESULTS.md.

import CoalitionNet
import Foundation

/// The machine and the state of the code.
struct Machine: Codable {
  var processor: String
  var cores: Int
  var threads: Int
  var instructionSet: String
  var commit: String
  var date: String

  static func current(instructionSet: InstructionSet, threads: Int) -> Machine {
    let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let model = info.split(separator: "\n").first { $0.hasPrefix("model name") }
    return Machine(
      processor: model?.split(separator: ":").last.map {
        $0.trimmingCharacters(in: .whitespaces)
      } ?? "unknown",
      cores: ProcessInfo.processInfo.activeProcessorCount, threads: threads,
      instructionSet: instructionSet.rawValue, commit: currentCommit(),
      date: String(ISO8601DateFormatter().string(from: Date()).prefix(10)))
  }

  var line: String {
    "\(processor), \(cores) cores, \(threads) threads, \(instructionSet), commit \(commit), \(date)"
  }

  private static func currentCommit() -> String {
    let git = Process()
    let output = Pipe()
    git.executableURL = URL(filePath: "/usr/bin/env")
    git.arguments = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    git.standardOutput = output
    git.standardError = FileHandle.nullDevice
    guard (try? git.run()) != nil else { return "unknown" }
    let text =
      String(data: output.fileHandleForReading.readDataToEndOfFile(), encoding: .utf8) ?? ""
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

struct WorkloadResult: Codable {
  struct PeerInfo: Codable {
    var name: String
    var version: String
    var batch: Int
    var requests: Int
  }
  struct Layer: Codable {
    var node: String
    var step: String
    var shareOfTime: Double
    /// nil for steps without multiply-adds.
    var shareOfPeak: Double?
  }

  var name: String
  /// Two per multiply-add; taps on padding not counted.
  var operationsPerExample: Double
  var lanes: Int
  /// Medians: examples per second by engine; "peak" in operations per second.
  var rates: [String: Double]
  var naiveRate: Double
  /// Largest difference of our outputs from the naive reference in double precision.
  var naiveDifference: Double
  var peers: [PeerInfo]
  /// Peers that could not be measured, with the reason.
  var missing: [String: String]
  /// Largest difference of a peer's outputs from ours.
  var agreement: [String: Double]
  var layers: [Layer]

  var ours: Double { rates["ours"] ?? .nan }
  var shareOfPeak: Double { ours * operationsPerExample / (rates["peak"] ?? .nan) }
  var scaling: Double { ours / (rates["one thread"] ?? .nan) }
  var fastestPeer: (name: String, rate: Double)? {
    peers.compactMap { peer in rates[peer.name].map { (peer.name, $0) } }.max { $0.1 < $1.1 }
  }

  var lines: [String] {
    var lines = [
      "",
      "forward/\(name): \(grouped(ours)) examples/s, \(fixed(ours * operationsPerExample / 1e9, 1)) GFLOP/s, "
        + "\(percent(shareOfPeak)) of the FMA peak, \(lanes) lanes, "
        + "\(fixed(scaling, 2))x from one thread to \(2), "
        + "\(fixed(ours / naiveRate, 0))x the naive reference (differs by \(scientific(naiveDifference)))",
    ]
    for peer in peers {
      guard let rate = rates[peer.name] else { continue }
      lines.append(
        "  \(peer.name) \(peer.version), \(peer.requests) x batch \(peer.batch): \(grouped(rate)) examples/s, ratio "
          + "\(fixed(ours / rate, 2)) (outputs differ by \(agreement[peer.name].map(scientific) ?? "?"))"
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

struct Report: Codable {
  var machine: Machine
  var results: [WorkloadResult]

  func write(to folder: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    try encoder.encode(self).write(to: folder.appending(path: "results.json"), options: .atomic)
    try Data(table.utf8).write(to: folder.appending(path: "RESULTS.md"), options: .atomic)
  }

  private var table: String {
    let names = Set(results.flatMap { $0.peers.map(\.name) + Array($0.missing.keys) }).sorted()
    var rows = [
      "# Results",
      "",
      "Written by `make bench`; \(machine.line).",
      "Examples per second, medians of interleaved turns, every engine at its best batch size; in brackets how much",
      "faster Coalition is. GFLOP/s count two operations per multiply-add and no taps on padding.",
      "",
      "| workload | Coalition | GFLOP/s | of FMA peak | 1 -> \(machine.threads) threads | naive | "
        + names.joined(separator: " | ") + " |",
      "|---|---:|---:|---:|---:|---:|" + names.map { _ in "---:|" }.joined(),
    ]
    for result in results {
      var cells = [
        "forward/\(result.name)", grouped(result.ours),
        fixed(result.ours * result.operationsPerExample / 1e9, 1), percent(result.shareOfPeak),
        "\(fixed(result.scaling, 2))x",
        "\(grouped(result.naiveRate)) (\(fixed(result.ours / result.naiveRate, 0))x)",
      ]
      cells += names.map { name in
        result.rates[name].map { "\(grouped($0)) (\(fixed(result.ours / $0, 2))x)" }
          ?? "not measured"
      }
      rows.append("| " + cells.joined(separator: " | ") + " |")
    }
    for result in results where !result.layers.isEmpty {
      rows += ["", "## Layers of \(result.name), one thread, \(result.lanes) lanes", ""]
      rows += ["| step | share of time | of FMA peak |", "|---|---:|---:|"]
      rows += result.layers.map {
        "| \($0.step) | \(percent($0.shareOfTime)) | \($0.shareOfPeak.map(percent) ?? "") |"
      }
    }
    return rows.joined(separator: "\n") + "\n"
  }
}

// MARK: - Numbers as text

func fixed(_ value: Double, _ digits: Int) -> String {
  value.isFinite ? String(format: "%.\(digits)f", value) : "-"
}
func percent(_ value: Double) -> String {
  value.isFinite ? String(format: "%.1f %%", 100 * value) : "-"
}
func scientific(_ value: Double) -> String { String(format: "%.1e", value) }

/// A rate with three or more significant digits: 26,300.
func grouped(_ value: Double) -> String {
  guard value.isFinite else { return "-" }
  if value < 100 { return String(format: "%.2f", value) }
  var digits = String(Int(value.rounded()))
  var index = digits.count - 3
  while index > 0 {
    digits.insert(",", at: digits.index(digits.startIndex, offsetBy: index))
    index -= 3
  }
  return digits
}
