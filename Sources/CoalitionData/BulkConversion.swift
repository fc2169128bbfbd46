// Runs of stored numbers to Swift arrays and back through raw memory, and calls of the codecs for compressed bytes.
//
// A file stores numbers of any width and byte order. They are widened to the six element types of a
// tensor: f2 to float32, i1 i2 u2 to int32, u4 u8 to int64. Little-endian data of the same width is
// copied; the rest is one pass. Callers have checked that the bytes are there; it is checked again.

import CCodecs
import CoalitionBase

/// A number type that a file can hold.
enum StoredType: Hashable, Sendable {
  case float16, float32, float64
  case int8, int16, int32, int64
  case uint8, uint16, uint32, uint64
  case bool

  var byteCount: Int {
    switch self {
    case .int8, .uint8, .bool: 1
    case .float16, .int16, .uint16: 2
    case .float32, .int32, .uint32: 4
    case .float64, .int64, .uint64: 8
    }
  }

  /// The element type that holds every value of this type (all but the upper half of uint64).
  var elementType: ElementType {
    switch self {
    case .float16, .float32: .float32
    case .float64: .float64
    case .int8, .int16, .uint16, .int32: .int32
    case .uint32, .int64, .uint64: .int64
    case .uint8: .uint8
    case .bool: .bool
    }
  }
}

/// A run of numbers in a file.
struct StoredRun {
  var type: StoredType
  var bigEndian: Bool
  var count: Int

  /// Reads the run that begins at `offset`.
  /// - Throws: `invalidData` when the bytes end before it does, or an unsigned integer passes Int64.
  func elements(in bytes: [UInt8], at offset: Int) throws(CoalitionError) -> Tensor.Elements {
    let (length, overflow) = count.multipliedReportingOverflow(by: type.byteCount)
    guard !overflow, count >= 0, offset >= 0, offset <= bytes.count,
      length <= bytes.count - offset
    else {
      throw CoalitionError(
        .invalidData, "the file ends within its numbers", expected: "\(count) numbers",
        found: "\(max(bytes.count - max(offset, 0), 0)) bytes")
    }
    switch type {
    case .float32: return .float32(same(bytes, offset, swapped: swapFloat))
    case .float64: return .float64(same(bytes, offset, swapped: swapDouble))
    case .int32: return .int32(same(bytes, offset) { $0.byteSwapped })
    case .int64: return .int64(same(bytes, offset) { $0.byteSwapped })
    case .uint8: return .uint8(same(bytes, offset) { $0 })
    case .bool: return .bool(widened(bytes, offset) { (stored: UInt8) in stored != 0 })
    case .int8: return .int32(widened(bytes, offset) { (stored: Int8) in Int32(stored) })
    case .float16:
      return .float32(
        widened(bytes, offset) { (stored: UInt16) in HalfPrecision.float16(ordered(stored)) })
    case .int16:
      return .int32(widened(bytes, offset) { (stored: Int16) in Int32(ordered(stored)) })
    case .uint16:
      return .int32(widened(bytes, offset) { (stored: UInt16) in Int32(ordered(stored)) })
    case .uint32:
      return .int64(widened(bytes, offset) { (stored: UInt32) in Int64(ordered(stored)) })
    case .uint64:
      let values: [Int64] = widened(bytes, offset) { (stored: UInt64) in
        Int64(bitPattern: ordered(stored))
      }
      guard let wrapped = values.firstIndex(where: { $0 < 0 }) else { return .int64(values) }
      throw CoalitionError(
        .invalidData, "an unsigned 64-bit integer does not fit a signed one",
        expected: "at most \(Int64.max)", found: "\(UInt64(bitPattern: values[wrapped]))")
    }
  }

  private func ordered<I: FixedWidthInteger>(_ stored: I) -> I {
    bigEndian ? I(bigEndian: stored) : I(littleEndian: stored)
  }

