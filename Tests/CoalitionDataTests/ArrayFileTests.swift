import CoalitionBase
import Glibc
import TestSupport
import Testing

@testable import CoalitionData

@Suite("array files")
struct ArrayFileTests {
  @Test("the name chooses the reader")
  func names() throws {
    let six = [0, 1, 2, 3, 4, 5].map { Double($0) }
    #expect(try ArrayFile.load(Fixture.path("f4_le.npy")).doubles == six.map { $0 - 2 })
    #expect(try ArrayFile.load(Fixture.path("stored.npz:attributions")).doubles == six)
    #expect(try ArrayFile.load(Fixture.path("single.npz")).count == 4)
    #expect(try ArrayFile.load(Fixture.path("type08.idx")).shape == [2, 3, 4])
    #expect(try ArrayFile.load(Fixture.path("members.gz")).shape == [2, 3, 4])
    #expect(try ArrayFile.load(Fixture.path("rgb8.png")).shape == [7, 10, 3])
    #expect(try ArrayFile.load(Fixture.path("gray.jpg")).shape == [24, 33, 1])
    let raw = try ArrayFile.load(
      Fixture.path("luma_23x17.u8"), options: .init(exampleShape: [23, 17]))
    #expect(raw.shape == [1, 23, 17])
  }

  @Test("the first bytes decide where the name does not")
  func magic() throws {
    let folder = try TemporaryFolder()
    for (name, shape) in [
      ("f4_le.npy", [2, 3]), ("single.npz", [4]), ("type08.idx", [2, 3, 4]),
      ("members.gz", [2, 3, 4]), ("rgb8.png", [7, 10, 3]), ("color.jpg", [24, 33, 3]),
    ] {
      let path = try folder.write("nameless-\(shape.count)-\(name.prefix(3))", Fixture.bytes(name))
      #expect(try ArrayFile.load(path).shape == shape, "\(name)")
    }
    let path = try folder.write("text", Array("hello".utf8))
    #expect(code { () throws(CoalitionError) in _ = try ArrayFile.load(path) } == .invalidData)
  }

  @Test("paths and keys may hold colons")
  func colons() throws {
    let folder = try TemporaryFolder()
    let archive = Npz.encode([
      ("a:b", .tensor(Tensor(.int32([1])))), ("c", .tensor(Tensor(.int32([2])))),
    ])
    let path = try folder.write("x:y.npz", archive)
    let npy = try folder.write("p.npz:c", Npy.encode(Tensor(.int32([3]))))
    #expect(try ArrayFile.load("\(path):a:b").elements == .int32([1]))
    #expect(try ArrayFile.load("\(path):c").elements == .int32([2]))
    #expect(try ArrayFile.load(npy).elements == .int32([3]))
    #expect(ArrayFile.split("missing.npz:k").path == "missing.npz")
    #expect(ArrayFile.split("missing.npz:k").key == "k")
    #expect(ArrayFile.split("a:b.npy").path == "a:b.npy")
  }

  @Test("errors say the file and their kind")
  func errors() throws {
    let missing = "/nonexistent/x.npy"
    #expect(code { () throws(CoalitionError) in _ = try ArrayFile.load(missing) } == .unreadable)
    let folder = Fixture.folder
    #expect(code { () throws(CoalitionError) in _ = try ArrayFile.load(folder) } == .unreadable)
    let path = Fixture.path("f4_le.npy")
    #expect(
      code { () throws(CoalitionError) in
        _ = try ArrayFile.load(path, options: .init(memoryLimit: 10))
      } == .memoryLimit)
    let raw = Fixture.path("luma_23x17.u8")
    do {
      _ = try ArrayFile.load(raw)
      Issue.record("read a raw file without a shape")
    } catch {
      #expect(error.code == .usage && error.node == raw)
    }
  }

  @Test("a named pipe is refused at once, and devices are not replaced")
  func specialFiles() throws {
    let folder = try TemporaryFolder()
    let pipe = folder.path + "/pipe"
    #expect(mkfifo(pipe, 0o600) == 0)
    defer { unlink(pipe) }
    #expect(code { () throws(CoalitionError) in _ = try Files.read(pipe) } == .unreadable)
    #expect(
      code { () throws(CoalitionError) in try Files.writeAtomically([1], to: pipe) }
        == .cannotCreate)
    #expect(
      code { () throws(CoalitionError) in try Files.checkCreatable("/dev/null") } == .cannotCreate)
    #expect(
      code { () throws(CoalitionError) in try Files.checkCreatable("/nonexistent/x") }
        == .cannotCreate)
  }

  @Test("MNIST reads as the set that it is", .enabled(if: Files.exists(mnist)))
  func mnistFiles() throws {
    let images = try ArrayFile.load(Self.mnist)
    #expect(images.shape == [60_000, 28, 28])
    guard case .uint8(let bytes) = images.elements else {
      Issue.record("not bytes")
      return
    }
    // The well-known mean of the training pixels, 0.1307 of 255.
    let mean = Double(bytes.reduce(0) { $0 + Int($1) }) / Double(bytes.count) / 255
    #expect(abs(mean - 0.1307) < 0.0001)
  }

  static let mnist = Fixture.folder + "../../../../shared/data/mnist/train-images-idx3-ubyte.gz"
}
