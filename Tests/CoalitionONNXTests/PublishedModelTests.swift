// Models of other exporters, where the checkout has them beside it: they are read, and survive a
// round trip.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import Glibc
import Testing

/// Paths of `../shared/data/model-*/*.onnx`, seen from the project's folder.
private let models: [String] = {
  let project = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
  var found = glob_t()
  defer { globfree(&found) }
  guard glob("/\(project)/../shared/data/model-*/*.onnx", 0, nil, &found) == 0 else { return [] }
  return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
}()

@Suite(.enabled(if: !models.isEmpty, "there is no ../shared/data/model-*/*.onnx"))
struct PublishedModelTests {
  @Test("A published model is read and survives a round trip", arguments: models)
  func roundTrip(path: String) throws {
    let graph = try ONNX.read(contentsOf: path)
    #expect(!graph.nodes.isEmpty)
    #expect(!graph.inputs.isEmpty)
    #expect(graph.inputs.allSatisfy { graph.constants[$0.name] == nil })
    let bytes = try ONNX.encode(graph)
    #expect(try ONNX.decode(bytes) == graph)
    #expect(try ONNX.encode(ONNX.decode(bytes)) == bytes)
  }

  @Test("A model needs about twice its size, and a limit below that is obeyed", arguments: models)
  func memoryLimit(path: String) throws {
    let size = try Files.read(path).count
    #expect(throws: Never.self) { try ONNX.read(contentsOf: path, memoryLimit: 3 * size) }
    let error = #expect(throws: CoalitionError.self) {
      try ONNX.read(contentsOf: path, memoryLimit: size + size / 2)
    }
    #expect(error?.code == .memoryLimit)
  }
}
