// Which units hang together, for each family of networks, and that a model without units computes what one computes in
// which nobody reads them.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import CoalitionPrune
import Foundation
import TestSupport
import Testing

/// Outputs of a graph for rows of its input `x`.
func outputs(
  _ graph: Graph, _ rows: Tensor, of value: String? = nil
) async throws -> Tensor {
  var options = PlanOptions()
  if let value { options.outputs = [value] }
  let plan = try Plan(try Model(graph), options)
  let results = try await plan.run(["x": rows])
  return try #require(results[value ?? graph.outputs[0].name])
}

func largestDifference(_ a: Tensor, _ b: Tensor) -> Double {
  guard a.shape == b.shape else { return .infinity }
  return zip(a.doubles, b.doubles).map { abs($0 - $1) }.max() ?? .infinity
}

@Suite struct CouplingTests {
  /// Layers whose units are removed together, as `a+b`, in the order of the graph; `!` for those that stay.
  static let expected: [Architecture: String] = [
    .vgg: "c1 c2 c3 d1 d2!",
    .resnet: "stem+a2 a1 b1 b2+b.down fc!",
    .preactivation: "stem+q0+q1 p0 p1 fc!",
    .densenet: "stem g0 g1 g2 transition fc!",
    .mobilenet: "stem+dw1 pw1+project+dw3 expand+dw2 fc!",
    .squeezeExcite: "c1+excite squeeze c2 fc!",
    .inception: "stem a b1 b2 c1 c2 c3 after fc!",
    .squeezenet: "stem squeeze0 one0 three0 squeeze1 one1 three1 classes!",
    .resnext: "in grouped out fc!",
    .shuffle: "c1 left right fc!",
    .perceptron: "d1 d2 d3!",
    .gatedTail: "c1 fc!",
    .paddedShortcut: "c1+c2 fc!",
    .sequence: "steps scores! fc!",
    .lateNorms: "c1 c2 d1 fc!",
  ]

  @Test(arguments: Architecture.allCases) func groups(_ architecture: Architecture) throws {
    let coupling = try UnitCoupling(try Model(architecture.build().graph))
    var sets: [String] = []
    for layer in coupling.layers.indices {
      var together: Set<Int> = []
      for unit in 0..<coupling.layers[layer].unitCount {
        let group = coupling.group(of: HiddenUnit(layer: layer, unit: unit))
        together.formUnion(coupling.groups[group].units.map(\.layer))
      }
      guard together.min() == layer else { continue }
      let names = together.sorted().map { coupling.layers[$0].name }.joined(separator: "+")
      sets.append(names + (coupling.obstacle(toLayer: layer) == nil ? "" : "!"))
    }
    #expect(sets.joined(separator: " ") == Self.expected[architecture])
  }

  /// Groups have as many units as layers are joined, times the filters of a depthwise channel or the groups of channels.
  @Test func sizesOfGroups() throws {
    func sizes(_ architecture: Architecture, _ layer: String) throws -> [Int] {
      let coupling = try UnitCoupling(try Model(architecture.build().graph))
      let index = try coupling.layer(named: layer)
      let groups = Set(
        (0..<coupling.layers[index].unitCount).map {
          coupling.group(of: HiddenUnit(layer: index, unit: $0))
        })
      return groups.sorted().map { coupling.groups[$0].units.count }
    }
    #expect(try sizes(.vgg, "c2") == [Int](repeating: 1, count: 8))
    #expect(try sizes(.resnet, "stem") == [Int](repeating: 2, count: 6))
    #expect(try sizes(.densenet, "g0") == [1, 1, 1])
    #expect(try sizes(.mobilenet, "pw1") == [Int](repeating: 4, count: 5))
    #expect(try sizes(.resnext, "in") == [4, 4])
    #expect(try sizes(.resnext, "grouped") == [4, 4, 4])
    // The i-th channels of both halves are one unit of the smaller axis.
    #expect(try sizes(.shuffle, "c1") == [2, 2, 2, 2])
    // Channel i of c1 is added to channel i + 1 of c2, whose others are added to zeros.
    #expect(try sizes(.paddedShortcut, "c2").sorted() == [1, 1, 1, 1, 2, 2, 2, 2])
  }

