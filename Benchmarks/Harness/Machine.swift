// Where and from which state of the code results come.

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

  var line: String { line(commits: [commit]) }

  func line(commits: [String]) -> String {
    "\(processor), \(cores) cores, \(threads) threads, \(instructionSet), "
      + "commit\(commits.count > 1 ? "s" : "") \(commits.joined(separator: ", ")), \(date)"
  }

  /// Whether results may stand beside each other.
  func isSame(as other: Machine) -> Bool {
    (processor, cores, threads, instructionSet)
      == (other.processor, other.cores, other.threads, other.instructionSet)
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
