// ONNX files in and out, without generated code or a protobuf library.
//
// Reading promises `CoalitionError` for anything a file can contain, never a trap, and no
// allocation that was not compared with the file's size or the memory limit. Writing gives the same
// bytes for equal graphs. A graph keeps what operators mean, not how a file looked: documentation,
// metadata and inferred shapes are not kept, narrow numbers and casts to them are widened, and all
// data is written in the one file.

public import CoalitionBase
public import CoalitionNet

/// Reader and writer of models in the ONNX format.
public enum ONNX {
  /// Reads a model, with weights from files in the same folder where it says so.
  /// - Parameter memoryLimit: bytes that the file and the graph together may take.
  /// - Throws: `unreadable`, `memoryLimit`, `invalidData` for a file that is broken or no model,
  ///   `unsupported` for element types, versions and constructs that have no place in a `Graph`.
  public static func read(
    contentsOf path: String, memoryLimit: Int = .max
  ) throws(CoalitionError) -> Graph {
    let bytes = try Files.read(path, limit: memoryLimit)
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    return try decode(bytes, folder: folder, name: path, memoryLimit: memoryLimit)
  }

  /// The graph that the bytes of a model file describe, its nodes in execution order.
  /// - Parameters:
  ///   - folder: where files with external data may lie; nil refuses such data.
  ///   - name: what errors call the file.
  ///   - memoryLimit: bytes that `bytes` and the graph together may take.
  public static func decode(
    _ bytes: [UInt8], folder: String? = nil, name: String = "model", memoryLimit: Int = .max
  ) throws(CoalitionError) -> Graph {
    do throws(CoalitionError) {
      var decoder = ModelDecoder(folder: folder, budget: MemoryBudget(limit: memoryLimit))
      try decoder.budget.charge(bytes.count)
      return try decoder.model(WireReader(bytes)).sorted()
    } catch {
      if error.code == .invalidData, let kind = ForeignFile.kind(bytes) {
        throw CoalitionError(.invalidData, "not an ONNX model but \(kind)", node: name)
      }
      var named = error
      named.node = error.node.map { "\(name): \($0)" } ?? name
      throw named
    }
  }

  /// The bytes of a model file: weights as raw data in the order of their names, attributes
  /// likewise.
  /// - Throws: what `Graph.sorted()` throws, `unsupported` for an attribute that was not read, an
  ///   operator set of another age or a cast to a narrow integer beside wider ones, `limitExceeded`
  ///   past the 2 GiB that the format can hold.
  public static func encode(_ graph: Graph) throws(CoalitionError) -> [UInt8] {
    try ModelEncoder(graph: graph.sorted().withHeldCasts()).bytes()
  }

  /// Writes a model under a temporary name and renames it.
  public static func write(_ graph: Graph, to path: String) throws(CoalitionError) {
    try Files.writeAtomically(encode(graph), to: path)
  }
}