  /// Files leave slashes in front of names out, and no two layers may meet there.
  @Test func namesDiffer() throws {
    var (graph, _) = Architecture.perceptron.build()
    let layers = try UnitCoupling(try Model(graph)).layers
    for (place, name) in zip(layers.indices, ["a", "/a", "//b"]) {
      let index = try #require(
        graph.nodes.firstIndex { $0.outputs.first == layers[place].output })
      graph.nodes[index].name = name
    }
    let coupling = try UnitCoupling(try Model(graph))
    #expect(
      coupling.layers.map(\.name) == [layers[0].output, layers[1].output, "//b"]
        + layers.dropFirst(3).map(\.name))
    for index in coupling.layers.indices {
      #expect(try coupling.layer(named: coupling.layers[index].name) == index)
    }
    #expect(throws: CoalitionError.self) { try coupling.layer(named: "a") }
  }

  /// Random groups of a network, as many as its layers allow.
  private func choice(_ coupling: UnitCoupling, seed: Int) -> Set<Int> {
    var random = Seeded(seed)
    var removed: Set<Int> = []
    for (index, group) in coupling.groups.enumerated() where group.obstacle == nil {
      if Double.random(in: 0..<1, using: &random) < 0.45,
        coupling.canRemove(removed.union([index]))
      {
        removed.insert(index)
      }
    }
    return removed
  }

  @Test(arguments: Architecture.allCases) func prunedEqualsMasked(
    _ architecture: Architecture
  ) async throws {
    let (graph, builder) = architecture.build()
    let coupling = try UnitCoupling(try Model(graph))
    let rows = builder.rows(3)
    let whole = try await outputs(graph, rows)
    for seed in 1...3 {
      let removed = choice(coupling, seed: seed)
      #expect(!removed.isEmpty)
      let pruned = try coupling.removing(removed)
      let masked = try coupling.masking(removed)
      let small = try await outputs(pruned, rows)
      let large = try await outputs(masked, rows)
      #expect(largestDifference(small, large) <= 1e-5)
      #expect(largestDifference(small, whole) > 1e-4)
      #expect(parameters(pruned) < parameters(graph))
      try PrunedFiles.write("\(architecture)-\(seed)", pruned, rows, small)
      // The file says what the graph says.
      let read = try ONNX.decode(try ONNX.encode(pruned))
      #expect(largestDifference(try await outputs(read, rows), small) == 0)
    }
  }

  /// Zeros at the tensors where absence is defined give the network without the units, wherever nothing but functions
  /// that keep zeros follows.
  @Test(arguments: [
    Architecture.vgg, .resnet, .mobilenet, .squeezeExcite, .inception, .squeezenet, .resnext,
    .shuffle, .perceptron, .gatedTail, .paddedShortcut, .sequence, .lateNorms,
  ]) func prunedEqualsZeroedActivations(_ architecture: Architecture) async throws {
    let (graph, builder) = architecture.build()
    let coupling = try UnitCoupling(try Model(graph))
    let rows = builder.rows(3)
    let removed = choice(coupling, seed: 5)
    var zeroed = graph
    for (index, layer) in coupling.layers.enumerated() {
      let units = removed.flatMap { coupling.groups[$0].units }.filter { $0.layer == index }
      if units.isEmpty { continue }
      var mask = [Float](repeating: 1, count: layer.unitCount)
      for unit in units { mask[unit.unit] = 0 }
      let inner = builder.shape(layer.evaluation).count - layer.axis
      zeroed.constants["zero\(index)"] = try Tensor(
        shape: [layer.unitCount] + [Int](repeating: 1, count: inner), elements: .float32(mask))
      let name = "\(layer.evaluation).zeroed"
      for node in zeroed.nodes.indices {
        zeroed.nodes[node].inputs = zeroed.nodes[node].inputs.map {
          $0 == layer.evaluation ? name : $0
        }
      }
      zeroed.nodes.append(
        Node("Mul", inputs: [layer.evaluation, "zero\(index)"], outputs: [name]))
    }
    let small = try await outputs(try coupling.removing(removed), rows)
    #expect(largestDifference(small, try await outputs(zeroed, rows)) <= 1e-5)
  }

  /// What a masked network computes does not depend on the weights of the units that nobody reads.
  @Test(arguments: Architecture.allCases) func maskedUnitsHaveNoInfluence(
    _ architecture: Architecture
  ) async throws {
    let (graph, builder) = architecture.build()
    let rows = builder.rows(2)
    let coupling = try UnitCoupling(try Model(graph))
    let removed = choice(coupling, seed: 4)
    var other = try coupling.masking(removed)
    let before = try await outputs(other, rows)
    var changed = graph
    for unit in removed.flatMap({ coupling.groups[$0].units }) {
      let layer = coupling.layers[unit.layer]
      let moved = try moved(try #require(other.constants[layer.weight]), layer, unit)
      other.constants[layer.weight] = moved
      changed.constants[layer.weight] = moved
    }
    #expect(largestDifference(try await outputs(other, rows), before) == 0)
    let whole = try await outputs(graph, rows)
    #expect(largestDifference(try await outputs(changed, rows), whole) > 1e-4)
  }

  /// A weight with other numbers for one unit.
  private func moved(_ weight: Tensor, _ layer: HiddenLayer, _ unit: HiddenUnit) throws -> Tensor {
    let inner = weight.shape[(layer.weightAxis + 1)...].reduce(1, *)
    return try Tensor(
      shape: weight.shape,
      elements: .float32(
        weight.floats.enumerated().map { place, number in
          place / inner % weight.shape[layer.weightAxis] == unit.unit ? 1 - number : number
        }))
  }

  private func parameters(_ graph: Graph) -> Int {
    (try? ModelSummary(graph).parameters) ?? 0
  }

  // MARK: NaN probes

  /// A unit that is NaN makes NaN exactly those positions of later layers' inputs that go with it.
  @Test(arguments: [
    (Architecture.vgg, "c3", ["d1"]), (.vgg, "c1", ["c2"]), (.vgg, "d1", ["d2"]),
    (.perceptron, "d1", ["d2"]), (.inception, "b2", ["after"]), (.shuffle, "left", ["fc"]),
    (.mobilenet, "dw3", ["fc"]), (.squeezenet, "three0", ["squeeze1"]), (.gatedTail, "c1", ["fc"]),
    (.sequence, "steps", ["scores"]),
  ]) func notANumber(_ architecture: Architecture, layer name: String, readers: [String])
    async throws
  {
    let (network, builder) = architecture.build()
    var graph = network
    let coupling = try UnitCoupling(try Model(graph))
    let index = try coupling.layer(named: name)
    let layer = coupling.layers[index]
    let group = coupling.group(of: HiddenUnit(layer: index, unit: 2))
    let kept = try coupling.kept(removing: [group])
    // A convolution or dense layer whose units of the group are NaN.
    let units = Set(coupling.groups[group].units.filter { $0.layer == index }.map(\.unit))
    let weight = try #require(graph.constants[layer.weight])
    let inner = weight.shape[(layer.weightAxis + 1)...].reduce(1, *)
    graph.constants[layer.weight] = try Tensor(
      shape: weight.shape,
      elements: .float32(
        weight.floats.enumerated().map {
          units.contains($0 / inner % weight.shape[layer.weightAxis]) ? Float.nan : $1
        }))
    for reader in readers {
      let input = coupling.layers[try coupling.layer(named: reader)].input
      let values = try await outputs(graph, builder.rows(2), of: input)
      let axes = try #require(kept[input])
      #expect(values.doubles.contains { $0.isNaN } && values.doubles.contains { !$0.isNaN })
      for (axis, positions) in axes.enumerated() {
        guard let positions else { continue }
        let inner = values.shape[(axis + 1)...].reduce(1, *)
        var found = Set(0..<values.shape[axis])
        for (place, number) in values.doubles.enumerated() where number.isNaN {
          found.remove(place / inner % values.shape[axis])
        }
        #expect(found == Set(positions))
      }
    }
  }

  @Test func featuresOfAChannel() throws {
    let coupling = try UnitCoupling(try Model(Architecture.vgg.build().graph))
    let index = try coupling.layer(named: "c3")
    let kept = try coupling.kept(
      removing: [coupling.group(of: HiddenUnit(layer: index, unit: 3))])
    // Ten channels of 2x2: channel 3 is features 12 to 15 of the dense layer.
    #expect(kept["d1.w"]?[1] == Array(0..<12) + Array(16..<40))
    #expect(kept["c3.w"]?[0] == [0, 1, 2, 4, 5, 6, 7, 8, 9])
    #expect(kept["c2.w"] == nil)
  }
}

/// Pruned models in a folder that another runtime looks at (Tests/Conformance/pruned_models.py), where the environment
/// names one.
enum PrunedFiles {
  static func write(_ name: String, _ graph: Graph, _ rows: Tensor, _ outputs: Tensor) throws {
    guard let folder = ProcessInfo.processInfo.environment["COALITION_PRUNED_MODELS"] else {
      return
    }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try ONNX.write(graph, to: "\(folder)/\(name).onnx")
    for (part, tensor) in [("input", rows), ("output", outputs)] {
      let bytes = tensor.floats.withUnsafeBytes { Data($0) }
      let shape = tensor.shape.map(String.init).joined(separator: "x")
      try bytes.write(to: URL(fileURLWithPath: "\(folder)/\(name).\(part).\(shape).f32"))
    }
  }
}
