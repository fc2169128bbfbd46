// Repair of smaller models: means, deviations and outputs come back.

import CoalitionBase
import CoalitionNet
@testable import CoalitionPrune
import TestSupport
import Testing

@Suite struct RepairTests {
  /// A network, without a part of its units.
  private struct Pruned {
    let graph: Graph
    let rows: Tensor
    let smaller: Graph
    let repair: NetworkRepair

    init(_ architecture: Architecture, keep: Double = 0.6) throws {
      let (graph, builder) = architecture.build()
      let coupling = try UnitCoupling(try Model(graph))
      let scores = coupling.layers.indices.map { layer in
        (layer, (0..<coupling.layers[layer].unitCount).map { Double($0) })
      }
      let ranking = try UnitRanking(
        coupling, scores: Dictionary(uniqueKeysWithValues: scores))
      try self.init(
        graph, coupling, removing: ranking.keeping(keep, scope: .layer), builder.rows(60))
    }

    init(
      _ graph: Graph, _ coupling: UnitCoupling, removing removed: Set<Int>, _ rows: Tensor
    ) throws {
      self.graph = graph
      self.rows = rows
      smaller = try coupling.removing(removed)
      let gone = Set(removed.flatMap { coupling.groups[$0].units })
      let kept = coupling.layers.indices.map { layer in
        (0..<coupling.layers[layer].unitCount).filter {
          !gone.contains(HiddenUnit(layer: layer, unit: $0))
        }
      }
      repair = NetworkRepair(coupling, kept: kept, inputs: ["x": rows])
    }

    /// The mean square distance of outputs to those of the whole network.
    func error(_ other: Graph, on rows: Tensor? = nil) async throws -> Double {
      let whole = try await outputs(graph, rows ?? self.rows).doubles
      let found = try await outputs(other, rows ?? self.rows).doubles
      return zip(whole, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        / Double(whole.count)
    }
  }

  private func means(_ graph: Graph, _ rows: Tensor, of value: String? = nil) async throws
    -> [Double]
  {
    let output = try await outputs(graph, rows, of: value)
    let count = output.shape[0]
    let size = output.count / count
    return (0..<size).map { place in
      (0..<count).reduce(0) { $0 + output.doubles[$1 * size + place] } / Double(count)
    }
  }

  /// Repaired biases bring the means of the outputs back, whatever has been lost before.
  @Test(arguments: [Architecture.vgg, .resnet, .perceptron, .densenet, .inception, .mobilenet])
  func biases(_ architecture: Architecture) async throws {
    let pruned = try Pruned(architecture)
    let repaired = try await pruned.repair.repaired(pruned.smaller, by: [.bias])
    let whole = try await means(pruned.graph, pruned.rows)
    expectClose(try await means(repaired, pruned.rows), whole, within: 1e-5)
    let before = try await means(pruned.smaller, pruned.rows)
    #expect(zip(before, whole).contains { abs($0 - $1) > 1e-2 })
    // Nothing but numbers has changed.
    #expect(
      try UnitCoupling(try Model(repaired)).layers.map(\.unitCount)
        == pruned.repair.kept.map(\.count))
  }

  /// Channels behind a normalisation have their mean and deviation again.
  @Test(arguments: [Architecture.vgg, .resnet, .mobilenet], [[], [Repair.bias]])
  func normalisations(
    _ architecture: Architecture, others: Set<Repair>
  ) async throws {
    let pruned = try Pruned(architecture)
    let repaired = try await pruned.repair.repaired(
      pruned.smaller, by: others.union([.normalisation]))
    func moments(_ graph: Graph, _ value: String) async throws -> [(mean: Double, spread: Double)] {
      let tensor = try await outputs(graph, pruned.rows, of: value)
      let (channels, inner) = (tensor.shape[1], tensor.shape[2...].reduce(1, *))
      return (0..<channels).map { channel in
        let own = tensor.doubles.enumerated().filter { $0.offset / inner % channels == channel }
          .map(\.element)
        let mean = own.reduce(0, +) / Double(own.count)
        let square = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(own.count)
        return (mean, square.squareRoot())
      }
    }
    var moved = 0.0
    for (index, layer) in pruned.repair.whole.layers.enumerated() {
      // The first layers have lost nothing in front of them.
      guard layer.hasNormalisation, index > 0 else { continue }
      let name = "\(layer.name).bn.y"
      let old = try await moments(pruned.graph, name)
      let new = try await moments(repaired, name)
      let before = try await moments(pruned.smaller, name)
      // A channel that removal has left without any spread cannot get it back.
      for (channel, own) in pruned.repair.kept[index].enumerated() where old[own].spread > 0.05 {
        #expect(abs(new[channel].mean - old[own].mean) < 1e-3)
        #expect(abs(new[channel].spread - old[own].spread) < 1e-3)
        moved = max(moved, abs(before[channel].mean - old[own].mean))
      }
    }
    #expect(moved > 0.05)
    if architecture == .vgg {
      #expect(try await pruned.error(repaired) < pruned.error(pruned.smaller))
    }
  }