  /// Whether the stored order is not the machine's.
  private var foreign: Bool { bigEndian == (1.littleEndian == 1) }

  /// Copies numbers of the width that they keep. `T` has no invalid bit patterns.
  private func same<T: BitwiseCopyable>(
    _ bytes: [UInt8], _ offset: Int, swapped: (T) -> T
  ) -> [T] {
    [T](unsafeUninitializedCapacity: count) { out, filled in
      bytes.withUnsafeBytes { raw in
        let source = raw[offset..<offset + count * MemoryLayout<T>.size]
        UnsafeMutableRawBufferPointer(out).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: source))
      }
      filled = count
      if foreign { for index in 0..<count { out[index] = swapped(out[index]) } }
    }
  }

  private func widened<S: BitwiseCopyable, T>(
    _ bytes: [UInt8], _ offset: Int, _ convert: (S) -> T
  ) -> [T] {
    [T](unsafeUninitializedCapacity: count) { out, filled in
      bytes.withUnsafeBytes { raw in
        for index in 0..<count {
          let stored = raw.loadUnaligned(
            fromByteOffset: offset + index * MemoryLayout<S>.size, as: S.self)
          out.initializeElement(at: index, to: convert(stored))
        }
      }
      filled = count
    }
  }
}

private func swapFloat(_ value: Float) -> Float { Float(bitPattern: value.bitPattern.byteSwapped) }

private func swapDouble(_ value: Double) -> Double {
  Double(bitPattern: value.bitPattern.byteSwapped)
}

// MARK: - Writing

extension [UInt8] {
  /// Appends an integer, little-endian.
  mutating func append<I: FixedWidthInteger>(littleEndian value: I) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }

  /// Appends the elements in the byte order of the machine, which is little-endian wherever this runs.
  mutating func append(_ elements: Tensor.Elements) {
    switch elements {
    case .float32(let values): values.withUnsafeBytes { append(contentsOf: $0) }
    case .float64(let values): values.withUnsafeBytes { append(contentsOf: $0) }
    case .int32(let values): values.withUnsafeBytes { append(contentsOf: $0) }
    case .int64(let values): values.withUnsafeBytes { append(contentsOf: $0) }
    case .uint8(let values): append(contentsOf: values)
    case .bool(let values): append(contentsOf: values.lazy.map { $0 ? 1 : 0 })
    }
  }

  /// The little-endian integer at `offset`: nil past the end.
  func littleEndian<I: FixedWidthInteger>(_ type: I.Type, at offset: Int) -> I? {
    guard offset >= 0, offset <= count - MemoryLayout<I>.size else { return nil }
    return withUnsafeBytes { I(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: I.self)) }
  }

  /// The big-endian integer at `offset`: nil past the end.
  func bigEndian<I: FixedWidthInteger>(_ type: I.Type, at offset: Int) -> I? {
    littleEndian(type, at: offset)?.byteSwapped
  }
}

// MARK: - Calls of the C codecs

enum Inflate {
  /// At most `capacity` bytes out of `range` of `bytes`, and how it ended.
  static func bytes(
    _ bytes: [UInt8], _ range: Range<Int>, capacity: Int, _ wrapping: codec_wrapping
  ) -> (bytes: [UInt8], status: codec_status) {
    var status = CODEC_BROKEN
    let out = [UInt8](unsafeUninitializedCapacity: capacity) { out, filled in
      bytes.withUnsafeBufferPointer { source in
        let input = UnsafeBufferPointer(rebasing: source[range])
        status = codec_inflate(
          out.baseAddress, capacity, &filled, input.baseAddress, input.count, wrapping)
      }
    }
    return (out, status)
  }
}

enum CRC32 {
  static func of(_ bytes: [UInt8], _ range: Range<Int>) -> UInt32 {
    bytes.withUnsafeBufferPointer { source in
      let input = UnsafeBufferPointer(rebasing: source[range])
      return codec_crc32(0, input.baseAddress, input.count)
    }
  }
}
