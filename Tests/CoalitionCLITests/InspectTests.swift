// `coalition inspect`, `plan` and `demo` on the digits network.

import CoalitionBase
import CoalitionData
import CoalitionNet
import Testing

@Suite struct InspectTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  @Test("Counts are those of the network's description")
  func counts() throws {
    let text = try place.coalition("inspect", Digits.model, "--nodes")
    #expect(text.code == 0)
    #expect(text.output.contains("parameters               11,978"))
    // 24 x 24 x 8 x 25 + 8 x 8 x 16 x 200 + 256 x 32 + 32 x 10
    #expect(text.output.contains("multiply-adds, 1 example 328,512"))
    #expect(text.output.contains("input files as they are read are not counted"))
    #expect(text.output.contains("examples  together, along axis 0"))
    let outcome = try place.coalition("inspect", Digits.model, "--json")
    let json = try JSONValue(parsing: Array(outcome.output.utf8))
    #expect(json["parameters"] == .integer(11_978))
    #expect(json["multiply-adds"] == .integer(328_512))
    #expect(json["model"]?["sha256"]?.text == SHA256.hexadecimal(try Files.read(Digits.model)))
    #expect(json["operators"]?["Conv"] == .integer(2))
    #expect(json["support"]?["forward"]?["Conv"]?.text == "exact")
    #expect(json["problems"] == .array([]))
  }

  @Test("What depends on an unsupported node has no shape, and everything else has")
  func partialShapes() throws {
    var graph = Graph.relu()
    graph.nodes = [
      Node("Relu", name: "before", inputs: ["x"], outputs: ["a"]),
      Node("Frobnicate", name: "unknown", inputs: ["a"], outputs: ["b"]),
      Node("Relu", name: "behind", inputs: ["b"], outputs: ["c"]),
      Node("Tanh", name: "beside", inputs: ["x"], outputs: ["d"]),
      Node("Add", name: "end", inputs: ["c", "d"], outputs: ["y"]),
    ]
    let outcome = try place.coalition("inspect", try place.write(graph), "--json")
    let json = try JSONValue(parsing: Array(outcome.output.utf8))
    guard case .array(let nodes)? = json["nodes"] else {
      Issue.record("no nodes")
      return
    }
    let known = nodes.filter { $0["shape"] == .array([1, 3]) }.compactMap { $0["name"]?.text }
    #expect(Set(known) == ["before", "beside"])
    #expect(json["support"]?["forward"]?["Frobnicate"]?.text == "unsupported")
    #expect(json["support"]?["forward"]?["Add"]?.text == "exact")
  }

  @Test("Products of two computed matrices, and more steps than a plan may have, are listed")
  func problems() throws {
    let attention = Graph(
      nodes: [
        Node(
          "Transpose", name: "keys", inputs: ["x"], outputs: ["k"],
          attributes: ["perm": .ints([0, 2, 1])]),
        Node("MatMul", name: "scores", inputs: ["x", "k"], outputs: ["s"]),
        Node("Softmax", name: "weights", inputs: ["s"], outputs: ["y"]),
      ],
      inputs: [Port("x", shape: ["N", 4, 3])], outputs: [Port("y", shape: nil)], opsets: ["": 17])
    let picks = Graph(
      nodes: [
        Node(
          "Gather", name: "picks", inputs: ["x", "places"], outputs: ["y"],
          attributes: ["axis": .int(1)])
      ],
      inputs: [Port("x", shape: ["N", 10_007])], outputs: [Port("y", shape: nil)],
      constants: ["places": Tensor(.int64((0..<9000).map { $0 * $0 % 10_007 }))],
      opsets: ["": 17])
    for (graph, operation, node) in [(attention, "MatMul", "scores"), (picks, "Gather", "picks")] {
      let model = try place.write(graph)
      let text = try place.coalition("inspect", model, "--nodes")
      #expect(text.code == 0 && text.error.isEmpty, "\(text.error)")
      #expect(text.output.contains("unsupported: \(node): "), "\(text.output)")
      let outcome = try place.coalition("inspect", model, "--json")
      let json = try JSONValue(parsing: Array(outcome.output.utf8))
      #expect(json["support"]?["forward"]?[operation]?.text == "unsupported")
      #expect(json["memory"] == .array([]))
      guard case .array(let problems)? = json["problems"] else {
        Issue.record("no problems")
        continue
      }
      #expect(problems.count == 1)
      #expect(try place.coalition("plan", model).code == (node == "scores" ? 65 : 69))
    }
  }

  /// Functions that only their tangents stand for, and a softmax inside: not the relu, of which normal values have moments.
  @Test("Where moments are less than those of normal values, the node is named")
  func tangents() throws {
    func weights(_ shape: [Int]) -> Tensor {
      let count = shape.reduce(1, *)
      return Tensor(
        filling: shape, with: .float32((0..<count).map { Float($0 % 7) / 7 - 0.4 }))
    }
    let graph = Graph(
      nodes: [
        Node("MatMul", name: "first", inputs: ["x", "a"], outputs: ["z"]),
        Node("Relu", name: "act", inputs: ["z"], outputs: ["r"]),
        Node("Sqrt", name: "root", inputs: ["r"], outputs: ["q"]),
        Node("Add", name: "shift", inputs: ["q", "one"], outputs: ["p"]),
        Node("Div", name: "ratio", inputs: ["r", "p"], outputs: ["d"]),
        Node("Div", name: "half", inputs: ["d", "two"], outputs: ["h"]),
        Node("Softmax", name: "share", inputs: ["h"], outputs: ["s"]),
        Node("MatMul", name: "last", inputs: ["s", "b"], outputs: ["y"]),
      ],
      inputs: [Port("x", shape: ["N", 5])], outputs: [Port("y", shape: nil)],
      constants: [
        "a": weights([5, 4]), "b": weights([4, 2]), "one": Tensor(scalar: 1),
        "two": Tensor(scalar: 2),
      ],
      opsets: ["": 17])
    let model = try place.write(graph)
    let text = try place.coalition("inspect", model)
    let outcome = try place.coalition("inspect", model, "--json")
    let json = try JSONValue(parsing: Array(outcome.output.utf8))
    for method in ["dasp", "moment-gradient"] {
      let reasons = [
        "root (Sqrt): its tangent at the mean stands for the function",
        "ratio (Div): its tangent at the mean stands for the divisor's reciprocal",
        "share (Softmax): its mean is the softmax of the mean, which is too sharp where scores are wide",
      ]
      for reason in reasons {
        #expect(text.output.contains("  \(method): \(reason)\n"), "\(text.output)")
      }
      #expect(json["methods"]?[method] == .array(reasons.map { .string($0) }))
      for (operation, support) in [
        ("Relu", "approximate"), ("Softmax", "approximate"), ("MatMul", "exact"), ("Add", "exact"),
      ] {
        #expect(json["support"]?[method]?[operation]?.text == support, "\(operation)")
      }
    }
  }

  @Test("The type of an output that the file leaves out is that of the plan")
  func openType() throws {
    var graph = Graph.relu()
    graph.nodes = [
      Node("Cast", inputs: ["x"], outputs: ["y"], attributes: ["to": .int(7)])
    ]
    graph.outputs[0].leavesTypeOpen = true
    let outcome = try place.coalition("inspect", try place.write(graph))
    #expect(outcome.output.contains("output    y int64 [N, 3]"), "\(outcome.output)")
  }

  @Test("Open sizes are asked for, and can be given")
  func openSizes() throws {
    let model = try place.write(.relu(["N", "length"]))
    let open = try place.coalition("inspect", model)
    #expect(open.code == 0)
    #expect(open.output.contains("'length'"))
    let given = try place.coalition("inspect", model, "--input-shape", "x=1x5", "--nodes")
    #expect(given.output.contains("1x5"))
    #expect(try place.coalition("plan", model).code == 64)
    #expect(try place.coalition("plan", model, "--input-shape", "1x5").code == 0)
    let input = try place.write(
      try Tensor(shape: [2, 7], elements: .float32([Float](repeating: 1, count: 14))), "x.npy")
    #expect(try place.coalition("run", model, "--input", input).code == 0)
  }

  @Test("The plan's work adds up to the network's")
  func plan() throws {
    let outcome = try place.coalition("plan", Digits.model, "--lanes", "64")
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("64 examples in a tile"))
    #expect(outcome.output.contains("329 k multiply-adds"))
    for node in ["conv1", "conv2", "dense1", "logits"] { #expect(outcome.output.contains(node)) }
    let refused = try place.coalition("plan", Digits.model, "--mode", "sideways")
    #expect(refused.code == 64)
    #expect(refused.error.contains("expected forward, reverse, moments, delta"))
    let delta = try place.coalition(
      "plan", Digits.model, "--mode", "delta", "--players", "patch:4x4")
    #expect(delta.code == 0, "\(delta.error)")
    #expect(delta.output.contains("delta"))
  }

  @Test func demo() throws {
    let outcome = try place.coalition("demo", "--output", "out")
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.contains("100 of 100 recognised"))
    #expect(outcome.output.contains("same"))
    #expect(!outcome.output.contains("DIFFERENT"))
    #expect(
      try place.coalition("run", "out/digits.onnx", "--input", "out/images.npy").code == 0)
    let result = try ResultFile(reading: place.path("out/outputs.npz"))
    guard case .tensor(let logits)? = result["logits"] else {
      Issue.record("no logits")
      return
    }
    #expect(largestDifference(logits.floats, try Digits.logits()) < 1e-4)
  }
}
