// Compression for PNG: zlib's container (RFC 1950) around blocks of Huffman codes (RFC 1951, 3.2.7).
//
// Drawings are flat colours: after the filters of PNG nearly everything is a run of zeros. Matches are found
// greedily along short hash chains. HuffmanBlock.swift writes what is found.

enum Deflate {
  private static let longestMatch = 258
  private static let window = 32768
  private static let chainLimit = 24
  private static let hashBits = 15

  /// The zlib stream of the bytes.
  static func zlib(_ bytes: [UInt8]) -> [UInt8] {
    var out = BitWriter()
    out.bytes = [0x78, 0x9C]
    var block = HuffmanBlock()
    findMatches(bytes) { token in
      if block.isFull { block.flush(to: &out, isLast: false) }
      block.append(token)
    }
    block.flush(to: &out, isLast: true)
    out.fillByte()
    let sum = adler32(bytes)
    out.bytes += (0..<4).map { UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * $0)) }
    return out.bytes
  }

  private static func findMatches(_ bytes: [UInt8], _ found: (DeflateToken) -> Void) {
    let count = bytes.count
    // Chains of places with the same hash, the latest first.
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
        while candidate >= 0, place - candidate < window, steps < chainLimit {
          var length = 0
          while length < most, bytes[candidate + length] == bytes[place + length] { length += 1 }
          if length > best.length { best = (length, place - candidate) }
          if length == most { break }
          let next = Int(previous[candidate % window])
          // The slot may have been taken by a later place.
          guard next < candidate else { break }
          candidate = next
          steps += 1
        }
      }
      if best.length >= 3 {
        found(.match(length: best.length, distance: best.distance))
        // Inside of a long run every place is like the next one.
        for inner in 0..<best.length where inner < 32 || inner + 2 > best.length {
          insert(place + inner)
        }
        place += best.length
      } else {
        found(.literal(bytes[place]))
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

enum DeflateToken {
  case literal(UInt8)
  case match(length: Int, distance: Int)
}

/// Bits from the lowest of each byte on.
struct BitWriter {
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

  /// Ends the last byte with zeros.
  mutating func fillByte() {
    if pendingCount > 0 { write(0, bits: 8 - pendingCount) }
  }
}
