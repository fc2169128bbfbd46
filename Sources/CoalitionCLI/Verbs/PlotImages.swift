// The examples that were explained, as panels beside their maps.

import CoalitionBase
import CoalitionData
import CoalitionFigures

struct PlotImages {
  private let path: String
  private let values: [Double]
  private let count: Int
  private let layout: PlotLayout
  /// Black and white, for all examples alike: nil where each has its own.
  private let range: ClosedRange<Double>?

  /// - Throws: `shapeMismatch` when the file does not hold as many examples as the column.
  init(
    _ path: String, beside column: PlotColumn, memoryLimit: Int
  ) throws(CoalitionError) {
    self.path = path
    let tensor = try ArrayFile.loadInput(
      path, preprocessing: Preprocessing(),
      options: .init(exampleShape: column.shape, memoryLimit: memoryLimit))
    let isStacked = tensor.rank > 1 && tensor.shape[0] == column.examples
    let isSingle = column.examples == 1 && tensor.rank > 0
    guard isStacked || isSingle, tensor.count > 0 else {
      throw CoalitionError(
        .shapeMismatch, "the input holds other examples than the result", node: path,
        expected: "\(column.examples) examples of shape \(column.shape)",
        found: "an array of shape \(tensor.shape)")
    }
    let stored = isStacked ? Array(tensor.shape.dropFirst()) : tensor.shape
    values = tensor.doubles
    count = values.count / column.examples
    // Examples that were stored flat have the shape that the maps are drawn in.
    let isFlat = stored.filter { $0 != 1 }.count < 2
    let shape = isFlat && Tensor.count(of: column.shape) == count ? column.shape : stored
    let isColorLast = shape.count == 3 && shape[2] == 3 && shape[0] != 3
    layout = PlotLayout(
      shape, isChannelsLast: column.layout.isChannelsLast || isColorLast)
    let finite = values.lazy.filter(\.isFinite)
    switch (finite.min() ?? 0, finite.max() ?? 0) {
    case (0..., ...1): range = 0...1
    case (0..., ...255): range = 0...255
    default: range = nil
    }
  }

  private func planes(_ example: Int) -> [[Double]] {
    layout.planes(Array(values[example * count..<(example + 1) * count]))
  }

  /// The mean over channels.
  private func gray(_ example: Int) -> [Double] {
    let planes = planes(example)
    return planes[0].indices.map { place in
      planes.reduce(0) { $0 + $1[place] } / Double(planes.count)
    }
  }

  func panel(_ example: Int) -> PanelGrid.Content {
    let (rows, columns) = (layout.rows, layout.columns)
    if layout.channels == 3, layout.isMap {
      let planes = planes(example)
      let pixels = planes[0].indices.flatMap { place in planes.map { $0[place] } }
      return .rgb(pixels, rows: rows, columns: columns, range: range)
    }
    guard layout.isMap else { return .bars(gray(example)) }
    return .gray(gray(example), rows: rows, columns: columns, range: range)
  }

  /// The example in gray, for a map of its size to be laid over.
  func gray(_ example: Int, like column: PlotColumn) throws(CoalitionError) -> [Double] {
    let map = column.layout
    guard layout.isMap, map.isMap, (map.rows, map.columns) == (layout.rows, layout.columns) else {
      throw CoalitionError(
        .shapeMismatch, "--overlay needs examples of the size of the maps", node: path,
        expected: "\(map.rows) x \(map.columns)", found: "\(layout.rows) x \(layout.columns)")
    }
    return gray(example)
  }
}
