// Grad-CAM (Selvaraju et al., 2017): where in the image the last convolution found evidence.
//
// With the maps A_c of a convolution and the gradient of the score S by them, the map
// relu(sum over c of mean(dS/dA_c) A_c), scaled up to the image by bilinear interpolation.

public import CoalitionBase
public import CoalitionNet

extension Explainer {
  /// - Parameters:
  ///   - layer: the value that holds the maps [N, C, H, W]; nil: the output of the last convolution.
  ///   - input: the image [N, ..., H, W] that the map is scaled to. Its channels share a pixel's value evenly.
  /// - Throws: `unsupported` for a model without such a layer.
  public func gradCAM(
    _ inputs: [String: Tensor], layer: String? = nil, target: Target = .predicted,
    _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> Explanation {
    guard let layer = layer ?? model.graph.nodes.last(where: { $0.operation == "Conv" })?.outputs[0]
    else {
      throw CoalitionError(.unsupported, "Grad-CAM needs a convolution, and the model has none")
    }
    guard forward.inputs.count == 1, let image = forward.inputs.first, image.shape.count >= 2 else {
      throw CoalitionError(
        .unsupported, "Grad-CAM explains models with one input that has rows and columns",
        found: forward.inputs.map { "\($0.name) \($0.shape)" }.joined(separator: ", "))
    }
    var options = options
    options.scores = scores
    options.sources = [layer]
    let tail = try Explainer(model, options)
    guard let maps = tail.forward.inputs.first(where: { $0.name == layer }), maps.shape.count == 3
    else {
      throw CoalitionError(
        .usage, "Grad-CAM needs maps [channels, height, width]", node: layer,
        found: "\(tail.forward.inputs.map(\.shape))")
    }
    var explanation = try await tail.explain(inputs, by: .gradient, target: target, run)
    let rows = try await tail.rows(of: inputs, run)
    guard let gradients = explanation.attributions[layer]?.doubles,
      let activations = rows[layer]?.doubles
    else {
      throw CoalitionError(.internalFault, "the maps were not computed", node: layer)
    }
    let (channels, height, width) = (maps.shape[0], maps.shape[1], maps.shape[2])
    let positions = height * width
    let perExample = explanation.output.rank == 2 ? explanation.output.shape[1] : 1
    let count = gradients.count / maps.count
    let rowCount = image.shape[image.shape.count - 2]
    let columnCount = image.shape[image.shape.count - 1]
    let planes = image.count / (rowCount * columnCount)
    var values: [Double] = []
    values.reserveCapacity(count * image.count)
    for index in 0..<count {
      let example = index / perExample
      var map = [Double](repeating: 0, count: positions)
      for channel in 0..<channels {
        let start = index * maps.count + channel * positions
        let weight = gradients[start..<start + positions].reduce(0, +) / Double(positions)
        let from = example * maps.count + channel * positions
        for position in 0..<positions { map[position] += weight * activations[from + position] }
      }
      for position in 0..<positions { map[position] = max(map[position], 0) / Double(planes) }
      let scaled = Self.scaledUp(
        map, rows: height, columns: width, toRows: rowCount, columns: columnCount)
      for _ in 0..<planes { values += scaled }
    }
    explanation.attributions = [
      image.name: try Tensor(
        shape: explanation.output.shape + image.shape, elements: .float64(values))
    ]
    return explanation
  }

  /// Bilinear interpolation with pixels as areas: the centre of target pixel i lies at (i + 1/2) size / target - 1/2.
  static func scaledUp(
    _ map: [Double], rows: Int, columns: Int, toRows: Int, columns toColumns: Int
  ) -> [Double] {
    func places(_ size: Int, _ target: Int) -> [(low: Int, high: Int, share: Double)] {
      (0..<target).map { index in
        let centre = (Double(index) + 0.5) * Double(size) / Double(target) - 0.5
        let clamped = min(max(centre, 0), Double(size - 1))
        let low = Int(clamped)
        return (low, min(low + 1, size - 1), clamped - Double(low))
      }
    }
    let horizontal = places(columns, toColumns)
    return places(rows, toRows).flatMap { row in
      horizontal.map { column in
        func value(_ y: Int) -> Double {
          let left = map[y * columns + column.low]
          return left + column.share * (map[y * columns + column.high] - left)
        }
        let top = value(row.low)
        return top + row.share * (value(row.high) - top)
      }
    }
  }
}
