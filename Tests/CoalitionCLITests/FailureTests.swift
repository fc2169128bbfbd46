// Whatever is wrong with files and models: the exit code of its kind, one sentence, and no output file.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import Foundation
import Testing

@Suite struct FailureTests {
  let place: Workplace
  let input: String

  init() throws {
    place = try Workplace()
    input = try place.write(
      try Tensor(shape: [2, 3], elements: .float32([1, 2, 3, 4, 5, 6])), "x.npy")
  }

  /// Runs a model that must fail, and looks for what it leaves.
  private func expectFailure(
    _ code: Int32, _ sentence: String, model: String, _ options: String...,
    location: SourceLocation = #_sourceLocation
  ) throws {
    let before = place.files
    let arguments =
      ["run", model] + (options.contains("--input") ? [] : ["--input", input]) + options
    let outcome = try Running(
      arguments + (options.contains("--output") ? [] : ["--output", "result.npz"]),
      in: place.folder, [:]
    ).outcome()
    #expect(outcome.code == code, "\(outcome.error)", sourceLocation: location)
    #expect(outcome.error.contains(sentence), "\(outcome.error)", sourceLocation: location)
    #expect(outcome.error.hasPrefix("coalition: "), sourceLocation: location)
    #expect(outcome.error.split(separator: "\n").count == 1, sourceLocation: location)
    #expect(outcome.output.isEmpty, sourceLocation: location)
    #expect(place.files == before, sourceLocation: location)
  }

  @Test func missingFiles() throws {
    let model = try place.write(.relu())
    try expectFailure(66, "No such file", model: "none.onnx")
    try expectFailure(66, "No such file", model: model, "--input", "none.npy")
    try expectFailure(66, "not a regular file", model: place.folder.path)
  }

  @Test func brokenModels() throws {
    let bytes = try ONNX.encode(.relu())
    for cut in [0, 1, bytes.count / 2, bytes.count - 1] {
      try expectFailure(65, "cut.onnx", model: try place.write(Array(bytes[..<cut]), "cut.onnx"))
    }
    let text = try place.write(Array("hello, world".utf8), "text.onnx")
    try expectFailure(65, "text.onnx", model: text)
  }

  @Test("A graph that feeds itself is refused by the name of a node")
  func cycle() throws {
    var bytes = try ONNX.encode(
      Graph(
        nodes: [
          Node("Relu", name: "first", inputs: ["zz"], outputs: ["aa"]),
          Node("Relu", name: "second", inputs: ["aa"], outputs: ["bb"]),
        ],
        inputs: [Port("zz", shape: ["N", 3])], outputs: [Port("bb", shape: nil)],
        opsets: ["": 17]))
    // The first mention of the input is where the first node reads it.
    let place = try #require(bytes.firstRange(of: Array("zz".utf8)))
    bytes.replaceSubrange(place, with: Array("bb".utf8))
    let path = try self.place.write(bytes, "cycle.onnx")
    try expectFailure(65, "cycle", model: path)
    #expect(try self.place.coalition("inspect", path).code == 65)
  }