  @Test(arguments: [
    Architecture.vgg, .resnet, .perceptron, .inception, .mobilenet, .resnext, .squeezenet,
    .sequence,
  ]) func leastSquares(_ architecture: Architecture) async throws {
    let pruned = try Pruned(architecture)
    let repaired = try await pruned.repair.repaired(pruned.smaller, by: [.leastSquares])
    let before = try await pruned.error(pruned.smaller)
    #expect(try await pruned.error(repaired) < 0.7 * before)
    // No constants are left that nobody reads.
    #expect(repaired.constants.count == repaired.withoutDeadNodes().constants.count)
  }

  /// Drawn positions are spread over the whole map, whatever the number of examples.
  @Test(arguments: [64, 512, 2000, 2048]) func places(examples: Int) {
    let places = SamplePlaces(examples: examples, positions: 32 * 32, unknowns: 144).places
    #expect(places.count == 2048)
    #expect(zip(places, places.dropFirst()).allSatisfy { $0 < $1 })
    #expect(places.allSatisfy { (0..<examples).contains($0.example) })
    // 2048 draws leave a seventh of 1024 positions out.
    #expect(Set(places.map(\.position)).count > 800)
    #expect(Set(places.map { $0.position % 32 }).count == 32)
  }

  /// Numbers of repairs have the type of those that they replace.
  @Test func doublePrecision() async throws {
    let (network, builder) = Architecture.vgg.build()
    var graph = network
    for (name, constant) in graph.constants where constant.elementType == .float32 {
      graph.constants[name] = Tensor(filling: constant.shape, with: .float64(constant.doubles))
    }
    for index in graph.inputs.indices { graph.inputs[index].elementType = .float64 }
    for index in graph.outputs.indices { graph.outputs[index].elementType = .float64 }
    let coupling = try UnitCoupling(try Model(graph))
    let group = coupling.group(of: HiddenUnit(layer: try coupling.layer(named: "c3"), unit: 4))
    let pruned = try Pruned(graph, coupling, removing: [group], builder.rows(60))
    let repaired = try await pruned.repair.repaired(pruned.smaller, by: Set(Repair.allCases))
    #expect(repaired.constants.contains { $0.key.contains("/repaired-") })
    #expect(!repaired.constants.values.contains { $0.elementType == .float32 })
  }

