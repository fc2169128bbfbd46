// Help, versions, and what the command says to arguments that it does not understand.

import Testing

@Suite struct UsageTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  @Test("The overview lists every verb", arguments: ["--help", "-h", "help"])
  func overview(flag: String) throws {
    let outcome = try place.coalition(flag)
    #expect(outcome.code == 0)
    for verb in ["inspect", "plan", "run", "explain", "evaluate", "reproduce", "demo"] {
      #expect(outcome.output.contains("  \(verb) "))
    }
    #expect(outcome.error.isEmpty)
  }

  @Test(
    "Every verb explains its options with an example",
    arguments: ["inspect", "plan", "run", "explain", "evaluate", "reproduce", "demo"])
  func help(verb: String) throws {
    for flag in ["--help", "-h"] {
      let outcome = try place.coalition(verb, "missing.onnx", flag)
      #expect(outcome.code == 0)
      #expect(outcome.output.contains("Usage: coalition \(verb)"))
      #expect(outcome.output.contains("Examples:\n  coalition \(verb)"))
      #expect(outcome.output.split(separator: "\n").allSatisfy { $0.count <= 200 })
    }
    #expect(try place.coalition("help", verb).output == place.coalition(verb, "-h").output)
  }

  @Test func version() throws {
    let outcome = try place.coalition("--version")
    #expect(outcome.code == 0)
    #expect(outcome.output.wholeMatch(of: /coalition \d+\.\d+\.\d+\n/) != nil)
  }

  @Test(
    "Wrong usage ends with 64 and one sentence",
    arguments: [
      ([], "a verb is missing"),
      (["ispect", "m.onnx"], "did you mean inspect?"),
      (["run", "m.onnx", "--inptu", "x.npy"], "did you mean --input?"),
      (["run", "m.onnx", "--trheads=2"], "did you mean --threads?"),
      (["run", "m.onnx", "-x"], "run has no option -x"),
      (["run", "m.onnx", "---input", "x.npy"], "no option ---input; did you mean --input?"),
      (["run", "m.onnx", "--zzzzzzzz"], "see coalition run --help"),
      (["run"], "run needs MODEL.onnx"),
      (["run", "a.onnx", "b.onnx"], "does not take 'b.onnx'"),
      (["run", "m.onnx", "--threads", "0"], "--threads"),
      (["run", "m.onnx", "--threads", "many"], "a whole number from 1 to 1024"),
      (["run", "m.onnx", "--threads"], "--threads needs a value"),
      (["run", "m.onnx", "--threads", "--quiet"], "--threads needs a value"),
      (["run", "m.onnx", "--threads", "1", "--threads", "2"], "more than once"),
      (["run", "m.onnx", "--quiet=yes"], "--quiet takes no value"),
      (["run", "m.onnx", "--precision", "half"], "single, double"),
      (["run", "m.onnx", "--max-memory", "-3"], "a size such as 512m or 4g"),
      (["run", "m.onnx", "--max-memory", "0x10"], "a size such as 512m or 4g"),
      (["run", "m.onnx", "--max-memory", "1e3"], "a size such as 512m or 4g"),
      (["run", "m.onnx", "--max-memory", "0.5"], "a size such as 512m or 4g"),
      (["run", "m.onnx", "--max-memory", "infk"], "a size such as 512m or 4g"),
      (["run", "m.onnx", "--seed", "-1"], "--seed"),
      (["run", "m.onnx", "--mean", "1,x"], "--mean"),
      (["run", "m.onnx", "--resize", "12"], "--resize"),
      (["run", "m.onnx", "--output", "r.txt"], ".npz, .json or .npy"),
      (["m.onnx", "--input", "x.npy"], "a verb comes first: coalition run m.onnx"),
      (["run", "m.onnx", "--resize", "short:99999999"], "too large"),
      (["run", "m.onnx", "--top", "3"], "--top needs --class-names"),
      (["run", "m.onnx", "--quiet"], "--quiet without --output"),
      (["plan", "m.onnx", "--mode", "sideways"], "forward"),
      (["plan", "m.onnx", "--lanes", "65"], "1 to 64"),
      (["score", "m.onnx", "--metric", "taylr"], "did you mean taylor?"),
      (["score", "m.onnx", "--metric", "zzzzzzzz"], "the value cannot be used (expected shapley"),
      (["prune", "m.onnx", "--repair", "bias,lest-squares"], "did you mean least-squares?"),
      (["train", "--optimizer", "adm"], "did you mean adam?"),
      (["help", "prun"], "did you mean prune?"),
      (["help", "nothing"], "there is no verb 'nothing'"),
    ] as [([String], String)])
  func wrongUsage(arguments: [String], sentence: String) throws {
    let running = try Running(arguments, in: place.folder, [:])
    let outcome = try running.outcome()
    #expect(outcome.code == 64)
    #expect(outcome.output.isEmpty)
    #expect(outcome.error.hasPrefix("coalition: "))
    #expect(outcome.error.contains(sentence))
    #expect(outcome.error.split(separator: "\n").count == 1)
    #expect(place.files.isEmpty)
  }

  @Test("Values may stand behind = or after a space, and options before the model")
  func forms() throws {
    let model = try place.write(.relu())
    let input = try place.write(try .init(shape: [1, 3], elements: .float32([-1, 0, 2])), "x.npy")
    let first = try place.coalition("run", model, "--input", input, "--threads", "1")
    let second = try place.coalition("run", "--threads=1", "--input=x=\(input)", "--", model)
    #expect(first.code == 0)
    #expect(first.output == second.output)
    #expect(first.output.contains("0  0  2.0000"))
  }
}
