// What cannot be removed, and which node is named.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import TestSupport
import Testing

@Suite struct ObstacleTests {
  private func obstacle(
    _ layer: String = "c1", _ body: (inout NetBuilder) -> String
  ) throws -> CoalitionError? {
    var net = NetBuilder(input: [3, 6, 6])
    let output = body(&net)
    let coupling = try UnitCoupling(try Model(net.finished(output)))
    return coupling.obstacle(toLayer: try coupling.layer(named: layer))
  }

  @Test func outputsStay() throws {
    let error = try obstacle { net in net.conv("x", 4, name: "c1") }
    #expect(error?.node == "c1.y" && error?.message.contains("output of the model") == true)
  }

  @Test func softmaxOverUnits() throws {
    let error = try obstacle { net in
      let x = net.node(
        "Softmax", [net.conv("x", 4, name: "c1")], shape: [4, 6, 6], name: "mix", ["axis": .int(1)])
      return net.dense(net.flatten(x), 3, name: "fc")
    }
    #expect(error?.node == "mix" && error?.message.contains("normalises") == true)
  }

  @Test func reducedUnits() throws {
    let error = try obstacle { net in
      let x = net.node(
        "ReduceMean", [net.conv("x", 4, name: "c1"), net.integers("axes", [1])], shape: [1, 6, 6],
        name: "mean")
      return net.dense(net.flatten(x), 3, name: "fc")
    }
    #expect(error?.node == "mean" && error?.message.contains("reduces") == true)
  }

  @Test func gatheredUnits() throws {
    let error = try obstacle { net in
      let x = net.node(
        "Gather", [net.conv("x", 4, name: "c1"), net.integers("indices", [2, 0])],
        shape: [2, 6, 6], name: "pick", ["axis": .int(1)])
      return net.dense(net.flatten(x), 3, name: "fc")
    }
    #expect(error?.node == "pick" && error?.message.contains("by their number") == true)
  }

  @Test func addedToTheInput() throws {
    let error = try obstacle { net in
      let x = net.add(net.conv("x", 3, name: "c1"), "x")
      return net.dense(net.flatten(x), 3, name: "fc")
    }
    #expect(error?.node == "x" && error?.message.contains("input of the model") == true)
  }

  @Test func reversedUnits() throws {
    let error = try obstacle { net in
      let x = net.node(
        "Slice",
        [
          net.conv("x", 4, name: "c1"), net.integers("from", [-1]), net.integers("to", [-100]),
          net.integers("axes", [1]), net.integers("steps", [-1]),
        ], shape: [4, 6, 6], name: "back")
      return net.dense(net.flatten(x), 3, name: "fc")
    }
    #expect(error?.node == "back")
  }

