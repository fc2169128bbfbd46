// Rewriting graphs: folding of batch normalisation and bias, dead nodes, fusion.

import CoalitionBase
import TestSupport
import Testing

@testable import CoalitionNet

@Suite struct PassTests {
  private func normalised(
    _ operation: String, readTwice: Bool
  ) -> (graph: Graph, node: String) {
    var random = Seeded(4)
    var net = Net()
    let isConv = operation == "Conv"
    let x = net.input(isConv ? [3, 6, 5] : [7])
    let weight = net.constant(random.tensor(isConv ? [4, 3, 3, 3] : [7, 4]))
    let y = net.add(operation, [x, weight, net.constant(random.tensor([4]))])
    let parameters = [
      random.tensor([4]), random.tensor([4]), random.tensor([4]), random.tensor([4], 0.2...2),
    ].map { net.constant($0) }
    let z = net.add("BatchNormalization", [y] + parameters)
    net.output(readTwice ? net.add("Add", [z, y]) : net.add("Relu", [z]))
    return (net.graph, z)
  }

  @Test(arguments: ["Conv", "Gemm"])
  func batchNormalizationGoesIntoTheLayerBefore(operation: String) async throws {
    let (graph, _) = normalised(operation, readTwice: false)
    #expect(graph.foldingBatchNormalization().nodes.map(\.operation) == [operation, "Relu"])
    let inputs = examples(of: graph, count: 5, seed: 2)
    try await check(graph, inputs, tolerance: 1e-6)
    // The function goes into the same step.
    let plan = try Plan(try Model(graph))
    #expect(plan.routine.draft.steps.filter { $0 is ConvolutionStep }.count == 1)
    #expect(!plan.routine.draft.steps.contains { $0 is PointwiseStep || $0 is BinaryStep })
  }

