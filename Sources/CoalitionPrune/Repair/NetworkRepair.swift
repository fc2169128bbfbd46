// Repair of a smaller model without training, on examples.
//
// Layer by layer in the order of the graph, from the first one that has lost inputs: what follows such a layer has moved,
// even where it has lost none itself. Earlier layers are repaired before later ones are measured, so that what is left of
// their errors is repaired as well.

public import CoalitionBase
public import CoalitionNet

/// What is repaired.
public enum Repair: String, Sendable, Hashable, CaseIterable {
  /// Weights and biases: the least squares to the outputs that the layer had in the whole model.
  case leastSquares = "least-squares"
  /// Statistics of batch normalisations: what they return has the means and deviations that it had.
  case normalisation = "bn"
  /// Biases: what layers return has the means that it had.
  case bias
}

public struct NetworkRepair: Sendable {
  /// Of the whole model.
  public let whole: UnitCoupling
  /// Per layer, the units of the whole model that the smaller one has.
  public let kept: [[Int]]
  public let inputs: [String: Tensor]
  public var plan = PlanOptions()
  public var run = RunOptions()

  public init(_ whole: UnitCoupling, kept: [[Int]], inputs: [String: Tensor]) {
    self.whole = whole
    self.kept = kept
    self.inputs = inputs
  }

  /// The smaller model, repaired in the order of `Repair`'s cases: a later one repairs what the one before has left. Where
  /// normalisations are repaired, biases in front of them stay as they are: they would undo it.
  /// A model that was repaired before, and has lost more units since, may be repaired again.
  /// - Throws: `usage` for a model whose layers are not those of the whole one.
  public func repaired(
    _ smaller: Graph, by repairs: Set<Repair>
  ) async throws(CoalitionError) -> Graph {
    var graph = smaller
    for repair in Repair.allCases where repairs.contains(repair) {
      let coupling = try UnitCoupling(
        try whole.model.rebuilt(graph), inputShapes: plan.inputShapes)
      guard coupling.layers.map(\.unitCount) == kept.map(\.count) else {
        throw CoalitionError(
          .usage, "the smaller model has other layers",
          expected: "\(kept.map(\.count)) units", found: "\(coupling.layers.map(\.unitCount))")
      }
      graph = coupling.analysis.graph
      switch repair {
      case .leastSquares: try await repairWeights(&graph, coupling)
      case .normalisation: try await repairNormalisations(&graph, coupling)
      case .bias:
        try await repairBiases(
          &graph, coupling, inFrontOfNormalisations: !repairs.contains(.normalisation))
      }
    }
    return graph.withoutDeadNodes()
  }

  /// Parameters that repairs add to a smaller model at most: biases of layers without, from the first one on that has lost inputs.
  public func parametersAdded(
    to smaller: Graph, by repairs: Set<Repair>
  ) throws(CoalitionError) -> Int {
    guard repairs.contains(.leastSquares) || repairs.contains(.bias) else { return 0 }
    let coupling = try UnitCoupling(
      try whole.model.rebuilt(smaller), inputShapes: plan.inputShapes)
    return movedLayers(coupling).reduce(0) { sum, index in
      let layer = coupling.layers[index]
      let node = smaller.nodes.first { $0.outputs.first == layer.output }
      let bias = node?.operation == "MatMul" ? nil : node?.input(2)
      let hasBias = bias.map { (smaller.constants[$0]?.count ?? 0) > 1 } ?? false
      return sum + (hasBias || layer.unitCount == 1 && bias != nil ? 0 : layer.unitCount)
    }
  }

  func onExamples(_ graph: Graph) throws(CoalitionError) -> ModelOnExamples {
    ModelOnExamples(
      model: try whole.model.rebuilt(graph), inputs: inputs, plan: plan, run: run)
  }