  @Test("Sizes that no memory holds are refused before they are used")
  func hugeShapes() throws {
    // 2^62 x 2^62 elements: no count of them exists.
    let wide = try place.write(.relu(["N", .fixed(1 << 62), .fixed(1 << 62)]), "wide.onnx")
    try expectFailure(65, "wide.onnx", model: wide)
    let large = try place.write(.relu(["N", .fixed(1 << 40)]), "large.onnx")
    try expectFailure(69, "too many elements", model: large)
    #expect(try place.coalition("inspect", large).code == 0)
    // A size of 2^63 and more is a negative one in the file: ten bytes of seven bits.
    var bytes = try ONNX.encode(.relu(["N", .fixed(1 << 62)]))
    let size: [UInt8] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]
    while let range = bytes.firstRange(of: size) {
      bytes.replaceSubrange(range, with: [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xC0])
    }
    try expectFailure(65, "damaged.onnx", model: try place.write(bytes, "damaged.onnx"))
  }

  @Test func unknownOperator() throws {
    let path = try place.write(.relu(operation: "Frobnicate"))
    try expectFailure(65, "only: the operator Frobnicate (opset 17) is not supported", model: path)
    #expect(try place.coalition("plan", path).code == 65)
    let inspected = try place.coalition("inspect", path)
    #expect(inspected.code == 0)
    #expect(inspected.output.contains("only: the operator Frobnicate (opset 17) is not supported"))
  }

  @Test func wrongShapes() throws {
    let model = try place.write(.relu(["N", 4]))
    try expectFailure(65, "expected [N, 4], found [2, 3]", model: model)
    let raw = try place.write([UInt8](repeating: 0, count: 17), "x.f32")
    try expectFailure(65, "17", model: model, "--input", raw)
  }

  @Test("Advice for arrays in another order and arrays of nothing")
  func advice() throws {
    let last = try place.write(
      try Tensor(shape: [2, 4, 5, 3], elements: .float32([Float](repeating: 1, count: 120))),
      "last.npy")
    let model = try place.write(.relu(["N", 3, 4, 5]))
    try expectFailure(65, "[2, 4, 5, 3] looks channels-last", model: model, "--input", last)
    let none = try place.write(try Tensor(shape: [0, 3, 4, 5], elements: .float32([])), "0.npy")
    try expectFailure(
      65, "0.npy: there are no examples for the input x", model: model, "--input", none)
  }

  @Test("NaN and infinity in the input are refused by place", arguments: [Float.nan, .infinity])
  func notFinite(value: Float) throws {
    let model = try place.write(.relu())
    let path = try place.write(
      try Tensor(shape: [2, 3], elements: .float32([0, 1, 2, 0, value, 0])), "n.npy")
    try expectFailure(
      65, "n.npy: example 1 of the input x is not finite at element 1", model: model, "--input",
      path)
  }

  @Test("An output that cannot be created is refused before the model is read")
  func unwritableOutput() throws {
    try expectFailure(73, "none/r.npz", model: "none.onnx", "--output", "none/r.npz")
    try expectFailure(73, "none/r.json", model: "none.onnx", "--output", "none/r.json")
    try FileManager.default.createDirectory(
      at: place.folder.appendingPathComponent("folder.npz"), withIntermediateDirectories: false)
    try expectFailure(73, "folder", model: "none.onnx", "--output", "folder.npz")
    try expectFailure(73, "/proc/none.npz", model: "none.onnx", "--output", "/proc/none.npz")
  }

  @Test("A memory limit is obeyed by models, arrays and the run")
  func memoryLimit() throws {
    let model = try place.write(.relu())
    try expectFailure(69, "model.onnx", model: model, "--max-memory", "20")
    let many = try place.write(
      try Tensor(shape: [30_000, 3], elements: .float32([Float](repeating: 1, count: 90_000))),
      "many.npy")
    try expectFailure(69, "many.npy", model: model, "--input", many, "--max-memory", "100k")
    try expectFailure(69, "--max-memory", model: model, "--input", many, "--max-memory", "500k")
    #expect(try place.coalition("run", model, "--input", many, "--max-memory=1g").code == 0)
  }

  @Test("Every verb that computes obeys the limit, and names what raises it")
  func memoryLimitOfEveryVerb() throws {
    // 2^20 numbers that follow from a few bytes.
    var graph = Graph.relu(["N", 1])
    graph.constants = ["size": try Tensor(shape: [1], elements: .int64([1 << 20]))]
    graph.nodes = [
      Node("ConstantOfShape", name: "many", inputs: ["size"], outputs: ["zeros"]),
      Node("Exp", name: "folded", inputs: ["zeros"], outputs: ["ones"]),
      Node("ReduceSum", name: "sum", inputs: ["ones"], outputs: ["total"]),
      Node("Add", name: "end", inputs: ["x", "total"], outputs: ["y"]),
    ]
    let model = try place.write(graph)
    let input = try place.write(try Tensor(shape: [2, 1], elements: .float32([1, 2])), "one.npy")
    for options in [["inspect"], ["plan"], ["run", "--input", input]] {
      func outcome(_ size: String) throws -> Outcome {
        try Running(options + [model, "--max-memory", size], in: place.folder, [:]).outcome()
      }
      let file = try outcome("20")
      #expect(file.code == 69, "\(options): \(file.error)")
      #expect(
        file.error.hasSuffix(
          "model.onnx: the file is larger than allowed (expected at most 20 bytes, found "
            + "\(try Files.read(model).count)); --max-memory allows more\n"),
        "\(file.error)")
      let folding = try outcome("4m")
      // What cannot be folded is a problem of the node, which `inspect` lists.
      let text = options[0] == "inspect" ? folding.output : folding.error
      #expect(folding.code == (options[0] == "inspect" ? 0 : 69), "\(options): \(text)")
      #expect(text.contains("many: the constants that follow from the model do not fit"))
      #expect(text.contains("expected at most 41"))
      #expect(try outcome("64m").code == 0)
    }
  }

  @Test("A disk that fills up leaves no file")
  func fullDisk() throws {
    let model = try place.write(.relu())
    let count = 90_000
    let many = try place.write(
      try Tensor(shape: [count / 3, 3], elements: .float32([Float](repeating: 1, count: count))),
      "many.npy")
    let before = place.files
    for file in ["r.npz", "r.npy", "r.json"] {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      // Files may not grow beyond some kilobytes: writing fails on the way.
      process.arguments = [
        "-c",
        "trap '' XFSZ; ulimit -f 16; exec \"$0\" run \"$1\" --input \"$2\" --output \"$3\" 2>&1",
        try #require(Running.executablePath), model, many, file,
      ]
      process.currentDirectoryURL = place.folder
      let pipe = Pipe()
      process.standardOutput = pipe
      try process.run()
      process.waitUntilExit()
      let text = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
      #expect(process.terminationStatus == 74, "\(text)")
      #expect(text == "coalition: \(file): cannot write the file: File too large\n")
      #expect(place.files == before)
    }
  }

  @Test("Inputs must be named as the model names them")
  func inputNames() throws {
    var graph = Graph.relu()
    graph.nodes = [Node("Add", name: "sum", inputs: ["first", "second"], outputs: ["y"])]
    graph.inputs = [Port("first", shape: ["N", 3]), Port("second", shape: ["N", 3])]
    let model = try place.write(graph)
    try expectFailure(64, "must say which input", model: model, "--input", input)
    try expectFailure(64, "did you mean first?", model: model, "--input", "frist=\(input)")
    try expectFailure(64, "second", model: model, "--input", "first=\(input)")
    try expectFailure(
      64, "given twice", model: model, "--input", "first=\(input)", "--input", "first=\(input)")
    let outcome = try place.coalition(
      "run", model, "--input", "first=\(input)", "--input", "second=\(input)")
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("2.0000  4.0000  6.0000"))
    let constant = try place.coalition(
      "run", model, "--input", input, "--constant", "first=\(input)", "--threads", "1")
    #expect(constant.code == 65 || constant.code == 0, "\(constant.error)")
  }

  @Test("A reader that goes away ends the command quietly with 74")
  func closedOutput() throws {
    let model = try place.write(.relu())
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    // The inner command's output is a pipe whose reader has ended.
    process.arguments = [
      "-c", "{ sleep 0.3; \"$0\" inspect \"$1\" --json 2>err; echo $? >code; } | true",
      try #require(Running.executablePath), model,
    ]
    process.currentDirectoryURL = place.folder
    try process.run()
    process.waitUntilExit()
    #expect(try String(contentsOfFile: place.path("code"), encoding: .utf8) == "74\n")
    #expect(try String(contentsOfFile: place.path("err"), encoding: .utf8).isEmpty)
  }
}
