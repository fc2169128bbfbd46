// Which units can be removed, and what goes with them.
//
// Units that can only be removed together are a group: what is added up in a residual network, a channel and its
// depthwise filter, layers that share weights. A group is removed from every axis that it reaches, or not at all.

public import CoalitionBase
public import CoalitionNet

/// A unit of one of a model's layers.
public struct HiddenUnit: Sendable, Hashable {
  /// Among the layers of `UnitCoupling`.
  public let layer: Int
  public let unit: Int

  public init(layer: Int, unit: Int) {
    self.layer = layer
    self.unit = unit
  }
}

/// The layers of a model, and how their units hang together.
public struct UnitCoupling: Sendable {
  /// Units that are removed together.
  public struct Group: Sendable, Hashable {
    public let units: [HiddenUnit]
    /// Why the group cannot be removed: nil when it can.
    public let obstacle: CoalitionError?
  }

  public let model: Model
  /// In the order of the graph; the last one is usually the model's output, which cannot shrink.
  public let layers: [HiddenLayer]
  /// In the order of their first units.
  public let groups: [Group]
  package let analysis: Analysis
  package let batching: Model.Batching
  private let shapes: [String: [Int]]
  private let classes: AxisClasses
  /// Per group its class.
  private let roots: [Int]
  /// Per layer and unit its group.
  private let groupOf: [[Int]]

  /// - Parameter inputShapes: sizes for axes that the model leaves open, per input (one example).
  /// - Throws: what the analysis of the model throws.
  public init(
    _ model: Model, inputShapes: [String: [Int]] = [:]
  ) throws(CoalitionError) {
    self.model = model
    shapes = inputShapes
    (analysis, batching) = try model.analysed(inputShapes) { $0.liftingConstants() }
    classes = try analysis.axisClasses()
    layers = HiddenLayer.all(in: analysis)

    var members: [Int: [HiddenUnit]] = [:]
    var order: [Int] = []
    for (index, layer) in layers.enumerated() {
      for unit in 0..<layer.unitCount {
        guard let place = classes.place(layer.output, axis: layer.axis, position: unit) else {
          continue
        }
        let root = classes.root(place)
        if members[root] == nil { order.append(root) }
        members[root, default: []].append(HiddenUnit(layer: index, unit: unit))
      }
    }
    roots = order
    groups = order.map { [classes] root in
      Group(
        units: members[root] ?? [],
        obstacle: classes.obstacle(root).map { obstacle in
          CoalitionError(
            .unsupported, "the units cannot be removed: they reach what \(obstacle.reason)",
            node: obstacle.node)
        })
    }
    var groupOf = layers.map { [Int](repeating: 0, count: $0.unitCount) }
    for (index, group) in groups.enumerated() {
      for unit in group.units { groupOf[unit.layer][unit.unit] = index }
    }
    self.groupOf = groupOf
  }

  /// The group of a unit.
  public func group(of unit: HiddenUnit) -> Int { groupOf[unit.layer][unit.unit] }

  /// Why no unit of a layer can be removed: nil when some can.
  public func obstacle(toLayer layer: Int) -> CoalitionError? {
    let obstacles = groupOf[layer].map { groups[$0].obstacle }
    return obstacles.contains(where: { $0 == nil }) ? nil : obstacles.first ?? nil
  }

  /// The layer with a name: that of its node or of its output.
  /// - Throws: `usage` with the layers that there are.
  public func layer(named name: String) throws(CoalitionError) -> Int {
    let found = layers.firstIndex { $0.name == name } ?? layers.firstIndex { $0.output == name }
    if let found { return found }
    throw CoalitionError(
      .usage, "no convolution or dense layer has this name", node: name,
      expected: layers.map(\.name).joined(separator: ", "))
  }

  // MARK: Removing

  /// What is left of every axis when groups are removed.
  /// - Throws: the obstacle to a group; `usage` when an axis would be left without positions, named by its layer.
  package func kept(removing removed: Set<Int>) throws(CoalitionError) -> [String: [[Int]?]] {
    for index in removed.sorted() {
      guard groups.indices.contains(index) else {
        throw CoalitionError(
          .usage, "there is no such group of units", expected: "0 to \(groups.count - 1)",
          found: "\(index)")
      }
      if let obstacle = groups[index].obstacle { throw obstacle }
    }
    let kept = classes.kept(removing: Set(removed.map { roots[$0] }))
    if let name = emptied(kept) {
      throw CoalitionError(.usage, "a layer cannot lose all of its units", node: name)
    }
    return kept
  }

  /// A layer, or else another value, that would have nothing left along an axis.
  private func emptied(_ kept: [String: [[Int]?]]) -> String? {
    func isEmpty(_ name: String) -> Bool { kept[name]?.contains { $0?.isEmpty == true } ?? false }
    return layers.first { isEmpty($0.output) }?.name ?? kept.keys.sorted().first(where: isEmpty)
  }

  /// Whether groups can be removed together.
  public func canRemove(_ groups: Set<Int>) -> Bool { (try? kept(removing: groups)) != nil }

  /// The model without some groups of units.
  /// - Throws: `unsupported` for groups that cannot be removed, `usage` for a layer that would be emptied.
  public func removing(_ groups: Set<Int>) throws(CoalitionError) -> Graph {
    try model.shrunk(analysis, keeping: try kept(removing: groups), shapes: shapes)
  }

  /// The model at its full size, in which nothing reads the units of some groups: convolutions and dense layers get zeros
  /// for them. It computes what the model without them computes.
  /// - Throws: as `removing`.
  public func masking(_ groups: Set<Int>) throws(CoalitionError) -> Graph {
    let kept = try kept(removing: groups)
    var graph = analysis.graph
    var masked: [String: String] = [:]
    var nodes: [Node] = []
    for var node in graph.nodes {
      if ["Conv", "Gemm", "MatMul"].contains(node.operation) {
        for (index, name) in node.inputs.enumerated().prefix(2) {
          guard let info = analysis.values[name], info.constant == nil, let axes = kept[name]
          else { continue }
          if masked[name] == nil {
            let result = "\(name)/masked"
            graph.constants["\(name)/mask"] = try Self.mask(axes, shape: info.shape)
            nodes.append(Node("Mul", inputs: [name, "\(name)/mask"], outputs: [result]))
            masked[name] = result
          }
          node.inputs[index] = masked[name] ?? name
        }
      }
      nodes.append(node)
    }
    graph.nodes = nodes
    return graph
  }

  /// 1 where a position is kept along every axis, else 0.
  private static func mask(
    _ axes: [[Int]?], shape: [Int]
  ) throws(CoalitionError) -> Tensor {
    let sizes = zip(axes, shape).map { $0 == nil ? 1 : $1 }
    var numbers: [Float] = [1]
    for (axis, size) in zip(axes, sizes) {
      let kept = axis.map(Set.init)
      numbers = numbers.flatMap { outer in
        (0..<size).map { kept?.contains($0) ?? true ? outer : 0 }
      }
    }
    return try Tensor(shape: sizes, elements: .float32(numbers))
  }
}
