// Files that are broken, or no models at all: an error each time, never a trap.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import TestSupport
import Testing

/// A model that has a little of everything.
private let specimen: [UInt8] = {
  let attributes = [
    Message().text(1, "axis").int(3, -1).int(20, 2),
    Message().text(1, "f").float(2, 1.5).int(20, 1),
    Message().text(1, "pads").packed(8, [1, 2]).int(8, 300).int(20, 7),
    Message().text(1, "scales").float(7, 2).data(7, [0, 0, 0x80, 0x3F]).int(20, 6),
    Message().text(1, "mode").text(4, "constant").int(20, 3),
    Message().text(1, "names").text(9, "a").text(9, "b").int(20, 8),
    Message().text(1, "value").int(20, 4)
      .message(5, tensorHeader("", type: 7, dims: [2]).packed(7, [1, 2])),
  ]
  let initializers = [
    tensorHeader("raw", type: 1, dims: [2, 1]).data(9, .init(repeating: 0x3F, count: 8)),
    tensorHeader("half", type: 10, dims: [2]).packed(5, [0x3C00, 1]),
    tensorHeader("double", type: 11, dims: [1]).double(10, 0.1),
    tensorHeader("wide", type: 13, dims: [1]).int(11, 5),
    tensorHeader("far", type: 1, dims: [0]).message(13, Message().text(1, "location").text(2, "w")),
  ]
  let shape = Message().message(1, Message().text(2, "batch")).message(1, Message().int(1, 3))
    .message(1, Message())
  let nodes = [
    nodeMessage("Pad", ["x", "", "raw"], ["a"], attributes: attributes).text(3, "pad"),
    nodeMessage("Foo", ["a", "half", "double", "wide"], ["y", ""]).text(7, "com.example"),
  ]
  let graph = graphMessage(
    nodes: nodes, initializers: initializers,
    inputs: [valueMessage("x", shape: shape), valueMessage("raw", shape: shapeMessage([2, 1]))])
  return modelHeader().message(8, Message().text(1, "com.example").int(2, 1)).message(7, graph)
    .message(25, Message().text(1, "Bar").text(10, "com.example")).text(2, "test").bytes
}()

@Suite struct DamageTests {
  @Test("A model that ends early is refused, wherever it ends")
  func truncation() throws {
    #expect(try ONNX.decode(specimen).nodes.count == 2)
    for length in 0..<specimen.count {
      let cut = Array(specimen.prefix(length))
      // After the graph only the function and the producer's name follow: ends between fields are
      // complete.
      if let graph = try? ONNX.decode(cut) {
        #expect(graph.nodes.count == 2)
        #expect(length > specimen.count - 40)
      } else {
        #expect(throws: CoalitionError.self) { try ONNX.decode(cut) }
      }
    }
  }

  @Test(
    "Random damage gives an error, or a graph that can be written",
    arguments: 0..<4 as Range<UInt64>)
  func mutation(seed: UInt64) throws {
    var numbers = Seeded(Int(truncatingIfNeeded: seed))
    var read = 0
    var refused = 0
    for _ in 0..<4000 {
      var bytes = specimen
      for _ in 0..<Int.random(in: 1...4, using: &numbers) {
        let place = Int.random(in: 0..<bytes.count, using: &numbers)
        switch Int.random(in: 0..<5, using: &numbers) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &numbers)
        case 1: bytes[place] = .random(in: 0...255, using: &numbers)
        case 2: bytes.insert(.random(in: 0...255, using: &numbers), at: place)
        case 3: bytes.remove(at: place)
        default:
          let end = min(bytes.count, place + Int.random(in: 1...24, using: &numbers))
          let part = Array(bytes[place..<end])
          bytes.insert(contentsOf: part, at: Int.random(in: 0...bytes.count, using: &numbers))
        }
      }
      do {
        let graph = try ONNX.decode(bytes, memoryLimit: 1 << 16)
        read += 1
        do {
          // Bytes are compared, because a NaN differs from itself.
          let written = try ONNX.encode(graph)
          #expect(try ONNX.encode(ONNX.decode(written)) == written)
        } catch {
          #expect(error.code == .unsupported)
        }
      } catch {
        refused += 1
      }
    }
    #expect(read > 100 && refused > 1000)
  }

  @Test("Malformed fields are refused with their place")
  func malformedFields() {
    let damaged: [[UInt8]] = [
      [0x08],  // a key without a value
      [0x08, 0x80],  // a number that does not end
      [0x08] + .init(repeating: 0xFF, count: 10) + [1],  // a number of eleven bytes
      [0x08] + .init(repeating: 0xFF, count: 9) + [2],  // a number of 65 bits
      [0x00, 0x01],  // field number 0
      [0x3B, 0x3C],  // a group
      [0x3F],  // wire type 7
      [0x3A, 0x05, 0x00],  // longer than the file
      [0x3A] + Message.varint(.max),  // much longer than the file
      [0x0D, 0, 0, 0],  // four bytes, of which three are there
      [0x09, 0, 0, 0, 0],
      Message().float(1, 8).bytes,  // a version that is a float
    ]
    for bytes in damaged {
      // Behind a version number, so that nothing here looks like text.
      let error = refusal([0x08, 0x08] + bytes)
      #expect(error?.code == .invalidData)
      #expect(error?.message.contains("damaged") == true, "\(error.map { "\($0)" } ?? "")")
      #expect(error?.node == "m.onnx")
    }
  }

  @Test("Files that are no models are called what they are")
  func foreignFiles() {
    let files: [(kind: String, bytes: [UInt8])] = [
      ("an empty file", []), ("a text file", Array("hello, world\n".utf8)),
      ("a text file", Array(String(repeating: "größer ", count: 200).utf8)),
      ("an HTML page", Array("\n<!DOCTYPE html><html>".utf8)),
      ("a PNG picture", [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13]),
      ("a JPEG picture", [0xFF, 0xD8, 0xFF, 0xE0, 0, 16]),
      ("a NumPy array", [0x93] + Array("NUMPY".utf8) + [1, 0]),
      ("an HDF5 file", [0x89] + Array("HDF\r\n".utf8) + [0x1A, 0x0A]),
      ("a gzip archive", [0x1F, 0x8B, 8, 0]), ("a file of zeros", .init(repeating: 0, count: 64)),
      (
        "a zip archive (PyTorch and NumPy's .npz are such)",
        Array("PK".utf8) + [3, 4, 20, 0]
      ),
      (
        "a git-LFS pointer in place of the file: fetch it with 'git lfs pull'",
        Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\n".utf8)
      ),
    ]
    for (kind, bytes) in files {
      #expect(refusal(bytes)?.description == "m.onnx: not an ONNX model but \(kind)")
    }
  }

  @Test("A file that is not there is unreadable")
  func missingFile() {
    let error = #expect(throws: CoalitionError.self) {
      try ONNX.read(contentsOf: "/nonexistent/m.onnx")
    }
    #expect(error?.code == .unreadable)
    #expect(error?.node == "/nonexistent/m.onnx")
  }
}
