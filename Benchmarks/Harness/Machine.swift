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

  /// With a mark where what is measured has changed since; that results are being written does not count.
  private static func currentCommit() -> String {
    guard let commit = git(["rev-parse", "--short=10", "HEAD"])?.text else {
      return "unknown"
    }
    let measured = [
      "Package.swift", "Sources", "csrc", "Benchmarks/Harness", "Benchmarks/Peers",
    ]
    let isClean = git(["diff", "--quiet", "HEAD", "--"] + measured)?.status == 0
    return isClean ? commit : commit + "-dirty"
  }

  private static func git(_ arguments: [String]) -> (text: String, status: Int32)? {
    let git = Process()
    let output = Pipe()
    git.executableURL = URL(filePath: "/usr/bin/env")
    git.arguments = ["git"] + arguments
    git.standardOutput = output
    git.standardError = FileHandle.nullDevice
    guard (try? git.run()) != nil else { return nil }
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    git.waitUntilExit()
    let text = String(data: bytes, encoding: .utf8) ?? ""
    return (text.trimmingCharacters(in: .whitespacesAndNewlines), git.terminationStatus)
  }
}