  /// - Parameter axis: of the units, among those of the value in the graph.
  private func statistics(
    _ value: String, axis: Int, _ graph: Graph
  ) async throws(CoalitionError) -> UnitStatistics {
    try await onExamples(graph).statistics(
      of: value, axis: whole.analysis.axis(axis, of: value))
  }

  /// The layers from the first one on that has lost inputs.
  func movedLayers(_ coupling: UnitCoupling) -> Range<Int> {
    func fanIn(_ layer: HiddenLayer, _ coupling: UnitCoupling) -> Int {
      (coupling.analysis.values[layer.weight]?.count ?? 0) / max(layer.unitCount, 1)
    }
    let first = coupling.layers.indices.first { layer in
      fanIn(coupling.layers[layer], coupling) < fanIn(whole.layers[layer], whole)
    }
    return (first ?? coupling.layers.count)..<coupling.layers.count
  }

  private func repairBiases(
    _ graph: inout Graph, _ coupling: UnitCoupling, inFrontOfNormalisations: Bool
  ) async throws(CoalitionError) {
    for index in movedLayers(coupling)
    where inFrontOfNormalisations || !whole.layers[index].hasNormalisation {
      // By its name in the whole model: behind a bias that another repair has added.
      let layer = whole.layers[index]
      let wanted = try await statistics(layer.output, axis: layer.axis, whole.model.graph)
      let found = try await statistics(layer.output, axis: layer.axis, graph)
      let change = zip(kept[index], found.means).map { wanted.means[$0] - $1 }
      try graph.addBias(change, to: layer, "bias")
    }
  }

  /// (x - mean) / sqrt(variance + epsilon) has the mean m and variance s^2 over the examples for the x of the whole model;
  /// for the x of the smaller one it has them with
  ///     variance' + epsilon = (variance + epsilon) s'^2 / s^2     mean' = m' - (m - mean) s' / s
  /// Examples that are few, or unlike those that the model was trained on, do no harm where nothing has changed.
  private func repairNormalisations(
    _ graph: inout Graph, _ coupling: UnitCoupling
  ) async throws(CoalitionError) {
    let moved = movedLayers(coupling)
    guard let first = moved.first else { return }
    let start = graph.nodes.firstIndex { $0.outputs.contains(coupling.layers[first].output) } ?? 0
    let axes = try whole.kept(removing: removedGroups)
    for (index, node) in graph.nodes.enumerated() where index > start {
      guard node.operation == "BatchNormalization", let name = node.outputs.first,
        let shape = whole.analysis.values[name]?.shape
      else { continue }
      try await repairNormalisation(index, &graph, axes[name]?[1] ?? Array(0..<shape[1]))
    }
  }

  private var removedGroups: Set<Int> {
    var removed: Set<Int> = []
    for (layer, units) in kept.enumerated() {
      let left = Set(units)
      for unit in 0..<whole.layers[layer].unitCount where !left.contains(unit) {
        removed.insert(whole.group(of: HiddenUnit(layer: layer, unit: unit)))
      }
    }
    return removed
  }

  /// - Parameter channels: of the whole model, those that the normalisation still has.
  private func repairNormalisation(
    _ index: Int, _ graph: inout Graph, _ channels: [Int]
  ) async throws(CoalitionError) {
    let node = graph.nodes[index]
    let before = whole.analysis.graph
    guard let output = node.outputs.first, let input = node.input(0),
      let source = before.nodes.first(where: { $0.outputs.first == output }),
      let read = source.input(0),
      let mean = source.input(3).flatMap({ before.constants[$0]?.doubles }),
      let variance = source.input(4).flatMap({ before.constants[$0]?.doubles })
    else { return }
    let old = try await statistics(read, axis: 1, whole.model.graph)
    let new = try await statistics(input, axis: 1, graph)
    var epsilon = 1e-5
    if case .float(let written)? = node.attributes["epsilon"] { epsilon = Double(written) }
    var means: [Double] = []
    var variances: [Double] = []
    for (channel, own) in channels.enumerated() {
      let isSpread = old.variances[own] > 0 && new.variances[channel] > 0
      let ratio = isSpread ? new.variances[channel] / old.variances[own] : 1
      variances.append(max(0, (variance[own] + epsilon) * ratio - epsilon))
      let distance = old.means[own] - mean[own]
      means.append(new.means[channel] - distance * ratio.squareRoot())
    }
    for (place, numbers) in [(3, means), (4, variances)] {
      let name = "\(output)/repaired-\(place == 3 ? "mean" : "variance")"
      let type = node.input(place).flatMap { graph.constants[$0]?.elementType } ?? .float32
      graph.constants[name] = Tensor(.float64(numbers)).converted(to: type)
      graph.nodes[index].inputs[place] = name
    }
  }
}

