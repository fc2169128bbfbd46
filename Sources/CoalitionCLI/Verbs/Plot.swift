// `coalition plot`: a drawing of whatever a result file holds.
//
// PlotSource reads the files, PlotCurves and PlotPanels say what is drawn for which arrays, CoalitionFigures draws.

import CoalitionBase
import CoalitionFigures

extension Command {
  static let plot = Command(
    name: "plot",
    summary: "draws results as SVG, PNG or HTML",
    positionals: [
      Positional(
        name: "RESULT",
        explanation:
          "a result (.npz or .json), an array (.npy or FILE.npz:KEY); several of one kind side by side",
        isRepeatable: true)
    ],
    groups: [
      OptionGroup(
        title: "Drawing",
        options: [
          Plot.outputOption.declaration, Plot.arrayOption.declaration,
          Plot.inputOption.declaration, Plot.overlayFlag.declaration,
          Plot.examplesOption.declaration, Plot.targetOption.declaration,
          Plot.shapeOption.declaration, Plot.sharingOption.declaration,
          Plot.titleOption.declaration, Plot.scaleOption.declaration,
          RuntimeOptions.memoryOption.declaration, RuntimeOptions.quietFlag.declaration,
        ])
    ],
    examples: [
      "coalition plot sensitivity.npz --output sensitivity.svg",
      "coalition plot gradient.npz deeplift.npz --input images.npy --examples 6 --output maps.png",
    ],
    notes: [
      "Correlations, deletion or insertion curves and losses of a training become line charts; attributions become maps (channels summed), "
        + "one row per example and one column per file; values, scores of layers, outputs of a model and arrays of one axis become "
        + "bars. Other results are drawn array by array, with --array."
    ]
  ) { arguments throws(CoalitionError) in
    try Plot(arguments).perform()
  }
}

struct Plot {
  static let outputOption = Option(
    "output", "FILE", "the drawing: .svg, .png or .html",
    default: "the first RESULT's name with .svg, in this folder", as: .text)
  static let arrayOption = Option(
    "array", "NAME", "draws this array of the result", default: "what the result is about",
    as: .text)
  static let inputOption = Option(
    "input", "FILE", "the examples that were explained, shown beside the maps", as: .text)
  static let overlayFlag = Flag("overlay", "lays the maps over the examples in gray")
  static let examplesOption = Option(
    "examples", "K", "how many examples to draw, from the first on", default: "4",
    as: .integer(1...1000))
  static let targetOption = Option(
    "target", "I", "of results for all targets, only this one", as: .integer(0...Int.max))
  static let shapeOption = Option(
    "shape", "HxW", "the shape of an example, where it was stored without, as in 28x28",
    as: ValueFormat { text throws(CoalitionError) in try readShape(text) })
  static let sharingOption = Option<PanelGrid.Sharing>(
    "color-scale", "WHICH", "which maps share a scale of colours: panel, column or all",
    default: "panel", as: .choice)
  static let titleOption = Option(
    "title", "TEXT", "a title", default: "what is drawn, of which model", as: .text)
  static let scaleOption = Option(
    "scale", "S", "pixels of a PNG per point", default: "2", as: .number)

  private let arguments: Arguments
  private let output: DrawingFile
  private let memoryLimit: Int

  /// Checks what can be checked before anything is read.
  init(_ arguments: Arguments) throws(CoalitionError) {
    self.arguments = arguments
    memoryLimit = RuntimeOptions(arguments).memoryLimit
    let path = arguments[Self.outputOption] ?? PlotSource.stem(arguments.positionals[0]) + ".svg"
    output = try DrawingFile(path)
    guard !arguments[Self.overlayFlag] || arguments[Self.inputOption] != nil else {
      throw CoalitionError(.usage, "--overlay needs the examples: --input FILE")
    }
    if let scale = arguments[Self.scaleOption], !(0.05...100).contains(scale) {
      throw CoalitionError(
        .usage, "--scale is out of range", expected: "0.05 to 100", found: "\(scale)")
    }
    var read = FilesRead()
    for result in arguments.positionals { read.add("the result", within: result) }
    if let input = arguments[Self.inputOption] { read.add("--input", within: input) }
    try read.checkIsNoneOfThem(path)
  }

  func perform() throws(CoalitionError) {
    var left = memoryLimit
    var sources: [PlotSource] = []
    for path in arguments.positionals {
      try Signals.check()
      let source = try PlotSource(path, memoryLimit: left)
      left = max(0, left - source.byteCount)
      sources.append(source)
    }
    let figure: Figure
    let what: String
    do throws(CoalitionError) {
      (figure, what) = try drawing(of: sources, memoryLimit: left)
    } catch {
      throw error.code == .usage ? error : error.at(sources[0].path)
    }
    try Signals.check()
    try output.write(figure, scale: arguments[Self.scaleOption] ?? 2)
    if !arguments[RuntimeOptions.quietFlag] { try Terminal.write("\(output.path): \(what)\n") }
  }

  /// The drawing, and what it shows in a few words.
  private func drawing(
    of sources: [PlotSource], memoryLimit: Int
  ) throws(CoalitionError) -> (Figure, String) {
    let kind = try sources[0].kind(array: arguments[Self.arrayOption])
    let title = arguments[Self.titleOption] ?? sources[0].title(kind)
    if let curves = try PlotCurves(kind, sources, title: title) {
      guard arguments[Self.inputOption] == nil else {
        throw CoalitionError(.usage, "--input is for maps: this result holds curves")
      }
      return (try curves.chart.figure(), curves.description)
    }
    let panels = try PlotPanels(
      kind, sources, title: title, arguments, memoryLimit: memoryLimit)
    return (try panels.grid.figure(), panels.description)
  }
}