  @Test func sharedWeights() async throws {
    // One weight in two layers one after the other: their units and inputs are one thing.
    var net = NetBuilder(input: [3, 6, 6])
    var x = net.block("x", 5, name: "in")
    x = net.relu(net.conv(x, 5, name: "first"))
    x = net.node(
      "Conv", [x, "first.w", "first.b"], shape: [5, 6, 6], name: "second",
      ["kernel_shape": .ints([3, 3]), "pads": .ints([1, 1, 1, 1])])
    let output = net.dense(net.flatten(net.relu(x)), 3, name: "fc")
    let graph = net.finished(output)
    let coupling = try UnitCoupling(try Model(graph))
    let group = coupling.group(of: HiddenUnit(layer: 0, unit: 1))
    #expect(
      coupling.groups[group].units
        == [
          HiddenUnit(layer: 0, unit: 1), HiddenUnit(layer: 1, unit: 1),
          HiddenUnit(layer: 2, unit: 1),
        ])
    let rows = net.rows(2)
    let small = try await outputs(try coupling.removing([group]), rows)
    let large = try await outputs(try coupling.masking([group]), rows)
    #expect(largestDifference(small, large) <= 1e-5)
  }

  @Test func layersAreNeverEmptied() async throws {
    let coupling = try UnitCoupling(try Model(Architecture.vgg.build().graph))
    let layer = try coupling.layer(named: "c1")
    let groups = Set((0..<6).map { coupling.group(of: HiddenUnit(layer: layer, unit: $0)) })
    let error = await failure { _ = try coupling.removing(groups) }
    #expect(error.code == .usage && error.node == "c1")
    #expect(!coupling.canRemove(groups))
    #expect(coupling.canRemove(groups.subtracting([groups.min() ?? 0])))
  }

  @Test func layersByName() async throws {
    let coupling = try UnitCoupling(try Model(Architecture.vgg.build().graph))
    #expect(try coupling.layer(named: "c2.y") == 1)
    let error = await failure { _ = try coupling.layer(named: "c7") }
    #expect(error.code == .usage && error.expected == "c1, c2, c3, d1, d2")
  }

  @Test func evaluation() throws {
    func evaluations(_ architecture: Architecture) throws -> [String] {
      let (graph, _) = architecture.build()
      return try UnitCoupling(try Model(graph)).layers.map { layer in
        let node = graph.nodes.first { $0.outputs.contains(layer.evaluation) }
        return "\(layer.name)>\(node?.operation ?? "")"
      }
    }
    #expect(
      try evaluations(.vgg) == ["c1>Relu", "c2>Relu", "c3>Relu", "d1>Relu", "d2>Gemm"])
    #expect(try evaluations(.perceptron) == ["d1>LeakyRelu", "d2>Tanh", "d3>Gemm"])
    #expect(try evaluations(.lateNorms) == ["c1>Relu", "c2>Relu", "d1>Relu", "fc>Gemm"])
    #expect(try evaluations(.squeezenet).first == "stem>Relu")
    #expect(try evaluations(.gatedTail) == ["c1>Mul", "fc>Gemm"])
    // Behind the batch normalisation of a block comes an addition.
    #expect(
      try evaluations(.resnet) == [
        "stem>Relu", "a1>Relu", "a2>BatchNormalization", "b1>Relu", "b2>BatchNormalization",
        "b.down>BatchNormalization", "fc>Gemm",
      ])
  }

  /// Sizes that are written in several ways fit the smaller model.
  @Test(arguments: [9, 11, 21]) func writtenSizes(_ opset: Int) async throws {
    var net = NetBuilder(input: [3, 6, 6], opset: opset)
    var x = net.relu(net.conv("x", 8, name: "c1"))
    let parts: [String]
    if opset < 13 {
      parts = net.node(
        "Split", [x], shapes: [[3, 6, 6], [5, 6, 6]], name: "split",
        ["axis": .int(1), "split": .ints([3, 5])])
    } else {
      parts = net.node(
        "Split", [x], shapes: [[4, 6, 6], [4, 6, 6]], name: "split",
        ["axis": .int(1), "num_outputs": .int(2)])
    }
    x = net.concat([parts[1], parts[0]])
    if opset < 10 {
      x = net.node(
        "Slice", [x], shape: [6, 6, 6], name: "slice",
        ["axes": .ints([1]), "starts": .ints([1]), "ends": .ints([-1])])
    } else {
      x = net.node(
        "Slice",
        [x, net.integers("from", [1]), net.integers("to", [-1]), net.integers("on", [1])],
        shape: [6, 6, 6], name: "slice")
    }
    // A shape that is put together from the number of examples and a written size.
    let shape = net.node("Shape", [x], shape: [], name: "shape")
    let examples = net.node(
      "Gather", [shape, net.integers("zero", [0])], shape: [], name: "examples", ["axis": .int(0)])
    let target = net.node(
      "Concat", [examples, net.integers("rest", [6 * 36])], shape: [], name: "target",
      ["axis": .int(0)])
    x = net.node("Reshape", [x, target], shape: [6 * 36], name: "reshape")
    let output = net.dense(x, 4, name: "fc")
    let graph = net.finished(output)
    let coupling = try UnitCoupling(try Model(graph))
    let removed: Set<Int> = [1, 4, 6]
    let rows = net.rows(3)
    let small = try await outputs(try coupling.removing(removed), rows)
    let large = try await outputs(try coupling.masking(removed), rows)
    #expect(largestDifference(small, large) <= 1e-5)
  }
}
