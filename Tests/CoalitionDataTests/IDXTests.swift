import CoalitionBase
import Testing

@testable import CoalitionData

@Suite("IDX and raw files")
struct IDXTests {
  @Test("reads the six types", arguments: ["08", "09", "0b", "0c", "0d", "0e"])
  func types(type: String) throws {
    let tensor = try IDX.decode(Fixture.bytes("type\(type).idx"))
    #expect(tensor.shape == [2, 3, 4])
    #expect(tensor.doubles == (0..<24).map { Double($0) - (type == "08" ? 0 : 2) })
    let expected: [String: ElementType] = [
      "08": .uint8, "09": .int32, "0b": .int32, "0c": .int32, "0d": .float32, "0e": .float64,
    ]
    #expect(tensor.elementType == expected[type])
  }

  @Test("reads gzip of several members, also followed by zeros")
  func gzip() throws {
    let bytes = try Fixture.bytes("members.gz")
    let plain = try IDX.decode(Fixture.bytes("type08.idx"))
    #expect(try IDX.decode(bytes) == plain)
    #expect(try IDX.decode(bytes + [0, 0, 0]) == plain)
    #expect(code { () throws(CoalitionError) in _ = try IDX.decode(bytes + [1]) } == .invalidData)
    let long = try IDX.decode(Fixture.bytes("long.gz"))
    #expect(long.elements == .uint8((0..<4000).map { UInt8($0 % 251) }))
  }

  @Test("a file cut anywhere is refused, gzipped or not")
  func truncation() throws {
    for name in ["type0b.idx", "members.gz", "long.gz"] {
      expectTruncationFails(try Fixture.bytes(name)) { bytes throws(CoalitionError) in
        _ = try IDX.decode(bytes)
      }
    }
  }

  @Test("headers that lie are refused before memory is taken")
  func lies() throws {
    let huge: [UInt8] = [0, 0, 14, 3] + Array(repeating: 0xFF, count: 12)
    #expect(code { () throws(CoalitionError) in _ = try IDX.decode(huge) } == .invalidData)
    let large: [UInt8] = [0, 0, 8, 1, 0x7F, 0xFF, 0xFF, 0xFF]
    #expect(
      code { () throws(CoalitionError) in _ = try IDX.decode(large, limit: 1 << 20) }
        == .memoryLimit)
    #expect(code { () throws(CoalitionError) in _ = try IDX.decode(large) } == .invalidData)
    #expect(
      code { () throws(CoalitionError) in _ = try IDX.decode([0, 0, 7, 1, 0, 0, 0, 0]) }
        == .invalidData)
    let bytes = try Fixture.bytes("type08.idx")
    #expect(code { () throws(CoalitionError) in _ = try IDX.decode(bytes + [0]) } == .invalidData)
    let liar = try Fixture.bytes("liar.gz")
    #expect(code { () throws(CoalitionError) in _ = try IDX.decode(liar) } == .invalidData)
    // More data than the header says, found while unpacking.
    var gzipped = try Fixture.bytes("long.gz")
    gzipped += try Fixture.bytes("members.gz")
    #expect(code { () throws(CoalitionError) in _ = try IDX.decode(gzipped) } == .invalidData)
  }

  @Test("raw files take the number of examples from their size")
  func raw() throws {
    let floats: [UInt8] = [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]
    let tensor = try RawArray.decode(floats, format: .f32, exampleShape: [1, 1])
    #expect(tensor.shape == [2, 1, 1] && tensor.elements == .float32([1, -2]))
    let bytes = try RawArray.decode(floats, format: .u8, exampleShape: [8])
    #expect(bytes.shape == [1, 8] && bytes.elements == .uint8(floats))
    #expect(
      code { () throws(CoalitionError) in
        _ = try RawArray.decode(floats, format: .f32, exampleShape: [3])
      } == .invalidData)
    for shape in [[0], [-1], [Int.max, 2]] {
      #expect(
        code { () throws(CoalitionError) in
          _ = try RawArray.decode(floats, format: .f32, exampleShape: shape)
        } == .usage)
    }
  }
}
