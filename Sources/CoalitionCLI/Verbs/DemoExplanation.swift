// The part of `coalition demo` that explains a digit by seven methods.

import Coalition
import CoalitionBase
import CoalitionFigures

extension Demo.Section {
  static let explanation = Demo.Section(
    title: "Why is this digit what it is? (coalition explain digits.onnx --input images.npy ...)"
  ) { demo throws(CoalitionError) in
    try await DemoExplanation(demo).show()
  }
}

private struct DemoExplanation {
  private static let methods: [(name: String, method: GradientMethod?)] = [
    ("saliency", .saliency), ("gradient-x-input", .gradientTimesInput),
    ("integrated-gradients", .integratedGradients()), ("epsilon-lrp", .epsilonLRP()),
    ("deeplift", .deepLIFT), ("deeplift-reveal-cancel", .deepLIFTRevealCancel),
    ("occlusion", nil),
  ]

  private let demo: Demo
  private let explainer: Explainer
  /// The first digit of the demonstration.
  private let inputs: [String: Tensor]
  private let run: RunOptions

  init(_ demo: Demo) throws(CoalitionError) {
    self.demo = demo
    explainer = try Explainer(demo.plan.model)
    let pixels = Array(demo.images.floats.prefix(28 * 28))
    inputs = ["image": try Tensor(shape: [1, 1, 28, 28], elements: .float32(pixels))]
    var run = RunOptions()
    run.threads = demo.threads
    self.run = run
  }

  func show() async throws(CoalitionError) {
    var table = Table(
      ("method", .left), ("score", .right), ("sum of attributions", .right), ("missing", .right))
    var panels = [PanelGrid.Panel(gray(inputs["image"]?.doubles ?? []))]
    var map = ""
    for (name, method) in Self.methods {
      try Signals.check()
      let found = try await explanation(method)
      let values = found.attributions["image"]?.doubles ?? []
      table.add(
        name, Numbers.significant(found.output.doubles[0]),
        Numbers.significant(values.reduce(0, +)),
        found.residual.map { Numbers.significant($0.doubles[0], 2) } ?? "not promised")
      panels.append(PanelGrid.Panel(.map(values, rows: 28, columns: 28)))
      if method == .deepLIFT { map = CharacterMap(values, shape: [28, 28])?.text ?? "" }
    }
    try Terminal.write(table.text)
    try Terminal.write("  DeepLIFT's attributions of the \(demo.labels.first ?? 0):\n\(map)")
    if let folder = demo.folder {
      let grid = PanelGrid(
        columnTitles: ["image"] + Self.methods.map(\.name), rows: [panels])
      try Files.writeAtomically(Array(try grid.figure().svg().utf8), to: "\(folder)/digit.svg")
      try Terminal.write("  written to \(folder)/digit.svg\n")
    }
  }

  private func gray(_ values: [Double]) -> PanelGrid.Content {
    .gray(values, rows: 28, columns: 28)
  }

  private func explanation(
    _ method: GradientMethod?
  ) async throws(CoalitionError) -> Explanation {
    if let method { return try await explainer.explain(inputs, by: method, run) }
    let players = try PlayerSet(inputs: [(name: "image", shape: [1, 28, 28])])
    return try await explainer.occlusion(inputs, players: players, run).explanation
  }
}
