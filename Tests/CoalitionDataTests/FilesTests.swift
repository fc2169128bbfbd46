// Writing whole files: under a name of their own until they are complete.

import CoalitionBase
import Glibc
import TestSupport
import Testing

@Suite("files") struct FilesTests {
  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = "\(folder.path)/result"
  }

  /// The name that the next write of this process goes to first.
  private func temporary(_ attempt: Int) -> String { "\(path).\(getpid())-\(attempt).partial" }

  @Test func aFileIsReplacedAndNothingElseIsLeft() throws {
    try Files.writeAtomically([1, 2, 3], to: path)
    try Files.writeAtomically([4], to: path)
    #expect(try Files.read(path) == [4])
    #expect(folder.names == ["result"])
  }

  @Test("A name that is taken, by a file or a link, is neither written through nor removed")
  func takenNames() throws {
    let victim = "\(folder.path)/victim"
    try Files.writeAtomically([9, 9], to: victim)
    #expect(symlink(victim, temporary(0)) == 0)
    #expect(link(victim, temporary(1)) == 0)
    #expect(symlink("\(folder.path)/nowhere", temporary(2)) == 0)
    let before = folder.names
    try Files.checkCreatable(path)
    #expect(folder.names == before)
    try Files.writeAtomically([1], to: path)
    #expect(try Files.read(path) == [1])
    #expect(try Files.read(victim) == [9, 9])
    #expect(folder.names == (before + ["result"]).sorted())
  }

  @Test func whenAllNamesAreTakenNothingIsWritten() throws {
    for attempt in 0..<100 { #expect(symlink("nowhere", temporary(attempt)) == 0) }
    let before = folder.names
    #expect(code { () throws(CoalitionError) in try Files.checkCreatable(path) } == .cannotCreate)
    #expect(
      code { () throws(CoalitionError) in try Files.writeAtomically([1], to: path) }
        == .cannotCreate)
    #expect(folder.names == before)
  }

  @Test func aFolderIsNeverReplaced() throws {
    #expect(mkdir(path, 0o755) == 0)
    defer { rmdir(path) }
    #expect(
      code { () throws(CoalitionError) in try Files.writeAtomically([1], to: path) }
        == .cannotCreate)
    #expect(folder.names == ["result"])
  }

  @Test func aFileOverTheLimitIsRefusedByItsSize() throws {
    try Files.writeAtomically([1, 2, 3], to: path)
    #expect(try Files.read(path, limit: 3) == [1, 2, 3])
    do {
      _ = try Files.read(path, limit: 2)
      Issue.record("no error")
    } catch {
      #expect(error.code == .memoryLimit && error.node == path)
      #expect(error.expected == "at most 2 bytes" && error.found == "3")
    }
  }
}
