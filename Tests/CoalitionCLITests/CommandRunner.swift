// Runs the built command as a user does, in a folder of its own.

import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX
import Foundation
import Testing

/// What a command line did.
struct Outcome {
  let code: Int32
  let output: String
  let error: String
}

/// A folder for one test, removed at its end.
final class Workplace {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("coalition-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

  /// The names of all files, sorted.
  var files: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
  }

  func write(_ bytes: [UInt8], _ name: String) throws -> String {
    try Files.writeAtomically(bytes, to: path(name))
    return path(name)
  }

  func write(_ tensor: Tensor, _ name: String) throws -> String {
    try write(Npy.encode(tensor), name)
  }

  func write(_ graph: Graph, _ name: String = "model.onnx") throws -> String {
    try write(ONNX.encode(graph), name)
  }

  func coalition(
    _ arguments: String..., environment: [String: String] = [:]
  ) throws -> Outcome {
    let running = try Running(arguments, in: folder, environment)
    return try running.outcome()
  }

  func start(
    _ arguments: String..., environment: [String: String] = [:]
  ) throws -> Running {
    try Running(arguments, in: folder, environment)
  }
}

/// A command that has been started.
final class Running {
  private let process = Process()
  private let files: (output: URL, error: URL)

  /// Output goes to files: a pipe that nobody empties would stop the command.
  init(_ arguments: [String], in folder: URL, _ environment: [String: String]) throws {
    let place = FileManager.default.temporaryDirectory
    let name = UUID().uuidString
    files = (
      place.appendingPathComponent("\(name).out"), place.appendingPathComponent("\(name).err")
    )
    for file in [files.output, files.error] {
      try Data().write(to: file)
    }
    let executable = try #require(Self.executable, "the command is not built")
    process.executableURL = executable
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.environment = ProcessInfo.processInfo.environment
      .filter { $0.key != "LANES_ISA" && $0.key != "OMP_NUM_THREADS" }
      .merging(environment) { _, new in new }
    process.standardOutput = try FileHandle(forWritingTo: files.output)
    process.standardError = try FileHandle(forWritingTo: files.error)
    process.standardInput = FileHandle.nullDevice
    try process.run()
  }

  /// Beside the test bundle, or where the package builds.
  private static let executable: URL? = {
    var folders = CommandLine.arguments.filter { $0.hasSuffix(".xctest") }
      .map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
    folders.append(URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent())
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    folders.append(package.appendingPathComponent(".build/release"))
    return folders.map { $0.appendingPathComponent("coalition") }
      .first { FileManager.default.isExecutableFile(atPath: $0.path) }
  }()

  static var executablePath: String? { executable?.path }

  func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  func outcome() throws -> Outcome {
    process.waitUntilExit()
    defer {
      try? FileManager.default.removeItem(at: files.output)
      try? FileManager.default.removeItem(at: files.error)
    }
    // A crash shows as the negative number of its signal.
    let code =
      process.terminationReason == .exit
      ? process.terminationStatus
      : -process.terminationStatus
    return Outcome(
      code: code, output: try String(contentsOf: files.output, encoding: .utf8),
      error: try String(contentsOf: files.error, encoding: .utf8))
  }
}

// MARK: - Files of the repository

enum Digits {
  private static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  static let model = package.appendingPathComponent("Sources/CDemoData/data/digits.onnx").path
  static let images = package.appendingPathComponent(
    "Sources/CDemoData/data/digits-images.idx.gz"
  ).path
  static let labels = package.appendingPathComponent(
    "Sources/CDemoData/data/digits-labels.idx.gz"
  ).path

  /// onnxruntime's logits for the 100 images, 100 x 10.
  static func logits() throws -> [Float] {
    let path = package.appendingPathComponent("Tests/CoalitionCLITests/Fixtures/digits-logits.f32")
    return try RawArray.decode(
      try Files.read(path.path), format: .f32, exampleShape: [10]
    ).floats
  }

  /// Options that bring the images to the range that the network was trained on.
  static let scale = "--scale=0.00392156862745098"
}

// MARK: - Small models

extension Graph {
  /// [N, 3] -> Relu -> [N, 3].
  static func relu(
    _ shape: [CoalitionNet.Dimension] = ["N", 3], operation: String = "Relu"
  ) -> Graph {
    Graph(
      nodes: [Node(operation, name: "only", inputs: ["x"], outputs: ["y"])],
      inputs: [Port("x", shape: shape)], outputs: [Port("y", shape: shape)],
      opsets: ["": 17])
  }
}

/// The largest difference of two lists, infinite for unlike lengths and NaN.
func largestDifference(_ first: [Float], _ second: [Float]) -> Float {
  guard first.count == second.count else { return .infinity }
  return zip(first, second).map { $0 == $1 ? 0 : abs($0 - $1) }
    .reduce(0) { $1.isNaN ? .infinity : max($0, $1) }
}
