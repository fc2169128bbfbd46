// `coalition plot`: what is drawn of which result, by the SVG's parts and the PNG's pixels; what is refused.

import CoalitionBase
import CoalitionData
import Foundation
import Testing

@Suite struct PlotTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  private func plot(_ arguments: String...) throws -> Outcome {
    try Running(["plot"] + arguments, in: place.folder, [:]).outcome()
  }

  private func text(_ file: String) throws -> String {
    String(decoding: try Files.read(place.path(file)), as: UTF8.self)
  }

  /// The texts of a drawing, in order.
  private func labels(_ file: String) throws -> [String] {
    try text(file).matches(of: #/<text [^>]*>([^<]*)</text>/#).map { String($0.output.1) }
  }

  /// The boxes of the maps and images in order; the last one is the bar of colours.
  private func boxes(_ file: String) throws -> [(x: Double, y: Double, w: Double, h: Double)] {
    try text(file).matches(
      of: #/<image x="([0-9.]+)" y="([0-9.]+)" width="([0-9.]+)" height="([0-9.]+)"/#
    ).map {
      (
        Double($0.output.1) ?? 0, Double($0.output.2) ?? 0, Double($0.output.3) ?? 0,
        Double($0.output.4) ?? 0
      )
    }
  }

  private func tensor(_ shape: [Int], _ values: [Double]) throws -> Tensor {
    try Tensor(shape: shape, elements: .float64(values))
  }

  /// Writes a result with these arrays.
  @discardableResult
  private func write(
    _ file: String, options: [JSONValue.Member] = [], names: [(String, [String])] = [],
    _ arrays: (String, Tensor)...
  ) throws -> String {
    var result = ResultFile(metadata: [
      .init("model", ["name": "digits.onnx"]), .init("options", .object(options)),
    ])
    for (name, strings) in names { try result.append(name, strings) }
    for (name, tensor) in arrays { try result.append(name, tensor) }
    try result.write(to: place.path(file))
    return file
  }

  @Test(
    "Correlations become a line per method over a logarithmic axis, with bands",
    arguments: ["r.npz", "r.json"])
  func correlation(file: String) throws {
    let y = try tensor([2, 4], [0.1, 0.2, 0.4, 0.8, 0.5, .nan, 0.3, 0.2])
    try write(
      file, options: [.init("metric", "sensitivity-n")],
      names: [("methods", ["gradient", "a<b"])], ("n", Tensor(.int64([1, 10, 100, 1000]))),
      ("correlation", y), ("correlation.lower", try tensor([2, 4], y.doubles.map { $0 - 0.05 })),
      ("correlation.upper", try tensor([2, 4], y.doubles.map { $0 + 0.05 })))
    let outcome = try plot(file)
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output == "r.svg: sensitivity-n, digits.onnx; 2 curves\n")
    let labels = try labels("r.svg")
    for label in [
      "sensitivity-n, digits.onnx", "gradient", "a&lt;b", "correlation", "1", "10", "100", "1000",
    ] {
      #expect(labels.contains(label), "\(label)")
    }
    // Equal steps: the first curve is the only one of four points.
    let lines = try text("r.svg").matches(of: #/<polyline points="([^"]*)"/#).map {
      $0.output.1.split(separator: " ").map { point in
        point.split(separator: ",").compactMap { Double($0) }
      }
    }
    let curve = try #require(lines.first { $0.count == 4 })
    for step in 1...3 {
      #expect(abs((curve[step][0] - curve[step - 1][0]) - (curve[1][0] - curve[0][0])) < 0.05)
    }
    #expect(abs((curve[0][1] - curve[3][1]) - 7 * (curve[0][1] - curve[1][1])) < 0.1)
    // The band of the second method is parted by its gap.
    #expect(try text("r.svg").matches(of: #/fill-opacity="0.16"/#).count == 2)
  }

  @Test("Curves become their means over the examples that have numbers")
  func curves() throws {
    try write(
      "c.npz", options: [.init("metric", "deletion")], names: [("methods", ["lrp"])],
      ("curve", try tensor([1, 3, 3], [0, 4, 8, 2, 4, .nan, 1, 1, .nan])))
    let outcome = try plot("c.npz", "--output", "c.svg", "--title", "Mine & yours")
    #expect(outcome.code == 0, "\(outcome.error)")
    let curve = try #require(
      try text("c.svg").firstMatch(
        of: #/<polyline points="([0-9.,]+ [0-9.,]+ [0-9.,]+)" [^>]*stroke-width="1.8"/#))
    let heights = curve.output.1.split(separator: " ").compactMap {
      $0.split(separator: ",").last.flatMap { Double($0) }
    }
    // 1, 3, 8.
    #expect(abs((heights[0] - heights[2]) - 3.5 * (heights[0] - heights[1])) < 0.2)
    #expect(try labels("c.svg").contains("Mine &amp; yours"))
  }

  @Test("Attributions become maps beside the examples, the colours right in every cell")
  func maps() throws {
    // Two channels that are summed: 2, 0; -2, NaN.
    let values = [1, 1, -3, .nan, 1, -1, 1, 0] + [Double](repeating: 1, count: 8)
    try write(
      "a.npz", options: [.init("method", "gradient")],
      ("attributions", try tensor([2, 2, 2, 2], values)), ("target", Tensor(.int64([7, 3]))))
    try write(
      "b.npz", options: [.init("method", "lrp")],
      ("attributions", try tensor([2, 2, 2, 2], values.map { -$0 })))
    let images = try place.write(
      Tensor(shape: [2, 1, 2, 2], elements: .uint8([0, 51, 102, 255, 0, 0, 0, 0])), "x.npy")
    for output in ["m.svg", "m.png", "m.html"] {
      let outcome = try plot(
        "a.npz", "b.npz", "--input", images, "--output", output, "--scale", "1")
      #expect(outcome.code == 0, "\(outcome.error)")
      #expect(
        outcome.output == "\(output): attributions, digits.onnx; 2 of 2 examples\n")
    }
    let labels = try labels("m.svg")
    #expect(
      labels.filter { ["input", "gradient", "lrp"].contains($0) } == ["input", "gradient", "lrp"])
    for label in ["example 0, target 7", "example 1, target 3", "max 2", "no value"] {
      #expect(labels.contains(label), "\(label)")
    }
    let boxes = try boxes("m.svg")
    #expect(boxes.count == 7)
    let png = try ImageFile.decode(try Files.read(place.path("m.png")))
    func color(_ panel: Int, _ row: Int, _ column: Int) -> [Double] {
      let box = boxes[panel]
      let x = Int(box.x + (Double(column) + 0.5) * box.w / 2)
      let y = Int(box.y + (Double(row) + 0.5) * box.h / 2)
      return (0..<3).map { png.doubles[(y * png.shape[1] + x) * 3 + $0] }
    }
    #expect(color(0, 0, 0) == [0, 0, 0] && color(0, 0, 1) == [51, 51, 51])
    #expect(color(0, 1, 0) == [102, 102, 102] && color(0, 1, 1) == [255, 255, 255])
    let (red, blue) = (color(1, 0, 0), color(1, 1, 0))
    #expect(red[0] > red[1] + 100 && red[0] > red[2] + 100)
    #expect(blue[2] > blue[0] + 100)
    #expect(color(1, 0, 1) == [255, 255, 255])
    let gray = color(1, 1, 1)
    #expect(gray[0] == gray[1] && gray[1] == gray[2] && gray[0] < 200)
    #expect(color(2, 0, 0) == blue && color(2, 1, 0) == red)
    // The page of HTML holds the same drawing and nothing from elsewhere.
    let (svg, html) = (try text("m.svg"), try text("m.html"))
    let element = try #require(svg.firstRange(of: "<svg ")).lowerBound
    #expect(html.contains(svg[element...].trimmingCharacters(in: .newlines)))
    #expect(!html.contains("src=") && !html.contains("href=\"http"))
    // The same command gives the same bytes.
    #expect(try plot("a.npz", "b.npz", "--input", images, "--output", "again.svg").code == 0)
    #expect(try text("again.svg") == svg)
  }

  @Test("Colour images, one example, overlays and flat examples with a shape")
  func images() throws {
    let pixels = (0..<12).map { UInt8($0 * 20) }
    try Files.writeAtomically(
      ImageFile.encodePNG(try Tensor(shape: [2, 2, 3], elements: .uint8(pixels))),
      to: place.path("cat.png"))
    try write("a.npz", ("attributions", try tensor([1, 3, 2, 2], (0..<12).map { Double($0) })))
    #expect(try plot("a.npz", "--input", "cat.png").code == 0)
    #expect(try plot("a.npz", "--input", "cat.png", "--overlay", "--output", "a.png").code == 0)
    try write("flat.npz", ("attributions", try tensor([2, 4], [1, 2, 3, 4, 5, 6, 7, 8])))
    #expect(try plot("flat.npz").code == 0)
    #expect(try boxes("flat.svg").isEmpty)
    #expect(try plot("flat.npz", "--shape", "2x2", "--examples", "1").code == 0)
    #expect(try boxes("flat.svg").count == 2)
    let wrong = try plot("flat.npz", "--shape", "3x2")
    #expect(wrong.code == 64 && wrong.error.contains("a shape of 4 elements"), "\(wrong.error)")
    let raw = try place.write([UInt8](repeating: 7, count: 8), "x.u8")
    #expect(try plot("flat.npz", "--shape", "2x2", "--input", raw).code == 0)
    #expect(try boxes("flat.svg").count == 5)
    let misfit = try plot("flat.npz", "--shape", "2x2", "--input", "cat.png")
    #expect(misfit.code == 65 && misfit.error.contains("cat.png: the input holds other examples"))
  }

  @Test("Results for all targets have a column for each, or for the one that is asked for")
  func targets() throws {
    try write(
      "t.npz", options: [.init("target", "all")],
      ("attributions", try tensor([1, 3, 2, 2], (0..<12).map { Double($0) })),
      ("output", try tensor([1, 3], [1, 2, 3])))
    #expect(try plot("t.npz").code == 0)
    #expect(try boxes("t.svg").count == 4)
    #expect(try plot("t.npz", "--target", "2").code == 0)
    #expect(try labels("t.svg").contains("max 11"))
    #expect(try plot("t.npz", "--target", "3").code == 64)
    // The outputs of all targets are no such arrays.
    #expect(try plot("t.npz", "--array", "output", "--output", "o.svg").code == 0)
  }

  @Test("Values, scores of layers, numbers per method and bare arrays become bars")
  func bars() throws {
    try write(
      "v.npz", ("values", try tensor([2, 3], [1, -2, 3, 4, 5, 6])),
      ("standard_errors", try tensor([2, 3], [0.1, 0.1, 0.1, 0, 0, 0])))
    #expect(try plot("v.npz").code == 0)
    #expect(try labels("v.svg").contains("-3.1"))
    try write(
      "s.npz", names: [("layers", ["conv1", "dense"])], ("conv1", Tensor(.float64([1, 2]))),
      ("dense", Tensor(.float64([3, 4, 5]))))
    let scores = try plot("s.npz")
    #expect(scores.output == "s.svg: scores, digits.onnx; 2 panels\n", "\(scores.error)")
    #expect(try labels("s.svg").contains("conv1") && labels("s.svg").contains("dense"))
    try write(
      "e.npz", names: [("methods", ["lrp"])], ("value", try tensor([1, 2], [1, 2])))
    #expect(try plot("e.npz").code == 0)
    #expect(try labels("e.svg").contains("lrp: mean 1.50"))
    let bare = try place.write(Tensor(.float32([1, .nan, -.infinity])), "bare.npy")
    #expect(try plot(bare, "--output", "bare.png").code == 0)
    #expect(try plot("v.npz:values", "--output", "key.svg").code == 0)
    let run = try place.coalition(
      "run", Digits.model, "--input", Digits.images, Digits.scale, "--output", "logits.npz")
    #expect(run.code == 0)
    #expect(try plot("logits.npz", "--examples", "2").output.hasSuffix("2 of 100 examples\n"))
  }

  @Test("A training's losses become curves; what has no drawing is drawn by name only")
  func kinds() throws {
    func made(by verb: String, _ file: String, _ arrays: (String, Tensor)...) throws {
      var result = ResultFile(metadata: [.init("verb", .string(verb))])
      for (name, tensor) in arrays { try result.append(name, tensor) }
      try result.write(to: place.path(file))
    }
    try made(
      by: "train", "h.npz", ("loss", try tensor([3], [3, 2, 1])),
      ("validation_loss", try tensor([3], [3, 3, 4])),
      ("validation_accuracy", try tensor([3], [0, 0.5, 1])))
    let history = try plot("h.npz")
    #expect(history.code == 0 && history.output.contains("2 curves"), "\(history.error)")
    let labels = try labels("h.svg")
    #expect(labels.contains("epoch") && labels.contains("validation loss"))
    try made(by: "prune", "p.npz", ("conv1.kept", Tensor(.int32([0, 2]))))
    let report = try plot("p.npz")
    #expect(report.code == 65 && report.error.contains("has no drawing"), "\(report.error)")
    #expect(!place.files.contains("p.svg"))
    #expect(try plot("p.npz", "--array", "conv1.kept").code == 0)
    try made(by: "run", "n.npz", ("logits", try tensor([1, 2], [.nan, .infinity])))
    let empty = try plot("n.npz")
    #expect(empty.code == 65 && empty.error.contains("none of the numbers is finite"))
    try write(
      "s.npz", names: [("layers", ["conv1"])], ("conv1", try tensor([2, 1], [1, 2])))
    let shape = try plot("s.npz")
    #expect(shape.code == 65 && shape.error.contains("[units]"), "\(shape.error)")
  }

  @Test("Wrong usage, wrong data and wrong places have the exit codes of their kind")
  func failures() throws {
    try write("r.npz", ("attributions", try tensor([1, 2], [1, 2])))
    try write("bad.npz", ("correlation", try tensor([2], [1, 2])), ("n", Tensor(.int64([1]))))
    try write("nan.npz", ("correlation", try tensor([1, 1], [.nan])), ("n", Tensor(.int64([1]))))
    try write("none.npz", ("values", try tensor([0, 3], [])))
    try write("words.npz", names: [("methods", ["a"])])
    try write("newer.json", ("values", try tensor([1, 1], [1])))
    let newer = try text("newer.json").replacingOccurrences(
      of: "coalition-result/1", with: "coalition-result/2")
    _ = try place.write(Array(newer.utf8), "newer.json")
    _ = try place.write(Array("{}".utf8), "empty.json")
    try write("two.npz", ("attributions", try tensor([2, 2], [1, 2, 3, 4])))
    let before = place.files
    let cases: [([String], Int32, String)] = [
      ([], 64, "plot needs RESULT"),
      (["none.npy"], 66, "No such file"),
      (["missing.npz"], 66, "missing.npz"),
      (["r.npz", "--output", "r.pdf"], 64, "expected .svg, .png or .html"),
      (["r.npz", "--output", "none/r.svg"], 73, "none/r.svg"),
      (["r.npz", "--overlay"], 64, "--overlay needs"),
      (["r.npz", "--scale", "0", "--output", "r.png"], 64, "--scale"),
      (["r.npz", "--examples", "0"], 64, "--examples"),
      (["r.npz", "--array", "attribution"], 64, "did you mean attributions?"),
      (["r.npz", "--target", "0"], 64, "no such axis"),
      (["r.npz", "--max-memory", "10"], 69, "r.npz"),
      (["bad.npz"], 65, "correlation and n do not fit"),
      (["nan.npz"], 65, "nan.npz: the chart has no point to draw"),
      (["none.npz"], 65, "no examples"),
      (["words.npz"], 65, "nothing that can be drawn"),
      (["newer.json"], 65, "newer version"),
      (["empty.json"], 65, "empty.json"),
      (["r.npz", "two.npz"], 65, "unlike numbers of examples"),
      (["r.npz", "none.npz"], 65, "none.npz"),
    ]
    for (arguments, code, sentence) in cases {
      let outcome = try Running(["plot"] + arguments, in: place.folder, [:]).outcome()
      #expect(outcome.code == code, "\(arguments): \(outcome.error)")
      #expect(outcome.error.contains(sentence), "\(arguments): \(outcome.error)")
      #expect(outcome.error.split(separator: "\n").count == 1, "\(outcome.error)")
      #expect(place.files == before, "\(arguments)")
    }
    let image = try place.write([UInt8](), "x.svg")
    let own = try plot(image, "--output", "./x.svg")
    #expect(own.code == 64 && own.error.contains("would replace a file that is read"))
  }
}
