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
      machine: Machine.current(instructionSet: set, threads: arguments.threads), results: [],
      curves: [])
    print(report.machine.line)
    if arguments.showsErrorConstants {
      return try await ErrorConstants(options: options, threads: arguments.threads).printTable()
    }
    if arguments.merges { report.keepResults(of: Report.read(from: arguments.folder)) }
    for workload in arguments.workloads {
      var result = try await measure(workload)
      result.commit = report.machine.commit
      print(result.lines.joined(separator: "\n"))
      fflush(nil)
      report.add(result)
      if arguments.merges { try report.write(to: arguments.folder) }
    }
    for problem in arguments.problems {
      var curves = try await measure(problem)
      curves.commit = report.machine.commit
      print(curves.lines.joined(separator: "\n"))
      fflush(nil)
      report.add(curves)
      if arguments.merges { try report.write(to: arguments.folder) }
    }
    if arguments.isComplete { try report.write(to: arguments.folder) }
  }

  private var options: EngineOptions {
    EngineOptions(
      instructionSet: set, lanes: arguments.lanes, threads: arguments.threads,
      folder: arguments.folder)
  }

  private func measure(_ workload: Workload) async throws -> WorkloadResult {
    let network = workload.network()
    let threads = workload.threads ?? arguments.threads
    let ours = try await workload.engine(network, options)
    let (peers, missing) = try startPeers(workload, network, threads: threads)
    defer { peers.forEach { $0.quit() } }

    var rates: [String: [Double]] = [:]
    for _ in 0..<min(arguments.rounds, workload.rounds ?? .max) {
      // The peak in each round too: a share of it means little when another process has a core.
      rates["peak", default: []].append(
        measurePeak(set, threads: threads, seconds: min(arguments.seconds, 0.3)))
      rates["ours", default: []].append(
        try await ours.rate(threads: threads, seconds: arguments.seconds))
      if let rate = try await ours.passRate(threads: threads, seconds: arguments.seconds) {
        rates["passes", default: []].append(rate)
      } else if threads > 1 {
        rates["one thread", default: []].append(
          try await ours.rate(threads: 1, seconds: arguments.seconds / 2))
      }
      for (name, rate) in try await ours.otherRates(threads: threads, seconds: arguments.seconds) {
        rates[name, default: []].append(rate)
      }
      for peer in peers {
        if let rate = peer.rate(seconds: arguments.seconds) {
          rates[peer.name, default: []].append(rate)
        }
      }
    }
    var result = WorkloadResult(
      name: workload.name, unit: workload.unit, threads: threads,
      operationsPerUnit: ours.operationsPerUnit, unitsPerInput: ours.unitsPerInput,
      lanes: ours.lanes(threads: threads),
      rates: rates.mapValues(median), peers: peers.map(\.description), missing: missing)

    let check = try await ours.checkOutputs()
    let scale = workload.comparesRelatively ? check.map(abs).max() ?? 1 : 1
    for peer in peers {
      guard let outputs = peer.checkOutputs(), outputs.count == check.count else { continue }
      result.agreement[peer.name] = zip(outputs, check).map { abs($0 - $1) / scale }.max()
    }
    if workload.hasNaiveReference {
      let naive = NaiveEngine(network)
      result.naive = .init(
        rate: naive.rate(seconds: arguments.seconds),
        difference: try naive.largestDifference(from: check))
    }
    try await addProfile(of: ours, workload, &result)
    return result
  }

  private func measure(_ problem: ErrorProblem) async throws -> ErrorCurves {
    let loaded = try await problem.load(options, threads: arguments.threads)
    let inputs = FileManager.default.temporaryDirectory
      .appending(path: "coalition-inputs-\(getpid()).f32")
    defer { try? FileManager.default.removeItem(at: inputs) }
    try RawFloats.write(loaded.inputs, to: inputs)
    let script = arguments.folder.appending(path: "Peers/curve_peers.py").path
    var ready: [Peer] = []
    var missing: [String: String] = [:]
    for name in problem.peers where arguments.peers?.contains(name) ?? true {
      let outcome = Peer.start(
        name, python: arguments.python,
        [
          script, "--model", loaded.path, "--inputs", inputs.path, "--peer", name, "--players",
          problem.playersText, "--threads", "\(arguments.threads)", "--targets",
          loaded.targets.map(String.init).joined(separator: ","),
        ])
      switch outcome {
      case .ready(let peer): ready.append(peer)
      case .missing(let reason): missing[name] = reason
      }
    }
    defer { ready.forEach { $0.quit() } }
    let (curves, difference) = try await ErrorMeasurement(problem: loaded, peers: ready).measure()
    return ErrorCurves(
      name: problem.name, curves: curves, peers: ready.map(\.description), missing: missing,
      exactDifference: difference)
  }

  private func startPeers(
    _ workload: Workload, _ network: Network, threads: Int
  ) throws -> (ready: [Peer], missing: [String: String]) {
    let names = workload.peers.names.filter { arguments.peers?.contains($0) ?? true }
    var ready: [Peer] = []
    var missing: [String: String] = [:]
    guard !names.isEmpty else { return (ready, missing) }
    let model = FileManager.default.temporaryDirectory
      .appending(path: "coalition-\(network.name)-\(getpid()).onnx")
    try ONNX.write(network.graph, to: model.path)
    // A peer has read the model when it says that it is ready.
    defer { try? FileManager.default.removeItem(at: model) }
    let inputs = model.appendingPathExtension("f32")
    defer { try? FileManager.default.removeItem(at: inputs) }
    var words = workload.peers.arguments
    if let task = workload.shapley {
      let tensor = try task.inputs.load(network.inputShape, folder: arguments.folder)
      try RawFloats.write(tensor, to: inputs)
      words += ["--inputs", inputs.path]
    }
    let script = arguments.folder.appending(path: "Peers").appending(path: workload.peers.script)
    for name in names {
      let outcome = Peer.start(
        name, python: arguments.python,
        [
          script.path, "--model", model.path, "--peer", name, "--threads", "\(threads)",
        ] + words)
      switch outcome {
      case .ready(let peer): ready.append(peer)
      case .missing(let reason): missing[name] = reason
      }
    }
    return (ready, missing)
  }

  /// Adds the share of the peak that the backward pass reaches, and the steps where they are asked for.
  private func addProfile(
    of engine: any OwnEngine, _ workload: Workload, _ result: inout WorkloadResult
  ) async throws {
    let listsSteps = workload.listsSteps && arguments.showsLayers
    // Of forward passes there is nothing but the list.
    guard listsSteps || !workload.hasNaiveReference,
      let profile = try await engine.profile(instructionSet: set)
    else { return }
    let peak = measurePeak(set, threads: 1, seconds: 0.3)
    result.backwardShareOfPeak = profile.backwardRate.map { $0 / peak }
    guard listsSteps else { return }
    let total = profile.steps.reduce(0) { $0 + $1.seconds }
    result.layers = profile.steps.map {
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
