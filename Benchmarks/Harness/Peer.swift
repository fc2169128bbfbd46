// A peer library in a process of its own (Benchmarks/Peers: peers.py and scripts that speak its protocol), driven over
// pipes.

import Coalition
import Foundation

/// What a report says of a peer.
struct PeerDescription: Codable {
  var name: String
  var version = ""
  var batch = 0
  /// Requests that the peer runs at the same time, each with its share of the threads.
  var requests = 1
  /// In what it computes something else than the workload asks for.
  var note = ""
}

/// One library on one model. It sleeps between measurements, so that runs can be interleaved.
final class Peer {
  private(set) var description: PeerDescription
  /// Those that `estimate` knows, of peers that estimate run by run.
  private(set) var estimators: [String] = []
  var name: String { description.name }
  private let process = Process()
  private let toProcess = Pipe()
  private let fromProcess = Pipe()
  private var unread = Data()

  enum Outcome {
    case ready(Peer)
    case missing(reason: String)
  }

  /// Starts a peer and waits until it has chosen its best batch size.
  /// - Parameter command: the script and its arguments.
  static func start(_ name: String, python: String, _ command: [String]) -> Outcome {
    let peer = Peer(name)
    peer.process.executableURL = URL(filePath: "/usr/bin/env")
    peer.process.arguments = [python] + command
    peer.process.standardInput = peer.toProcess
    peer.process.standardOutput = peer.fromProcess
    peer.process.standardError = FileHandle.nullDevice
    do { try peer.process.run() } catch { return .missing(reason: "\(error)") }
    guard let reply = peer.reply() else { return .missing(reason: "no Python with this library") }
    guard reply["ready"] as? Bool == true else {
      return .missing(
        reason: reply["reason"] as? String ?? reply["error"] as? String ?? "not ready")
    }
    peer.description = PeerDescription(
      name: name, version: reply["version"] as? String ?? "", batch: reply["batch"] as? Int ?? 0,
      requests: reply["requests"] as? Int ?? 1, note: reply["note"] as? String ?? "")
    peer.estimators = reply["estimators"] as? [String] ?? []
    return .ready(peer)
  }

  private init(_ name: String) { description = PeerDescription(name: name) }

  /// Examples, or evaluations, per second over about `seconds`.
  func rate(seconds: Double) -> Double? {
    send("run \(seconds)")
    guard let reply = reply(), let examples = reply["examples"] as? Double,
      let time = reply["seconds"] as? Double, time > 0
    else { return nil }
    return examples / time
  }

  /// The values that an estimator of the peer gives an input: nil where its budget is too small.
  func estimate(
    _ estimator: String, evaluations: Int, seed: Int, input: Int
  ) -> (values: [Double], seconds: Double)? {
    send("estimate \(estimator) \(evaluations) \(seed) \(input)")
    guard let reply = reply(), let values = reply["values"] as? [Double],
      let seconds = reply["seconds"] as? Double
    else { return nil }
    return (values, seconds)
  }

  /// The outputs for four examples x[i] = sin(0.1 i), or for what the workload compares.
  func checkOutputs() -> [Double]? {
    send("check")
    return reply()?["outputs"] as? [Double]
  }

  func quit() {
    send("quit")
    process.waitUntilExit()
  }

  private func send(_ line: String) {
    try? toProcess.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
  }

  /// The next line as JSON: nil at the end of the output.
  private func reply() -> [String: Any]? {
    while true {
      if let end = unread.firstIndex(of: 10) {
        let line = unread[..<end]
        unread = unread[(end + 1)...]
        if let object = try? JSONSerialization.jsonObject(with: line) as? [String: Any] {
          return object
        }
        continue
      }
      let more = fromProcess.fileHandleForReading.availableData
      if more.isEmpty { return nil }
      unread.append(more)
    }
  }
}

/// Inputs for peers: little-endian float32 without a header.
enum RawFloats {
  static func write(_ tensor: Tensor, to file: URL) throws {
    try tensor.floats.withUnsafeBytes { try Data($0).write(to: file) }
  }
}
