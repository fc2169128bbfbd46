// Writing zip archives: stored members, one fixed time stamp, the same bytes for the same members.
//
// Members are stored, not deflated: result arrays hardly compress, and stored ones can be mapped.

import CoalitionBase

struct ZipWriter {
  private var bytes: [UInt8] = []
  private var directory: [UInt8] = []
  private var count = 0
  /// Values from here on go into zip64 fields. Tests lower it.
  private let wideFrom: Int

  /// 1 January 1980, the earliest date of the format.
  private static let date: UInt16 = 0x0021

  init(wideFrom: Int = 0xFFFF_FFFF) { self.wideFrom = wideFrom }

  mutating func append(_ name: String, _ contents: [UInt8]) {
    let start = bytes.count
    let wideSize = contents.count >= wideFrom
    let wideStart = start >= wideFrom
    let checksum = CRC32.of(contents, 0..<contents.count)
    let name = Array(name.utf8)

    var sizes: [UInt8] = []
    if wideSize {
      sizes.append(littleEndian: UInt64(contents.count))
      sizes.append(littleEndian: UInt64(contents.count))
    }
    bytes.append(littleEndian: UInt32(0x0403_4B50))
    appendShared(
      to: &bytes, checksum, wideSize ? nil : contents.count, name,
      extra: Self.zip64(sizes), version: wideSize ? 45 : 20)
    bytes += name + Self.zip64(sizes)
    bytes += contents

    var fields = sizes
    if wideStart { fields.append(littleEndian: UInt64(start)) }
    let version: UInt16 = wideSize || wideStart ? 45 : 20
    directory.append(littleEndian: UInt32(0x0201_4B50))
    directory.append(littleEndian: version)
    appendShared(
      to: &directory, checksum, wideSize ? nil : contents.count, name,
      extra: Self.zip64(fields), version: version)
    directory += Array(repeating: 0, count: 10)  // no comment, disk 0, no attributes
    directory.append(littleEndian: wideStart ? UInt32.max : UInt32(start))
    directory += name + Self.zip64(fields)
    count += 1
  }

  /// The archive with its directory.
  consuming func finished() -> [UInt8] {
    let offset = bytes.count
    let size = directory.count
    bytes += directory
    let wide = offset >= wideFrom || size >= wideFrom || count >= min(wideFrom, 0xFFFF)
    if wide {
      let place = bytes.count
      bytes.append(littleEndian: UInt32(0x0606_4B50))
      bytes.append(littleEndian: UInt64(44))
      bytes.append(littleEndian: UInt16(45))
      bytes.append(littleEndian: UInt16(45))
      bytes.append(littleEndian: UInt64(0))
      for value in [count, count, size, offset] { bytes.append(littleEndian: UInt64(value)) }
      bytes.append(littleEndian: UInt32(0x0706_4B50))
      bytes.append(littleEndian: UInt32(0))
      bytes.append(littleEndian: UInt64(place))
      bytes.append(littleEndian: UInt32(1))
    }
    bytes.append(littleEndian: UInt32(0x0605_4B50))
    bytes.append(littleEndian: UInt32(0))
    for _ in 0..<2 { bytes.append(littleEndian: wide ? UInt16.max : UInt16(count)) }
    for value in [size, offset] {
      bytes.append(littleEndian: wide ? UInt32.max : UInt32(value))
    }
    bytes.append(littleEndian: UInt16(0))
    return bytes
  }

  /// The fields that local header and directory have in common, from "version needed" to "extra length".
  /// `size` nil stands for "in the zip64 field".
  private func appendShared(
    to out: inout [UInt8], _ checksum: UInt32, _ size: Int?, _ name: [UInt8], extra: [UInt8],
    version: UInt16
  ) {
    out.append(littleEndian: version)
    out.append(littleEndian: UInt16(0x0800))  // the name is UTF-8
    out.append(littleEndian: UInt16(0))  // stored
    out.append(littleEndian: UInt16(0))  // midnight
    out.append(littleEndian: Self.date)
    out.append(littleEndian: checksum)
    for _ in 0..<2 { out.append(littleEndian: size.map { UInt32($0) } ?? .max) }
    out.append(littleEndian: UInt16(name.count))
    out.append(littleEndian: UInt16(extra.count))
  }

  private static func zip64(_ fields: [UInt8]) -> [UInt8] {
    guard !fields.isEmpty else { return [] }
    var extra: [UInt8] = []
    extra.append(littleEndian: UInt16(1))
    extra.append(littleEndian: UInt16(fields.count))
    return extra + fields
  }
}
