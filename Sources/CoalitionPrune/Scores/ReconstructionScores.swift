// What the layers behind a unit lose when it goes and their other weights make up for it as well as they can.
//
// A layer y = W x + b reads a unit at the places S of x. With H the covariance of x over examples and positions, the least
// mean square error of y without the places S, all other weights and the bias being free, is
//     tr W_S ((H^-1)_SS)^-1 W_S'
// (optimal brain surgeon; for groups of weights). Scores are sums over the layers that read the unit, each as a share of
// the variance of its outputs tr W H W'.

import CoalitionBase
import CoalitionNet

extension UnitScorer {
  /// Added to the diagonal of H, as a share of its mean: directions that the examples do not show cost little.
  private static let penalty = 1e-2

  /// Units that cannot go, or not without a layer's last unit, have the largest score there is: everything is lost in every
  /// layer that reads the others.
  func reconstruction(_ layer: HiddenLayer, index: Int) async throws(CoalitionError) -> LayerScores
  {
    // Per reading layer and unit, the places along the axis of the weight that go with it.
    var readers: [Int: [[Int]]] = [:]
    var staying: [Int] = []
    for unit in 0..<layer.unitCount {
      let group = coupling.group(of: HiddenUnit(layer: index, unit: unit))
      guard coupling.groups[group].obstacle == nil, coupling.canRemove([group]) else {
        staying.append(unit)
        continue
      }
      let kept = try coupling.kept(removing: [group])
      for (reader, other) in coupling.layers.enumerated() {
        guard let matrix = try LayerMatrix(other, coupling.analysis),
          let left = kept[other.weight]?[matrix.inputAxis],
          let shape = coupling.analysis.values[other.weight]?.shape
        else { continue }
        let gone = Set(0..<shape[matrix.inputAxis]).subtracting(left).sorted()
        readers[
          reader, default: [[Int]](repeating: [], count: layer.unitCount)][unit] = gone
      }
    }
    guard !readers.isEmpty || !staying.isEmpty else {
      throw CoalitionError(
        .unsupported, "no convolution or dense layer reads the units: choose another metric")
    }
    var scores = [Double](repeating: 0, count: layer.unitCount)
    for (reader, places) in readers.sorted(by: { $0.key < $1.key }) {
      let errors = try await errors(of: coupling.layers[reader], without: places)
      for (unit, error) in errors.enumerated() { scores[unit] += error }
    }
    for unit in staying { scores[unit] = Double(max(readers.count, 1)) }
    return LayerScores(layer, scores)
  }

  /// Per set of places, the share of a layer's outputs that is lost.
  private func errors(
    of layer: HiddenLayer, without places: [[Int]]
  ) async throws(CoalitionError) -> [Double] {
    guard let matrix = try LayerMatrix(layer, coupling.analysis),
      let weight = coupling.analysis.values[layer.weight]?.constant?.value.doubles
    else { return places.map { _ in 0 } }
    let size = matrix.patches.size
    let columns = try await columns(of: matrix)
    var errors = places.map { _ in 0.0 }
    var whole = 0.0
    for group in 0..<matrix.patches.groups {
      let samples = columns[group]
      guard
        let inverse = InverseCovariance(
          centred: samples.less(samples.means), penalty: Self.penalty)
      else {
        throw CoalitionError(
          .invalidData, "the inputs of a layer have no regular covariance", node: layer.name)
      }
      // Per unit of the layer its weights in this group.
      let weights = (0..<matrix.unitCount).map { unit in
        (0..<size).map { weight[matrix.place(group: group, unit: unit, input: $0)] }
      }
      whole += inverse.variance(weights)
      for (unit, positions) in places.enumerated() {
        let own = positions.flatMap { matrix.inputs(at: $0) }
        if own.isEmpty { continue }
        guard let error = Self.error(inverse, own, weights) else {
          throw CoalitionError(
            .invalidData, "what reads unit \(unit) has no regular covariance", node: layer.name)
        }
        errors[unit] += error
      }
    }
    return errors.map { whole > 0 ? $0 / whole : 0 }
  }

  /// tr W_S ((H^-1)_SS)^-1 W_S'; nil where the block is singular.
  private static func error(
    _ inverse: InverseCovariance, _ places: [Int], _ weights: [[Double]]
  ) -> Double? {
    let block = inverse.block(places)
    guard let inner = CholeskyFactor(block, count: places.count) else { return nil }
    return weights.reduce(0) { sum, row in
      let own = places.map { row[$0] }
      return sum + zip(own, inner.solved(own)).reduce(0) { $0 + $1.0 * $1.1 }
    }
  }

  /// Per group of channels, samples of what the layer reads.
  private func columns(of matrix: LayerMatrix) async throws(CoalitionError) -> [SampleColumns] {
    let patches = matrix.patches
    let places = SamplePlaces(
      examples: inputs.values.first?.shape.first ?? 1, positions: patches.positions,
      unknowns: patches.size)
    var columns = (0..<patches.groups).map { _ in
      [[Double]](repeating: [], count: patches.size)
    }
    let examples = ModelOnExamples(
      model: coupling.model, inputs: inputs, plan: options.plan, run: options.run)
    try await examples.forEachSlice(of: [matrix.layer.input]) {
      slice, values throws(CoalitionError) in
      for group in 0..<patches.groups {
        places.append(values[0].doubles, of: slice, to: &columns[group]) { position in
          patches.elements(position: position, group: group)
        }
      }
    }
    return columns.map { SampleColumns(rows: places.places.count, columns: $0) }
  }
}
