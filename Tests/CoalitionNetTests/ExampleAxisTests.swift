// Where examples are followed to: nodes that would mix them, and nodes that only look like it.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@Suite struct ExampleAxisTests {
  private func batching(
    _ shape: [Dimension], opset: Int = 21, _ build: (inout Net) -> String
  ) throws -> Model.Batching {
    var net = Net(opset: opset)
    net.graph.inputs = [Port("x", shape: shape)]
    net.output(build(&net))
    return try Plan(try Model(net.graph)).batching
  }

  private func slice(
    _ net: inout Net, _ start: Int, _ end: Int, _ step: Int = 1, axis: Int = 0
  ) -> String {
    net.add("Slice", ["x"] + [start, end, axis, step].map { net.integers([$0]) })
  }

  private let together = Model.Batching.together(axes: ["x": 0])

  // MARK: Squeeze

  @Test func squeezeDropsOnlyTheAxesThatItsInputNames() async throws {
    var net = Net()
    net.graph.inputs = [Port("x", shape: ["N", 1, 4, 1])]
    let squeezed = net.add("Squeeze", ["x", net.integers([3])])
    net.output(net.add("Softmax", [squeezed], ["axis": .int(1)]))
    let plan = try Plan(try Model(net.graph))
    #expect(plan.outputs.map(\.shape) == [[1, 4]])
    var random = Seeded(1)
    try await check(net.graph, ["x": random.grid([3, 1, 4, 1])])
  }

  @Test func squeezeWithoutAxesKeepsTheExamples() async throws {
    var net = Net()
    net.graph.inputs = [Port("x", shape: ["N", 1, 4, 1])]
    net.output(net.add("Softmax", [net.add("Squeeze", ["x"])], ["axis": .int(-1)]))
    #expect(try Plan(try Model(net.graph)).outputs.map(\.shape) == [[4]])
    var random = Seeded(1)
    try await check(net.graph, ["x": random.grid([3, 1, 4, 1])])
  }

  @Test(arguments: [[Dimension.symbolic("N"), 1, 4], [1, 1, 4]])
  func squeezeOfTheExamplesMixesThem(shape: [Dimension]) throws {
    #expect(
      try batching(shape) { $0.add("Squeeze", ["x", $0.integers([0])]) }
        == .oneByOne(node: "Squeeze0"))
    #expect(
      try batching(shape, opset: 11) { $0.add("Squeeze", ["x"], ["axes": .ints([0, 1])]) }
        == .oneByOne(node: "Squeeze0"))
  }

  // MARK: Slice

  @Test func aRangeOfAnOpenBatchMixesUnlessItIsAllOfIt() throws {
    for (start, end, step) in [(0, 1, 1), (-1, .max, 1), (-1, Int.min + 1, -1), (0, .max, 2)] {
      #expect(
        try batching(["N", 3]) { slice(&$0, start, end, step) } == .oneByOne(node: "Slice0"),
        "\(start) \(end) \(step)")
    }
    #expect(try batching(["N", 3]) { slice(&$0, 0, .max) } == together)
    #expect(try batching(["N", 3]) { slice(&$0, -1, .max, axis: 1) } == together)
  }

  @Test func aRangeFromTheFirstExampleOfOneTakesAll() throws {
    #expect(try batching([1, 3]) { slice(&$0, 0, 1) } == together)
    #expect(try batching([1, 3]) { slice(&$0, -1, .max) } == .oneByOne(node: "Slice0"))
    #expect(
      try batching([1, 3]) { slice(&$0, -1, Int.min + 1, -1) } == .oneByOne(node: "Slice0"))
  }

  // MARK: Reshape and Flatten

  @Test func flattenedExamplesMixInWhatFollows() throws {
    for shape: [Dimension] in [["N", 3], [1, 3]] {
      #expect(
        try batching(shape) { net in
          net.add("Softmax", [net.add("Flatten", ["x"], ["axis": .int(0)])], ["axis": .int(1)])
        } == .oneByOne(node: "Softmax1"))
    }
    #expect(
      try batching(["N", 3]) { net in
        let ones = net.constant(Tensor(filling: [1, 1], with: .float32([1])))
        let flat = net.add("Flatten", ["x"], ["axis": .int(0)])
        return net.add("Concat", [flat, ones], ["axis": .int(1)])
      } == .oneByOne(node: "Concat1"))
  }

  @Test func aWrittenOneStandsForTheExamplesOnlyOfAFileForOne() throws {
    func reduced(_ net: inout Net) -> String {
      let flat = net.add("Reshape", ["x", net.integers([1, -1])])
      return net.add("ReduceMax", [flat, net.integers([1])])
    }
    #expect(try batching(["N", 3], reduced) == .oneByOne(node: "ReduceMax1"))
    #expect(try batching([1, 3], reduced) == together)
  }

  // MARK: Broadcasting

  @Test func aStackOfMatricesIsNotOnePerExample() throws {
    var random = Seeded(3)
    let stack = random.tensor([2, 3, 2])
    #expect(
      try batching(["N", 1, 3]) { $0.add("MatMul", ["x", $0.constant(stack)]) }
        == .oneByOne(node: "MatMul0"))
    #expect(
      try batching(["N", 2, 1, 3]) { $0.add("MatMul", ["x", $0.constant(stack)]) } == together)
  }

  // MARK: Constants

  @Test func aConstantThatTheModelRepeatsPerExampleIsRepeated() async throws {
    var net = Net(opset: 17)
    let x = net.input([2])
    let count = net.add("Shape", [x], ["end": .int(1)])
    let shape = net.add("Concat", [count, net.integers([3])], ["axis": .int(0)])
    let row = net.constant(Tensor(filling: [1, 3], with: .float32([1, 2, 3])))
    let repeated = net.add("Expand", [row, shape])
    let dropped = net.add("Dropout", [x], outputs: 2)
    let same = net.add("Identity", [row])
    net.output(repeated, dropped[1], same, net.add("Relu", [dropped[0]]))
    let plan = try Plan(try Model(net.graph))
    #expect(plan.batching == together(x))
    #expect(plan.outputs.map(\.hasExamples) == [true, true, false, true])
    let rows = Tensor(filling: [5, 2], with: .float32([Float](repeating: 1, count: 10)))
    let results = try await plan.run([x: rows])
    let expected = (0..<5).flatMap { _ in [1, 2, 3] as [Float] }
    #expect(results[repeated] == Tensor(filling: [5, 3], with: .float32(expected)))
    #expect(
      results[dropped[1]]
        == Tensor(filling: [5, 2], with: .bool([Bool](repeating: true, count: 10))))
    #expect(results[same]?.shape == [1, 3])
    // Rows of inputs and outputs: 2, 3 and 2 numbers and 2 truth values.
    #expect(try plan.memory(examples: 5).rows == 5 * (4 * (2 + 3 + 2) + 2))
  }

  private func together(_ input: String) -> Model.Batching { .together(axes: [input: 0]) }

  // MARK: Which axis

  @Test func aSecondAxisOfSizeOneIsNotTakenForAnOpenFirstOne() throws {
    func mean(_ net: inout Net) -> String {
      net.add("ReduceMean", ["x", net.integers([0])], ["keepdims": .int(0)])
    }
    #expect(try batching(["N", 1, 3], mean) == .oneByOne(node: "ReduceMean0"))
    #expect(try batching([4, "N", 3], mean) == .together(axes: ["x": 1]))
    #expect(try batching([4, 1, 3], mean) == .together(axes: ["x": 1]))
  }

  @Test func theSizesOfOneExampleGoAroundItsAxis() throws {
    var net = Net()
    net.graph.inputs = [Port("x", shape: ["T", "N", 3])]
    net.output(net.add("ReduceMean", ["x", net.integers([0])], ["keepdims": .int(0)]))
    var options = PlanOptions()
    options.inputShapes = ["x": [5, 3]]
    #expect(try Plan(try Model(net.graph), options).batching == .together(axes: ["x": 1]))
    #expect(try Plan(try Model(net.graph), options).inputs.map(\.shape) == [[5, 3]])
    options.inputShapes = ["x": [5, 1, 3]]
    #expect(try Plan(try Model(net.graph), options).inputs.map(\.shape) == [[5, 3]])
  }
}
