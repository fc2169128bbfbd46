// Files of bare numbers: `.f32` (little-endian single precision) and `.u8` (bytes). They have no header:
// the caller gives the shape of one example, the size of the file gives the number of examples.

public import CoalitionBase

public enum RawArray {
  public enum Format: String, Sendable {
    case f32, u8

    var storedType: StoredType {
      switch self {
      case .f32: .float32
      case .u8: .uint8
      }
    }
  }

  /// The examples in `bytes`, with the shape [N] + `exampleShape`.
  public static func decode(
    _ bytes: [UInt8], format: Format, exampleShape: [Int], limit: Int = .max
  ) throws(CoalitionError) -> Tensor {
    guard let size = Tensor.count(of: exampleShape), size > 0,
      case let (length, overflow) = size.multipliedReportingOverflow(
        by: format.storedType.byteCount), !overflow
    else {
      throw CoalitionError(
        .usage, "the shape of an example must have positive sizes", found: "\(exampleShape)")
    }
    guard bytes.count > 0, bytes.count % length == 0 else {
      throw CoalitionError(
        .invalidData, "the size of the file is no multiple of an example of shape \(exampleShape)",
        expected: "a multiple of \(length) bytes", found: "\(bytes.count)")
    }
    let examples = bytes.count / length
    let run = StoredRun(type: format.storedType, bigEndian: false, count: examples * size)
    try Npy.checkLimit(run.count, of: run.type.elementType, limit)
    return try Tensor(
      shape: [examples] + exampleShape, elements: run.elements(in: bytes, at: 0))
  }
}
