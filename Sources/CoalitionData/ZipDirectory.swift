// The central directory of a zip archive, with its zip64 fields.

import CoalitionBase

struct ZipDirectory {
  private(set) var members: [ZipArchive.Member] = []

  private let bytes: [UInt8]
  private static let truncated = CoalitionError(.invalidData, "the zip directory is truncated")

  init(_ bytes: [UInt8]) throws(CoalitionError) {
    self.bytes = bytes
    let end = try Extent(bytes)
    var position = end.offset
    var names: Set<String> = []
    var stored = 0
    for _ in 0..<end.count {
      let (member, next) = try entry(at: position, before: end.offset + end.size)
      guard names.insert(member.name).inserted else {
        throw CoalitionError(.invalidData, "the zip archive has '\(member.name)' twice")
      }
      // Members that shared bytes could unpack to far more than the ratio allows.
      stored += member.storedSize + 30
      guard stored <= end.offset else {
        throw CoalitionError(.invalidData, "the members of the zip archive overlap")
      }
      members.append(member)
      position = next
    }
    guard position == end.offset + end.size else {
      throw CoalitionError(
        .invalidData, "the zip directory has another length than it says",
        expected: "\(end.size) bytes", found: "\(position - end.offset)")
    }
  }

  // MARK: One entry

  private func entry(
    at start: Int, before end: Int
  ) throws(CoalitionError) -> (ZipArchive.Member, next: Int) {
    guard start <= end - 46, bytes.littleEndian(UInt32.self, at: start) == 0x0201_4B50,
      let flags = bytes.littleEndian(UInt16.self, at: start + 8),
      let method = bytes.littleEndian(UInt16.self, at: start + 10),
      let checksum = bytes.littleEndian(UInt32.self, at: start + 16),
      let storedSize = bytes.littleEndian(UInt32.self, at: start + 20),
      let size = bytes.littleEndian(UInt32.self, at: start + 24),
      let nameLength = bytes.littleEndian(UInt16.self, at: start + 28),
      let extraLength = bytes.littleEndian(UInt16.self, at: start + 30),
      let commentLength = bytes.littleEndian(UInt16.self, at: start + 32),
      let offset = bytes.littleEndian(UInt32.self, at: start + 42)
    else { throw Self.truncated }
    let extra = start + 46 + Int(nameLength)
    let comment = extra + Int(extraLength)
    let next = comment + Int(commentLength)
    guard next <= end else { throw Self.truncated }
    guard let name = String(validating: bytes[start + 46..<extra], as: UTF8.self) else {
      throw CoalitionError(.invalidData, "a member name in the zip archive is not UTF-8")
    }
    // Bit 0: encrypted; bit 6: strong encryption; bit 13: masked headers.
    guard flags & 0x2041 == 0 else {
      throw CoalitionError(.unsupported, "the zip member '\(name)' is encrypted")
    }
    guard method == 0 || method == 8 else {
      throw CoalitionError(
        .unsupported, "the zip member '\(name)' uses an unknown compression",
        expected: "stored (0) or deflated (8)", found: "\(method)")
    }
    var wide = Zip64Fields(bytes[extra..<comment])
    // The zip64 field holds, in this order, just the values that are all ones here.
    let member = ZipArchive.Member(
      name: name, size: try wide.value(size), deflated: method == 8, checksum: checksum,
      storedSize: try wide.value(storedSize), headerOffset: try wide.value(offset))
    try check(member)
    return (member, next)
  }

  private func check(_ member: ZipArchive.Member) throws(CoalitionError) {
    guard member.headerOffset <= bytes.count, member.storedSize <= bytes.count else {
      throw CoalitionError(
        .invalidData, "the zip member '\(member.name)' lies past the end of the file")
    }
    let reachable =
      member.deflated ? member.storedSize * ZipArchive.largestRatio : member.storedSize
    guard member.deflated ? member.size <= reachable : member.size == reachable else {
      throw CoalitionError(
        .invalidData, "the zip member '\(member.name)' claims a size that it cannot have",
        expected: "\(member.deflated ? "at most " : "")\(reachable) bytes",
        found: "\(member.size)")
    }
  }
}

/// Where the directory stands, from the record at the end of the file.
private struct Extent {
  private(set) var offset = 0, size = 0, count = 0

  init(_ bytes: [UInt8]) throws(CoalitionError) {
    let broken = CoalitionError(.invalidData, "not a zip archive, or a truncated one")
    // The record is 22 bytes and a comment, which fills the rest of the file.
    let first = max(bytes.count - 22 - 0xFFFF, 0)
    guard bytes.count >= 22,
      let end = stride(from: bytes.count - 22, through: first, by: -1).first(where: {
        bytes.littleEndian(UInt32.self, at: $0) == 0x0605_4B50
          && bytes.littleEndian(UInt16.self, at: $0 + 20).map { Int($0) }
            == bytes.count - $0 - 22
      }),
      let disk = bytes.littleEndian(UInt16.self, at: end + 4),
      let count = bytes.littleEndian(UInt16.self, at: end + 10),
      let size = bytes.littleEndian(UInt32.self, at: end + 12),
      let offset = bytes.littleEndian(UInt32.self, at: end + 16)
    else { throw broken }
    guard disk == 0 || disk == 0xFFFF else {
      throw CoalitionError(.unsupported, "the zip archive is split over several files")
    }
    var directoryEnd = end
    if count == 0xFFFF || size == .max || offset == .max {
      guard bytes.littleEndian(UInt32.self, at: end - 20) == 0x0706_4B50,
        let place = bytes.littleEndian(UInt64.self, at: end - 12).flatMap(Int.init(exactly:)),
        place <= end - 20 - 56, bytes.littleEndian(UInt32.self, at: place) == 0x0606_4B50,
        let wideCount = bytes.littleEndian(UInt64.self, at: place + 32),
        let wideSize = bytes.littleEndian(UInt64.self, at: place + 40),
        let wideOffset = bytes.littleEndian(UInt64.self, at: place + 48),
        let exactCount = Int(exactly: wideCount), let exactSize = Int(exactly: wideSize),
        let exactOffset = Int(exactly: wideOffset)
      else { throw broken }
      (self.count, self.size, self.offset) = (exactCount, exactSize, exactOffset)
      directoryEnd = place
    } else {
      (self.count, self.size, self.offset) = (Int(count), Int(size), Int(offset))
    }
    guard self.offset <= directoryEnd, self.size == directoryEnd - self.offset,
      self.count <= self.size / 46
    else { throw broken }
  }
}

/// Reads the values of the zip64 extra field one after the other.
private struct Zip64Fields {
  private var values: [UInt64] = []

  init(_ extra: ArraySlice<UInt8>) {
    let bytes = Array(extra)
    var position = 0
    while let tag = bytes.littleEndian(UInt16.self, at: position),
      let length = bytes.littleEndian(UInt16.self, at: position + 2)
    {
      if tag == 1 {
        values = (0..<Int(length) / 8).compactMap {
          bytes.littleEndian(UInt64.self, at: position + 4 + 8 * $0)
        }
        return
      }
      position += 4 + Int(length)
    }
  }

  mutating func value(_ narrow: UInt32) throws(CoalitionError) -> Int {
    guard narrow == .max else { return Int(narrow) }
    guard !values.isEmpty, let value = Int(exactly: values.removeFirst()) else {
      throw CoalitionError(.invalidData, "a zip64 field is missing or too large")
    }
    return value
  }
}
