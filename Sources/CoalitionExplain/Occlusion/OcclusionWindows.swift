// Windows that slide over an input (the forms are told apart in Occlusion.swift).

public import CoalitionBase
public import CoalitionNet

/// Windows over the last axes of an input; leading axes, such as channels, are taken whole.
public struct OcclusionWindows: Sendable, Hashable {
  public enum Form: String, Sendable, Hashable, CaseIterable {
    /// Windows that the far edges cut are taken with the elements that they have.
    case marginal
    /// Complete windows only, as in the released code of the paper.
    case released
  }

  /// Sizes along the last axes.
  public var window: [Int]
  /// Steps along the same axes.
  public var stride: [Int]
  public var form: Form

  /// - Parameter stride: nil: 1 along every axis.
  public init(window: [Int], stride: [Int]? = nil, form: Form = .marginal) {
    self.window = window
    self.stride = stride ?? window.map { _ in 1 }
    self.form = form
  }

  /// The positions (row-major, over the axes that windows slide along) of every window, in row-major order of their
  /// places.
  /// - Parameter shape: of one example.
  /// - Throws: `usage` for windows that the shape does not allow.
  func positions(_ shape: [Int]) throws(CoalitionError) -> [[Int]] {
    guard window.count == stride.count, !window.isEmpty, window.count <= shape.count else {
      throw CoalitionError(
        .usage, "a window and its steps have a size for each of the last axes",
        expected: "1 to \(shape.count) sizes", found: "\(window) by \(stride)")
    }
    guard window.allSatisfy({ $0 >= 1 }), stride.allSatisfy({ $0 >= 1 }) else {
      throw CoalitionError(
        .usage, "windows and their steps are at least 1", found: "\(window) by \(stride)")
    }
    let sizes = Array(shape.suffix(window.count))
    if form == .released, let axis = sizes.indices.first(where: { window[$0] > sizes[$0] }) {
      throw CoalitionError(
        .usage, "no complete window fits into the input", expected: "at most \(sizes[axis])",
        found: "\(window[axis])")
    }
    var windows: [[Int]] = [[0]]
    for axis in sizes.indices {
      let last = form == .released ? sizes[axis] - window[axis] : sizes[axis] - 1
      var next: [[Int]] = []
      for positions in windows {
        for start in Swift.stride(from: 0, through: last, by: stride[axis]) {
          let end = start + min(window[axis], sizes[axis] - start)
          next.append(positions.flatMap { outer in (start..<end).map { outer * sizes[axis] + $0 } })
        }
      }
      windows = next
    }
    return windows
  }

  /// Occludes every window of one input.
  /// - Returns: the falls of the score per window, the attributions [N, T, input shape] with NaN where no window was, and
  ///   what the user should be told.
  /// - Throws: `CoalitionError` for windows, inputs or targets that do not fit.
  public func occlude(
    _ plan: Plan, output: String? = nil, input: String, inputs: [String: Tensor],
    baselines: [String: Tensor] = [:], targets: [[Int]], _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> (
    result: OcclusionResult, attributions: Tensor, warnings: [String]
  ) {
    guard let shape = plan.inputs.first(where: { $0.name == input })?.shape else {
      throw CoalitionError(
        .usage, "the model has no such input", node: input,
        expected: plan.inputs.map(\.name).joined(separator: ", "))
    }
    let windows = try positions(shape)
    // A player per position of the axes that windows slide along.
    let positionCount = shape.suffix(window.count).reduce(1, *)
    let outer = shape.dropLast(window.count).reduce(1, *)
    let ids = (0..<outer).flatMap { _ in 0..<Int32(positionCount) }
    let players = try PlayerSet(
      [input: .map(try Tensor(shape: shape, elements: .int32(ids)))],
      inputs: [(name: input, shape: shape)])
    let game = try MaskedGame(
      plan, output: output, players: players, inputs: inputs, baselines: baselines,
      targets: targets)
    let result = try await game.occlusion(removing: windows.count, options) { list, index in
      let row = list.appendFull()
      for position in windows[index] { list[row, position] = false }
    }
    var covers = [Double](repeating: 0, count: positionCount)
    for window in windows { for position in window { covers[position] += 1 } }
    var numbers: [Double] = []
    for example in result.values {
      for falls in example {
        var heat = [Double](repeating: 0, count: positionCount)
        for (window, fall) in zip(windows, falls) {
          let share = fall / Double(window.count * outer)
          for position in window { heat[position] += share }
        }
        // 0 / 0 where no window was.
        let map = zip(heat, covers).map { $0 / $1 }
        for _ in 0..<outer { numbers += map }
      }
    }
    let attributions = try Tensor(
      shape: [game.exampleCount, game.targetCount] + shape, elements: .float64(numbers))
    let uncovered = covers.reduce(0) { $0 + ($1 == 0 ? outer : 0) }
    let warnings =
      uncovered == 0
      ? []
      : ["\(uncovered) of \(outer * positionCount) elements of '\(input)' lie in no window: NaN"]
    return (result, attributions, warnings)
  }
}