  @Test func onlyABiasPerUnitIsFolded() async throws {
    for (shape, folds) in [([3], true), ([1, 3], true), ([1], true), ([], true), ([3, 1], false)] {
      var random = Seeded(5)
      var net = Net()
      net.graph.inputs = [Port("x", shape: [3, 7])]
      let bias = net.constant(random.tensor(shape))
      let y = net.add("Gemm", ["x", net.constant(random.tensor([7, 3])), bias])
      let parameters = [
        random.tensor([3]), random.tensor([3]), random.tensor([3]), random.tensor([3], 0.2...2),
      ].map { net.constant($0) }
      net.output(net.add("BatchNormalization", [y] + parameters))
      #expect(
        net.graph.foldingBatchNormalization().nodes.count == (folds ? 1 : 2), "\(shape)")
      try await check(
        net.graph, ["x": random.grid([3, 7])], axis: nil, together: false, tolerance: 1e-5)
    }
  }

  @Test func aLayerThatIsReadTwiceStaysAsItIs() async throws {
    let (graph, _) = normalised("Conv", readTwice: true)
    #expect(graph.foldingBatchNormalization().nodes.count == graph.nodes.count)
    try await check(graph, examples(of: graph, count: 5, seed: 2))
  }

  @Test func anAddedVectorBecomesTheBiasOfAProduct() async throws {
    var random = Seeded(6)
    for isFirst in [true, false] {
      var net = Net()
      let product = net.add("MatMul", [net.input([4, 7]), net.constant(random.tensor([7, 5]))])
      let bias = net.constant(random.tensor([1, 5]))
      net.output(net.add("Gelu", [net.add("Add", isFirst ? [bias, product] : [product, bias])]))
      let plan = try Plan(try Model(net.graph))
      #expect(plan.routine.draft.steps.count == 3, "\(plan.routine.draft.steps.map(\.summary))")
      try await check(net.graph, examples(of: net.graph, count: 5, seed: 2))
    }
    // A vector along another axis is no bias.
    var net = Net()
    let product = net.add("MatMul", [net.input([5, 7]), net.constant(random.tensor([7, 5]))])
    net.output(net.add("Add", [product, net.constant(random.tensor([5, 1]))]))
    try await check(net.graph, examples(of: net.graph, count: 5, seed: 2))
    // Nor is one along the rows of a product with a vector.
    net = Net()
    let rows = net.add("MatMul", [net.input([4, 7]), net.constant(random.tensor([7]))])
    net.output(net.add("Add", [rows, net.constant(random.tensor([4]))]))
    try await check(net.graph, examples(of: net.graph, count: 5, seed: 2))
  }

  @Test func aStackOfOneMatrixIsAProduct() async throws {
    var random = Seeded(7)
    let cases: [(left: [Int], right: [Int], isRight: Bool)] = [
      ([3, 7], [1, 7, 5], true), ([7], [1, 1, 7, 5], true), ([2, 3, 7], [1, 1, 7, 5], true),
      ([4, 7], [2, 7, 5], false), ([1, 1, 4, 7], [2, 7, 5], false), ([7], [2, 7, 5], false),
      ([1, 4, 7], [7, 5], false),
    ]
    for (left, right, isRight) in cases {
      var net = Net()
      let known = net.constant(random.tensor(isRight ? right : left))
      let computed = net.input(isRight ? left : right)
      let product = net.add("MatMul", isRight ? [computed, known] : [known, computed])
      net.output(net.add("Relu", [product]))
      let steps = try Plan(try Model(net.graph)).routine.draft.steps
      #expect(steps.count { $0 is ConvolutionStep } == 1, "\(left) \(right)")
      try await check(net.graph, examples(of: net.graph, count: 5, seed: 2))
    }
  }

  @Test func aMatrixThatAStackRepeatsIsPackedOnce() async throws {
    var random = Seeded(8)
    for isRight in [true, false] {
      var net = Net()
      let x = net.input([2, 3, 4, 7])
      let known = net.constant(random.tensor(isRight ? [2, 1, 7, 5] : [2, 1, 6, 4]))
      net.output(net.add("MatMul", isRight ? [x, known] : [known, x]))
      let plan = try Plan(try Model(net.graph))
      let layers = plan.routine.draft.steps.compactMap { $0 as? ConvolutionStep }
      #expect(layers.count == 6 && Set(layers.map(\.weights)).count == 2)
      // Programs for other lanes share them.
      let first = try plan.routine.program(lanes: 16)
      let bytes = plan.model.store.byteCount
      let second = try plan.routine.program(lanes: 64)
      #expect(bytes > 0 && plan.model.store.byteCount == bytes)
      #expect(first.constantByteCount == second.constantByteCount)
      try await check(net.graph, examples(of: net.graph, count: 5, seed: 2))
    }
  }

  @Test func deadNodesAndConstantNodes() async throws {
    var net = Net()
    let x = net.input([3])
    let weight = net.add(
      "Constant", [],
      ["value": .tensor(Tensor(filling: [3, 2], with: .float32([1, 2, 3, 4, 5, 6])))])
    let shared = net.add("Identity", [weight])
    let y = net.add("MatMul", [x, shared])
    _ = net.add("Exp", [y])
    net.output(y)
    #expect(
      net.graph.withoutDeadNodes().nodes.map(\.operation) == ["Constant", "Identity", "MatMul"])
    // An output that nobody wants is not the input that a later node leaves out.
    var graph = net.graph
    graph.nodes.insert(Node("Dropout", name: "dead", inputs: [x], outputs: ["v", ""]), at: 0)
    graph.nodes.append(Node("Clip", inputs: [y, "", weight], outputs: ["z"]))
    graph.outputs = [Port("z", shape: nil)]
    #expect(!graph.withoutDeadNodes().nodes.contains { $0.name == "dead" })
    let lifted = net.graph.withoutDeadNodes().liftingConstants()
    #expect(lifted.nodes.map(\.operation) == ["MatMul"])
    try await check(net.graph, examples(of: net.graph, count: 3, seed: 1))
  }

  @Test func plansShareTheirPackedWeights() throws {
    var random = Seeded(6)
    var net = Net()
    let x = net.input([7])
    let hidden = net.add("Gemm", [x, net.constant(random.tensor([7, 64]))])
    net.output(net.add("Gemm", [hidden, net.constant(random.tensor([64, 3]))]))
    let model = try Model(net.graph)
    let first = try Plan(model).routine.program(lanes: 16)
    let bytes = model.store.byteCount
    let second = try Plan(model).routine.program(lanes: 64)
    #expect(model.store.byteCount == bytes && bytes > 0)
    #expect(first.constantByteCount == second.constantByteCount)
  }
}
