// Compression for PNG: zlib's container with one block of fixed Huffman codes (RFC 1950, RFC 1951).
//
// Drawings are flat colours: after the filters of PNG nearly everything is a run of zeros, for which the fixed
// codes are within a few percent of the best ones. Matches are found greedily along short hash chains.

enum Deflate {
  private static let longestMatch = 258
  private static let window = 32768
  private static let chainLimit = 24
  private static let hashBits = 15

  /// The zlib stream of the bytes.
  static func zlib(_ bytes: [UInt8]) -> [UInt8] {
    var out = BitWriter()
    out.bytes = [0x78, 0x9C]
    out.write(1, bits: 1)
    out.write(1, bits: 2)
    compress(bytes, &out)
    out.writeSymbol(256)
    out.flush()
    let sum = adler32(bytes)
    out.bytes += (0..<4).map { UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * $0)) }
    return out.bytes
  }

  private static func compress(_ bytes: [UInt8], _ out: inout BitWriter) {
    let count = bytes.count
    var heads = [Int32](repeating: -1, count: 1 << hashBits)
    var previous = [Int32](repeating: -1, count: window)
    func hash(_ place: Int) -> Int {
      let key =
        UInt32(bytes[place]) | UInt32(bytes[place + 1]) << 8 | UInt32(bytes[place + 2]) << 16
      return Int((key &* 0x9E37_79B1) >> UInt32(32 - hashBits))
    }
    func insert(_ place: Int) {
      guard place + 2 < count else { return }
      let slot = hash(place)
      previous[place % window] = heads[slot]
      heads[slot] = Int32(truncatingIfNeeded: place)
    }
    var place = 0
    while place < count {
      var best = (length: 0, distance: 0)
      if place + 2 < count {
        let most = min(longestMatch, count - place)
        var candidate = Int(heads[hash(place)])
        var steps = 0
        while candidate >= 0, place - candidate <= window - 1, steps < chainLimit {
          var length = 0
          while length < most, bytes[candidate + length] == bytes[place + length] { length += 1 }
          if length > best.length { best = (length, place - candidate) }
          if length == most { break }
          let next = Int(previous[candidate % window])
          guard next < candidate else { break }
          candidate = next
          steps += 1
        }
      }
      if best.length >= 3 {
        out.writeMatch(length: best.length, distance: best.distance)
        // Inside of a long run every place is like the next one.
        for inner in 0..<best.length where inner < 32 || inner + 2 > best.length {
          insert(place + inner)
        }
        place += best.length
      } else {
        out.writeSymbol(Int(bytes[place]))
        insert(place)
        place += 1
      }
    }
  }

  private static func adler32(_ bytes: [UInt8]) -> UInt32 {
    var low: UInt32 = 1
    var high: UInt32 = 0
    // 5552 is the largest number of bytes after which neither sum has overflowed.
    for start in stride(from: 0, to: bytes.count, by: 5552) {
      for index in start..<min(start + 5552, bytes.count) {
        low &+= UInt32(bytes[index])
        high &+= low
      }
      low %= 65521
      high %= 65521
    }
    return high << 16 | low
  }
}

/// Bits from the lowest of each byte on.
private struct BitWriter {
  var bytes: [UInt8] = []
  private var pending: UInt64 = 0
  private var pendingCount = 0

  mutating func write(_ value: Int, bits: Int) {
    pending |= UInt64(value) << UInt64(pendingCount)
    pendingCount += bits
    while pendingCount >= 8 {
      bytes.append(UInt8(truncatingIfNeeded: pending))
      pending >>= 8
      pendingCount -= 8
    }
  }

  mutating func flush() {
    if pendingCount > 0 { write(0, bits: 8 - pendingCount) }
  }

  /// Huffman codes go out from their highest bit.
  private mutating func writeCode(_ code: Int, bits: Int) {
    for bit in stride(from: bits - 1, through: 0, by: -1) { write(code >> bit & 1, bits: 1) }
  }

  /// A literal byte, the end (256), or the code of a length, in the fixed code of RFC 1951, 3.2.6.
  mutating func writeSymbol(_ symbol: Int) {
    switch symbol {
    case ..<144: writeCode(0x30 + symbol, bits: 8)
    case ..<256: writeCode(0x190 + symbol - 144, bits: 9)
    case ..<280: writeCode(symbol - 256, bits: 7)
    default: writeCode(0xC0 + symbol - 280, bits: 8)
    }
  }

  mutating func writeMatch(length: Int, distance: Int) {
    // 258 has a code of its own; other lengths from 11 on share codes, four to each number of extra bits.
    if length == 258 {
      writeSymbol(285)
    } else {
      let (code, extra, bits) = Self.shared(length - 3, codesPerStep: 4)
      writeSymbol(257 + code)
      write(extra, bits: bits)
    }
    let (code, extra, bits) = Self.shared(distance - 1, codesPerStep: 2)
    writeCode(code, bits: 5)
    write(extra, bits: bits)
  }

  /// The code of a value from 0, and the extra bits that tell it from others with the same code: the first
  /// 2 x `codesPerStep` values have none, then each run of codes has one bit more than the one before.
  private static func shared(
    _ value: Int, codesPerStep: Int
  ) -> (code: Int, extra: Int, bits: Int) {
    var bits = 0
    while value >> bits >= 2 * codesPerStep { bits += 1 }
    return (codesPerStep * bits + value >> bits, value & ((1 << bits) - 1), bits)
  }
}