  /// What a unit gave is taken over by its double.
  @Test func doubles() async throws {
    let (network, builder) = Architecture.vgg.build()
    var graph = network
    for (name, size) in [
      ("c3.w", graph.constants["c3.w"].map { $0.count / 10 } ?? 0), ("c3.b", 1),
    ] {
      let constant = try #require(graph.constants[name])
      var numbers = constant.floats
      for index in 0..<size { numbers[4 * size + index] = 2 * numbers[7 * size + index] }
      graph.constants[name] = Tensor(filling: constant.shape, with: .float32(numbers))
    }
    let coupling = try UnitCoupling(try Model(graph))
    let group = coupling.group(
      of: HiddenUnit(layer: try coupling.layer(named: "c3"), unit: 4))
    let pruned = try Pruned(graph, coupling, removing: [group], builder.rows(120))
    let repaired = try await pruned.repair.repaired(pruned.smaller, by: [.leastSquares])
    let before = try await pruned.error(pruned.smaller)
    #expect(before > 1e-4)
    #expect(try await pruned.error(repaired) < 1e-3 * before)
    // On other examples as well.
    let others = builder.rows(50, seed: 99)
    #expect(
      try await pruned.error(repaired, on: others)
        < 1e-2 * pruned.error(pruned.smaller, on: others))
  }

  /// All of them, one after the other, keep what the others have done.
  @Test(arguments: [Architecture.vgg, .perceptron]) func together(
    _ architecture: Architecture
  ) async throws {
    let pruned = try Pruned(architecture)
    let repaired = try await pruned.repair.repaired(
      pruned.smaller, by: Set(Repair.allCases))
    let whole = try await means(pruned.graph, pruned.rows)
    expectClose(try await means(repaired, pruned.rows), whole, within: 1e-5)
    #expect(try await pruned.error(repaired) < 0.7 * pruned.error(pruned.smaller))
  }

  /// New biases are the layers' own: no operator is added, nor a parameter where there was a bias.
  @Test(arguments: [Architecture.vgg, .perceptron, .resnet, .sequence])
  func folded(_ architecture: Architecture) async throws {
    let pruned = try Pruned(architecture)
    let repaired = try await pruned.repair.repaired(
      pruned.smaller, by: [.leastSquares, .bias])
    let coupling = try UnitCoupling(try Model(pruned.smaller))
    func parameters(_ graph: Graph) throws -> Int { try ModelSummary(graph).parameters }
    let added = try parameters(repaired) - parameters(pruned.smaller)
    #expect(
      added == (try pruned.repair.parametersAdded(to: pruned.smaller, by: [.leastSquares, .bias])))
    #expect(try pruned.repair.parametersAdded(to: pruned.smaller, by: [.normalisation]) == 0)
    // A matrix on the left, and rows of steps, have no place for a bias.
    guard [.vgg, .resnet].contains(architecture) else { return }
    #expect(repaired.nodes.count == pruned.smaller.nodes.count)
    // What is pruned and repaired again has layers of the same names.
    #expect(
      try UnitCoupling(try Model(repaired)).layers.map(\.output) == coupling.layers.map(\.output))
  }

  /// beta scales a Gemm's own bias, which may be one number for all units.
  @Test(arguments: [(Float(1), 4), (0.5, 4), (2, 1), (1, 0)])
  func biasesOfGemm(_ beta: Float, _ biases: Int) async throws {
    var graph = Graph(
      nodes: [
        Node(
          "Gemm", name: "g", inputs: ["x", "w"] + (biases > 0 ? ["c"] : []), outputs: ["z"],
          attributes: ["beta": .float(beta)]),
        Node("Relu", inputs: ["z"], outputs: ["y"]),
      ], inputs: [Port("x", shape: [.symbolic("N"), 3])], outputs: [Port("y", shape: nil)],
      constants: [
        "w": Tensor(
          filling: [3, 4], with: .float32((0..<12).map { Float($0) / 10 - 0.4 })),
        "c": Tensor(.float32((0..<biases).map { Float($0) + 0.5 })),
      ])
    if biases == 0 { graph.constants["c"] = nil }
    let x = Tensor(filling: [2, 3], with: .float32([1, -2, 3, 0.5, 0.25, -1]))
    func z(_ graph: Graph) async throws -> [Double] {
      try await outputs(graph, x, of: "z").doubles
    }
    let layer = try UnitCoupling(try Model(graph)).layers[0]
    let before = try await z(graph)
    let nodes = graph.nodes.count
    try graph.addBias([1, -2, 3, 0.5], to: layer, "bias")
    #expect(graph.nodes.count == nodes)
    let change = [1, -2, 3, 0.5, 1, -2, 3, 0.5]
    expectClose(try await z(graph), zip(before, change).map { $0 + $1 }, within: 1e-5)
  }

  /// A second repair finds nothing left to do.
  @Test(arguments: [Architecture.vgg, .perceptron, .resnet, .mobilenet, .sequence])
  func again(_ architecture: Architecture) async throws {
    let pruned = try Pruned(architecture)
    for repairs: Set<Repair> in [[.bias], [.normalisation], Set(Repair.allCases)] {
      let once = try await pruned.repair.repaired(pruned.smaller, by: repairs)
      let twice = try await pruned.repair.repaired(once, by: repairs)
      let (a, b) = (
        try await outputs(once, pruned.rows), try await outputs(twice, pruned.rows)
      )
      if repairs.contains(.leastSquares) {
        #expect(try await pruned.error(twice) < 1.2 * pruned.error(once), "\(architecture)")
      } else {
        #expect(largestDifference(a, b) < 1e-4, "\(repairs)")
      }
    }
  }

  @Test func anotherModel() async throws {
    let pruned = try Pruned(.vgg)
    let error = await failure {
      _ = try await pruned.repair.repaired(pruned.graph, by: [.bias])
    }
    #expect(error.code == .usage)
  }
}
