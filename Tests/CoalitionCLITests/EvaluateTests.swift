// `coalition evaluate`: metrics on a linear model, where every number is known; files of other tools; what is refused.

import CoalitionBase
import CoalitionData
import CoalitionNet
import Foundation
import Testing

/// y = W x + c of 6 elements and 2 scores, and three examples.
private struct Linear {
  static let weights: [[Double]] = [[1, -2, 0.5, 3, -1, 2], [-1, 1, 2, 0.25, 4, -3]]
  static let rows: [[Double]] = [
    [1, 2, -1, 0.5, 2, 1], [0.25, -1, 3, 2, 1, -2], [2, 1, 1, -1, 0.5, 4],
  ]
  /// The larger score of each example.
  static let predicted: [Int] = rows.map { row in
    score(row, 1) > score(row, 0) ? 1 : 0
  }

  static func score(_ row: [Double], _ target: Int) -> Double {
    zip(weights[target], row).reduce(target == 0 ? 1 : -0.5) { $0 + $1.0 * $1.1 }
  }

  /// What every method finds: w x.
  static func contributions(_ example: Int, _ target: Int) -> [Double] {
    zip(weights[target], rows[example]).map { $0 * $1 }
  }

  static func graph() throws -> Graph {
    let flat = (0..<6).flatMap { element in weights.map { Float($0[element]) } }
    return Graph(
      nodes: [Node("Gemm", name: "only", inputs: ["x", "w", "c"], outputs: ["y"])],
      inputs: [Port("x", shape: ["N", 6])], outputs: [Port("y", shape: ["N", 2])],
      constants: [
        "w": try Tensor(shape: [6, 2], elements: .float32(flat)),
        "c": Tensor(.float32([1, -0.5])),
      ], opsets: ["": 17])
  }
}

