// `coalition explain`: attributions against reference arrays and the library; files, targets, players, tokens.

import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionNet
import CoalitionONNX
import Foundation
import Testing

@Suite struct ExplainTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  @Test(
    "Attributions are those of other programs",
    arguments: [
      ("gradient", [], "gradient"),
      ("gradient-x-input", [], "gradient_x_input"),
      ("integrated-gradients", [], "integrated_gradients_gauss_50"),
      (
        "integrated-gradients", ["--quadrature", "right", "--steps=50"],
        "integrated_gradients_right_50"
      ),
      ("integrated-gradients", ["--quadrature=midpoint"], "integrated_gradients_midpoint_50"),
      ("epsilon-lrp", [], "epsilon_lrp_1e-04"),
      ("lrp", ["--rules", "epsilon:1e-6"], "zennit_epsilon"),
      ("lrp", ["--rules", "all = gamma:0.25"], "zennit_gamma_0.25"),
      ("deeplift", [], "deeplift"),
      ("occlusion", [], "occlusion_1x1"),
    ] as [(String, [String], String)])
  func references(method: String, options: [String], key: String) throws {
    let outcome = try place.explain(
      "mlp-relu", method, ["--precision", "double", "--output", "r.npz"] + options)
    #expect(outcome.code == 0, "\(outcome.error)")
    let result = try Explained(place.path("r.npz"))
    let attributions = try result.tensor("attributions")
    let input = try Fixtures.array("mlp-relu", "input")
    #expect(attributions.shape == input.shape && attributions.elementType == .float64)
    let expected = try Fixtures.array("mlp-relu", key).doubles
    #expect(relativeDifference(attributions.doubles, expected) < 3e-7, "\(method) \(key)")
    #expect(
      try result.tensor("target").integers == Fixtures.array("mlp-relu", "target").integers)
    #expect(try result.tensor("target").elementType == .int64)
  }

  @Test("Without groups saliency is the gradient's absolute value, and no player is written")
  func saliency() throws {
    let result = try place.explained("cnn", "saliency", "--precision", "double")
    let expected = try Fixtures.array("cnn", "gradient").doubles.map(abs)
    #expect(relativeDifference(try result.doubles("attributions"), expected) < 3e-7)
    #expect(result.names == ["attributions", "output", "evaluations", "target"])
  }

  @Test("Occlusion of patches, one number a window")
  func patches() throws {
    for network in ["mlp-relu", "cnn"] {
      let result = try place.explained(
        network, "occlusion", "--precision", "double", "--players", "patch:4x4")
      let expected = try Fixtures.array(network, "occlusion_4x4").doubles
      #expect(relativeDifference(try result.doubles("values"), expected) < 3e-7)
      let examples = try result.shape("output")[0]
      #expect(try result.shape("values") == [examples, 49])
      #expect(try result.tensor("evaluations").integers == Array(repeating: 50, count: examples))
      // A pixel has its part of the patch's value, and the parts sum to it.
      let first = try result.doubles("attributions")[0]
      #expect(abs(first - (try result.doubles("values")[0]) / 16) < 1e-15)
    }
  }

  @Test("The numbers are the library's, and residuals what sums leave")
  func library() async throws {
    let result = try place.explained("cnn", "deeplift")
    let explainer = try Explainer(Model(ONNX.read(contentsOf: Fixtures.model("cnn"))))
    let expected = try await explainer.explain(
      ["image": try Fixtures.array("cnn", "input")], by: .deepLIFT)
    #expect(try result.doubles("attributions") == expected.attributions["image"]?.doubles)
    #expect(try result.tensor("output") == expected.output)
    #expect(try result.tensor("baseline_output") == expected.baselineOutput)
    let residual = try result.doubles("residual")
    let values = try result.doubles("attributions")
    let size = values.count / residual.count
    for (example, residual) in residual.enumerated() {
      let sum = values[example * size..<(example + 1) * size].reduce(0, +)
      let output = try result.doubles("output")[example]
      let baseline = try result.doubles("baseline_output")[example]
      #expect(abs(output - baseline - sum - residual) < 1e-12)
      #expect(abs(residual) < 1e-3)
    }
  }

  @Test("The same bytes for any number of threads; every format holds the same numbers")
  func files() throws {
    func members(_ file: String) throws -> [(String, [UInt8])] {
      let archive = try ZipArchive(try Files.read(place.path(file)))
      return try ["attributions", "values", "output", "residual"].map { name in
        let member = try #require(archive.member(named: name + ".npy"))
        return (name, try archive.contents(of: member))
      }
    }
    func withoutRun(_ metadata: JSONValue) -> [JSONValue.Member] {
      guard case .object(let members) = metadata else { return [] }
      return members.filter { $0.name != "run" }
    }
    let options = ["--players", "patch:7x7", "--steps", "7", "--quiet"]
    for threads in [1, 2, 5] {
      let outcome = try place.explain(
        "cnn", "integrated-gradients",
        options + ["--threads", "\(threads)", "--output", "t\(threads).npz"])
      #expect(outcome.code == 0, "\(outcome.error)")
    }
    let first = try members("t1.npz")
    let reference = try Explained(place.path("t1.npz"))
    for threads in [2, 5] {
      let other = try members("t\(threads).npz")
      #expect(zip(first, other).allSatisfy { $0.0.1 == $0.1.1 })
      let metadata = try Explained(place.path("t\(threads).npz")).file.metadata
      #expect(withoutRun(metadata) == withoutRun(reference.file.metadata))
      #expect(metadata["run"]?["threads"] == .integer(threads))
    }
    for file in ["r.json", "r.npy"] {
      let outcome = try place.explain(
        "cnn", "integrated-gradients", options + ["--output", file])
      #expect(outcome.code == 0, "\(outcome.error)")
    }
    let json = try Explained(place.path("r.json"))
    #expect(json.names == reference.names)
    for name in reference.names { #expect(try json.tensor(name) == reference.tensor(name)) }
    #expect(
      try Npy.decode(try Files.read(place.path("r.npy"))) == reference.tensor("attributions"))
  }

  @Test("Metadata hold every option as it was resolved")
  func metadata() throws {
    let result = try place.explained("mlp-relu", "integrated-gradients", "--seed", "3")
    let metadata = result.file.metadata
    #expect(metadata["verb"]?.text == "explain" && metadata["seed"] == .integer(3))
    let options = metadata["options"]
    #expect(options?["method"]?.text == "integrated-gradients")
    #expect(options?["steps"] == .integer(50) && options?["quadrature"]?.text == "gauss")
    #expect(options?["target"]?.text == "predicted" && options?["at"]?.text == "logits")
    #expect(options?["players"]?["image"]?.text == "element")
    #expect(options?["baseline"]?["image"]?["kind"]?.text == "zero")
    #expect(options?["precision"]?.text == "single" && options?["ledger"] == .bool(false))
    #expect(metadata["warnings"] == .array([]))
    #expect(metadata["result"]?["evaluations-per-example"] == .integer(50))
  }

  // MARK: Targets

  @Test("All targets are each target by itself; a difference is the difference")
  func targets() throws {
    let all = try place.explained("mlp-relu", "deeplift", "--target", "all")
    let values = try all.doubles("attributions")
    let examples = try all.shape("output")[0]
    #expect(try all.shape("attributions") == [examples, 10, 1, 28, 28])
    #expect(try all.shape("residual") == [examples, 10])
    func slice(_ target: Int) -> [Double] {
      (0..<examples).flatMap { example in
        let start = (example * 10 + target) * 784
        return values[start..<start + 784]
      }
    }
    let third = try place.explained("mlp-relu", "deeplift", "--target", "3")
    #expect(relativeDifference(try third.doubles("attributions"), slice(3)) < 1e-5)
    #expect(try third.tensor("target").integers == Array(repeating: 3, count: examples))
    let difference = try place.explained("mlp-relu", "deeplift", "--target", "3-8")
    #expect(
      relativeDifference(
        try difference.doubles("attributions"), zip(slice(3), slice(8)).map { $0 - $1 }) < 1e-4)
    #expect(try difference.shape("target") == [examples, 2])
    let labels = (0..<examples).map { Int64(($0 * 3 + 1) % 10) }
    let file = try place.write(Tensor(.int64(labels)), "labels.npy")
    let labelled = try place.explained("mlp-relu", "deeplift", "--target", "label:\(file)")
    for (example, label) in labels.enumerated() {
      let start = example * 784
      #expect(
        relativeDifference(
          Array(try labelled.doubles("attributions")[start..<start + 784]),
          Array(slice(Int(label))[start..<start + 784])) < 1e-5)
    }
    #expect(labelled.file.metadata["options"]?["target"]?.text == "label")
    #expect(
      labelled.file.metadata["options"]?["target-sha256"]?.text
        == SHA256.hexadecimal(try Files.read(file)))
  }

  @Test("Inner tensors can be explained, and be what attributions go to")
  func innerTensors() throws {
    let graph = try ONNX.read(contentsOf: Fixtures.model("mlp-relu"))
    let hidden = try #require(graph.nodes.first { $0.operation == "Relu" }?.outputs.first)
    let result = try place.explained(
      "mlp-relu", "gradient-x-input", "--from", hidden, "--target", "2")
    let examples = try result.shape("output")[0]
    #expect(try result.shape("attributions") == [examples, 64])
    let inner = try place.explained("mlp-relu", "gradient", "--at", hidden, "--target", "5")
    #expect(inner.file.metadata["options"]?["at"]?.text == hidden)
    let run = try place.coalition(
      "run", Fixtures.model("mlp-relu"), "--input", Fixtures.input("mlp-relu"), "--at", hidden,
      "--output", "hidden.npy")
    #expect(run.code == 0)
    let values = try Npy.decode(try Files.read(place.path("hidden.npy"))).doubles
    #expect(try inner.doubles("output") == (0..<examples).map { values[$0 * 64 + 5] })
  }

  // MARK: Players

  @Test("A player has the sum of its elements, of each example's own map, and -1 has nothing")
  func players() throws {
    let plain = try place.explained("mlp-relu", "gradient-x-input").doubles("attributions")
    let examples = plain.count / 784
    let ids = (0..<examples).flatMap { example in
      (0..<784).map { Int32(($0 + example) % 5 - 1) }
    }
    let file = try place.write(
      try Tensor(shape: [examples, 1, 28, 28], elements: .int32(ids)), "players.npy")
    let result = try place.explained("mlp-relu", "gradient-x-input", "--players", file)
    #expect(try result.shape("values") == [examples, 4])
    #expect(try result.tensor("players").shape == [examples, 1, 28, 28])
    #expect(try result.tensor("players").elements == .int32(ids))
    let values = try result.doubles("values")
    let attributions = try result.doubles("attributions")
    for example in 0..<examples {
      for player in 0..<4 {
        let members = (0..<784).filter { ids[example * 784 + $0] == player }
        let sum = members.reduce(0) { $0 + plain[example * 784 + $1] }
        #expect(abs(values[example * 4 + player] - sum) < 1e-9)
        let own = members.map { attributions[example * 784 + $0] }
        #expect(own.allSatisfy { abs($0 - sum / Double(members.count)) < 1e-9 })
      }
    }
    for (id, value) in zip(ids, attributions) where id < 0 { #expect(value == 0) }
  }

  @Test("Saliency of players sums absolute values; channels and axes are players too")
  func saliencyOfPlayers() throws {
    let gradient = try place.explained("resnet", "gradient").doubles("attributions")
    let channels = try place.explained("resnet", "saliency", "--players", "channel")
    let examples = gradient.count / 3072
    let expected = (0..<examples * 3).map { row in
      gradient[row * 1024..<(row + 1) * 1024].reduce(0) { $0 + abs($1) }
    }
    #expect(relativeDifference(try channels.doubles("values"), expected) < 1e-12)
    #expect(try channels.shape("values") == [examples, 3])
    let rows = try place.explained("resnet", "saliency", "--players", "axis:1", "--target", "all")
    #expect(try rows.shape("values") == [examples, 10, 32])
    #expect(try rows.shape("players") == [3, 32, 32])
  }

  // MARK: Tokens

  @Test("Tokens are explained at their embedding, in sums; a token is a baseline")
  func tokens() throws {
    let zero = try place.explained("sentiment", "deeplift", "--precision", "double")
    let reference = try Fixtures.array("sentiment", "deeplift").doubles
    let sums = stride(from: 0, to: reference.count, by: 16).map {
      reference[$0..<$0 + 16].reduce(0, +)
    }
    let examples = try zero.shape("output")[0]
    #expect(try zero.shape("attributions") == [examples, 24])
    #expect(relativeDifference(try zero.doubles("attributions"), sums) < 1e-6)

    let padding = try place.write(
      try Tensor(shape: [1, 24], elements: .int64([Int64](repeating: 1, count: 24))), "pad.npy")
    let run = try place.coalition(
      "run", Fixtures.model("sentiment"), "--input", padding, "--precision", "double", "--output",
      "scores.npy")
    #expect(run.code == 0, "\(run.error)")
    let scores = try Npy.decode(try Files.read(place.path("scores.npy"))).doubles
    for option in ["token:1", "tokens=token:1"] {
      let token = try place.explained(
        "sentiment", "integrated-gradients", "--precision", "double", "--baseline", option)
      let target = try #require(token.tensor("target").integers)
      #expect(
        relativeDifference(try token.doubles("baseline_output"), target.map { scores[$0] }) < 1e-12)
      #expect(
        token.file.metadata["options"]?["baseline"]?["embedded"]?["token"] == .integer(1))
      let occluded = try place.explained(
        "sentiment", "occlusion", "--precision", "double", "--baseline", option)
      #expect(try occluded.shape("attributions") == [examples, 24])
    }
  }

  @Test("Removing a token is replacing its embedding")
  func tokenOcclusion() throws {
    let tokens = try #require(Fixtures.array("sentiment", "tokens").integers).map { Int64($0) }
    var replaced = Array(tokens[..<24])
    replaced[2] = 1
    let file = try place.write(
      try Tensor(shape: [2, 24], elements: .int64(Array(tokens[..<24]) + replaced)), "two.npy")
    let run = try place.coalition(
      "run", Fixtures.model("sentiment"), "--input", file, "--precision=double", "--output=s.npy")
    #expect(run.code == 0, "\(run.error)")
    let scores = try Npy.decode(try Files.read(place.path("s.npy"))).doubles
    let result = try place.explained(
      "sentiment", "occlusion", "--precision", "double", "--baseline", "token:1", "--target", "1")
    #expect(abs(try result.doubles("attributions")[2] - (scores[1] - scores[3])) < 1e-12)
  }

  // MARK: Baselines

  @Test("Several rows of a baseline are averaged over; the mean of a file is one row")
  func baselines() throws {
    let numbers = (0..<1568).map { Double($0 % 13) / 13 - 0.5 }
    let file = try place.write(
      try Tensor(shape: [2, 1, 28, 28], elements: .float64(numbers)), "rows.npy")
    let both = try place.explained(
      "mlp-tanh", "deeplift", "--precision=double", "--target=1", "--baseline", file)
    var halves: [[Double]] = []
    for row in 0..<2 {
      let one = try place.write(
        try Tensor(
          shape: [1, 28, 28], elements: .float64(Array(numbers[row * 784..<(row + 1) * 784]))),
        "row.npy")
      halves.append(
        try place.explained(
          "mlp-tanh", "deeplift", "--precision=double", "--target=1", "--baseline", "image=\(one)"
        ).doubles("attributions"))
    }
    let mean = zip(halves[0], halves[1]).map { ($0 + $1) / 2 }
    #expect(relativeDifference(try both.doubles("attributions"), mean) < 1e-12)
    let middle = try place.write(
      try Tensor(
        shape: [28, 28], elements: .float64((0..<784).map { (numbers[$0] + numbers[$0 + 784]) / 2 })
      ),
      "middle.npy")
    let first = try place.explained(
      "mlp-tanh", "deeplift", "--target=1", "--baseline", "mean:\(file)")
    let second = try place.explained("mlp-tanh", "deeplift", "--target=1", "--baseline", middle)
    #expect(try first.tensor("attributions") == second.tensor("attributions"))
    let unused = try place.explain(
      "mlp-tanh", "gradient", ["--baseline", "0.5", "--output", "u.npz"])
    #expect(unused.code == 0 && unused.error.contains("--baseline is not used"))
  }

  // MARK: More methods

  @Test("Windows, random masks, noise and maps are the library's")
  func otherMethods() async throws {
    let explainer = try Explainer(Model(ONNX.read(contentsOf: Fixtures.model("cnn"))))
    let input = ["image": try Fixtures.array("cnn", "input")]
    let released = try place.explained(
      "cnn", "occlusion", "--window", "5x5", "--stride", "3x3", "--window-form", "released")
    let attributions = try released.doubles("attributions")
    // Windows at 0, 3, ..., 21 cover 26 of 28 rows and columns.
    #expect(attributions[..<784].count { $0.isNaN } == 784 - 26 * 26)
    guard case .array(let warnings)? = released.file.metadata["warnings"] else {
      Issue.record("no warnings")
      return
    }
    #expect(warnings.count == 1)
    let noise = try place.explained("cnn", "smoothgrad", "--samples", "5", "--seed", "9")
    let smooth = try await explainer.explain(input, by: .smoothGrad(samples: 5, seed: 9))
    #expect(try noise.doubles("attributions") == smooth.attributions["image"]?.doubles)
    let expected = try place.explained("cnn", "expected-gradients", "--samples", "6")
    let drawn = try await explainer.explain(input, by: .expectedGradients(samples: 6))
    #expect(try expected.doubles("attributions") == drawn.attributions["image"]?.doubles)
    let map = try place.explained("cnn", "grad-cam")
    let found = try await explainer.gradCAM(input).attributions["image"]
    #expect(try map.doubles("attributions") == found?.doubles)
    let masks = try place.explained("cnn", "rise", "--masks", "40", "--cells", "4")
    #expect(try masks.shape("standard_errors") == masks.shape("attributions"))
    #expect(try masks.doubles("standard_errors").allSatisfy { $0.isFinite && $0 >= 0 })
  }

  @Test("A tolerance bounds the residual")
  func tolerance() throws {
    let result = try place.explained(
      "mlp-relu", "integrated-gradients", "--tolerance", "1e-3", "--precision", "double")
    for (index, residual) in try result.doubles("residual").enumerated() {
      let output = try result.doubles("output")[index]
      let change = output - (try result.doubles("baseline_output")[index])
      #expect(abs(residual) <= 1e-3 * max(abs(change), 1e-3 * abs(output)))
    }
  }

  @Test("A ledger names nodes, and a complete method loses nothing in any")
  func ledger() throws {
    let result = try place.explained("cnn", "deeplift", "--ledger", "--precision", "double")
    guard case .strings(let nodes)? = result.file["ledger_nodes"] else {
      Issue.record("no nodes")
      return
    }
    let residuals = try result.tensor("ledger_residuals")
    let examples = try result.shape("output")[0]
    #expect(nodes.count > 4 && residuals.shape == [examples, nodes.count])
    #expect(residuals.doubles.allSatisfy { abs($0) < 1e-9 })
  }
}
