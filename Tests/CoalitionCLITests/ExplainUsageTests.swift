// `coalition explain`: what is printed, what is refused, and what other verbs say of methods.

import CoalitionBase
import CoalitionData
import CoalitionNet
import Testing

@Suite struct ExplainUsageTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  @Test("A summary names target, scores, sums and the largest attributions")
  func summary() throws {
    let names = try place.write(Array((0..<10).map { "digit \($0)\n" }.joined().utf8), "n.txt")
    let outcome = try place.explain("mlp-relu", "deeplift", ["--class-names", names, "--top", "3"])
    #expect(outcome.code == 0, "\(outcome.error)")
    let target = try #require(Fixtures.array("mlp-relu", "target").integers)[0]
    #expect(outcome.output.hasPrefix("example 0: target \(target) (digit \(target)), score "))
    #expect(outcome.output.contains("at the baseline") && outcome.output.contains("residual"))
    let lines = outcome.output.split(separator: "\n")
    let first = lines.dropFirst().prefix { !$0.hasPrefix("example") }
    #expect(first.count { $0.contains("[0, ") } == 3)
    // 28 rows as 14 lines.
    #expect(first.count { $0.hasPrefix("  |") && $0.count == 32 } == 14)
    let all = try place.explain("mlp-relu", "gradient", ["--target", "all"])
    #expect(all.output.contains("  target 9: score "))
    let players = try place.explain("sentiment", "occlusion", ["--players", "axis:0"])
    #expect(players.output.contains("  player "))
  }

  @Test("A dry run foresees evaluations and writes nothing")
  func dryRun() throws {
    let outcome = try place.explain(
      "mlp-relu", "integrated-gradients", ["--steps", "20", "--dry-run", "--output", "r.npz"])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.contains("(20 for an example)"))
    #expect(outcome.output.contains("of ") && outcome.output.contains("allowed"))
    #expect(place.files.isEmpty)
  }

  @Test("Progress for programs ends with everything done")
  func progress() throws {
    let outcome = try place.explain(
      "mlp-relu", "integrated-gradients", ["--steps", "10", "--progress", "json"])
    let examples = try Fixtures.array("mlp-relu", "target").count
    #expect(outcome.error.hasSuffix("{\"done\": \(examples * 10), \"total\": \(examples * 10)}\n"))
  }

  @Test(
    "Wrong usage ends with 64 and one sentence, and leaves no file",
    arguments: [
      (["--method", "deplift"], "did you mean deeplift?"),
      (["--method", "magic"], "integrated-gradients, "),
      ([], "--method is missing"),
      (["--method", "gradient", "--steps", "5"], "--steps is not for gradient"),
      (["--method", "occlusion", "--stride", "2x2"], "--stride needs --window"),
      (["--method", "occlusion", "--window", "2x2", "--players", "channel"], "exclude each other"),
      (["--method", "epsilon-lrp", "--epsilon", "0"], "a number above 0"),
      (["--method", "lrp", "--rules", "conv = zeta"], "no such relevance rule"),
      (["--method", "lrp", "--rules", "fc9 = z+"], "fc9"),
      (["--method", "gradient", "--target", "ten"], "predicted, an index or i,j, label:FILE"),
      (["--method", "gradient", "--target", "10"], "0 to 9"),
      (["--method", "gradient", "--target", "1,1"], "indices"),
      (["--method", "gradient", "--at", "logit"], "did you mean logits?"),
      (["--method", "gradient", "--at", "logits", "--after-softmax"], "--after-softmax"),
      (["--method", "deeplift", "--baseline", "imge=0"], "did you mean image?"),
      (["--method", "deeplift", "--baseline", "token:1"], "embeddings only"),
      (["--method", "deeplift", "--baseline", "token:x"], "token:ID"),
      (["--method", "gradient", "--players", "pach:2x2"], "did you mean patch?"),
      (["--method", "gradient", "--players", "axis:7"], "axis"),
      (["--method", "occlusion", "--ledger"], "--ledger"),
      (["--method", "gradient", "--quiet"], "--quiet without --output"),
      (["--method", "rise", "--target", "1-2"], "difference"),
    ] as [([String], String)])
  func wrongUsage(options: [String], sentence: String) throws {
    let output = options.contains("--quiet") ? [] : ["--output", "r.npz"]
    let outcome = try Running(
      ["explain", Fixtures.model("cnn"), "--input", Fixtures.input("cnn")] + output + options,
      in: place.folder, [:]
    ).outcome()
    #expect(outcome.code == 64, "\(outcome.error)")
    #expect(outcome.error.contains(sentence), "\(outcome.error)")
    #expect(outcome.error.hasPrefix("coalition: "))
    #expect(outcome.error.split(separator: "\n").count == 1)
    #expect(outcome.output.isEmpty && place.files.isEmpty)
  }

  @Test("Files that do not fit end with 65, missing ones with 66, and nothing is written over")
  func wrongFiles() throws {
    let short = try place.write(Tensor(.int64([1, 2])), "short.npy")
    let floats = try place.write(Tensor(.float32([1, 2])), "floats.npy")
    let before = place.files
    for (options, code, sentence) in [
      (["--target", "label:\(short)"], 65, "one label per example"),
      (["--target", "label:\(floats)"], 65, "one whole number per example"),
      (["--target", "label:none.npy"], 66, "No such file"),
      (["--baseline", short], 65, "does not fit the input image"),
      (["--baseline", "mean:none.npy"], 66, "No such file"),
      (["--players", short], 65, "another shape"),
      (["--players", "none.npy"], 66, "No such file"),
      (["--output", "none/r.npz"], 73, "none/r.npz"),
      (["--output", short, "--baseline", "mean:\(short)"], 64, "a file that is read"),
      (["--max-memory", "300k"], 69, "--max-memory"),
    ] as [([String], Int32, String)] {
      let output = options.contains("--output") ? [] : ["--output", "r.npz"]
      let outcome = try place.explain("cnn", "deeplift", output + options)
      #expect(outcome.code == code, "\(options): \(outcome.error)")
      #expect(outcome.error.contains(sentence), "\(options): \(outcome.error)")
      #expect(place.files == before)
    }
  }

  @Test("What a method only approximates is refused by node, unless it is allowed")
  func fallback() throws {
    var graph = Graph.relu()
    graph.nodes = [
      Node("Relu", name: "act", inputs: ["x"], outputs: ["a"]),
      Node("Softmax", name: "gate", inputs: ["a"], outputs: ["g"]),
      Node("Mul", name: "product", inputs: ["a", "g"], outputs: ["y"]),
    ]
    let model = try place.write(graph)
    let input = try place.write(
      try Tensor(shape: [1, 3], elements: .float32([1, 2, 3])), "x.npy")
    func explain(_ options: String...) throws -> Outcome {
      try Running(
        ["explain", model, "--input", input, "--target", "0"] + options, in: place.folder, [:]
      ).outcome()
    }
    let refused = try explain("--method", "deeplift", "--output", "r.npz")
    #expect(refused.code == 65)
    #expect(refused.error.contains("gate: deeplift does not hold for this Softmax"))
    #expect(!place.files.contains("r.npz"))
    let allowed = try explain("--method", "deeplift", "--output", "r.npz", "--allow-fallback")
    #expect(allowed.code == 0 && allowed.error.contains("warning: gate: Softmax in deeplift"))
    guard
      case .array(let warnings)? = try ResultFile(reading: place.path("r.npz")).metadata[
        "warnings"]
    else {
      Issue.record("no warnings")
      return
    }
    #expect(warnings.count == 1)
    #expect(try explain("--method", "gradient").code == 0)
    #expect(try explain("--method", "lrp").error.contains("gate: lrp"))

    let outcome = try place.coalition("inspect", model, "--json")
    let json = try JSONValue(parsing: Array(outcome.output.utf8))
    let support = json["support"]
    #expect(support?["deeplift"]?["Softmax"]?.text == "approximate")
    #expect(support?["deeplift"]?["Mul"]?.text == "exact")
    #expect(support?["lrp"]?["Mul"]?.text == "approximate")
    #expect(support?["gradient"]?["Softmax"]?.text == "exact")
    #expect(support?["occlusion"]?["Softmax"]?.text == "exact")
    #expect(support?["grad-cam"]?["Relu"]?.text == "unsupported")
    let text = try place.coalition("inspect", model).output
    #expect(text.contains("deeplift: gate (Softmax): the gradient is used"))
  }

  @Test("A softmax that is cut off counts for no method")
  func finalSoftmax() throws {
    var graph = Graph.relu()
    graph.nodes.append(Node("Softmax", name: "last", inputs: ["y"], outputs: ["p"]))
    graph.outputs = [Port("p", shape: nil)]
    let model = try place.write(graph)
    let input = try place.write(
      try Tensor(shape: [1, 3], elements: .float32([1, 2, 3])), "x.npy")
    let before = try place.coalition(
      "explain", model, "--input", input, "--method", "deeplift", "--output", "r.npz")
    #expect(before.code == 0, "\(before.error)")
    #expect(try Explained(place.path("r.npz")).doubles("output") == [3])
    let behind = try place.coalition(
      "explain", model, "--input", input, "--method", "deeplift", "--after-softmax")
    #expect(behind.code == 65 && behind.error.contains("last: "))
    let json = try JSONValue(
      parsing: Array(try place.coalition("inspect", model, "--json").output.utf8))
    #expect(json["support"]?["deeplift"]?["Softmax"]?.text == "exact")
  }

  @Test("Several inputs have an array each, and share the numbers of players")
  func severalInputs() throws {
    var graph = Graph.relu()
    graph.nodes = [Node("Mul", name: "product", inputs: ["p", "q"], outputs: ["y"])]
    graph.inputs = [Port("p", shape: ["N", 2]), Port("q", shape: ["N", 2])]
    graph.outputs = [Port("y", shape: nil)]
    let model = try place.write(graph)
    let p = try place.write(try Tensor(shape: [1, 2], elements: .float32([3, 5])), "p.npy")
    let q = try place.write(try Tensor(shape: [1, 2], elements: .float32([7, 2])), "q.npy")
    func explain(_ options: String...) throws -> Outcome {
      try Running(
        ["explain", model, "--input", "p=\(p)", "--input", "q=\(q)", "--target", "0"] + options,
        in: place.folder, [:]
      ).outcome()
    }
    let outcome = try explain("--method", "gradient", "--output", "r.npz")
    #expect(outcome.code == 0, "\(outcome.error)")
    let result = try Explained(place.path("r.npz"))
    #expect(try result.doubles("attributions.p") == [7, 0])
    #expect(try result.doubles("attributions.q") == [3, 0])
    #expect(try explain("--method", "gradient", "--output", "r.npy").code == 64)
    #expect(
      try explain("--method", "deeplift", "--baseline", "q=1", "--output", "b.npz").code == 0)
    // 3 x 7 from 0 x 1: 3 (7 + 1) / 2 and 6 (3 + 0) / 2.
    let based = try Explained(place.path("b.npz"))
    #expect(try based.doubles("attributions.p") == [12, 0])
    #expect(try based.doubles("attributions.q") == [9, 0])
    let ids = try place.write(Tensor(.int32([0, 1])), "ids.npy")
    let shared = try explain(
      "--method", "occlusion", "--players", "p=\(ids)", "--players", "q=\(ids)", "--output",
      "s.npz")
    #expect(shared.code == 0, "\(shared.error)")
    #expect(try Explained(place.path("s.npz")).doubles("values") == [21, 0])
  }

  @Test("The reverse program is listed behind the forward pass")
  func reversePlan() throws {
    let forward = try place.coalition("plan", Digits.model)
    let outcome = try place.coalition(
      "plan", Digits.model, "--mode", "reverse", "--method", "deeplift")
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.hasPrefix("reverse for deeplift, single precision"))
    #expect(outcome.output.contains("secant of relu"))
    #expect(
      outcome.output.split(separator: "\n").count > forward.output.split(separator: "\n").count)
    #expect(
      try place.coalition("plan", Digits.model, "--mode=reverse", "--method=occlusion").code == 64)
    #expect(try place.coalition("plan", Digits.model, "--method=deeplift").code == 64)
  }

  @Test("The delta program shows what toggling the first player changes, and what all of them take")
  func deltaPlan() throws {
    let outcome = try place.coalition(
      "plan", Digits.model, "--mode", "delta", "--players", "patch:4x4")
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.hasPrefix("delta, the first of 49 players, single precision"))
    for text in ["only where player 0 differs", "toggle player 0", "delta 1x4x4 -> ", "marginal"] {
      #expect(outcome.output.contains(text), "\(text)")
    }
    #expect(!outcome.output.contains("toggle player 1"))
    #expect(outcome.output.contains("all players toggled: "))
    #expect(try place.coalition("plan", Digits.model, "--players=patch:4x4").code == 64)
    #expect(try place.coalition("plan", Digits.model, "--mode=delta", "--lanes=1").code == 64)
  }
}
