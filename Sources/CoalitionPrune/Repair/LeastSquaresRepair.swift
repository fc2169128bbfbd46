// Weights that bring a layer's outputs back to those of the whole model, as far as what is left of its inputs can.
//
// For every group of channels, with X the inputs that the smaller layer meets (patches of a convolution) and R what its
// outputs lack, both over examples and positions, the change of the weights is the D of `RidgeRegression`.

import CoalitionBase
import CoalitionNet

extension NetworkRepair {
  func repairWeights(
    _ graph: inout Graph, _ coupling: UnitCoupling
  ) async throws(CoalitionError) {
    for index in movedLayers(coupling) {
      let layer = coupling.layers[index]
      // Layers that share their weights would no longer: what they lack is left to other repairs.
      let readers = graph.nodes.filter { $0.inputs.contains(layer.weight) }
      guard readers.count == 1, let matrix = try LayerMatrix(layer, coupling.analysis) else {
        continue
      }
      try await repairWeights(of: matrix, units: kept[index], whole.layers[index], &graph)
    }
  }

  private func repairWeights(
    of matrix: LayerMatrix, units: [Int], _ old: HiddenLayer, _ graph: inout Graph
  ) async throws(CoalitionError) {
    let layer = matrix.layer
    guard let weight = graph.constants[layer.weight],
      let index = graph.nodes.firstIndex(where: { $0.outputs.first == layer.output })
    else { return }
    let groups = matrix.patches.groups
    var samples = (
      inputs: (0..<groups).map { _ in
        [[Double]](repeating: [], count: matrix.patches.size)
      },
      missing: [[Double]](repeating: [], count: layer.unitCount)
    )
    let examples = inputs.values.first?.shape.first ?? 1
    let places = SamplePlaces(
      examples: examples, positions: matrix.patches.positions, unknowns: matrix.patches.size)
    // By its name in the whole model: behind a bias that another repair has added.
    try await onExamples(graph).forEachSlice(of: [layer.input, old.output]) {
      slice, values throws(CoalitionError) in
      let input = values[0].doubles
      for group in 0..<groups {
        places.append(input, of: slice, to: &samples.inputs[group]) { position in
          matrix.patches.elements(position: position, group: group)
        }
      }
      places.append(values[1].doubles, of: slice, to: &samples.missing) { position in
        (0..<layer.unitCount).map { matrix.output(position: position, unit: $0) }
      }
    }
    var wanted = [[Double]](repeating: [], count: layer.unitCount)
    try await onExamples(whole.model.graph).forEachSlice(of: [old.output]) {
      slice, values throws(CoalitionError) in
      places.append(values[0].doubles, of: slice, to: &wanted) { position in
        units.map { unit in
          layer.operation == "Conv"
            ? unit * matrix.patches.positions + position : position * old.unitCount + unit
        }
      }
    }
    let missing = zip(wanted, samples.missing).map { zip($0, $1).map { $0 - $1 } }

    var numbers = weight.doubles
    var biases: [Double] = []
    for group in 0..<groups {
      let own = group * matrix.unitCount..<(group + 1) * matrix.unitCount
      let rows = places.places.count
      let found = RidgeRegression(
        SampleColumns(rows: rows, columns: samples.inputs[group]),
        missing: SampleColumns(rows: rows, columns: Array(missing[own])),
        examples: places.places.map(\.example))
      for (input, changes) in found.weights.enumerated() {
        for (unit, change) in changes.enumerated() {
          numbers[matrix.place(group: group, unit: unit, input: input)] += change
        }
      }
      biases += found.biases
    }
    let name = "\(layer.output)/repaired-weight"
    graph.constants[name] = try Tensor(shape: weight.shape, elements: .float64(numbers))
      .converted(to: weight.elementType)
    graph.nodes[index].inputs[1] = name
    try graph.addBias(biases, to: old, "least-squares-bias")
  }
}
