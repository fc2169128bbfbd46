// `coalition run` on the digits that the repository holds: numbers, files, metadata, threads, interruption.

import CoalitionBase
import CoalitionData
import CoalitionNet
import Foundation
import Testing

@Suite struct RunTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  private func run(_ options: String..., environment: [String: String] = [:]) throws -> Outcome {
    try Running(
      ["run", Digits.model, "--input", Digits.images, Digits.scale] + options, in: place.folder,
      environment
    ).outcome()
  }

  private func tensor(_ file: String, _ name: String) throws -> Tensor {
    let result = try ResultFile(reading: place.path(file))
    guard case .tensor(let tensor)? = result[name] else { throw CocoaError(.fileReadCorruptFile) }
    return tensor
  }

  @Test("The logits are onnxruntime's, in every format and precision")
  func logits() throws {
    let expected = try Digits.logits()
    for (file, options) in [
      ("r.npz", ["--quiet"]), ("r.json", ["--quiet"]),
      ("d.npz", ["--quiet", "--precision=double"]),
    ] {
      let outcome = try Running(
        ["run", Digits.model, "--input", Digits.images, Digits.scale, "--output", file] + options,
        in: place.folder, [:]
      ).outcome()
      #expect(outcome.code == 0, "\(outcome.error)")
      #expect(outcome.output.isEmpty && outcome.error.isEmpty)
      let logits = try tensor(file, "logits")
      #expect(logits.shape == [100, 10])
      #expect(logits.elementType == (file == "d.npz" ? .float64 : .float32))
      #expect(largestDifference(logits.floats, expected) < 1e-4)
    }
    #expect(try run("--output", "r.npy").code == 0)
    let array = try Npy.decode(try Files.read(place.path("r.npy")))
    #expect(array == (try tensor("r.npz", "logits")))
    #expect(try tensor("r.json", "logits") == array)
    #expect(place.files == ["d.npz", "r.json", "r.npy", "r.npz"])
  }

  @Test("The same bytes for any number of threads and any instructions")
  func sameBytes() throws {
    func bytes(_ threads: Int, _ set: String?) throws -> (array: [UInt8], metadata: JSONValue) {
      let file = "t\(threads)\(set ?? "").npz"
      let outcome = try run(
        "--threads", "\(threads)", "--output", file,
        environment: set.map { ["LANES_ISA": $0] } ?? [:])
      #expect(outcome.code == 0, "\(outcome.error)")
      let archive = try ZipArchive(try Files.read(place.path(file)))
      let member = try #require(archive.member(named: "logits.npy"))
      return (try archive.contents(of: member), try ResultFile(reading: place.path(file)).metadata)
    }
    func withoutRun(_ metadata: JSONValue) -> [JSONValue.Member] {
      guard case .object(let members) = metadata else { return [] }
      return members.filter { $0.name != "run" }
    }
    let reference = try bytes(1, "generic")
    #expect(withoutRun(reference.metadata).count >= 8)
    for threads in [1, 2, 3, 8] {
      let other = try bytes(threads, nil)
      #expect(other.array == reference.array)
      #expect(withoutRun(other.metadata) == withoutRun(reference.metadata))
      #expect(other.metadata["run"]?["threads"] == .integer(threads))
    }
  }

  @Test func metadata() throws {
    #expect(try run("--output", "r.npz", "--threads", "1", "--seed", "7").code == 0)
    let metadata = try ResultFile(reading: place.path("r.npz")).metadata
    #expect(metadata["format"]?.text == "coalition-result/1")
    #expect(metadata["verb"]?.text == "run")
    #expect(metadata["model"]?["name"]?.text == "digits.onnx")
    #expect(
      metadata["model"]?["sha256"]?.text == SHA256.hexadecimal(try Files.read(Digits.model)))
    #expect(metadata["seed"] == .integer(7))
    let image = metadata["options"]?["input"]?["image"]
    #expect(image?["dtype"]?.text == "uint8")
    #expect(image?["sha256"]?.text == SHA256.hexadecimal(try Files.read(Digits.images)))
    #expect(metadata["options"]?["precision"]?.text == "single")
    #expect(metadata["options"]?["preprocessing"]?["scale"] == .number(0.00392156862745098))
    #expect(metadata["options"]?["preprocessing"]?["layout"]?.text == "nchw")
    #expect(metadata["result"]?["examples"] == .integer(100))
    #expect(metadata["warnings"] == .array([]))
    #expect(metadata["run"]?["threads"] == .integer(1))
    #expect(metadata["run"]?["paths"]?["input"]?["image"]?.text == Digits.images)
    for key in ["seconds", "instruction-set"] { #expect(metadata["run"]?[key] != nil) }
  }

  @Test("Tensors inside of the model can be had by name; a wrong name is corrected")
  func tensorsInside() throws {
    #expect(try run("--at", "logits", "--at", "relu3", "--output", "r.npz").code == 0)
    let hidden = try tensor("r.npz", "relu3")
    #expect(hidden.shape == [100, 32])
    #expect(hidden.floats.allSatisfy { $0 >= 0 } && hidden.floats.contains { $0 > 0 })
    #expect(largestDifference(try tensor("r.npz", "logits").floats, try Digits.logits()) < 1e-4)
    // The node dense1 makes the tensor dense1; relu3 is what it becomes.
    #expect(try run("--at", "dense1", "--output", "d.npy").code == 0)
    let before = try Npy.decode(try Files.read(place.path("d.npy"))).floats
    #expect(zip(before, hidden.floats).allSatisfy { max($0, 0) == $1 })
    let wrong = try run("--at", "logit")
    #expect(wrong.code == 64)
    #expect(wrong.error.contains("did you mean logits?"))
  }

  @Test("A model with several outputs needs a file that holds several")
  func severalOutputs() throws {
    var graph = Graph.relu()
    graph.nodes.append(Node("Tanh", name: "other", inputs: ["x"], outputs: ["z"]))
    graph.outputs.append(Port("z", shape: nil))
    let model = try place.write(graph)
    let input = try place.write(
      try Tensor(shape: [1, 3], elements: .float32([-1, 0, 1])), "x.npy")
    let refused = try place.coalition("run", model, "--input", input, "--output", "r.npy")
    #expect(refused.code == 64)
    #expect(refused.error.contains("y, z"))
    #expect(place.files == ["model.onnx", "x.npy"])
    #expect(try place.coalition("run", model, "--input", input, "--output", "r.npz").code == 0)
    #expect(try tensor("r.npz", "y").floats == [0, 0, 1])
    #expect(abs(try tensor("r.npz", "z").floats[2] - 0.7615942) < 1e-6)
    #expect(
      try place.coalition("run", model, "--input", input, "--at", "z", "--output", "r.npy").code
        == 0)
  }

  @Test("An image for an input of bytes is brought into its layout")
  func imageForBytes() throws {
    var graph = Graph.relu(["N", 3, 2, 4])
    graph.inputs = [Port("x", .uint8, shape: ["N", 3, 2, 4])]
    graph.nodes = [Node("Cast", inputs: ["x"], outputs: ["y"], attributes: ["to": .int(1)])]
    let model = try place.write(graph)
    let pixels = (0..<24).map { UInt8($0) }
    let image = try ImageFile.encodePNG(Tensor(shape: [2, 4, 3], elements: .uint8(pixels)))
    let outcome = try place.coalition(
      "run", model, "--input", try place.write(image, "x.png"), "--output", "r.npy")
    #expect(outcome.code == 0, "\(outcome.error)")
    let result = try Npy.decode(try Files.read(place.path("r.npy")))
    let planes = (0..<3).flatMap { channel in (0..<8).map { Float(3 * $0 + channel) } }
    #expect(try result == Tensor(shape: [1, 3, 2, 4], elements: .float32(planes)))
  }

  @Test("One example of bytes without its axis is normalised by channels")
  func channelsOfOneExample() throws {
    let model = try place.write(.relu(["N", 3, 2, 2], operation: "Identity"))
    let bytes = Tensor.Elements.uint8((0..<12).map { UInt8($0) })
    let input = try place.write(Tensor(shape: [3, 2, 2], elements: bytes), "x.npy")
    let outcome = try place.coalition(
      "run", model, "--input", input, "--mean", "1,2,3", "--output", "r.npy")
    #expect(outcome.code == 0, "\(outcome.error)")
    let result = try Npy.decode(try Files.read(place.path("r.npy")))
    #expect(result.floats == [-1, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8])
    // Three gray examples have no channels.
    let gray = try place.write(.relu(["N", 1, 2, 2], operation: "Identity"), "gray.onnx")
    let refused = try place.coalition("run", gray, "--input", input, "--mean", "1,2,3")
    #expect(refused.code == 64 && refused.error.contains("mean"), "\(refused.error)")
  }

  @Test("Classes are named, the largest first, and progress can be read by programs")
  func namesAndProgress() throws {
    let names = try place.write(Self.names, "names.txt")
    let outcome = try run("--class-names", names, "--top", "1", "--progress", "json")
    #expect(outcome.code == 0)
    let logits = try Digits.logits()
    let first = (0..<10).max { logits[$0] < logits[$1] } ?? 0
    #expect(outcome.output.contains("  \(first)  class \(first)\n"))
    #expect(outcome.error.hasSuffix("{\"done\": 100, \"total\": 100}\n"))
  }

  private static let names = Array((0..<10).map { "class \($0)\n" }.joined().utf8)

  @Test("Names are printed beside a file, unless nothing is to be printed")
  func namesAndFile() throws {
    let names = try place.write(Self.names, "names.txt")
    let outcome = try run("--class-names", names, "--output", "r.npz")
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.hasPrefix("r.npz: logits of 100 examples"))
    #expect(outcome.output.contains("  class 7\n"))
    #expect(outcome.output.contains("and 90 more: they are in r.npz"))
    let quiet = try run("--class-names", names, "--output", "r.npz", "--quiet")
    #expect(quiet.code == 0 && quiet.output.isEmpty)
  }

  @Test("Names that do not fit the outputs or a terminal are refused")
  func wrongNames() throws {
    let contents: [(String, [UInt8], String)] = [
      ("short.txt", Array("a\nb\n".utf8), "2 names for 10 outputs (expected 10 lines, found 2)"),
      ("latin.txt", Array("caf".utf8) + [0xE9, 10], "not UTF-8"),
      ("escape.txt", Array("a\n\u{1B}[31mred\n".utf8), "line 2 holds a control character"),
    ]
    for (file, bytes, sentence) in contents {
      let outcome = try run("--class-names", place.write(bytes, file), "--output", "r.npz")
      #expect(outcome.code == 65)
      #expect(outcome.error.contains("\(file): ") && outcome.error.contains(sentence))
      #expect(outcome.output.isEmpty)
    }
    #expect(place.files == ["escape.txt", "latin.txt", "short.txt"])
  }

  @Test("Many values are shown by the three largest, maps by their range")
  func withoutNames() throws {
    let logits = try Digits.logits()
    let best = (0..<10).sorted { logits[$0] > logits[$1] }
    let row = try run().output.split(separator: "\n").first { $0.contains("  0  ") } ?? ""
    let places = row.matches(of: #/(\d+): /#).compactMap { Int($0.output.1) }
    #expect(places == Array(best[..<3]))
    let maps = try run("--at", "conv1").output.split(separator: "\n")
    #expect(maps.count == 13)
    #expect(maps[1].split(separator: " ") == ["example", "min", "mean", "max"])
  }

  @Test("A file that is read is never written over, whatever its name")
  func outputIsInput() throws {
    let model = try place.write(.relu())
    let input = try place.write(
      try Tensor(shape: [1, 3], elements: .float32([-1, 0, 1])), "x.npy")
    let bytes = try Files.read(input)
    try FileManager.default.createSymbolicLink(
      atPath: place.path("link.npy"), withDestinationPath: "x.npy")
    for output in ["x.npy", "./x.npy", "link.npy", input] {
      for given in ["x.npy", "x=x.npy"] {
        let outcome = try place.coalition("run", model, "--input", given, "--output", output)
        #expect(outcome.code == 64)
        #expect(outcome.error.contains("would replace a file that is read: --input x.npy"))
      }
    }
    let archive = try place.coalition("run", model, "--input", input, "--output", "a.npz")
    #expect(archive.code == 0, "\(archive.error)")
    for options in [
      ["--input", "a.npz:y"], ["--input", input, "--class-names", "a.npz"],
      ["--input", input, "--constant", "x=a.npz:y"],
    ] {
      let outcome = try Running(
        ["run", model, "--output", "a.npz"] + options, in: place.folder, [:]
      ).outcome()
      #expect(outcome.code == 64 && outcome.error.contains("would replace"), "\(outcome.error)")
    }
    #expect(try Files.read(input) == bytes)
  }

  @Test("A forecast names the work and writes nothing")
  func dryRun() throws {
    let outcome = try run("--dry-run", "--output", "r.npz", "--threads", "2")
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("examples         100\n"))
    #expect(outcome.output.contains("multiply-adds    32,851,200\n"))
    for line in ["memory ", "threads          2", "instruction set ", "time "] {
      #expect(outcome.output.contains(line))
    }
    #expect(place.files.isEmpty)
  }

  @Test(
    "An interrupted run leaves no file",
    arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
  func interruption(signal: Int32, code: Int32) throws {
    // Slow enough for a signal to come in between, in whatever build.
    let images = try place.write(
      try Tensor(
        shape: [60_000, 1, 28, 28], elements: .uint8([UInt8](repeating: 9, count: 60_000 * 784))),
      "many.npy")
    let running = try place.start(
      "run", Digits.model, "--input", images, "--threads", "1", "--precision", "double",
      "--output", "r.npz", environment: ["LANES_ISA": "generic"])
    Thread.sleep(forTimeInterval: 1.5)
    running.send(signal)
    let outcome = try running.outcome()
    #expect(outcome.code == code, "\(outcome.error)")
    #expect(place.files == ["many.npy"])
  }
}
