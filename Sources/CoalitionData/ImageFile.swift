// PNG and JPEG files as arrays of bytes: [height, width, channels], 1 channel for gray, 3 for RGB.
//
// The size in the header is checked before pixels are allocated. An alpha channel is dropped where it is
// opaque and refused otherwise: there is no background to put the image on. CMYK is refused. Gamma, colour
// profiles and orientation tags are ignored, as common image loaders do.

import CCodecs
public import CoalitionBase

public enum ImageFile {
  static func isPNG(_ bytes: [UInt8]) -> Bool {
    bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
  }

  static func isJPEG(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0xFF, 0xD8, 0xFF]) }

  /// The pixels of a PNG or JPEG file; the first bytes tell which.
  /// - Parameter limit: the largest number of bytes that the pixels, and beside them the decoder, may take.
  public static func decode(
    _ bytes: [UInt8], limit: Int = .max
  ) throws(CoalitionError) -> Tensor {
    let png = isPNG(bytes)
    guard png || isJPEG(bytes) else {
      throw CoalitionError(.invalidData, "neither a PNG nor a JPEG file")
    }
    var image = codec_image()
    try check(
      bytes.withUnsafeBufferPointer {
        png
          ? codec_png_header(&image, $0.baseAddress, $0.count)
          : codec_jpeg_header(&image, $0.baseAddress, $0.count)
      })
    let sizes = [image.height, image.width, image.work_channels]
    // An image that the file is too short for is not given memory first.
    guard let room = Tensor.count(of: sizes), room > 0, image.least_bytes <= bytes.count else {
      throw CoalitionError(
        .invalidData, "the file cannot hold an image of the size in its header",
        found: "\(image.width) x \(image.height) in \(bytes.count) bytes")
    }
    guard room <= limit else {
      throw CoalitionError(
        .memoryLimit, "the image is larger than allowed", expected: "at most \(limit) bytes",
        found: "\(image.width) x \(image.height)")
    }
    var status = CODEC_BROKEN
    // Broken files leave pixels unwritten, so they start as zeros.
    var pixels = [UInt8](repeating: 0, count: room)
    pixels.withUnsafeMutableBufferPointer { pixels in
      bytes.withUnsafeBufferPointer { source in
        status =
          png
          ? codec_png_decode(pixels.baseAddress, &image, source.baseAddress, source.count)
          : codec_jpeg_decode(
            pixels.baseAddress, &image, source.baseAddress, source.count, limit)
      }
    }
    try check(status)
    let shape = [image.height, image.width, image.channels]
    pixels.removeLast(room - image.height * image.width * image.channels)
    return try Tensor(shape: shape, elements: .uint8(pixels))
  }

  /// The bytes of a PNG file.
  /// - Parameter pixels: [height, width, channels] bytes; 1 (gray), 3 (RGB) or 4 (RGBA) channels.
  public static func encodePNG(_ pixels: Tensor) throws(CoalitionError) -> [UInt8] {
    guard case .uint8(let values) = pixels.elements, pixels.rank == 3, !values.isEmpty,
      [1, 3, 4].contains(pixels.shape[2])
    else {
      throw CoalitionError(
        .shapeMismatch, "these are not the pixels of an image",
        expected: "bytes [height, width, 1, 3 or 4]",
        found: "\(pixels.elementType.rawValue) \(pixels.shape)")
    }
    var out: UnsafeMutablePointer<UInt8>?
    var count = 0
    let status = values.withUnsafeBufferPointer {
      codec_png_encode(
        &out, &count, $0.baseAddress, pixels.shape[1], pixels.shape[0], pixels.shape[2])
    }
    defer { codec_free(out) }
    try check(status)
    return Array(UnsafeBufferPointer(start: out, count: count))
  }

  private static func check(_ status: codec_status) throws(CoalitionError) {
    switch status {
    case CODEC_OK: return
    case CODEC_TRUNCATED: throw CoalitionError(.invalidData, "the image file is truncated")
    case CODEC_MEMORY: throw CoalitionError(.limitExceeded, "not enough memory for the image")
    case CODEC_COLORS:
      throw CoalitionError(
        .unsupported, "the image is not gray or RGB: convert it", found: "CMYK or YCCK")
    case CODEC_ARITHMETIC:
      throw CoalitionError(
        .unsupported, "the image is compressed by arithmetic coding: convert it",
        expected: "a JPEG file with Huffman codes")
    case CODEC_TRANSPARENT:
      throw CoalitionError(
        .unsupported, "the image has transparent pixels: put it on a background first")
    default: throw CoalitionError(.invalidData, "the image file is broken")
    }
  }
}
