import CoalitionBase
import Testing

@testable import CoalitionData

@Suite("npy")
struct NpyTests {
  @Test(
    "reads every number type of NumPy in both byte orders",
    arguments: ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
  func types(code: String) throws {
    let expectedType: [String: ElementType] = [
      "f2": .float32, "f4": .float32, "f8": .float64, "i1": .int32, "i2": .int32, "i4": .int32,
      "i8": .int64, "u1": .uint8, "u2": .int32, "u4": .int64, "u8": .int64,
    ]
    for order in ["le", "be"] {
      let tensor = try Npy.decode(Fixture.bytes("\(code)_\(order).npy"))
      #expect(tensor.shape == [2, 3])
      #expect(tensor.elementType == expectedType[code])
      let first = code.hasPrefix("u") ? 0.0 : -2
      #expect(tensor.doubles == (0..<6).map { Double($0) + first })
    }
  }

  @Test("reads Booleans, scalars, empty arrays and versions 2 and 3")
  func variants() throws {
    let bool = try Npy.decode(Fixture.bytes("bool.npy"))
    #expect(bool.elements == .bool([true, false, true]))
    let scalar = try Npy.decode(Fixture.bytes("scalar.npy"))
    #expect(scalar.shape == [] && scalar.elements == .float64([1.5]))
    let empty = try Npy.decode(Fixture.bytes("empty.npy"))
    #expect(empty.shape == [0, 3] && empty.elements == .float32([]))
    for version in [2, 3] {
      let tensor = try Npy.decode(Fixture.bytes("version\(version).npy"))
      #expect(tensor.elements == .float32([0, 1, 2]))
    }
  }

  @Test("puts Fortran order into row-major order")
  func fortran() throws {
    let tensor = try Npy.decode(Fixture.bytes("fortran.npy"))
    #expect(tensor.shape == [2, 3, 4])
    #expect(tensor.elements == .int32((0..<24).map { $0 }))
  }

  @Test("half precision keeps subnormals, signed zeros and infinities")
  func half() throws {
    let values = try Npy.decode(Fixture.bytes("half_special.npy")).floats
    #expect(
      values == [
        0, 0, 0x1p-24, -1023 * 0x1p-24, 0x1p-14, 1, -2, 65504, .infinity, -.infinity,
        0.333251953125,
      ])
    #expect(values[1].sign == .minus)
  }

  @Test("half precision agrees with the hardware type for all 65,536 patterns")
  func halfExhaustively() {
    #if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
      for bits in UInt16.min...UInt16.max {
        let expected = Float(Float16(bitPattern: bits))
        let found = HalfPrecision.float16(bits)
        #expect(
          expected.isNaN ? found.isNaN : found.bitPattern == expected.bitPattern, "\(bits)")
      }
    #endif
  }

  @Test("reads one axis of strings in both byte orders")
  func strings() throws {
    for order in ["le", "be"] {
      let array = try Npy.decodeArray(Fixture.bytes("strings_\(order).npy"))
      #expect(array == .strings(["conv1", "", "größe 🙂"]))
    }
    #expect(
      code { () throws(CoalitionError) in _ = try Npy.decode(Npy.encode(["a"])) } == .unsupported)
  }

  @Test("refuses unsigned integers past Int64, structures and complex numbers")
  func refusals() throws {
    for (name, expected) in [
      ("u8_overflow.npy", CoalitionError.Code.invalidData), ("structured.npy", .unsupported),
      ("complex.npy", .unsupported),
    ] {
      let bytes = try Fixture.bytes(name)
      #expect(
        code { () throws(CoalitionError) in _ = try Npy.decode(bytes) } == expected, "\(name)")
    }
  }

  @Test("writes the very bytes of NumPy")
  func writes() throws {
    for name in ["f4_le", "f8_le", "i4_le", "i8_le", "u1_le", "bool", "scalar", "empty"] {
      let bytes = try Fixture.bytes("\(name).npy")
      #expect(try Npy.encode(Npy.decode(bytes)) == bytes, "\(name)")
    }
  }

  @Test("strings survive a round trip, also empty lists and strings")
  func stringRoundTrip() throws {
    for strings in [[], [""], ["a", "", "größe 🙂"]] as [[String]] {
      #expect(try Npy.decodeArray(Npy.encode(strings)) == .strings(strings))
    }
  }

  @Test("a file cut anywhere is refused, and so is one with a byte too many")
  func truncation() throws {
    for name in ["f4_le.npy", "version3.npy", "strings_le.npy"] {
      let bytes = try Fixture.bytes(name)
      expectTruncationFails(bytes) { bytes throws(CoalitionError) in
        _ = try Npy.decodeArray(bytes)
      }
      #expect(
        code { () throws(CoalitionError) in _ = try Npy.decodeArray(bytes + [0]) } == .invalidData)
    }
  }

  private func file(_ header: String, _ data: [UInt8] = []) -> [UInt8] {
    var bytes: [UInt8] = Npy.magic + [1, 0]
    bytes.append(littleEndian: UInt16(header.utf8.count))
    return bytes + Array(header.utf8) + data
  }

  @Test("reads the header in any order of keys, either quotes, without final commas")
  func lenientHeader() throws {
    let bytes = file("{\"shape\":(2L,),'fortran_order' : False,\n'descr':'|u1'}", [7, 8])
    #expect(try Npy.decode(bytes).elements == .uint8([7, 8]))
  }

  @Test(
    "refuses malformed headers",
    arguments: [
      "", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'descr': '<f4'}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
      "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)",
      "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 2)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}",
      "{'descr': '|f4', 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,"
        + String(repeating: "1, ", count: 60) + ")}",
    ])
  func malformed(header: String) {
    let bytes = file(header, [0, 0, 0, 0])
    #expect(code { () throws(CoalitionError) in _ = try Npy.decode(bytes) } != nil)
  }

  @Test("the limit is on the widened array")
  func limit() throws {
    let bytes = try Fixture.bytes("i2_le.npy")
    #expect(try Npy.decode(bytes, limit: 24).count == 6)
    #expect(
      code { () throws(CoalitionError) in _ = try Npy.decode(bytes, limit: 23) } == .memoryLimit)
  }
}
