// A column of a grid: for each example an array of one shape, drawn as a map or as bars.

import CoalitionBase
import CoalitionFigures

struct PlotColumn {
  let title: String
  let path: String
  let examples: Int
  /// Of one example.
  let shape: [Int]
  private let isChannelsLast: Bool
  /// [examples, elements], and errors of the same shape or none.
  private let values: [Double]
  private let errors: [Double]

  private var count: Int { examples > 0 ? values.count / examples : 0 }

  /// The columns of an array [N, (T,) shape]: one, or one for each target.
  /// - Parameters:
  ///   - words: what sets the array apart from others.
  ///   - shape: the shape of an example, in place of the stored one.
  static func all(
    _ name: String, of source: PlotSource, title words: [String], target: Int?, shape: [Int]?
  ) throws(CoalitionError) -> [PlotColumn] {
    let tensor = try source.tensor(name)
    let errors =
      name == "values"
      ? try source.tensor("standard_errors", shape: tensor.shape)?.doubles ?? [] : []
    // A bare list of numbers is one example.
    let sizes = tensor.rank < 2 ? [1, tensor.count] : tensor.shape
    guard source.hasTargets(name) else {
      guard target == nil else {
        throw CoalitionError(
          .usage, "--target is for results of all targets: this one has no such axis",
          node: source.path)
      }
      return [
        try PlotColumn(
          words.joined(separator: " "), source, sizes[0],
          try shaped(Array(sizes.dropFirst()), shape, source),
          tensor.doubles, errors)
      ]
    }
    guard sizes.count > 2 else {
      throw CoalitionError(
        .shapeMismatch, "the array \(name) has no axis of targets", node: source.path,
        expected: "[examples, targets, ...]", found: "\(tensor.shape)")
    }
    let (targets, rest) = (sizes[1], Array(sizes.dropFirst(2)))
    guard target.map({ $0 < targets }) ?? true else {
      throw CoalitionError(
        .usage, "--target is out of range", node: source.path, expected: "0 to \(targets - 1)",
        found: "\(target ?? 0)")
    }
    let example = try shaped(rest, shape, source)
    let size = tensor.count / max(1, sizes[0] * targets)
    let values = tensor.doubles
    var columns: [PlotColumn] = []
    for index in target.map({ $0..<$0 + 1 }) ?? 0..<targets {
      func chosen(_ values: [Double]) -> [Double] {
        guard !values.isEmpty else { return [] }
        return (0..<sizes[0]).flatMap { row in
          let start = (row * targets + index) * size
          return values[start..<start + size]
        }
      }
      columns.append(
        try PlotColumn(
          (words + ["target \(index)"]).joined(separator: " "), source, sizes[0], example,
          chosen(values), chosen(errors)))
    }
    return columns
  }

  private init(
    _ title: String, _ source: PlotSource, _ examples: Int, _ shape: [Int], _ values: [Double],
    _ errors: [Double]
  ) throws(CoalitionError) {
    guard examples == 0 || !values.isEmpty else {
      throw CoalitionError(
        .invalidData, "the examples have no elements to draw", node: source.path,
        found: "\([examples] + shape)")
    }
    self.title = title
    path = source.path
    self.examples = examples
    self.shape = shape
    isChannelsLast = source.isChannelsLast
    self.values = values
    self.errors = errors
  }

  /// The shape that the user gives for examples of `stored`, or that.
  private static func shaped(
    _ stored: [Int], _ given: [Int]?, _ source: PlotSource
  ) throws(CoalitionError) -> [Int] {
    guard let given else { return stored }
    guard Tensor.count(of: given) == Tensor.count(of: stored) else {
      throw CoalitionError(
        .usage, "--shape does not fit the examples", node: source.path,
        expected: "a shape of \(Tensor.count(of: stored) ?? 0) elements", found: "\(given)")
    }
    return given
  }

  // MARK: Drawing

  /// How an example is laid out.
  var layout: PlotLayout { PlotLayout(shape, isChannelsLast: isChannelsLast) }

  func content(_ example: Int, under: [Double]?) -> PanelGrid.Content {
    let range = example * count..<(example + 1) * count
    let layout = layout
    guard layout.isMap else {
      return .bars(Array(values[range]), errors: errors.isEmpty ? [] : Array(errors[range]))
    }
    return .map(
      layout.planes(Array(values[range])).reduce(into: []) { sum, plane in
        sum = sum.isEmpty ? plane : zip(sum, plane).map { $0 + $1 }
      }, rows: layout.rows, columns: layout.columns, under: under)
  }
}

/// Where rows, columns and channels of an example are. Axes of size 1 do not count.
struct PlotLayout: Equatable {
  let rows: Int
  let columns: Int
  /// All axes but those of rows and columns together.
  let channels: Int
  let isChannelsLast: Bool
  /// Two axes at least.
  let isMap: Bool

  init(_ shape: [Int], isChannelsLast: Bool) {
    var wide = shape.filter { $0 != 1 }
    self.isChannelsLast = isChannelsLast && wide.count > 2
    isMap = wide.count >= 2
    if self.isChannelsLast, let last = wide.popLast() { wide.insert(last, at: 0) }
    columns = wide.last ?? 1
    rows = wide.count > 1 ? wide[wide.count - 2] : 1
    channels = wide.dropLast(2).reduce(1, *)
  }

  /// The channels of an example, each row by row.
  func planes(_ values: [Double]) -> [[Double]] {
    let size = rows * columns
    return (0..<channels).map { channel in
      isChannelsLast
        ? (0..<size).map { values[$0 * channels + channel] }
        : Array(values[channel * size..<(channel + 1) * size])
    }
  }
}
