import CoalitionBase
import Testing

@testable import CoalitionData

@Suite("zip and npz")
struct ZipTests {
  @Test("reads stored and deflated archives of NumPy", arguments: ["stored.npz", "deflated.npz"])
  func reads(name: String) throws {
    let bytes = try Fixture.bytes(name)
    let attributions = try Npz.decode(bytes, key: "attributions")
    #expect(attributions.shape == [2, 3])
    #expect(attributions.elements == .float64([0, 1, 2, 3, 4, 5]))
    #expect(try Npz.decode(bytes, key: "target").elements == .int64([0, 1]))
  }

  @Test("the key may be left out when there is one array, and is named when it is wrong")
  func keys() throws {
    #expect(try Npz.decode(Fixture.bytes("single.npz")).elements == .int32([0, 1, 2, 3]))
    let bytes = try Fixture.bytes("stored.npz")
    for key in [nil, "values"] as [String?] {
      do {
        _ = try Npz.decode(bytes, key: key)
        Issue.record("accepted \(key ?? "no key")")
      } catch {
        #expect(error.code == .usage)
        #expect(error.expected == "attributions, target")
      }
    }
  }

  @Test("refuses two members of one name, unknown compression and encryption")
  func refusals() throws {
    let duplicate = try Fixture.bytes("duplicate.npz")
    #expect(code { () throws(CoalitionError) in _ = try ZipArchive(duplicate) } == .invalidData)
    let bzip2 = try Fixture.bytes("bzip2.npz")
    #expect(code { () throws(CoalitionError) in _ = try ZipArchive(bzip2) } == .unsupported)
    var encrypted = try Fixture.bytes("single.npz")
    let entry = try #require(directoryEntry(encrypted))
    encrypted[entry + 8] |= 1
    #expect(code { () throws(CoalitionError) in _ = try ZipArchive(encrypted) } == .unsupported)
  }

  @Test("a changed byte of a member is found by its checksum")
  func checksum() throws {
    for name in ["single.npz", "deflated.npz"] {
      var bytes = try Fixture.bytes(name)
      let member = try #require(try ZipArchive(bytes).members.first)
      let entry = try #require(directoryEntry(bytes))
      bytes[entry + 16] ^= 1
      let archive = try ZipArchive(bytes)
      #expect(archive.members.first?.name == member.name)
      let changed = try #require(archive.members.first)
      #expect(
        code { () throws(CoalitionError) in _ = try archive.contents(of: changed) }
          == .invalidData)
    }
  }

  @Test("a member that unpacks past the limit is refused before it is unpacked")
  func bomb() throws {
    let bytes = try Fixture.bytes("bomb.npz")
    let archive = try ZipArchive(bytes)
    let member = try #require(archive.members.first)
    #expect(member.size == 4_000_000 && bytes.count < 5_000)
    #expect(
      code { () throws(CoalitionError) in _ = try archive.contents(of: member, limit: 3_999_999) }
        == .memoryLimit)
    #expect(try archive.contents(of: member, limit: 4_000_000).count == 4_000_000)
  }

  @Test("sizes that deflate cannot reach, and sizes that are not the real ones, are refused")
  func lies() throws {
    let bytes = try Fixture.bytes("bomb.npz")
    let entry = try #require(directoryEntry(bytes))
    var impossible = bytes
    for index in 24..<28 { impossible[entry + index] = 0xFE }
    #expect(code { () throws(CoalitionError) in _ = try ZipArchive(impossible) } == .invalidData)
    for step in [-1, 1] as [Int] {
      var wrong = bytes
      wrong[entry + 24] = UInt8(truncatingIfNeeded: Int(wrong[entry + 24]) + step)
      let archive = try ZipArchive(wrong)
      let member = try #require(archive.members.first)
      #expect(
        code { () throws(CoalitionError) in _ = try archive.contents(of: member) } == .invalidData)
    }
  }

  @Test("members that share bytes are refused")
  func overlap() throws {
    var writer = ZipWriter()
    writer.append("a", Array(repeating: 1, count: 1000))
    writer.append("b", Array(repeating: 1, count: 1000))
    var bytes = writer.finished()
    let first = try #require(directoryEntry(bytes))
    // The second member is moved onto the first and the space of the second cut out.
    let second = first + 46 + 1
    let size = 1000 + 31
    bytes.replaceSubrange(second + 42..<second + 46, with: [0, 0, 0, 0])
    let end = bytes.count - 22
    bytes[end + 16] = UInt8(truncatingIfNeeded: size)
    bytes[end + 17] = UInt8(truncatingIfNeeded: size >> 8)
    bytes.removeSubrange(size..<2 * size)
    do {
      _ = try ZipArchive(bytes)
      Issue.record("accepted overlapping members")
    } catch {
      #expect(error.message.contains("overlap"))
    }
  }

  @Test(
    "writes archives that read back, with and without zip64 fields",
    arguments: [0, 50, 0xFFFF_FFFF])
  func roundTrip(wideFrom: Int) throws {
    var writer = ZipWriter(wideFrom: wideFrom)
    let members: [(String, [UInt8])] = [
      ("a.npy", []), ("größe", Array(0..<100)), ("folder/../c", [1, 2, 3]),
    ]
    for (name, contents) in members { writer.append(name, contents) }
    let bytes = writer.finished()
    let archive = try ZipArchive(bytes)
    #expect(archive.members.map(\.name) == members.map(\.0))
    for (name, contents) in members {
      let member = try #require(archive.member(named: name))
      #expect(try archive.contents(of: member) == contents)
    }
    expectTruncationFails(bytes) { bytes throws(CoalitionError) in _ = try ZipArchive(bytes) }
  }

  @Test("an archive has no more than 65,534 members without zip64, and any number with it")
  func manyMembers() throws {
    var writer = ZipWriter()
    for index in 0..<70_000 { writer.append("\(index)", []) }
    let archive = try ZipArchive(writer.finished())
    #expect(archive.members.count == 70_000)
  }

  @Test("the same arrays give the same bytes")
  func deterministic() throws {
    let tensor = Tensor(.float32([1, 2, 3]))
    let encode = {
      Npz.encode([("x", .tensor(tensor)), ("names", .strings(["a"]))], others: [("m", [1])])
    }
    #expect(encode() == encode())
    #expect(try Npz.decode(encode(), key: "x") == tensor)
  }

  @Test("an archive of NumPy cut anywhere is refused")
  func truncation() throws {
    expectTruncationFails(try Fixture.bytes("deflated.npz")) { bytes throws(CoalitionError) in
      _ = try ZipArchive(bytes)
    }
  }

  /// The offset of the first entry of the central directory.
  private func directoryEntry(_ bytes: [UInt8]) -> Int? {
    (0..<bytes.count - 4).first { bytes[$0..<$0 + 4].elementsEqual([0x50, 0x4B, 1, 2]) }
  }
}
