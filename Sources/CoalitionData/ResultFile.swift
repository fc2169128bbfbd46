// Results: named arrays in order and metadata, as npz, JSON or, for the main array alone, npy.
//
// npz: every array as a member, then `metadata.json`; the same result gives the same bytes.
// JSON: {metadata, arrays: {name: {dtype, shape, data}}}, data flat in row-major order.
// Files appear under their name only when they are complete (Files.writeAtomically).

public import CoalitionBase

public struct ResultFile: Sendable {
  /// The version that is written. Files of a newer major version are refused.
  public static let format = "coalition-result/1"
  static let metadataMember = "metadata.json"

  /// An object whose first member is `format`.
  public private(set) var metadata: JSONValue
  public internal(set) var arrays: [(name: String, contents: ResultArray)] = []
  /// The array that an npy file holds: without it there must be exactly one.
  public var mainArray: String?

  /// - Parameter metadata: the members after `format`.
  public init(metadata: [JSONValue.Member] = [], mainArray: String? = nil) {
    self.metadata = .object([.init("format", .string(Self.format))] + metadata)
    self.mainArray = mainArray
  }

  public subscript(name: String) -> ResultArray? {
    arrays.first { $0.name == name }?.contents
  }

  /// - Throws: `internalFault` when the name is taken.
  public mutating func append(_ name: String, _ tensor: Tensor) throws(CoalitionError) {
    try append(name, .tensor(tensor))
  }

  public mutating func append(_ name: String, _ strings: [String]) throws(CoalitionError) {
    try append(name, .strings(strings))
  }

  private mutating func append(_ name: String, _ contents: ResultArray) throws(CoalitionError) {
    guard self[name] == nil else {
      throw CoalitionError(.internalFault, "the result has the array '\(name)' twice")
    }
    arrays.append((name, contents))
  }

  // MARK: Writing

  private enum Container {
    case npz, json, npy

    init(path: String) throws(CoalitionError) {
      let name = path.lowercased()
      if name.hasSuffix(".npz") {
        self = .npz
      } else if name.hasSuffix(".json") {
        self = .json
      } else if name.hasSuffix(".npy") {
        self = .npy
      } else {
        throw CoalitionError(
          .usage, "the name of a result file ends in its format", node: path,
          expected: ".npz, .json or .npy")
      }
    }
  }

  /// Checks before the work that `write` will accept the name and could create the file.
  public static func checkWritable(_ path: String) throws(CoalitionError) {
    _ = try Container(path: path)
    try Files.checkCreatable(path)
  }

  /// Writes the result in the format that the name ends in.
  /// - Throws: `usage` for another ending, and for `.npy` when no main array is set and there are several.
  public func write(to path: String) throws(CoalitionError) {
    switch try Container(path: path) {
    case .npz: try Files.writeAtomically(npz, to: path)
    case .json: try Files.writeAtomically(json, to: path)
    case .npy:
      do throws(CoalitionError) {
        try Files.writeAtomically(try npy(), to: path)
      } catch {
        throw error.at(path)
      }
    }
  }

  package var npz: [UInt8] {
    Npz.encode(arrays, others: [(Self.metadataMember, metadata.utf8 + [0x0A])])
  }

  func npy() throws(CoalitionError) -> [UInt8] {
    if let mainArray, let main = self[mainArray] { return Npy.encode(main) }
    guard arrays.count == 1, mainArray == nil else {
      throw CoalitionError(
        .usage, "an npy file holds one array: write .npz or .json",
        found: arrays.map(\.name).joined(separator: ", "))
    }
    return Npy.encode(arrays[0].contents)
  }

  // MARK: Reading

  /// Reads an npz or JSON result.
  /// - Throws: `unsupported` for a newer major version of the format, by name; `invalidData` for a file
  ///   that is no result.
  public init(
    reading path: String, memoryLimit: Int = .max
  ) throws(CoalitionError) {
    let bytes = try Files.read(path, limit: memoryLimit)
    do throws(CoalitionError) {
      if bytes.starts(with: [0x50, 0x4B]) {
        try self.init(npz: bytes, limit: memoryLimit)
      } else if bytes.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) == 0x7B {
        try self.init(json: bytes)
      } else {
        throw CoalitionError(
          .invalidData, "not a result of this program", expected: "npz or JSON with metadata")
      }
    } catch {
      throw error.at(path)
    }
  }

  package init(npz bytes: [UInt8], limit: Int = .max) throws(CoalitionError) {
    let archive = try ZipArchive(bytes)
    guard let member = archive.member(named: Self.metadataMember) else {
      throw CoalitionError(.invalidData, "not a result: there is no \(Self.metadataMember)")
    }
    try self.init(
      checking: JSONValue(parsing: try archive.contents(of: member, limit: limit)))
    arrays = try Npz.decodeAll(archive, limit: limit)
  }

  init(checking metadata: JSONValue) throws(CoalitionError) {
    try Self.checkFormat(metadata["format"]?.text)
    self.metadata = metadata
  }

  private static func checkFormat(_ found: String?) throws(CoalitionError) {
    let parts = (found ?? "").split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == "coalition-result",
      let major = Int(parts[1].prefix { $0 != "." }), major >= 1
    else {
      throw CoalitionError(
        .invalidData, "not a result of this program", expected: "format \(format)",
        found: found ?? "no format")
    }
    guard major <= 1 else {
      throw CoalitionError(
        .unsupported, "the result was written by a newer version of this program",
        expected: format, found: found)
    }
  }
}
