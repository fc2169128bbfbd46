// The npz format of NumPy: a zip archive of npy files, `key.npy` for the array `key`.

public import CoalitionBase

public enum Npz {
  private static let suffix = ".npy"

  /// The keys of the arrays, in the order of the archive.
  static func keys(_ archive: ZipArchive) -> [String] {
    archive.members.map(\.name).filter { $0.hasSuffix(suffix) }.map {
      String($0.dropLast(suffix.count))
    }
  }

  /// The array `key` of the bytes of an npz file; without a key the only array.
  /// - Throws: `usage` when the key is missing or does not exist (the message lists those that do).
  public static func decode(
    _ bytes: [UInt8], key: String? = nil, limit: Int = .max
  ) throws(CoalitionError) -> Tensor {
    let archive = try ZipArchive(bytes)
    let keys = keys(archive)
    let listed = keys.prefix(20).joined(separator: ", ") + (keys.count > 20 ? ", ..." : "")
    guard let wanted = key ?? (keys.count == 1 ? keys.first : nil) else {
      throw CoalitionError(
        .usage, "name one of the \(keys.count) arrays as FILE.npz:KEY", expected: listed)
    }
    guard let member = archive.member(named: wanted + suffix) else {
      throw CoalitionError(
        .usage, "there is no such array", expected: listed, found: "'\(wanted)'")
    }
    return try array(archive, member, limit: limit) { bytes throws(CoalitionError) in
      try Npy.decode(bytes, limit: limit)
    }
  }

  /// All arrays, in the order of the archive.
  static func decodeAll(
    _ archive: ZipArchive, limit: Int
  ) throws(CoalitionError) -> [(name: String, contents: ResultArray)] {
    var arrays: [(name: String, contents: ResultArray)] = []
    var left = limit
    for member in archive.members where member.name.hasSuffix(suffix) {
      let contents = try array(archive, member, limit: left) { bytes throws(CoalitionError) in
        try Npy.decodeArray(bytes, limit: left)
      }
      arrays.append((String(member.name.dropLast(suffix.count)), contents))
      left -= member.size
    }
    return arrays
  }

  private static func array<T>(
    _ archive: ZipArchive, _ member: ZipArchive.Member, limit: Int,
    _ decode: ([UInt8]) throws(CoalitionError) -> T
  ) throws(CoalitionError) -> T {
    do throws(CoalitionError) {
      // The member is the array and its header, which a version 1 file keeps below 64 KiB.
      let room = limit > .max - 0x10000 ? limit : limit + 0x10000
      return try decode(try archive.contents(of: member, limit: room))
    } catch {
      throw error.at("member \(member.name)")
    }
  }

  /// The bytes of an npz file: the arrays in this order, then other members by their full name.
  /// The same arrays give the same bytes.
  public static func encode(
    _ arrays: [(name: String, contents: ResultArray)],
    others: [(name: String, contents: [UInt8])] = []
  ) -> [UInt8] {
    var writer = ZipWriter()
    for array in arrays { writer.append(array.name + suffix, Npy.encode(array.contents)) }
    for other in others { writer.append(other.name, other.contents) }
    return writer.finished()
  }
}
