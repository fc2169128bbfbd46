// Grids of results: maps of attributions with the examples beside them, bars of values and scores.

import CoalitionBase
import CoalitionFigures

struct PlotPanels {
  private(set) var grid: PanelGrid
  let description: String

  private let arguments: Arguments

  init(
    _ kind: PlotSource.Kind, _ sources: [PlotSource], title: String, _ arguments: Arguments,
    memoryLimit: Int
  ) throws(CoalitionError) {
    self.arguments = arguments
    grid = PanelGrid(title: title, sharing: arguments[Plot.sharingOption] ?? .panel)
    switch kind {
    case .layers(let names): grid.rows = try Self.layers(names, sources)
    case .perMethod: grid.rows = try Self.perMethod(sources)
    default:
      let columns = try Self.columns(kind, sources, arguments)
      let images = try arguments[Plot.inputOption].map { path throws(CoalitionError) in
        try PlotImages(path, beside: columns[0], memoryLimit: memoryLimit)
      }
      let shown = min(columns[0].examples, arguments[Plot.examplesOption] ?? 4)
      grid.columnTitles = (images == nil ? [] : ["input"]) + columns.map(\.title)
      let targets = sources[0].texts("target", count: columns[0].examples)
      grid.rowTitles = (0..<shown).map { example in
        "example \(example)" + (targets.map { ", target \($0[example])" } ?? "")
      }
      let isOverlaid = arguments[Plot.overlayFlag]
      for example in 0..<shown {
        var row = images.map { [PanelGrid.Panel($0.panel(example))] } ?? []
        for column in columns {
          let under = isOverlaid ? try images?.gray(example, like: column) : nil
          row.append(PanelGrid.Panel(column.content(example, under: under)))
        }
        grid.rows.append(row)
      }
      try Self.check(grid.rows, sources)
      let all = columns[0].examples
      description =
        "\(title); \(shown) of \(Numbers.grouped(all)) \(all == 1 ? "example" : "examples")"
      return
    }
    guard arguments[Plot.inputOption] == nil else {
      throw CoalitionError(.usage, "--input is for maps: this result holds none")
    }
    try Self.check(grid.rows, sources)
    let count = grid.rows.reduce(0) { $0 + $1.count }
    description = "\(title); \(count) \(count == 1 ? "panel" : "panels")"
  }

  /// - Throws: `invalidData` when no number of any map or bar could be seen.
  private static func check(
    _ rows: [[PanelGrid.Panel]], _ sources: [PlotSource]
  ) throws(CoalitionError) {
    let isEmpty = rows.joined().allSatisfy { panel in
      switch panel.content {
      case .map(let values, _, _, _), .bars(let values, _): !values.contains(where: \.isFinite)
      default: true
      }
    }
    guard isEmpty else { return }
    throw CoalitionError(
      .notFinite, "none of the numbers is finite: there is nothing to draw", node: sources[0].path)
  }

  // MARK: Columns of examples

  private static func columns(
    _ kind: PlotSource.Kind, _ sources: [PlotSource], _ arguments: Arguments
  ) throws(CoalitionError) -> [PlotColumn] {
    var columns: [PlotColumn] = []
    for source in sources {
      let names: [String] =
        switch kind {
        case .maps(let names): names
        case .values: ["values"]
        case .other(let name): [name]
        default: []
        }
      for name in names {
        // A file alone needs no name.
        let file = sources.count > 1 ? source.label : source.method
        let array =
          names.count > 1 ? name.split(separator: ".", maxSplits: 1).last.map(String.init) : nil
        columns += try PlotColumn.all(
          name, of: source, title: [file, array].compactMap { $0 },
          target: arguments[Plot.targetOption],
          shape: arguments[Plot.shapeOption])
      }
    }
    for column in columns where column.examples != columns[0].examples {
      throw CoalitionError(
        .shapeMismatch, "the files hold unlike numbers of examples", node: column.path,
        expected: "\(columns[0].examples)", found: "\(column.examples)")
    }
    guard let first = columns.first, first.examples > 0 else {
      throw CoalitionError(.invalidData, "there are no examples to draw", node: sources[0].path)
    }
    return columns
  }

  // MARK: Bars

  private static let layersPerRow = 3

  /// Scores of units, a panel per layer.
  private static func layers(
    _ names: [String], _ sources: [PlotSource]
  ) throws(CoalitionError) -> [[PanelGrid.Panel]] {
    var panels: [PanelGrid.Panel] = []
    for source in sources {
      for name in names {
        let scores = try source.row(name, of: "units")
        let errors = try source.tensor("\(name).standard_errors", shape: [scores.count])
        let file = sources.count > 1 ? ", \(source.label)" : ""
        panels.append(
          .init(.bars(scores, errors: errors?.doubles ?? []), caption: name + file))
      }
    }
    return stride(from: 0, to: panels.count, by: layersPerRow).map {
      Array(panels[$0..<min($0 + layersPerRow, panels.count)])
    }
  }

  /// One number per method and example: a panel per method.
  private static func perMethod(
    _ sources: [PlotSource]
  ) throws(CoalitionError) -> [[PanelGrid.Panel]] {
    var panels: [PanelGrid.Panel] = []
    for source in sources {
      let tensor = try source.tensor("value")
      guard tensor.rank == 2 else {
        throw CoalitionError(
          .shapeMismatch, "the array value has the wrong shape", node: source.path,
          expected: "[methods, examples]", found: "\(tensor.shape)")
      }
      let (count, examples) = (tensor.shape[0], tensor.shape[1])
      let names = source.texts("methods", count: count) ?? (0..<count).map { "method \($0)" }
      let values = tensor.doubles
      for method in 0..<count {
        let row = Array(values[method * examples..<(method + 1) * examples])
        let mean = Numbers.significant(Moments(row).mean, 3)
        panels.append(.init(.bars(row), caption: "\(names[method]): mean \(mean)"))
      }
    }
    return stride(from: 0, to: panels.count, by: layersPerRow).map {
      Array(panels[$0..<min($0 + layersPerRow, panels.count)])
    }
  }
}
