// PNG files of 8-bit RGB (ISO/IEC 15948), without any library: the filters none, sub and up, whichever gives a
// row the smallest sum of magnitudes, and the compression of Deflate.swift.

enum PNGWriter {
  static func encode(_ picture: Picture) -> [UInt8] {
    var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    // Depth 8, colour type RGB, the only compression and filter method, not interlaced.
    let header = bigEndian(picture.width) + bigEndian(picture.height) + [8, 2, 0, 0, 0]
    append("IHDR", header, to: &file)
    append("IDAT", Deflate.zlib(filtered(picture)), to: &file)
    append("IEND", [], to: &file)
    return file
  }

  /// The rows, each behind the number of its filter.
  private static func filtered(_ picture: Picture) -> [UInt8] {
    let length = 3 * picture.width
    var result = [UInt8]()
    result.reserveCapacity((length + 1) * picture.height)
    var above = [UInt8](repeating: 0, count: length)
    for row in 0..<picture.height {
      let line = Array(picture.pixels[row * length..<(row + 1) * length])
      var left = line
      for index in 3..<max(3, length) { left[index] = line[index] &- line[index - 3] }
      var up = line
      for index in 0..<length { up[index] = line[index] &- above[index] }
      let rows = [line, left, up]
      let costs = rows.map { row in
        row.reduce(0) { $0 + Int(Int8(bitPattern: $1).magnitude) }
      }
      let best = (0..<3).min { (costs[$0], -$0) < (costs[$1], -$1) } ?? 0
      result.append(UInt8(best))
      result += rows[best]
      above = line
    }
    return result
  }

  private static func append(_ type: String, _ data: [UInt8], to file: inout [UInt8]) {
    let body = Array(type.utf8) + data
    file += bigEndian(data.count) + body + bigEndian(Int(crc32(body)))
  }

  private static func bigEndian(_ value: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in
      value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1
    }
  }

  private static func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~0) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
  }
}
