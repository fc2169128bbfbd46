// The IDX format of the MNIST files: two zero bytes, a type, the number of axes, the sizes, the numbers,
// everything big-endian. Also inside gzip, of any number of members.

import CCodecs
public import CoalitionBase

public enum IDX {
  /// The longest header: four bytes and 255 sizes.
  private static let longestHeader = 4 + 4 * 255

  /// Whether the bytes begin as an IDX file does.
  static func isLikely(_ bytes: [UInt8]) -> Bool {
    bytes.count >= 4 && bytes[0] == 0 && bytes[1] == 0 && storedType(bytes[2]) != nil
  }

  static func isGzip(_ bytes: [UInt8]) -> Bool {
    bytes.count >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B
  }

  /// The array in the bytes of an IDX file, plain or gzipped.
  /// - Parameter limit: the largest number of bytes that the array may take; checked on the header, so
  ///   that a gzipped file is never unpacked past it.
  public static func decode(
    _ bytes: [UInt8], limit: Int = .max
  ) throws(CoalitionError) -> Tensor {
    guard isGzip(bytes) else { return try plain(bytes, limit: limit) }
    let beginning = Inflate.bytes(bytes, 0..<bytes.count, capacity: longestHeader, CODEC_GZIP)
    guard beginning.status == CODEC_FULL else {
      try check(beginning.status)
      return try plain(beginning.bytes, limit: limit)
    }
    let header = try Header(beginning.bytes, limit: limit)
    guard header.fileSize / ZipArchive.largestRatio <= bytes.count else {
      throw CoalitionError(
        .invalidData, "the gzipped file cannot hold the array of its header",
        expected: "\(header.fileSize) bytes for shape \(header.shape)",
        found: "\(bytes.count) compressed bytes")
    }
    let all = Inflate.bytes(bytes, 0..<bytes.count, capacity: header.fileSize, CODEC_GZIP)
    try check(all.status)
    return try plain(all.bytes, limit: limit)
  }

  private static func check(_ status: codec_status) throws(CoalitionError) {
    switch status {
    case CODEC_OK: return
    case CODEC_TRUNCATED:
      throw CoalitionError(.invalidData, "the gzipped file is truncated")
    case CODEC_FULL:
      throw CoalitionError(.invalidData, "the IDX file holds more than its header says")
    case CODEC_MEMORY: throw CoalitionError(.limitExceeded, "not enough memory to unpack the file")
    default: throw CoalitionError(.invalidData, "the gzipped file is broken")
    }
  }

  private static func plain(_ bytes: [UInt8], limit: Int) throws(CoalitionError) -> Tensor {
    let header = try Header(bytes, limit: limit)
    guard header.fileSize == bytes.count else {
      throw CoalitionError(
        .invalidData, "the IDX file does not have the size of its header",
        expected: "\(header.fileSize) bytes for shape \(header.shape)", found: "\(bytes.count)")
    }
    let run = StoredRun(type: header.type, bigEndian: true, count: header.count)
    return try Tensor(
      shape: header.shape, elements: run.elements(in: bytes, at: header.dataOffset))
  }

  private static func storedType(_ code: UInt8) -> StoredType? {
    switch code {
    case 0x08: .uint8
    case 0x09: .int8
    case 0x0B: .int16
    case 0x0C: .int32
    case 0x0D: .float32
    case 0x0E: .float64
    default: nil
    }
  }

  private struct Header {
    let type: StoredType
    let shape: [Int]
    let count: Int
    let dataOffset: Int
    let fileSize: Int

    init(_ bytes: [UInt8], limit: Int) throws(CoalitionError) {
      guard bytes.count >= 4, bytes[0] == 0, bytes[1] == 0 else {
        throw CoalitionError(.invalidData, "not an IDX file", expected: "two zero bytes in front")
      }
      guard let type = IDX.storedType(bytes[2]) else {
        throw CoalitionError(
          .invalidData, "unknown IDX type", expected: "08, 09, 0b, 0c, 0d or 0e",
          found: String(bytes[2], radix: 16))
      }
      var shape: [Int] = []
      for axis in 0..<Int(bytes[3]) {
        guard let size = bytes.bigEndian(UInt32.self, at: 4 + 4 * axis) else {
          throw CoalitionError(.invalidData, "the file ends within the IDX header")
        }
        shape.append(Int(size))
      }
      let offset = 4 + 4 * shape.count
      guard let count = Tensor.count(of: shape),
        case let (length, overflow) = count.multipliedReportingOverflow(by: type.byteCount),
        !overflow, length <= .max - offset
      else {
        throw CoalitionError(.invalidData, "the shape is too large to count", found: "\(shape)")
      }
      try Npy.checkLimit(count, of: type.elementType, limit)
      (self.type, self.shape, self.count) = (type, shape, count)
      (dataOffset, fileSize) = (offset, offset + length)
    }
  }
}
