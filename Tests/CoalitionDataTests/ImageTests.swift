import CoalitionBase
import Testing

@testable import CoalitionData

@Suite("images")
struct ImageTests {
  private func decode(_ name: String) throws -> Tensor {
    try ImageFile.decode(Fixture.bytes(name))
  }

  private func bytes(_ tensor: Tensor) -> [UInt8] {
    if case .uint8(let values) = tensor.elements { values } else { [] }
  }

  @Test(
    "colour PNG files of every kind give the same pixels",
    arguments: [
      "rgb8", "rgb16", "rgb8_interlaced", "rgba_opaque", "rgba16_opaque_interlaced",
    ])
  func color(name: String) throws {
    let image = try decode("\(name).png")
    #expect(image.shape == [7, 10, 3])
    #expect(bytes(image) == Fixture.pixels(height: 7, width: 10, channels: 3))
  }

  @Test("gray PNG files of every depth", arguments: [1, 2, 4, 8, 16])
  func gray(depth: Int) throws {
    let image = try decode("gray\(depth).png")
    #expect(image.shape == [7, 10, 1])
    let levels = depth < 8 ? 1 << depth : 256
    let expected = Fixture.pixels(height: 7, width: 10, channels: 1).map {
      UInt8(Int($0) % levels * 255 / (levels - 1))
    }
    #expect(bytes(image) == expected)
    if depth == 2 { #expect(try bytes(decode("gray2_interlaced.png")) == expected) }
    if depth == 8 { #expect(try bytes(decode("gray_alpha_opaque.png")) == expected) }
  }

  @Test("palettes become RGB", arguments: ["palette4", "palette8_opaque"])
  func palette(name: String) throws {
    let image = try decode("\(name).png")
    #expect(image.shape == [7, 10, 3])
    var expected: [UInt8] = []
    for y in 0..<7 {
      for x in 0..<10 {
        for c in 0..<3 { expected.append(UInt8((37 * ((y + x) % 16) + 71 * c) % 256)) }
      }
    }
    #expect(bytes(image) == expected)
  }

  @Test(
    "transparent pixels are refused",
    arguments: ["gray_alpha_transparent", "rgba_transparent", "palette8_transparent"])
  func transparency(name: String) throws {
    let bytes = try Fixture.bytes("\(name).png")
    #expect(code { () throws(CoalitionError) in _ = try ImageFile.decode(bytes) } == .unsupported)
  }

  @Test(
    "JPEG pixels are those of Pillow within one level",
    arguments: ["color", "progressive", "gray"])
  func jpeg(name: String) throws {
    let image = try decode("\(name).jpg")
    let expected = try Fixture.bytes("\(name).jpg.u8")
    #expect(image.shape == [24, 33, name == "gray" ? 1 : 3])
    #expect(image.count == expected.count)
    let worst = zip(bytes(image), expected).map { abs(Int($0) - Int($1)) }.max()
    #expect(worst ?? 255 <= 1)
  }

  @Test("CMYK is refused by name")
  func cmyk() throws {
    let bytes = try Fixture.bytes("cmyk.jpg")
    #expect(code { () throws(CoalitionError) in _ = try ImageFile.decode(bytes) } == .unsupported)
  }

  @Test(
    "a file cut anywhere is refused",
    arguments: [
      "gray1.png", "rgb8_interlaced.png", "palette8_opaque.png", "gray.jpg", "color.jpg",
      "progressive.jpg",
    ])
  func truncation(name: String) throws {
    expectTruncationFails(try Fixture.bytes(name)) { bytes throws(CoalitionError) in
      _ = try ImageFile.decode(bytes)
    }
  }

  @Test("a header that claims a huge image is refused before pixels are allocated")
  func lies() throws {
    var png = try Fixture.bytes("rgb8.png")
    // IHDR: width at 16, height at 20, its checksum at 29.
    for index in [16, 20] { png[index] = 0x7F }
    let checksum = CRC32.of(png, 12..<29)
    for index in 0..<4 { png[29 + index] = UInt8(truncatingIfNeeded: checksum >> (24 - 8 * index)) }
    #expect(code { () throws(CoalitionError) in _ = try ImageFile.decode(png) } == .invalidData)
    var jpeg = try Fixture.bytes("color.jpg")
    let frame = try #require(
      (0..<jpeg.count - 9).first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
    for index in 5..<9 { jpeg[frame + index] = 0xF0 }
    #expect(code { () throws(CoalitionError) in _ = try ImageFile.decode(jpeg) } == .invalidData)
    var progressive = try Fixture.bytes("progressive.jpg")
    let scans = try #require(
      (0..<progressive.count - 9).first { progressive[$0] == 0xFF && progressive[$0 + 1] == 0xC2 })
    for index in 5..<9 { progressive[scans + index] = 0xF0 }
    #expect(
      code { () throws(CoalitionError) in _ = try ImageFile.decode(progressive) } == .invalidData)
    let image = try Fixture.bytes("color.jpg")
    #expect(
      code { () throws(CoalitionError) in _ = try ImageFile.decode(image, limit: 100) }
        == .memoryLimit)
  }

  @Test("arithmetic coding, in which a file of any size can hold an image of any other, is refused")
  func arithmeticCoding() throws {
    var jpeg = try Fixture.bytes("color.jpg")
    let frame = try #require(
      (0..<jpeg.count - 9).first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
    jpeg[frame + 1] = 0xC9
    #expect(code { () throws(CoalitionError) in _ = try ImageFile.decode(jpeg) } == .unsupported)
  }

  @Test("a wrong checksum of the pixels is found")
  func checksum() throws {
    var bytes = try Fixture.bytes("rgb8.png")
    bytes[bytes.count - 13] ^= 1
    #expect(code { () throws(CoalitionError) in _ = try ImageFile.decode(bytes) } == .invalidData)
  }

  @Test("PNG files that are written read back", arguments: [1, 3])
  func encoding(channels: Int) throws {
    let pixels = Fixture.pixels(height: 9, width: 5, channels: channels)
    let image = try Tensor(shape: [9, 5, channels], elements: .uint8(pixels))
    let bytes = try ImageFile.encodePNG(image)
    #expect(try ImageFile.decode(bytes) == image)
    #expect(try ImageFile.encodePNG(image) == bytes)
  }
}
