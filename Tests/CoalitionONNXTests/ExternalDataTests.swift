// Weights in files beside the model: read where they belong, refused where they lead elsewhere.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import Glibc
import TestSupport
import Testing

private func withFolder(_ body: (String) throws -> Void) throws {
  let folder = try TemporaryFolder()
  try withExtendedLifetime(folder) { try body(folder.path) }
}

/// A model whose weights lie elsewhere, with the given entries.
private func model(_ entries: [(String, String)], type: Int64 = 1, dims: [Int64] = [2]) -> [UInt8] {
  let external = entries.map { Message().text(1, $0.0).text(2, $0.1) }
  return modelBytes(
    initializer: tensorHeader("w", type: type, dims: dims).messages(13, external).int(14, 1))
}

private let weights: [UInt8] =
  [9, 9, 9, 9] + Message.littleEndian(Float(1).bitPattern)
  + Message.littleEndian(Float(2).bitPattern)

@Suite struct ExternalDataTests {
  @Test("Weights are read from the place in the file that the model gives")
  func inside() throws {
    try withFolder { folder in
      try Files.writeAtomically(weights, to: "\(folder)/w.bin")
      try #require(mkdir("\(folder)/sub", 0o755) == 0)
      try Files.writeAtomically(weights, to: "\(folder)/sub/..w")
      try #require(symlink("w.bin", "\(folder)/link") == 0)
      for location in ["w.bin", "./w.bin", "sub/..w", "link"] {
        let entries = [("location", location), ("offset", "4"), ("length", "8")]
        try Files.writeAtomically(model(entries), to: "\(folder)/m.onnx")
        let graph = try ONNX.read(contentsOf: "\(folder)/m.onnx")
        #expect(graph.constants["w"] == Tensor(.float32([1, 2])), "\(location)")
      }
      let noLength = model([("location", "w.bin"), ("offset", "8"), ("checksum", "?")], dims: [])
      #expect(try ONNX.decode(noLength, folder: folder).constants["w"] == Tensor(scalar: 2))
      let halves = model([("location", "w.bin"), ("offset", "4")], type: 16, dims: [2])
      #expect(try ONNX.decode(halves, folder: folder).constants["w"] == Tensor(.float32([0, 1])))
    }
  }

  @Test("Locations outside of the folder are refused")
  func escapes() throws {
    try withFolder { folder in
      let home = "\(folder)/home"
      try #require(mkdir(home, 0o755) == 0)
      try #require(mkdir("\(folder)/home2", 0o755) == 0)
      try #require(mkdir("\(home)/sub", 0o755) == 0)
      for file in ["w", "home2/w", "home/w"] {
        try Files.writeAtomically(weights, to: "\(folder)/\(file)")
      }
      try #require(symlink("../w", "\(home)/link") == 0)
      try #require(symlink("../home2", "\(home)/folder") == 0)
      let locations = [
        "../w", "sub/../../w", "sub/../w", "\(folder)/w", "\(home)/w", "link", "folder/w", "..",
        "../home2/w", "w\u{0}x",
      ]
      for location in locations {
        let error = #expect(throws: CoalitionError.self, "\(location)") {
          try ONNX.decode(model([("location", location)]), folder: home, name: "m.onnx")
        }
        #expect(error?.code == .invalidData)
        #expect(
          error?.message == "the external data lies outside the model's folder", "\(location)")
        #expect(error?.node == "m.onnx: w")
      }
    }
  }

  @Test("Files that are missing, no files or too short, and impossible ranges")
  func unreadable() throws {
    try withFolder { folder in
      try Files.writeAtomically(weights, to: "\(folder)/w")
      try #require(mkdir("\(folder)/sub", 0o755) == 0)
      try #require(mkfifo("\(folder)/pipe", 0o644) == 0)
      func code(_ entries: [(String, String)], dims: [Int64] = [2]) -> CoalitionError.Code? {
        let error = #expect(throws: CoalitionError.self, "\(entries)") {
          try ONNX.decode(model(entries, dims: dims), folder: folder)
        }
        return error?.code
      }
      #expect(code([("location", "absent")]) == .unreadable)
      #expect(code([("location", "sub")]) == .unreadable)
      #expect(code([("location", "pipe")]) == .unreadable)
      #expect(code([]) == .invalidData)
      #expect(code([("location", "")]) == .invalidData)
      #expect(code([("location", "w"), ("offset", "5")]) == .invalidData)
      #expect(code([("location", "w"), ("offset", "13")]) == .invalidData)
      #expect(code([("location", "w"), ("offset", "-4")]) == .invalidData)
      #expect(code([("location", "w"), ("offset", "9223372036854775807")]) == .invalidData)
      #expect(code([("location", "w"), ("offset", "9223372036854775808")]) == .invalidData)
      #expect(code([("location", "w"), ("length", "12")]) == .invalidData)
      #expect(code([("location", "w"), ("length", "x")]) == .invalidData)
      #expect(code([("location", "w")], dims: [1 << 60]) == .invalidData)
      let homeless = #expect(throws: CoalitionError.self) {
        try ONNX.decode(model([("location", "w")]))
      }
      #expect(homeless?.code == .unreadable)
      // A file of 4 GiB that takes no room on the disk.
      try Files.writeAtomically([], to: "\(folder)/large")
      try #require(truncate("\(folder)/large", 1 << 32) == 0)
      let limited = #expect(throws: CoalitionError.self) {
        try ONNX.decode(
          model([("location", "large")], dims: [1 << 30]), folder: folder, memoryLimit: 1 << 20)
      }
      #expect(limited?.code == .memoryLimit)
    }
  }
}