extension Graph {
  /// Adds numbers to the outputs of a layer's units.
  /// - Parameter reason: for the names of what is new.
  mutating func addBias(
    _ change: [Double], to layer: HiddenLayer, _ reason: String
  ) throws(CoalitionError) {
    guard let index = nodes.firstIndex(where: { $0.outputs.first == layer.output }) else {
      throw CoalitionError(.internalFault, "the layer is not there", node: layer.name)
    }
    let type = nodes[index].inputs.compactMap { constants[$0]?.elementType }.first ?? .float32
    let prefix = "\(layer.output)/repaired-"
    let name = prefix + reason
    if try foldBias(change, into: index, of: layer, name: name, type) { return }
    if nodes[index].operation == "Add", let earlier = nodes[index].input(1),
      earlier.hasPrefix(prefix), let old = constants[earlier]
    {
      let sum = zip(old.doubles, change).map { $0 + $1 }
      constants[earlier] = try Tensor(shape: old.shape, elements: .float64(sum))
        .converted(to: old.elementType)
      return
    }
    let shape = [change.count] + [Int](repeating: 1, count: layer.rank - layer.axis - 1)
    constants[name] = try Tensor(shape: shape, elements: .float64(change)).converted(to: type)
    let unbiased = "\(layer.output)/before-\(reason)"
    nodes[index].outputs[0] = unbiased
    nodes.insert(Node("Add", inputs: [unbiased, name], outputs: [layer.output]), at: index + 1)
  }

  /// Makes the change a part of the layer's own bias; a product of matrices becomes a Gemm.
  /// - Returns: false where the layer has no place for a bias, or one that is computed.
  private mutating func foldBias(
    _ change: [Double], into index: Int, of layer: HiddenLayer, name: String, _ type: ElementType
  ) throws(CoalitionError) -> Bool {
    var node = nodes[index]
    var (scale, shape) = (1.0, [change.count])
    switch node.operation {
    case "Conv": break
    case "Gemm" where layer.axis == 1:
      if case .float(let beta)? = node.attributes["beta"] { scale = Double(beta) }
    case "MatMul" where layer.rank == 2 && layer.axis == 1 && layer.weight == node.input(1):
      node.operation = "Gemm"
    default: return false
    }
    var old: [Double] = []
    if let bias = node.input(2) {
      guard let constant = constants[bias] else { return false }
      // One number serves all units; rows of their own, one for each example, are no bias.
      guard constant.count == change.count || constant.count == 1, scale != 0 else { return false }
      old = constant.doubles
      if constant.count == change.count { shape = constant.shape }
      guard shape.last == change.count else { return false }
    } else {
      node.attributes["beta"] = nil
      scale = 1
    }
    let sum = change.enumerated().map { unit, number in
      (old.isEmpty ? 0 : old[old.count == 1 ? 0 : unit]) + number / scale
    }
    constants[name] = try Tensor(shape: shape, elements: .float64(sum)).converted(to: type)
    node.inputs = Array(node.inputs.prefix(2)) + [name]
    nodes[index] = node
    return true
  }
}
