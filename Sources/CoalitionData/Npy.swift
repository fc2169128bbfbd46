// The npy format of NumPy, versions 1 to 3: one array with its type, order and shape.
//
// Read: f2 f4 f8, i1 i2 i4 i8, u1 u2 u4 u8, bool in either byte order, C or Fortran order, and one axis of
// Unicode strings (U). Written: version 1, little-endian, C order. Structured and object arrays are refused.
// The header is a Python dictionary literal; NpyHeader reads exactly that and evaluates nothing.

import CCodecs
public import CoalitionBase

/// An array of a result: numbers, or the names that go with an axis.
public enum ResultArray: Hashable, Sendable {
  case tensor(Tensor)
  case strings([String])

  public var shape: [Int] {
    switch self {
    case .tensor(let tensor): tensor.shape
    case .strings(let strings): [strings.count]
    }
  }
}

/// Reading and writing `.npy`.
public enum Npy {
  static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]

  /// The array of numbers in the bytes of an npy file.
  /// - Parameter limit: the largest number of bytes that the array may take.
  /// - Throws: `invalidData` for a broken file, `unsupported` for a type that is not a number,
  ///   `memoryLimit` past the limit, before anything is allocated.
  public static func decode(
    _ bytes: [UInt8], limit: Int = .max
  ) throws(CoalitionError) -> Tensor {
    switch try decodeArray(bytes, limit: limit) {
    case .tensor(let tensor): return tensor
    case .strings:
      throw CoalitionError(
        .unsupported, "the array holds strings", expected: "an array of numbers")
    }
  }

  /// The array, of numbers or of strings, in the bytes of an npy file.
  public static func decodeArray(
    _ bytes: [UInt8], limit: Int = .max
  ) throws(CoalitionError) -> ResultArray {
    let header = try NpyHeader(bytes)
    let count = try header.elementCount()
    let (length, overflow) = count.multipliedReportingOverflow(by: header.itemSize)
    guard !overflow, length == bytes.count - header.dataOffset else {
      throw CoalitionError(
        .invalidData, "the file does not hold the array of its header",
        expected: overflow ? "more bytes than can be counted" : "\(length) bytes of data",
        found: "\(bytes.count - header.dataOffset)")
    }
    switch header.item {
    case .number(let type):
      try checkLimit(count, of: type.elementType, limit)
      let run = StoredRun(type: type, bigEndian: header.bigEndian, count: count)
      let elements = try run.elements(in: bytes, at: header.dataOffset)
      return .tensor(
        try Tensor(
          shape: header.shape,
          elements: header.fortranOrder
            ? elements.reorderedFromFortran(header.shape) : elements))
    case .text(let width):
      guard header.shape.count <= 1 else {
        throw CoalitionError(
          .unsupported, "strings are read along one axis only", found: "shape \(header.shape)")
      }
      return .strings(try strings(bytes, header: header, count: count, width: width))
    }
  }

  static func checkLimit(
    _ count: Int, of type: ElementType, _ limit: Int
  ) throws(CoalitionError) {
    let (size, overflow) = count.multipliedReportingOverflow(by: type.byteCount)
    guard !overflow, size <= limit else {
      throw CoalitionError(
        .memoryLimit, "the array is larger than allowed", expected: "at most \(limit) bytes",
        found: "\(count) elements of \(type.rawValue)")
    }
  }

  // MARK: Writing

  /// The bytes of an npy file, version 1.0.
  public static func encode(_ tensor: Tensor) -> [UInt8] {
    var bytes = header(type: tensor.elementType.npyName, shape: tensor.shape)
    bytes.reserveCapacity(bytes.count + tensor.count * tensor.elementType.byteCount)
    bytes.append(tensor.elements)
    return bytes
  }

  /// The bytes of an npy file with one axis of strings, as code points padded with zeros.
  public static func encode(_ strings: [String]) -> [UInt8] {
    // NumPy has no width 0 in a file: an empty string has one padding code point.
    let width = max(strings.map(\.unicodeScalars.count).max() ?? 1, 1)
    var bytes = header(type: "<U\(width)", shape: [strings.count])
    for string in strings {
      for scalar in string.unicodeScalars { bytes.append(littleEndian: scalar.value) }
      bytes.append(
        contentsOf: repeatElement(0, count: 4 * (width - string.unicodeScalars.count)))
    }
    return bytes
  }

  static func encode(_ array: ResultArray) -> [UInt8] {
    switch array {
    case .tensor(let tensor): encode(tensor)
    case .strings(let strings): encode(strings)
    }
  }

  private static func header(type: String, shape: [Int]) -> [UInt8] {
    let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    let text = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(sizes)), }"
    // The data begins at a multiple of 64 bytes; the header ends in spaces and a line feed.
    let padding = 63 - (magic.count + 4 + text.utf8.count) % 64
    var bytes = magic + [1, 0]
    bytes.append(littleEndian: UInt16(text.utf8.count + padding + 1))
    bytes += Array(text.utf8) + Array(repeating: 0x20, count: padding) + [0x0A]
    return bytes
  }

  // MARK: Strings

  /// UCS-4 code points, `width` for each string, zero-padded at the end.
  private static func strings(
    _ bytes: [UInt8], header: NpyHeader, count: Int, width: Int
  ) throws(CoalitionError) -> [String] {
    var strings: [String] = []
    for index in 0..<count {
      var scalars = String.UnicodeScalarView()
      for position in 0..<width {
        let offset = header.dataOffset + 4 * (index * width + position)
        let code =
          header.bigEndian
          ? bytes.bigEndian(UInt32.self, at: offset) : bytes.littleEndian(UInt32.self, at: offset)
        guard let code, let scalar = Unicode.Scalar(code) else {
          throw CoalitionError(.invalidData, "string \(index) is not valid Unicode")
        }
        scalars.append(scalar)
      }
      while scalars.last?.value == 0 { scalars.removeLast() }
      strings.append(String(scalars))
    }
    return strings
  }
}

extension ElementType {
  /// The type as NumPy writes it in a file.
  var npyName: String {
    switch self {
    case .float32: "<f4"
    case .float64: "<f8"
    case .int32: "<i4"
    case .int64: "<i8"
    case .uint8: "|u1"
    case .bool: "|b1"
    }
  }
}
