import CoalitionBase
import Glibc
import Testing

@testable import CoalitionData

@Suite("results")
struct ResultTests {
  private func sample() throws -> ResultFile {
    var result = ResultFile(
      metadata: [.init("verb", "explain"), .init("options", ["seed": 0, "steps": [1, 2.5]])],
      mainArray: "values")
    let doubles = [0.1, -0.0, .nan, .infinity, -.infinity, .leastNonzeroMagnitude]
    try result.append("values", Tensor(shape: [2, 3], elements: .float64(doubles)))
    try result.append("f", Tensor(.float32([0.1, 16_777_216, -3.4e38])))
    try result.append("target", Tensor(.int64([.min, .max])))
    try result.append("players", Tensor(.int32([.min, .max])))
    try result.append("bytes", Tensor(.uint8([0, 255])))
    try result.append("flags", Tensor(.bool([true, false])))
    try result.append("empty", Tensor(shape: [0, 4], elements: .float32([])))
    try result.append("ledger_nodes", ["conv \"1\"\n", "größe", ""])
    return result
  }

  /// Equality with NaN equal to NaN and the signs of zeros apart.
  private func expectEqual(_ a: ResultFile, _ b: ResultFile) {
    #expect(a.metadata == b.metadata)
    #expect(a.arrays.map(\.name) == b.arrays.map(\.name))
    for (x, y) in zip(a.arrays, b.arrays) {
      #expect(Npy.encode(x.contents) == Npy.encode(y.contents), "\(x.name)")
    }
  }

  @Test("survive the way through npz and JSON bit for bit")
  func roundTrip() throws {
    let result = try sample()
    expectEqual(try ResultFile(npz: result.npz), result)
    expectEqual(try ResultFile(json: result.json), result)
  }

  @Test("JSON looks as promised")
  func text() throws {
    let json = String(decoding: try sample().json, as: UTF8.self)
    #expect(
      json.contains(
        """
            "values": {"dtype": "float64", "shape": [2, 3], "data": \
        [0.1, -0.0, null, "Infinity", "-Infinity", 5e-324]}
        """))
    #expect(json.hasPrefix("{\n  \"metadata\": {\n    \"format\": \"coalition-result/1\",\n"))
  }

  @Test("the npy form holds the main array; several without one are refused")
  func npy() throws {
    let bytes = try sample().npy()
    #expect(try Npy.decode(bytes).shape == [2, 3])
    var two = ResultFile()
    try two.append("a", Tensor(.int32([1])))
    #expect(try Npy.decode(two.npy()).elements == .int32([1]))
    try two.append("b", Tensor(.int32([2])))
    let result = two
    #expect(code { () throws(CoalitionError) in _ = try result.npy() } == .usage)
  }

  @Test("a newer major version is refused by name, a newer minor one is read")
  func versions() throws {
    let newer: JSONValue = ["format": "coalition-result/2"]
    do {
      _ = try ResultFile(checking: newer)
      Issue.record("accepted a newer format")
    } catch {
      #expect(error.code == .unsupported && error.found == "coalition-result/2")
    }
    _ = try ResultFile(checking: ["format": "coalition-result/1.7"])
    for other in ["coalition-result", "other/1", "coalition-result/x", ""] {
      #expect(
        code { () throws(CoalitionError) in
          _ = try ResultFile(checking: ["format": .string(other)])
        } == .invalidData)
    }
  }

  @Test("files are written whole, by the ending of their name")
  func files() throws {
    let base = "/tmp/coalition-result-\(getpid())"
    let result = try sample()
    for ending in ["npz", "json"] {
      let path = "\(base).\(ending)"
      defer { unlink(path) }
      try ResultFile.checkWritable(path)
      #expect(!Files.exists(path))
      try result.write(to: path)
      expectEqual(try ResultFile(reading: path), result)
    }
    #expect(
      code { () throws(CoalitionError) in try result.write(to: base + ".txt") } == .usage)
    #expect(
      code { () throws(CoalitionError) in try result.write(to: "/nonexistent/a.npz") }
        == .cannotCreate)
  }

  @Test("the same name twice is a fault")
  func duplicates() throws {
    var result = try sample()
    #expect(throws: CoalitionError.self) { try result.append("values", Tensor(.int32([1]))) }
  }

  @Test("a JSON result cut anywhere is refused")
  func truncation() throws {
    expectTruncationFails(Array(try sample().json.dropLast(1))) { bytes throws(CoalitionError) in
      _ = try ResultFile(json: bytes)
    }
  }
}

