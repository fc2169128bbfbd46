// A model as the command got it: its graph, and what identifies the file.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX

struct ModelFile: Sendable {
  static let positional = Positional(name: "MODEL.onnx", explanation: "a model in the ONNX format")

  static let shapeOption = Option(
    "input-shape", "[NAME=]SHAPE",
    "sizes for axes that the model leaves open, and of an example in raw files, as in 1x3x224x224",
    repeatable: true, as: .named)

  /// The file's name without its folder.
  let name: String
  let byteCount: Int
  let sha256: String
  let irVersion: Int?
  let graph: Graph

  init(path: String, memoryLimit: Int) async throws(CoalitionError) {
    let bytes = try Files.read(path, limit: memoryLimit)
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    try await self.init(bytes, path: path, folder: folder, memoryLimit: memoryLimit)
  }

  /// The model that a command line names.
  /// - Returns: the file, and what `--max-memory` leaves beside its constants.
  static func read(
    _ arguments: Arguments
  ) async throws(CoalitionError) -> (file: ModelFile, memoryLeft: Int) {
    let memoryLimit = arguments[RuntimeOptions.memoryOption] ?? Machine.memory / 2
    let file = try await ModelFile(path: arguments.positionals[0], memoryLimit: memoryLimit)
    return (file, max(0, memoryLimit - file.constantByteCount))
  }

  init(
    _ bytes: [UInt8], path: String, folder: String?, memoryLimit: Int
  ) async throws(CoalitionError) {
    // The checksum takes as long as everything else: it is computed meanwhile.
    async let digest = SHA256.hexadecimal(bytes)
    name = path.split(separator: "/").last.map(String.init) ?? path
    byteCount = bytes.count
    graph = try ONNX.decode(bytes, folder: folder, name: path, memoryLimit: memoryLimit)
    irVersion = try ONNX.irVersion(of: bytes)
    sha256 = await digest
  }

  /// What result files say of the model.
  var record: JSONValue { .object(["name": .string(name), "sha256": .string(sha256)]) }

  /// Bytes that the graph's constants take.
  var constantByteCount: Int {
    graph.constants.values.reduce(0) { $0 + $1.count * $1.elementType.byteCount }
  }

  /// The shapes that `--input-shape` gives, by input.
  func inputShapes(_ arguments: Arguments) throws(CoalitionError) -> [String: [Int]] {
    var shapes: [String: [Int]] = [:]
    for given in arguments.all(Self.shapeOption) {
      let (name, text) = try inputName(of: given, option: Self.shapeOption.declaration)
      guard shapes.updateValue(try readShape(text), forKey: name) == nil else {
        throw CoalitionError(.usage, "--input-shape is given twice for this input", node: name)
      }
    }
    return shapes
  }

  /// The input that `NAME=VALUE` is for; a value without a name is for the only input.
  /// - Parameter taken: inputs that need no name, because they are given otherwise.
  func inputName(
    of given: NamedText, option: OptionDeclaration, taken: Set<String> = []
  ) throws(CoalitionError) -> (name: String, value: String) {
    let names = graph.inputs.map(\.name)
    let (name, value) = given.split(names: names)
    if let name { return (name, value) }
    let open = names.filter { !taken.contains($0) }
    if open.count == 1, !value.contains("=") || Files.exists(value) { return (open[0], value) }
    let listed = names.joined(separator: ", ")
    if let sign = value.firstIndex(of: "="), !Files.exists(value) {
      let wrong = String(value[..<sign])
      let advice = suggestion(for: wrong, in: names)
      throw CoalitionError(
        .usage, "--\(option.name): the model has no input '\(wrong)'\(advice)", expected: listed)
    }
    throw CoalitionError(
      .usage, "--\(option.name) must say which input it is for: NAME=\(value)", expected: listed)
  }
}
