// Values by moments on the command line: arrays, metadata, warnings, and what is refused.

import CoalitionBase
import CoalitionData
import CoalitionNet
import Foundation
import Testing

@Suite struct MomentTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  private func model(_ name: String = "mlp-softplus") -> [String] {
    [Fixtures.model(name), "--input", Fixtures.input(name)]
  }

  @Test("Both estimators come close to exact values, and say what they are off by")
  func values() throws {
    let common = ["--players", "patch:7x7"]
    let exact = try place.result(model() + common + ["--estimator", "exact"]).doubles("values")
    for estimator in ["dasp", "moment-gradient"] {
      let result = try place.result(model() + common + ["--estimator", estimator])
      #expect(
        result.names == [
          "attributions", "values", "error_estimate", "output", "baseline_output", "residual",
          "evaluations", "target", "players",
        ])
      let values = try result.doubles("values")
      #expect(relativeDifference(values, exact) < 0.05, "\(estimator)")
      #expect(try result.shape("error_estimate") == result.shape("values"))
      #expect(try result.doubles("error_estimate").allSatisfy { $0 > 0 && $0.isFinite })
      #expect(result.metadata("options", "estimator") == .string(estimator))
      #expect(result.metadata("options", "moments", "rank") == 8)
      #expect(result.metadata("result", "stop-reason") == "moments")
      let passes = estimator == "dasp" ? 2 * 16 * 16 : 8
      #expect(result.metadata("result", "moment-passes-per-example") == .integer(passes))
      #expect(try result.doubles("evaluations").allSatisfy { $0 == 514 })
    }
  }

  @Test("Samples drawn towards moments say how far, and are closer; a checkpoint changes nothing")
  func drawnSamples() throws {
    let common = model() + ["--players", "patch:7x7", "--evaluations", "300"]
    let exact = try place.result(
      model() + ["--players", "patch:7x7", "--estimator", "exact"]
    ).doubles("values")
    let samples = try place.result(common + ["--estimator", "permutation"])
    let options = ["--estimator", "permutation", "--shrink", "moment-gradient", "--rank", "4"]
    let drawn = try place.result(common + options)
    #expect(drawn.names.contains("error_estimate") && !drawn.names.contains("standard_errors"))
    #expect(drawn.metadata("options", "shrink") == "moment-gradient")
    #expect(drawn.metadata("result", "stop-reason") == "evaluations")
    #expect(drawn.metadata("options", "moments", "rank") == 4)
    guard case .array(let weights)? = drawn.metadata("result", "sample-weights") else {
      Issue.record("no weights")
      return
    }
    #expect(weights.count == (try drawn.doubles("output").count))
    #expect(
      relativeDifference(try drawn.doubles("values"), exact)
        < relativeDifference(try samples.doubles("values"), exact))
    let kept = try place.result(common + options + ["--checkpoint", "run.ckpt"])
    #expect(try kept.doubles("values") == drawn.doubles("values"))
  }

  @Test("Samples of a single block are left alone, and the result says so")
  func oneBlock() throws {
    let common = model() + ["--players", "patch:7x7", "--estimator", "toggle", "--samples", "8"]
    let alone = try place.shapley(common + ["--output", "a.npz"])
    #expect(alone.code == 0 && alone.error.contains("standard errors are not known"))
    let drawn = try place.shapley(common + ["--shrink", "dasp", "--output", "b.npz"])
    #expect(drawn.code == 0 && drawn.error.contains("not drawn towards moments"))
    let first = try Explained(place.path("a.npz")), second = try Explained(place.path("b.npz"))
    #expect(try first.doubles("values") == second.doubles("values"))
    #expect(second.metadata("result", "moment-passes-per-example") == 0)
  }

  @Test("Given evaluations alone, auto takes moments where they are no further off")
  func auto() throws {
    let common = model() + ["--players", "patch:4x4"]
    let few = try place.result(common + ["--evaluations", "600"])
    #expect(few.metadata("result", "estimator") == "moment-gradient")
    #expect(few.names.contains("error_estimate"))
    #expect(try few.doubles("evaluations").allSatisfy { $0 <= 600 })
    let many = try place.result(common + ["--tolerance", "0.1"])
    #expect(many.names.contains("standard_errors"))
    let forecast = try place.shapley(common + ["--evaluations", "600", "--dry-run"])
    #expect(forecast.output.contains("tried on the first examples"))
  }

  @Test("explain has both as methods, with players or by element, and all targets at once")
  func explaining() throws {
    let elements = try place.explained("mlp-relu", "moment-gradient", "--target", "all")
    let count = try Fixtures.array("mlp-relu", "target").count
    #expect(try elements.shape("attributions") == [count, 10, 1, 28, 28])
    let residual = try elements.doubles("residual")
    let output = try elements.doubles("output")
    let baseline = try elements.doubles("baseline_output")
    let largest = zip(output, baseline).map { abs($0 - $1) }.max() ?? 0
    #expect(residual.allSatisfy { abs($0) < 0.01 * largest })
    let patches = try place.explained(
      "mlp-relu", "dasp", "--players", "patch:14x14", "--coalition-sizes", "2", "--rank", "0")
    #expect(try patches.shape("values") == [count, 4])
    #expect(patches.names.contains("error_estimate"))
    #expect(!patches.names.contains("standard_errors"))
  }

  @Test(
    "The same command gives the same bytes, whatever the threads",
    arguments: ["dasp", "moment-gradient"])
  func sameBytes(_ estimator: String) throws {
    let options = model("cnn") + ["--players", "patch:7x7", "--estimator", estimator]
    let one = try place.result(options + ["--threads", "1"], "a.npz")
    let two = try place.result(options + ["--threads", "2"], "b.npz")
    #expect(one.essence == two.essence)
  }

  @Test("Tokens are players at their embedding")
  func tokens() throws {
    for estimator in ["dasp", "moment-gradient"] {
      let result = try place.result(
        [
          Fixtures.model("sentiment"), "--input",
          Fixtures.references("sentiment", "tokens"), "--estimator", estimator,
        ])
      #expect(try result.shape("attributions") == [4, 24])
    }
  }

  @Test("Where a small sample contradicts the values, the result warns")
  func warning() throws {
    let outcome = try place.shapley(
      model("resnet") + [
        "--players", "patch:8x8", "--estimator", "moment-gradient", "--rank", "0", "--output",
        "r.npz",
      ])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.error.contains("not to be trusted"))
  }

  @Test("Values that miss much of their sum warn, checked or not", arguments: [1, 8])
  func incomplete(nodes: Int) throws {
    let outcome = try place.shapley(
      model("mlp-tanh") + [
        "--players", "patch:7x7", "--estimator", "moment-gradient", "--rank", "0", "--nodes",
        "\(nodes)", "--checked-players", "0", "--output", "r.npz",
      ])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.error.contains("of what they should add up to") == (nodes == 1))
  }

  /// log(1 + w x): without some of them the seventh of 20 players takes it below 0. In the second example half of the players are null.
  private func logarithm() throws -> [String] {
    var graph = Graph(opsets: ["": 21])
    graph.inputs = [Port("x", .float32, shape: [.symbolic("N"), .fixed(20)])]
    var weights = [Float](repeating: 1, count: 20)
    weights[7] = -1.5
    graph.constants["w"] = Tensor(filling: [20, 1], with: .float32(weights))
    graph.constants["b"] = Tensor(.float32([1]))
    graph.nodes = [
      Node("Gemm", inputs: ["x", "w", "b"], outputs: ["z"]),
      Node("Log", inputs: ["z"], outputs: ["y"]),
    ]
    graph.outputs = [Port("y", shape: nil)]
    let second: [Float] = [1, 1, 1, 1, 1, 1, 1, 0.6, 5, 5, 5, 30, 0, 0, 0, 0, 0, 0, 0, 0]
    let rows = Tensor(
      filling: [2, 20], with: .float32([Float](repeating: 1, count: 20) + second))
    return [try place.write(graph), "--input", try place.write(rows, "x.npy")]
  }

  @Test("Scores that are not known in one example leave the others their warning")
  func unknownScores() throws {
    for estimator in ["dasp", "moment-gradient"] {
      let outcome = try place.shapley(
        logarithm() + ["--estimator", estimator, "--output", "r.npz"])
      #expect(outcome.code == 0, "\(outcome.error)")
      #expect(outcome.error.contains("not to be trusted for 1 of 2"), "\(outcome.error)")
      #expect(outcome.error.contains("could not be checked for 1 of 2"), "\(outcome.error)")
      let told = try place.shapley(logarithm() + ["--estimator", estimator])
      #expect(told.code == 0 && told.output.contains("error of a value not known"))
    }
  }

  @Test(
    "Summaries tell the error of every score, as the file has it",
    arguments: ["shapley", "explain"])
  func errorsTold(_ verb: String) throws {
    let common = [
      verb, Fixtures.model("mlp-softplus"), "--input", Fixtures.input("mlp-softplus"), "--players",
      "patch:7x7", "--target", "all", verb == "shapley" ? "--estimator" : "--method", "dasp",
    ]
    let told = try Running(common, in: place.folder, [:]).outcome()
    #expect(told.code == 0, "\(told.error)")
    let written = try Running(common + ["--quiet", "--output", "r.npz"], in: place.folder, [:])
      .outcome()
    #expect(written.code == 0, "\(written.error)")
    let errors = try Explained(place.path("r.npz")).doubles("error_estimate")
    let lines = told.output.split(separator: "\n").filter { $0.contains("error of a value") }
    #expect(lines.count * 16 == errors.count && lines.count > 10)
    #expect(Set(lines.map { $0.split(separator: "error of a value").last }).count > 5)
    for (row, line) in lines.enumerated() {
      let number = try #require(
        line.split(separator: "about ").last?.split(separator: ",").first.flatMap { Double($0) })
      #expect(abs(number - errors[row * 16]) <= 0.06 * errors[row * 16], "row \(row)")
    }
    let unchecked = try Running(common + ["--checked-players", "0"], in: place.folder, [:])
      .outcome()
    #expect(unchecked.output.contains("error of a value not known"))
    #expect(!unchecked.error.contains("checked"))
  }

  @Test("A dry run tells passes, their cost, evaluations and memory")
  func dryRun() throws {
    let outcome = try place.shapley(
      model() + ["--players", "patch:7x7", "--estimator", "dasp", "--dry-run"])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.contains("512 for an example"))
    #expect(outcome.output.contains("moment passes") && outcome.output.contains("memory"))
    // Every row of a baseline takes passes of its own.
    let rows = try place.write(
      Tensor(filling: [3, 1, 28, 28], with: .float32([Float](repeating: 0.1, count: 3 * 784))),
      "b.npy")
    let several = try place.shapley(
      model() + [
        "--players", "patch:7x7", "--estimator", "dasp", "--dry-run", "--baseline",
        "marginal:" + rows,
      ])
    #expect(several.output.contains("1,536 for an example"), "\(several.output) \(several.error)")
  }

  @Test("plan lists the moments' program, inspect says where values are taken for normal ones")
  func listings() throws {
    let plan = try place.coalition(
      "plan", Fixtures.model("cnn"), "--mode", "moments", "--rank", "2")
    #expect(plan.code == 0, "\(plan.error)")
    #expect(plan.output.contains("moments of random coalitions"))
    #expect(plan.output.contains("moments of relu") && plan.output.contains("moments of max pool"))
    let inspect = try place.coalition("inspect", Fixtures.model("cnn"))
    let line = try #require(
      inspect.output.split(separator: "\n").first { $0.contains("moment-gradient") })
    #expect(line.contains("approximate") && line.contains("exact"))
    #expect(try place.coalition("plan", Fixtures.model("cnn"), "--rank", "2").code == 64)
  }

  @Test(
    "Wrong usage ends with 64 and one sentence",
    arguments: [
      (["--estimator", "dasp", "--evaluations", "100"], "nothing tells it when to stop"),
      (["--estimator", "dasp", "--nodes", "4"], "--nodes is not for dasp"),
      (["--estimator", "moment-gradient", "--sizes", "4"], "--sizes is not for moment-gradient"),
      (["--estimator", "toggle", "--rank", "4"], "--rank is not for toggle"),
      (["--estimator", "dasp", "--checkpoint", "c"], "--checkpoint is for runs of samples"),
      (["--estimator", "dasp", "--rank", "65"], "0 to 64"),
      (["--estimator", "moment-gradient", "--interactions", "2"], "no other values"),
      (["--rank", "4"], "--rank is not for auto"),
    ])
  func usage(_ options: [String], _ message: String) throws {
    let outcome = try place.shapley(model() + options + ["--output", "r.npz"])
    #expect(outcome.code == 64, "\(outcome.error)")
    #expect(outcome.error.contains(message), "\(outcome.error)")
    #expect(!FileManager.default.fileExists(atPath: place.path("r.npz")))
  }

  @Test("A game without a model has no moments")
  func outsideGame() throws {
    try place.writeGame()
    let outcome = try place.shapley(ShellGame.options(3) + ["--estimator", "dasp"])
    #expect(outcome.code == 64)
    #expect(outcome.error.contains("this game has none"))
  }
}
