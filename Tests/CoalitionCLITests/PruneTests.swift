// `coalition score` and `prune` on the digits network: arrays, smaller models, reports, and what is refused.

import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX
import Foundation
import Testing

@Suite struct PruneTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  private static let data = ["--input", Digits.images, Digits.scale, "--labels", Digits.labels]

  private func coalition(_ arguments: [String]) throws -> Outcome {
    try Running(arguments, in: place.folder, [:]).outcome()
  }

  private func score(_ options: [String]) throws -> Explained {
    let outcome = try coalition(
      ["score", Digits.model] + options + ["--quiet", "--output", "s.npz"])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.isEmpty && outcome.error.isEmpty)
    return try Explained(place.path("s.npz"))
  }

  @Test("Scores have the names and shapes of the contract")
  func arrays() throws {
    let result = try score(
      Self.data + ["--layer", "conv2", "--samples", "4", "--antithetic", "--per-example"])
    #expect(
      result.names == [
        "conv2", "conv2.standard_errors", "conv2.data_errors", "conv2.deviations",
        "conv2.examples", "layers",
      ])
    let examples = try result.shape("conv2.examples")
    let units = try result.shape("conv2")[0]
    #expect(examples.count == 2 && examples[1] == units)
    // The mean of the examples, which add up to what the loss gains from the layer.
    let scores = try result.doubles("conv2")
    let matrix = try result.doubles("conv2.examples")
    for unit in 0..<units {
      let column = (0..<examples[0]).map { matrix[$0 * units + unit] }
      #expect(abs(scores[unit] - column.reduce(0, +) / Double(examples[0])) < 1e-9)
    }
    #expect(scores.reduce(0, +) > 0.5)
    #expect(try result.doubles("conv2.standard_errors").allSatisfy { $0 >= 0 })
    #expect(result.metadata("options", "metric") == "shapley")
    #expect(result.metadata("verb") == "score")
    #expect(result.file["layers"] == .strings(["conv2"]))
  }

  @Test("Values by moments come without sampling and add up as sampled ones do")
  func moments() throws {
    let layer = Self.data + ["--layer", "conv2"]
    let found = try score(layer + ["--estimator", "moment-gradient", "--rank", "4"])
    #expect(
      found.names == [
        "conv2", "conv2.error_estimate", "conv2.data_errors", "conv2.deviations", "layers",
      ])
    let scores = try found.doubles("conv2")
    let sampled = try score(layer + ["--samples", "40", "--antithetic"]).doubles("conv2")
    let sum = sampled.reduce(0, +)
    #expect(abs(scores.reduce(0, +) - sum) < 0.02 * abs(sum))
    let error = try found.doubles("conv2.error_estimate")
    #expect(error.allSatisfy { $0 > 0 && $0 == error[0] })
  }

  @Test("Repaired models are nearer to the whole one; labels may be its own predictions")
  func repair() throws {
    func difference(_ options: [String]) throws -> Double {
      let outcome = try coalition(
        ["prune", Digits.model, "--metric", "taylor", "--input", Digits.images, Digits.scale]
          + ["--labels", "predicted", "--keep", "0.5", "--report", "r.json"] + options)
      #expect(outcome.code == 0, "\(outcome.error)")
      let report = try Explained(place.path("r.json")).file.metadata["result"]
      guard case .number(let number)? = report?["relative-difference"] else { return .nan }
      return number
    }
    let plain = try difference([])
    #expect(plain > 0.05)
    #expect(try difference(["--repair", "least-squares,bias"]) < 0.7 * plain)
  }

  @Test("All layers that can lose units are scored, and none that cannot")
  func layers() throws {
    let result = try score(["--metric", "weight"])
    guard case .strings(let names)? = result.file["layers"] else {
      Issue.record("no layers")
      return
    }
    #expect(names.contains("conv1") && names.contains("conv2"))
    let graph = try ONNX.read(contentsOf: Digits.model)
    let last = try #require(graph.nodes.last { ["Gemm", "MatMul"].contains($0.operation) })
    #expect(!names.contains(last.name))
    let norms = try result.doubles("conv1")
    let weight = try #require(graph.nodes.first { $0.name == "conv1" }?.input(1))
    let numbers = try #require(graph.constants[weight]).doubles
    let size = numbers.count / norms.count
    for (unit, norm) in norms.enumerated() {
      let own = numbers[unit * size..<(unit + 1) * size].reduce(0) { $0 + abs($1) }
      #expect(abs(own - norm) < 1e-9)
    }
  }

  @Test("Layers of branches that do not lead to the scores are left out, and named")
  func branches() throws {
    var graph = try ONNX.read(contentsOf: Digits.model)
    let (input, scores) = (try #require(graph.inputs.first), try #require(graph.outputs.first))
    let pixels = 28 * 28
    func constant(_ name: String, _ rows: Int, _ columns: Int) {
      let numbers = (0..<rows * columns).map { Float(($0 * 37) % 11) / 11 - 0.4 }
      graph.constants[name] = Tensor(filling: [rows, columns], with: .float32(numbers))
    }
    constant("side.w", pixels, 6)
    constant("side.out.w", 6, 3)
    graph.nodes += [
      Node("Flatten", inputs: [input.name], outputs: ["side.x"]),
      Node("MatMul", name: "side", inputs: ["side.x", "side.w"], outputs: ["side.h"]),
      Node("Relu", inputs: ["side.h"], outputs: ["side.r"]),
      Node("MatMul", name: "side.out", inputs: ["side.r", "side.out.w"], outputs: ["other"]),
    ]
    graph.outputs.append(Port("other", shape: nil))
    try ONNX.write(graph, to: place.path("two.onnx"))
    let words = ["score", "two.onnx", "--metric", "taylor", "--at", scores.name] + Self.data
    let outcome = try coalition(words + ["--output", "two.npz"])
    #expect(outcome.code == 0 && outcome.error.contains("left out: side"), "\(outcome.error)")
    let result = try Explained(place.path("two.npz"))
    guard case .strings(let names)? = result.file["layers"] else {
      Issue.record("no layers")
      return
    }
    #expect(names.contains("conv2") && !names.contains("side"))
    let refused = try coalition(words + ["--layer", "side"])
    #expect(refused.code == 64 && refused.error.contains("side"), "\(refused.error)")
  }

  @Test("A smaller model is written, with a report, and does what it says")
  func prune() throws {
    let outcome = try coalition(
      ["prune", Digits.model, "--metric", "taylor"] + Self.data
        + ["--keep", "0.5", "--output", "small.onnx", "--report", "report.json"])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.contains("conv1") && outcome.output.contains("accuracy"))
    let report = try Explained(place.path("report.json"))
    func count(_ state: String, _ what: String) throws -> Int {
      guard case .integer(let number)? = report.file.metadata["result"]?[state]?[what] else {
        Issue.record("no \(what) \(state)")
        return 0
      }
      return number
    }
    let small = try ModelSummary(try ONNX.read(contentsOf: place.path("small.onnx")))
    #expect(try count("after", "parameters") == small.parameters)
    #expect(try count("after", "multiply-adds") == small.multiplyAdds)
    #expect(try count("after", "parameters") < count("before", "parameters"))
    let kept = try #require(try report.tensor("conv2.kept").integers)
    let graph = try ONNX.read(contentsOf: Digits.model)
    let whole = try #require(graph.nodes.first { $0.name == "conv2" }?.input(1))
    let units = try #require(graph.constants[whole]).shape[0]
    #expect(kept.count == units - units / 2 && kept == Array(Set(kept)).sorted())
    #expect(
      try place.coalition("run", "small.onnx", "--input", Digits.images, Digits.scale).code == 0)
  }

  @Test("Scores from a file give the model that scoring gives")
  func scoresFromAFile() throws {
    _ = try score(["--metric", "weight"])
    let goal = ["--scope", "global", "--reach", "params=0.6"]
    #expect(
      try coalition(
        ["prune", Digits.model, "--scores", "s.npz", "--output", "a.onnx", "--report", "r.json"]
          + goal
      ).code == 0)
    let report = try Explained(place.path("r.json"))
    #expect(report.metadata("options", "scoring", "metric") == "weight")
    #expect(
      try coalition(
        ["prune", Digits.model, "--metric", "weight", "--output", "b.onnx"] + goal
      ).code == 0)
    let bytes = try Data(contentsOf: place.folder.appendingPathComponent("a.onnx"))
    #expect(try bytes == Data(contentsOf: place.folder.appendingPathComponent("b.onnx")))
    let small = try ModelSummary(try ONNX.read(contentsOf: place.path("a.onnx"))).parameters
    let large = try ModelSummary(try ONNX.read(contentsOf: Digits.model)).parameters
    #expect(Double(small) <= 0.6 * Double(large) && Double(small) > 0.4 * Double(large))
  }

  @Test("Layers that a file has no scores of are named, once they could lose units")
  func missingScores() throws {
    _ = try score(["--metric", "weight", "--layer", "conv2"])
    let prune = ["prune", Digits.model, "--scores", "s.npz", "--keep", "0.5"]
    let outcome = try coalition(prune + ["--output", "a.onnx", "--report", "r.json"])
    #expect(outcome.code == 0)
    #expect(
      outcome.error.contains("not of all layers") && outcome.error.contains("conv1")
        && !outcome.error.contains("conv2"), "\(outcome.error)")
    guard case .array(let warnings)? = try Explained(place.path("r.json")).file.metadata["warnings"]
    else {
      Issue.record("no warnings")
      return
    }
    #expect(warnings.count == 1)
    _ = try score(["--metric", "weight"])
    let whole = try coalition(prune + ["--output", "a.onnx"])
    #expect(whole.code == 0 && whole.error.isEmpty, "\(whole.error)")
  }

  @Test("Without a word on estimators, each layer says what its scores come from")
  func chosenEstimators() throws {
    _ = try score(Self.data)
    let file = try Explained(place.path("s.npz"))
    guard case .array(let estimators)? = file.file.metadata["result"]?["estimators"] else {
      Issue.record("no estimators")
      return
    }
    let names = estimators.compactMap(\.text)
    #expect(names.count == estimators.count && names.count >= 2)
    #expect(Set(names).isSubset(of: ["exact", "moment-gradient", "toggle"]), "\(names)")
    for name in ["conv1", "conv2"] {
      #expect(try file.doubles(name).contains { $0 != 0 })
    }
  }

  @Test("Layers end when their lowest units are known, and confident removal takes no others")
  func confident() throws {
    _ = try score(Self.data + ["--lowest", "2", "--antithetic"])
    let scores = try Explained(place.path("s.npz"))
    guard case .array(let stops)? = scores.file.metadata["result"]?["stops"] else {
      Issue.record("no stops")
      return
    }
    #expect(stops.allSatisfy { ["lowest", "evaluations"].contains($0.text ?? "") }, "\(stops)")
    let prune = ["prune", Digits.model, "--scores", "s.npz", "--keep", "0.4"]
    func removed(_ options: [String]) throws -> [String: Set<Int>] {
      let outcome = try coalition(
        prune + options + ["--output", "c.onnx", "--report", "c.json"])
      #expect(outcome.code == 0, "\(outcome.error)")
      let report = try Explained(place.path("c.json"))
      var gone: [String: Set<Int>] = [:]
      for name in ["conv1", "conv2"] {
        let kept = try #require(try report.tensor("\(name).kept").integers).map { Int($0) }
        gone[name] = Set(0..<(try scores.doubles(name).count)).subtracting(kept)
      }
      return gone
    }
    let plain = try removed([])
    let certain = try removed(["--confident"])
    for (name, units) in certain {
      #expect(units.isSubset(of: plain[name] ?? []))
    }
    #expect(certain.values.reduce(0) { $0 + $1.count } > 0)
    #expect(
      certain.values.reduce(0) { $0 + $1.count } < plain.values.reduce(0) { $0 + $1.count })
  }

  @Test("Negative units go, and a dry run says what scores take")
  func negativeAndDryRun() throws {
    let forecast = try coalition(
      ["prune", Digits.model, "--keep", "0.5", "--dry-run"] + Self.data)
    #expect(forecast.code == 0 && forecast.output.contains("evaluations per example"))
    #expect(place.files.isEmpty)
    // What speaks for the label of another example speaks against some units.
    let outcome = try coalition(
      ["prune", Digits.model, "--metric", "taylor-signed", "--remove-negative"] + Self.data
        + ["--output", "n.onnx", "--report", "n.json"])
    if outcome.code == 0 {
      let report = try Explained(place.path("n.json"))
      #expect(report.file.metadata["result"]?["after"]?["units"] != nil)
    } else {
      #expect(outcome.error.contains("nothing would be removed"))
    }
  }

  @Test("Rounds, multiples, exclusions and a bound of the loss hold")
  func amounts() throws {
    let outcome = try coalition(
      ["prune", Digits.model, "--metric", "fisher"] + Self.data
        + [
          "--reach", "loss=+50%", "--scope", "global", "--exclude", "conv1", "--round", "2",
          "--iterations", "2", "--report", "r.json", "--output", "small.onnx",
        ])
    #expect(outcome.code == 0, "\(outcome.error)")
    let report = try Explained(place.path("r.json"))
    func loss(_ state: String) -> Double {
      if case .number(let number)? = report.file.metadata["result"]?[state]?["loss"] {
        return number
      }
      return .nan
    }
    #expect(loss("after") <= 1.5 * loss("before"))
    #expect(try report.shape("conv1.kept")[0] == 8)
    #expect(try report.shape("conv2.kept")[0] % 2 == 0)
  }

  @Test("A bound of the loss is that of repaired networks: more units go for it")
  func repairedBound() throws {
    func parameters(_ repair: [String]) throws -> Double {
      let outcome = try coalition(
        ["prune", Digits.model, "--metric", "layer-error"] + Self.data
          + ["--reach", "loss=+50%", "--report", "r.json"] + repair)
      #expect(outcome.code == 0, "\(outcome.error)")
      let result = try Explained(place.path("r.json")).file.metadata["result"]
      func number(_ state: String, _ name: String) -> Double {
        switch result?[state]?[name] {
        case .number(let number)?: number
        case .integer(let number)?: Double(number)
        default: .nan
        }
      }
      #expect(number("after", "loss") <= 1.5 * number("before", "loss"))
      return number("after", "parameters")
    }
    #expect(try parameters(["--repair", "least-squares,bias"]) < 0.9 * parameters([]))
  }

  @Test("What cannot be done is said, and no file is left")
  func refusals() throws {
    func refused(_ arguments: [String], _ code: Int32, _ words: String) throws {
      let outcome = try coalition(arguments)
      #expect(outcome.code == code, "\(arguments): \(outcome.error)")
      #expect(outcome.error.contains(words), "\(outcome.error)")
      #expect(place.files.filter { $0 != "wrong.npy" }.isEmpty)
    }
    let prune = ["prune", Digits.model, "--output", "x.onnx"]
    let weight = prune + ["--metric", "weight"]
    try refused(weight, 64, "--keep")
    try refused(weight + ["--keep", "0.5", "--remove-negative"], 64, "once")
    try refused(weight + ["--keep", "1.5"], 64, "above 0, below 1")
    try refused(weight + ["--keep", "0.99"], 65, "nothing would be removed")
    try refused(weight + ["--remove-negative"], 65, "nothing would be removed")
    try refused(weight + ["--reach", "params=0.0001"], 65, "at best")
    try refused(weight + ["--reach", "latency=2"], 64, "latency=R")
    try refused(weight + ["--reach", "latency=0.000001"], 65, "so fast")
    try refused(weight + ["--keep", "0.5", "--exclude", "conv3"], 64, "did you mean")
    try refused(prune + ["--metric", "taylor", "--keep", "0.5"], 64, "give --input")
    try refused(
      prune + ["--metric", "taylor", "--keep", "0.5", "--input", Digits.images], 64,
      "give --labels")
    try refused(weight + ["--keep", "0.5", "--aggregate", "mean+2std"], 64, "of their own")
    try refused(weight + ["--keep", "0.5", "--at-output"], 64, "of their own")
    let score = ["score", Digits.model]
    try refused(score + ["--metric", "weight", "--layer", "convx"], 64, "conv1")
    try refused(
      score + ["--metric", "taylor", "--layer", "conv2", "--per-example", "--output", "s.npy"]
        + Self.data, 64, "several arrays")
    try refused(
      weight + ["--keep", "0.5", "--repair", "bn", "--input", Digits.images], 64,
      "models with batch normalisations")
    try refused(
      score + ["--estimator", "moment-gradient", "--samples", "4"] + Self.data, 64,
      "estimators that sample")
    try refused(
      weight + ["--keep", "0.5", "--confident"], 64, "errors of the scores are not known")
    try refused(
      weight + ["--keep", "0.5", "--repair", "finetune", "--input", Digits.images], 64,
      "needs --input and --labels")
    try refused(weight + ["--keep", "0.5", "--epochs", "3"], 64, "--repair finetune")
    try refused(
      score + ["--estimator", "moment-gradient", "--lowest", "3"] + Self.data, 64,
      "estimators that sample")
    try refused(
      score + ["--estimator", "moment-gradient", "--aggregate", "mean+2std-debiased"] + Self.data,
      64, "taken out")
    try refused(score + ["--metric", "weight", "--samples", "3"], 64, "--metric shapley")
    let images = try #require(
      try ArrayFile.load(Digits.images, options: .init()).shape.first)
    _ = try place.write(Tensor(.int64([Int64](repeating: 11, count: images))), "wrong.npy")
    try refused(
      score + ["--metric", "taylor", "--input", Digits.images, "--labels", "wrong.npy"], 65,
      "example 0")
  }
}
