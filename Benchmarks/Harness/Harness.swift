// Runs the workloads: Coalition and its peers in turns.

import Coalition
import CoalitionNet
import Foundation

struct Harness {
  let arguments: Arguments
  private let set: InstructionSet

  init(_ arguments: Arguments) throws {
    self.arguments = arguments
    set = try InstructionSet.selected()
  }

  func run() async throws {
    var report = Report(
      machine: Machine.current(instructionSet: set, threads: arguments.threads), results: [])
    print(report.machine.line)
    for (name, make) in Workload.all
    where arguments.workloads.isEmpty || arguments.workloads.contains(name) {
      let result = try await measure(make())
      print(result.lines.joined(separator: "\n"))
      report.results.append(result)
    }
    try report.write(to: arguments.folder)
  }

  private func measure(_ workload: Workload) async throws -> WorkloadResult {
    let plan = try Plan(Model(workload.graph))
    let model = FileManager.default.temporaryDirectory
      .appending(path: "coalition-\(workload.name)-\(getpid()).onnx")
    try ONNX.write(workload.graph, to: model.path)
    defer { try? FileManager.default.removeItem(at: model) }

    var peers: [Peer] = []
    var missing: [String: String] = [:]
    for name in arguments.peers {
      let outcome = Peer.start(
        name, model: model, threads: arguments.threads, python: arguments.python,
        folder: arguments.folder.appending(path: "Peers"))
      switch outcome {
      case .ready(let peer): peers.append(peer)
      case .missing(let reason): missing[name] = reason
      }
    }
    defer { peers.forEach { $0.quit() } }

    let ours = try await OwnEngine(plan, workload, set, lanes: arguments.lanes)
    var rates: [String: [Double]] = [:]
    for _ in 0..<arguments.rounds {
      // The peak in each round too: a share of it means little when another process has a core.
      rates["peak", default: []].append(
        measurePeak(set, threads: arguments.threads, seconds: min(arguments.seconds, 0.3)))
      rates["ours", default: []].append(
        try await ours.rate(threads: arguments.threads, seconds: arguments.seconds))
      rates["one thread", default: []].append(
        try await ours.rate(threads: 1, seconds: arguments.seconds / 2))
      for peer in peers {
        if let rate = peer.rate(seconds: arguments.seconds) {
          rates[peer.name, default: []].append(rate)
        }
      }
    }
    var agreement: [String: Double] = [:]
    let check = try await ours.checkOutputs()
    for peer in peers {
      guard let outputs = peer.checkOutputs(), outputs.count == check.count else { continue }
      agreement[peer.name] = zip(outputs, check).map { abs($0 - $1) }.max()
    }
    let naive = NaiveEngine(workload)
    return WorkloadResult(
      name: workload.name, operationsPerExample: Double(plan.operationsPerExample),
      lanes: ours.lanes(threads: arguments.threads), rates: rates.mapValues(median),
      naiveRate: naive.rate(seconds: arguments.seconds),
      naiveDifference: try naive.largestDifference(from: check),
      peers: peers.map {
        .init(name: $0.name, version: $0.version, batch: $0.batch, requests: $0.requests)
      },
      missing: missing, agreement: agreement,
      layers: arguments.showsLayers ? try layers(ours) : [])
  }

  private func layers(_ engine: OwnEngine) throws -> [WorkloadResult.Layer] {
    let peak = measurePeak(set, threads: 1, seconds: 0.3)
    let steps = try engine.layers()
    let total = steps.reduce(0) { $0 + $1.seconds }
    return steps.map {
      .init(
        node: $0.node, step: $0.summary, shareOfTime: $0.seconds / total,
        shareOfPeak: $0.operations > 0 ? $0.operations / $0.seconds / peak : nil)
    }
  }
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  guard !sorted.isEmpty else { return .nan }
  return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
