// Zip archives as NumPy and this package write them: stored or deflated members, zip64, checksums.
//
// The central directory is the only truth; local headers must agree with it. Refused: encryption, several
// disks, two members of one name, members that share bytes, and sizes that deflate cannot reach. Names
// are keys here and never become paths.

import CCodecs
public import CoalitionBase

/// The members of a zip archive, read on demand.
public struct ZipArchive: Sendable {
  public struct Member: Hashable, Sendable {
    public let name: String
    /// Bytes when unpacked, as the directory says; `contents` holds the member to it.
    public let size: Int
    let deflated: Bool
    let checksum: UInt32
    let storedSize: Int
    let headerOffset: Int
  }

  public let members: [Member]
  private let bytes: [UInt8]

  /// One deflate block byte can stand for at most 1032 bytes of output.
  static let largestRatio = 1100

  /// - Throws: `invalidData` or `unsupported`, before any member is unpacked.
  public init(_ bytes: [UInt8]) throws(CoalitionError) {
    self.bytes = bytes
    members = try ZipDirectory(bytes).members
  }

  public func member(named name: String) -> Member? { members.first { $0.name == name } }

  /// The unpacked bytes of a member.
  /// - Throws: `memoryLimit` past `limit`, before anything is allocated; `invalidData` when size or
  ///   checksum are not those of the directory.
  public func contents(
    of member: Member, limit: Int = .max
  ) throws(CoalitionError) -> [UInt8] {
    guard member.size <= limit else {
      throw CoalitionError(
        .memoryLimit, "the member '\(member.name)' is larger than allowed",
        expected: "at most \(limit) bytes", found: "\(member.size)")
    }
    let range = try dataRange(of: member)
    var contents: [UInt8]
    if member.deflated {
      let result = Inflate.bytes(bytes, range, capacity: member.size, CODEC_RAW_DEFLATE)
      guard result.status == CODEC_OK, result.bytes.count == member.size else {
        throw CoalitionError(
          .invalidData, "the compressed member '\(member.name)' is broken",
          expected: "\(member.size) bytes",
          found: result.status == CODEC_FULL ? "more" : "\(result.bytes.count) readable bytes")
      }
      contents = result.bytes
    } else {
      contents = Array(bytes[range])
    }
    let checksum = CRC32.of(contents, 0..<contents.count)
    guard checksum == member.checksum else {
      throw CoalitionError(
        .invalidData, "the member '\(member.name)' has a wrong checksum",
        expected: String(member.checksum, radix: 16), found: String(checksum, radix: 16))
    }
    return contents
  }

  /// Where the data of a member stands: after its local header, whose name must be the directory's.
  private func dataRange(of member: Member) throws(CoalitionError) -> Range<Int> {
    let start = member.headerOffset
    let broken = CoalitionError(
      .invalidData, "the local header of '\(member.name)' is not that of the directory")
    guard bytes.littleEndian(UInt32.self, at: start) == 0x0403_4B50,
      let flags = bytes.littleEndian(UInt16.self, at: start + 6), flags & 1 == 0,
      bytes.littleEndian(UInt16.self, at: start + 8) == (member.deflated ? 8 : 0),
      let nameLength = bytes.littleEndian(UInt16.self, at: start + 26),
      let extraLength = bytes.littleEndian(UInt16.self, at: start + 28)
    else { throw broken }
    let data = start + 30 + Int(nameLength) + Int(extraLength)
    guard data <= bytes.count, member.storedSize <= bytes.count - data,
      bytes[start + 30..<start + 30 + Int(nameLength)].elementsEqual(member.name.utf8)
    else { throw broken }
    return data..<data + member.storedSize
  }
}