@Suite struct EvaluateTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  /// The model and its examples, in files.
  private func prepare() throws {
    _ = try place.write(try Linear.graph())
    _ = try place.write(
      try Tensor(
        shape: [3, 6], elements: .float32(Linear.rows.flatMap { $0.map { Float($0) } })), "x.npy")
  }

  private func evaluate(_ arguments: String...) throws -> Outcome {
    try Running(["evaluate", "model.onnx", "--input", "x.npy"] + arguments, in: place.folder, [:])
      .outcome()
  }

  /// The result of a command line that must succeed.
  private func result(_ arguments: [String], threads: Int = 2) throws -> ResultFile {
    let outcome = try Running(
      ["evaluate", "model.onnx", "--input", "x.npy", "--output", "r.npz", "--quiet"]
        + ["--precision=double", "--threads=\(threads)"] + arguments, in: place.folder, [:]
    ).outcome()
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.isEmpty)
    return try ResultFile(reading: place.path("r.npz"))
  }

  private func numbers(_ result: ResultFile, _ name: String) throws -> (shape: [Int], [Double]) {
    guard case .tensor(let tensor)? = result[name] else {
      Issue.record("no array \(name)")
      return ([], [])
    }
    return (tensor.shape, tensor.doubles)
  }

  private func methods(_ result: ResultFile) -> [String] {
    guard case .strings(let names)? = result["methods"] else { return [] }
    return names
  }

  /// Contributions to the predicted score, times a factor, as a file.
  private func writeContributions(_ name: String, factor: Double = 1) throws {
    let numbers = (0..<3).flatMap { Linear.contributions($0, Linear.predicted[$0]) }
    _ = try place.write(
      try Tensor(shape: [3, 6], elements: .float64(numbers.map { factor * $0 })), name)
  }

  // MARK: Metrics

  @Test("On a linear model every method has correlation 1 below P, and none at P")
  func linear() throws {
    try prepare()
    let names = [
      "gradient-x-input", "integrated-gradients", "deeplift", "deeplift-reveal-cancel",
      "epsilon-lrp", "occlusion",
    ]
    for target in ["predicted", "1", "0-1"] {
      let result = try result([
        "--metric", "sensitivity-n", "--method", names[..<3].joined(separator: ","), "--method",
        names[3], names[4], "--method=\(names[5])", "--sizes", "1,2,3,4,5,6", "--target", target,
      ])
      #expect(methods(result) == names)
      let (sizesShape, sizes) = try numbers(result, "n")
      #expect(sizesShape == [6] && sizes == [1, 2, 3, 4, 5, 6])
      for name in ["correlation", "correlation.lower", "correlation.upper"] {
        let (shape, values) = try numbers(result, name)
        #expect(shape == [6, 6])
        for (place, value) in values.enumerated() {
          if place % 6 == 5 {
            #expect(value.isNaN, "\(name)")
          } else {
            #expect(abs(value - 1) < 1e-9, "\(name) of \(names[place / 6])")
          }
        }
      }
      let (shape, values) = try numbers(result, "correlation_per_example")
      #expect(shape == [6, 3, 6])
      #expect(values.count(where: \.isNaN) == 18)
    }
  }

  @Test("Turned attributions have correlation -1, constant ones none")
  func signs() throws {
    try prepare()
    try writeContributions("turned.npy", factor: -2)
    _ = try place.write(
      try Tensor(shape: [3, 6], elements: .float64([Double](repeating: 1, count: 18))),
      "constant.npy")
    let result = try result([
      "--metric=sensitivity-n", "--attributions", "turned.npy", "constant.npy", "--sizes=1,3",
    ])
    #expect(methods(result) == ["turned", "constant"])
    let (_, means) = try numbers(result, "correlation")
    #expect(abs(means[0] + 1) < 1e-9 && abs(means[1] + 1) < 1e-9)
    #expect(means[2].isNaN && means[3].isNaN)
    let outcome = try evaluate(
      "--metric=sensitivity-n", "--attributions", "turned.npy", "constant.npy", "--sizes=1,3")
    #expect(outcome.output.contains("-1.000 [-1.000, -1.000]"))
    #expect(outcome.output.contains("undefined"))
    #expect(outcome.error.isEmpty)
  }

  @Test("Curves of deletion and insertion are sums of contributions, areas their trapeziums")
  func curves() throws {
    try prepare()
    for kind in ["deletion", "insertion"] {
      let result = try result(["--metric", kind, "--method", "occlusion"])
      let (shape, curve) = try numbers(result, "curve")
      #expect(shape == [1, 3, 7])
      let (_, areas) = try numbers(result, "auc")
      for example in 0..<3 {
        let target = Linear.predicted[example]
        let ordered = Linear.contributions(example, target).sorted(by: >)
        let empty = Linear.score([0, 0, 0, 0, 0, 0], target)
        let expected = (0...6).map { count in
          let changed = ordered.prefix(count).reduce(0, +)
          return kind == "deletion"
            ? empty + ordered.reduce(0, +) - changed : empty + changed
        }
        let found = curve[example * 7..<(example + 1) * 7]
        for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-9) }
        let area = zip(expected, expected.dropFirst()).reduce(0) { $0 + ($1.0 + $1.1) / 12 }
        #expect(abs(areas[example] - area) < 1e-9)
      }
    }
  }

  @Test("Infidelity is 0 for contributions, and after scaling for their multiples")
  func infidelity() throws {
    try prepare()
    try writeContributions("once.npy")
    try writeContributions("twice.npy", factor: 2)
    let result = try result([
      "--metric", "infidelity", "--attributions", "once.npy", "twice.npy", "--perturbations=50",
    ])
    let (shape, values) = try numbers(result, "value")
    #expect(shape == [2, 3])
    #expect(values[..<3].allSatisfy { $0 < 1e-18 } && values[3...].allSatisfy { $0 > 0.1 })
    #expect(try numbers(result, "scaled").1.allSatisfy { $0 < 1e-18 })
  }

  @Test("A gradient that is the same everywhere does not move; input times gradient does")
  func maxSensitivity() throws {
    try prepare()
    let result = try result([
      "--metric", "max-sensitivity", "--method", "gradient,gradient-x-input", "--radius=0.1",
    ])
    let (shape, values) = try numbers(result, "value")
    #expect(shape == [2, 3])
    #expect(values[..<3].allSatisfy { $0 == 0 })
    for example in 0..<3 {
      let row = Linear.weights[Linear.predicted[example]]
      let limit = 0.1 * row.reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(values[3 + example] > 0.1 * limit && values[3 + example] <= limit)
    }
    #expect(try numbers(result, "relative").1[3...].allSatisfy { $0 > 0 && $0 < 1 })
  }

  @Test("Distances and rank correlations to a file", arguments: ["rmse-to", "rank-correlation-to"])
  func agreement(metric: String) throws {
    try prepare()
    try writeContributions("exact.npy")
    try writeContributions("twice.npy", factor: 2)
    try writeContributions("turned.npy", factor: -1)
    let files = ["--attributions", "exact.npy", "twice.npy", "turned.npy"]
    let result = try result(["--metric", metric, "exact.npy"] + files)
    let (shape, values) = try numbers(result, "value")
    #expect(shape == [3, 3])
    for example in 0..<3 {
      let row = Linear.contributions(example, Linear.predicted[example])
      let size = (row.reduce(0) { $0 + $1 * $1 } / 6).squareRoot()
      let expected = metric == "rmse-to" ? [0, size, 2 * size] : [1, 1, -1]
      for (method, number) in expected.enumerated() {
        #expect(abs(values[method * 3 + example] - number) < 1e-12)
      }
    }
  }

  // MARK: Files

  @Test("Results, keys of archives, named files and values of players are all read")
  func files() throws {
    try prepare()
    let explained = try place.coalition(
      "explain", "model.onnx", "--input", "x.npy", "--method", "deeplift", "--output", "d.npz",
      "--precision=double")
    #expect(explained.code == 0, "\(explained.error)")
    let judged = try place.coalition(
      "evaluate", "model.onnx", "--input", "x.npy", "--method", "saliency", "--metric", "rmse-to",
      "d.npz")
    #expect(judged.code == 0 && judged.error.isEmpty, "\(judged.error)")
    let json = try place.coalition(
      "explain", "model.onnx", "--input", "x.npy", "--method", "deeplift", "--output", "e.json")
    #expect(json.code == 0, "\(json.error)")
    let numbers: [Double] = (0..<3).flatMap { Linear.contributions($0, Linear.predicted[$0]) }
    let single = try Tensor(shape: [3, 6, 1], elements: .float32(numbers.map { Float($0) }))
    _ = try place.write(
      Npz.encode([("other", .tensor(single)), ("mine", .tensor(single))]), "two.npz")
    let result = try result([
      "--metric", "sensitivity-n", "--sizes=2", "--attributions", "d.npz", "e.json",
      "two.npz:mine", "given=two.npz:other",
    ])
    #expect(methods(result) == ["d", "e", "two", "given"])
    #expect(try self.numbers(result, "correlation").1.allSatisfy { abs($0 - 1) < 1e-6 })

    // Players 0 and 1 have three elements each.
    _ = try place.write(Tensor(.int64([0, 0, 0, 1, 1, 1])), "players.npy")
    var sums = [Double](repeating: 0, count: 6)
    for (place, number) in numbers.enumerated() { sums[place / 3] += number }
    _ = try place.write(try Tensor(shape: [3, 2], elements: .float64(sums)), "values.npy")
    let grouped = try self.result([
      "--metric=deletion", "--players=players.npy", "--attributions", "values.npy", "d.npz",
      "--method=occlusion",
    ])
    #expect(methods(grouped) == ["values", "deeplift", "occlusion"])
    let (shape, curve) = try self.numbers(grouped, "curve")
    #expect(shape == [3, 3, 3])
    for (a, b) in zip(curve[..<9], curve[9...]) { #expect(abs(a - b) < 1e-9) }
  }

  @Test("A result about another model or another score is read with a warning")
  func foreignResults() throws {
    try prepare()
    let explained = try place.coalition(
      "explain", "model.onnx", "--input", "x.npy", "--method", "deeplift", "--target=0",
      "--output", "d.npz")
    #expect(explained.code == 0, "\(explained.error)")
    let other = try evaluate("--metric=deletion", "--attributions=d.npz", "--target=1")
    #expect(other.code == 0)
    #expect(other.error.contains("d.npz explains other scores"))
    let same = try evaluate("--metric=deletion", "--attributions=d.npz", "--target=0")
    #expect(same.code == 0 && same.error.isEmpty, "\(same.error)")
    let elsewhere = try evaluate(
      "--metric=deletion", "--attributions=d.npz", "--target=0", "--baseline=1")
    #expect(elsewhere.error.contains("d.npz was made with another baseline"))
    let again = try place.coalition(
      "explain", "model.onnx", "--input", "x.npy", "--method", "deeplift", "--target=0",
      "--baseline=1", "--output", "e.npz")
    #expect(again.code == 0, "\(again.error)")
    let alike = try evaluate(
      "--metric=deletion", "--attributions=e.npz", "--target=0", "--baseline=1")
    #expect(alike.code == 0 && alike.error.isEmpty, "\(alike.error)")
    var graph = try Linear.graph()
    graph.constants["c"] = Tensor(.float32([0, 0]))
    _ = try place.write(graph)
    let foreign = try evaluate("--metric=deletion", "--attributions=d.npz", "--target=0")
    #expect(foreign.error.contains("d.npz explains another model"))
  }

  @Test("The same bytes for any number of threads")
  func sameBytes() throws {
    try prepare()
    for metric in [["sensitivity-n"], ["infidelity"], ["deletion"], ["max-sensitivity"]] {
      let arguments = ["--method", "occlusion,smoothgrad,deeplift", "--metric"] + metric
      let one = try result(arguments, threads: 1)
      let three = try result(arguments, threads: 3)
      #expect(one.arrays.map(\.name) == three.arrays.map(\.name))
      for (first, second) in zip(one.arrays, three.arrays) {
        #expect(
          first.contents.bytes == second.contents.bytes, "\(metric) \(first.name)")
      }
      #expect(one.metadata["options"] == three.metadata["options"])
      #expect(one.metadata["result"] == three.metadata["result"])
    }
  }

  @Test("A chart has a curve for each method, and quiet runs say nothing")
  func chart() throws {
    try prepare()
    let outcome = try evaluate(
      "--metric=sensitivity-n", "--method=deeplift,occlusion", "--chart", "c.svg", "--quiet",
      "--sizes=1,2,3")
    #expect(outcome.code == 0 && outcome.output.isEmpty && outcome.error.isEmpty)
    let text = String(decoding: try Files.read(place.path("c.svg")), as: UTF8.self)
    for label in ["deeplift", "occlusion", "correlation", "sensitivity-n, model.onnx"] {
      #expect(text.contains(">\(label)</text>"), "\(label)")
    }
    let bars = try evaluate(
      "--metric=infidelity", "--method=deeplift", "--chart", "b.png", "--quiet")
    #expect(bars.code == 0, "\(bars.error)")
    #expect(try Files.read(place.path("b.png")).starts(with: [0x89, 0x50, 0x4E, 0x47]))
  }

  @Test("A dry run foresees and writes nothing")
  func dryRun() throws {
    try prepare()
    let outcome = try evaluate(
      "--metric=sensitivity-n", "--method=deeplift", "--output=r.npz", "--dry-run", "--sizes=1,2",
      "--subsets=10")
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.contains("evaluations      21 for an example"))
    #expect(place.files == ["model.onnx", "x.npy"])
  }

  // MARK: Refusals

  @Test(
    "Wrong usage and files that do not fit are named, and leave no file",
    arguments: [
      (["--method=deeplift"], 64, "--metric is missing"),
      (["--metric=sensitivity", "--method=deeplift"], 64, "did you mean sensitivity-n?"),
      (["--metric=sensitivity-n"], 64, "nothing to evaluate"),
      (["--metric=max-sensitivity"], 64, "name methods with --method"),
      (
        ["--metric=max-sensitivity", "--attributions=good.npy", "--method=saliency"], 64,
        "a file cannot"
      ),
      (["--metric=rmse-to", "--method=saliency"], 64, "needs one file"),
      (["--metric", "deletion", "good.npy", "--method=saliency"], 64, "takes no file"),
      (["--metric=deletion", "--method=deeplyft"], 64, "did you mean deeplift?"),
      (["--metric=deletion", "--method=deeplift,deeplift"], 64, "named twice"),
      (
        ["--metric=deletion", "--method=deeplift", "--radius=1"], 64, "--radius is not for deletion"
      ),
      (["--metric=deletion", "--method=deeplift", "--steps=3"], 64, "--steps is not for deeplift"),
      (["--metric=deletion", "--method=deeplift", "--target=all"], 64, "--target all"),
      (["--metric=sensitivity-n", "--method=deeplift", "--sizes=1,7"], 64, "1 to 6"),
      (["--metric=sensitivity-n", "--method=deeplift", "--sizes=0"], 64, "--sizes"),
      (["--metric=sensitivity-n", "--method=deeplift", "--subsets=1"], 64, "--subsets"),
      (["--metric=deletion", "--attributions=missing.npy"], 66, "missing.npy"),
      (["--metric", "rmse-to", "missing.npy", "--method=saliency"], 66, "missing.npy"),
      (
        ["--metric=deletion", "--attributions=wrong.npy"], 65,
        "wrong.npy: the attributions do not fit"
      ),
      (["--metric=deletion", "--attributions=few.npy"], 65, "expected [3, 6]"),
      (
        ["--metric=deletion", "--attributions=nan.npy"], 65,
        "nan.npy: x: the attributions are not finite"
      ),
      (["--metric=deletion", "--attributions", "good.npy", "good.npy"], 64, "the same name"),
      (["--metric=deletion", "--attributions=two.npz"], 64, "FILE.npz:KEY"),
      (["--metric=deletion", "--method=deeplift", "--chart=c.gif"], 64, ".svg, .png or .html"),
      (["--metric=deletion", "--method=deeplift", "--chart=x/c.svg"], 73, "x/c.svg"),
      (
        ["--metric=deletion", "--attributions=good.npy", "--output=good.npy"], 64,
        "--attributions good.npy"
      ),
      (["--metric=deletion", "--method=deeplift", "--max-memory=1k"], 69, "--max-memory"),
    ] as [([String], Int32, String)])
  func refusals(arguments: [String], code: Int32, message: String) throws {
    try prepare()
    try writeContributions("good.npy")
    let values = [Double](repeating: 1, count: 21)
    _ = try place.write(try Tensor(shape: [3, 7], elements: .float64(values)), "wrong.npy")
    _ = try place.write(
      try Tensor(shape: [2, 6], elements: .float64(Array(values[..<12]))), "few.npy")
    _ = try place.write(
      try Tensor(shape: [3, 6], elements: .float64(Array(values[..<17]) + [.nan])), "nan.npy")
    let two = ResultArray.tensor(
      try Tensor(shape: [3, 6], elements: .float64(Array(values[..<18]))))
    _ = try place.write(Npz.encode([("a", two), ("b", two)]), "two.npz")
    let before = place.files
    let extra = arguments.contains { $0.hasPrefix("--output") } ? [] : ["--output=r.npz"]
    let outcome = try Running(
      ["evaluate", "model.onnx", "--input", "x.npy"] + arguments + extra, in: place.folder, [:]
    ).outcome()
    #expect(outcome.code == code, "\(outcome.error)")
    #expect(outcome.error.contains(message), "\(outcome.error)")
    #expect(outcome.error.split(separator: "\n").count == 1)
    #expect(place.files == before)
  }
}