@Suite("JSON")
struct JSONTests {
  private func parse(_ text: String) throws(CoalitionError) -> JSONValue {
    try JSONValue(parsing: Array(text.utf8))
  }

  @Test("reads every form of value")
  func values() throws {
    #expect(try parse(" null ") == .null)
    #expect(
      try parse("[true, false, -0, 12, 1.5, -2e3, 1E+2]")
        == [true, false, 0, 12, 1.5, -2000.0, 100.0])
    #expect(
      try parse(#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude42é""#)
        == .string("a\"\\/\u{8}\u{C}\n\r\té🙂é"))
    #expect(try parse(#"{"b": {}, "a": []}"#) == ["b": .object([JSONValue.Member]()), "a": []])
    #expect(try parse("9223372036854775807") == .integer(.max))
    #expect(try parse("9223372036854775808") == .number(9_223_372_036_854_775_808))
  }

  @Test(
    "refuses what RFC 8259 does not allow",
    arguments: [
      "", "nul", "[1,]", "[,1]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":1,\"a\":2}", "01",
      "1.", ".5", "+1", "-", "1e", "1e999", "NaN", "Infinity", "'a'", "\"a", "\"\\x\"",
      "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\u{1}\"", "\"\n\"", "[1] 2", "\u{FEFF}1",
      String(repeating: "[", count: 100_000),
    ])
  func malformed(text: String) {
    #expect(code { () throws(CoalitionError) in _ = try parse(text) } == .invalidData)
  }

  @Test("refuses bytes that are not UTF-8")
  func notUTF8() {
    #expect(
      code { () throws(CoalitionError) in _ = try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
        == .invalidData)
  }

  @Test("numbers read back to the same bits")
  func numbers() throws {
    var state: UInt64 = 1
    for _ in 0..<20_000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let double = Double(bitPattern: state)
      let float = Float(bitPattern: UInt32(truncatingIfNeeded: state >> 32))
      guard double.isFinite, float.isFinite else { continue }
      var text: [UInt8] = []
      JSONValue.append(double, to: &text)
      guard case .number(let doubleBack) = try JSONValue(parsing: text) else {
        Issue.record("\(double) did not read as a number")
        continue
      }
      #expect(doubleBack.bitPattern == double.bitPattern)
      text = []
      JSONValue.append(float, to: &text)
      guard case .number(let floatBack) = try JSONValue(parsing: text) else {
        Issue.record("\(float) did not read as a number")
        continue
      }
      #expect(Float(floatBack).bitPattern == float.bitPattern)
    }
  }
}

@Suite("SHA-256")
struct SHA256Tests {
  @Test(
    "digests of FIPS 180-4 and the NIST vectors",
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
    ])
  func vectors(text: String, digest: String) {
    #expect(SHA256.hexadecimal(Array(text.utf8)) == digest)
  }

  @Test("a million times the letter a, the long vector of FIPS 180")
  func longVector() {
    #expect(
      SHA256.hexadecimal(Array(repeating: 0x61, count: 1_000_000))
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test("plain C and the processor's instructions agree")
  func forms() {
    for count in [0, 1, 55, 56, 63, 64, 65, 128, 1000, 4096] {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* $0 &+ count) }
      var portable = SHA256(portable: true)
      portable.update(bytes)
      var native = SHA256()
      native.update(bytes)
      #expect(portable.finish() == native.finish(), "\(count) bytes")
    }
  }

  @Test("the digest does not depend on how the bytes are cut")
  func streaming() {
    let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let expected = SHA256.hexadecimal(bytes)
    for cut in 1..<200 {
      var hash = SHA256()
      var start = 0
      while start < bytes.count {
        let end = min(start + cut, bytes.count)
        hash.update(Array(bytes[start..<end]))
        start = end
      }
      let digest = hash.finish().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      #expect(digest == expected, "pieces of \(cut)")
    }
  }
}
