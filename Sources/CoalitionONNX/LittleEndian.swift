// Moves elements between host arrays and the little-endian bytes of a file: one bulk copy each way.
//
// This is the module's only place that touches memory through pointers. The ranges it is given are
// checked against the array by slicing. Hosts of the other byte order are not supported.

#if _endian(big)
  #error("weights are copied as they lie in the file, which is little-endian")
#endif

/// Numbers whose bytes in a file are their bytes in memory and for which every bit pattern is a
/// value (so not Bool).
protocol PlainNumber: BitwiseCopyable {}
extension Float: PlainNumber {}
extension Double: PlainNumber {}
extension Int8: PlainNumber {}
extension Int16: PlainNumber {}
extension Int32: PlainNumber {}
extension Int64: PlainNumber {}
extension UInt8: PlainNumber {}
extension UInt16: PlainNumber {}
extension UInt32: PlainNumber {}
extension UInt64: PlainNumber {}

enum LittleEndian {
  /// The numbers whose bytes are `ranges` of `bytes`, one range after the other. Bytes that do not
  /// fill a whole number at the end are left out: callers compare lengths first.
  static func numbers<Number: PlainNumber>(
    _ type: Number.Type, from bytes: [UInt8], _ ranges: [Range<Int>]
  ) -> [Number] {
    let byteCount = ranges.reduce(0) { $0 + $1.count }
    let count = byteCount / MemoryLayout<Number>.stride
    return [Number](unsafeUninitializedCapacity: count) { buffer, filled in
      var target = UnsafeMutableRawBufferPointer(buffer)[...]
      for range in ranges {
        bytes[range].withUnsafeBytes { source in
          let part = min(source.count, target.count)
          UnsafeMutableRawBufferPointer(rebasing: target).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: source[..<part]))
          target = target.dropFirst(part)
        }
      }
      filled = count
    }
  }

  /// Appends the bytes of `numbers`.
  static func append<Number: PlainNumber>(_ numbers: [Number], to bytes: inout [UInt8]) {
    numbers.withUnsafeBytes { bytes.append(contentsOf: $0) }
  }
}
