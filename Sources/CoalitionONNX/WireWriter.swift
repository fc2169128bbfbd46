// Writer of the protobuf wire format, in shortest form.
//
// The length of a message stands before it. So a message is described by a closure that runs twice:
// on a writer that only counts, then on the one that stores. Weights are copied once, and the whole
// size is known before the first byte is allocated.

import CoalitionBase

struct WireWriter {
  private(set) var bytes: [UInt8] = []
  private(set) var count = 0
  private let stores: Bool

  /// A writer that adds up lengths.
  static func counting() -> WireWriter { WireWriter(stores: false) }

  /// A writer that stores, with room for `capacity` bytes.
  init(capacity: Int) {
    stores = true
    bytes.reserveCapacity(capacity)
  }

  private init(stores: Bool) { self.stores = stores }

  mutating func integer(_ field: Int, _ value: Int) {
    key(field, .varint)
    varint(UInt64(bitPattern: Int64(value)))
  }

  mutating func float(_ field: Int, _ value: Float) {
    key(field, .fixed32)
    append([value])
  }

  mutating func string(_ field: Int, _ text: String) {
    key(field, .bytes)
    varint(UInt64(text.utf8.count))
    count += text.utf8.count
    if stores { bytes.append(contentsOf: text.utf8) }
  }

  /// The bytes of `numbers` as one field.
  mutating func data<Number: PlainNumber>(_ field: Int, _ numbers: [Number]) {
    key(field, .bytes)
    varint(UInt64(numbers.count * MemoryLayout<Number>.stride))
    append(numbers)
  }

  mutating func message(
    _ field: Int, _ body: (inout WireWriter) throws(CoalitionError) -> Void
  ) throws(CoalitionError) {
    var counter = WireWriter.counting()
    try body(&counter)
    key(field, .bytes)
    varint(UInt64(counter.count))
    if stores { try body(&self) } else { count += counter.count }
  }

  private mutating func key(_ field: Int, _ type: WireType) {
    varint(UInt64(field) << 3 | UInt64(type.rawValue))
  }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      byte(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    byte(UInt8(rest))
  }

  private mutating func byte(_ value: UInt8) {
    count += 1
    if stores { bytes.append(value) }
  }

  private mutating func append<Number: PlainNumber>(_ numbers: [Number]) {
    count += numbers.count * MemoryLayout<Number>.stride
    if stores { LittleEndian.append(numbers, to: &bytes) }
  }
}
