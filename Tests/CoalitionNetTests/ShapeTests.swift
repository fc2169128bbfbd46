// The arithmetic of shapes, folded while a model is read, and where examples are followed through it.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@Suite struct ShapeTests {
  /// The value of a graph without inputs that matter.
  private func folded(
    opset: Int = 21, _ build: (inout Net) -> String
  ) async throws -> Tensor? {
    var net = Net(opset: opset)
    let x = net.input([2])
    let result = build(&net)
    net.output(result, net.add("Relu", [x]))
    let plan = try Plan(try Model(net.graph))
    let outputs = try await plan.run([x: Tensor(filling: [1, 2], with: .float32([1, 2]))])
    let reference = Reference.run(net.graph, [x: Grid([1, 2], [1, 2])])[result]
    #expect(outputs[result]?.doubles == reference?.values)
    #expect(outputs[result]?.shape == reference?.shape)
    return outputs[result]
  }

  @Test func constantsOfAllForms() async throws {
    let forms: [(String, Attribute, ElementType)] = [
      ("value", .tensor(Tensor(.int32([1, 2]))), .int32), ("value_int", .int(3), .int64),
      ("value_ints", .ints([3, 4]), .int64), ("value_float", .float(0.5), .float32),
      ("value_floats", .floats([0.5, 1]), .float32),
    ]
    for (name, value, type) in forms {
      let tensor = try await folded { $0.add("Constant", [], [name: value]) }
      #expect(tensor?.elementType == type)
    }
  }

  @Test func wholeNumbers() async throws {
    for operation in [
      "Add", "Sub", "Mul", "Div", "Max", "Min", "Equal", "Less", "Greater", "LessOrEqual",
      "GreaterOrEqual", "Mod",
    ] where operation != "Div" {
      _ = try await folded {
        $0.add(operation, [$0.integers([7, -7, 3]), $0.integers([2, 3, 3])])
      }
    }
    let quotient = try await folded { net in
      let half = net.add("Div", [net.integers([8, -9]), net.integers([2, 3])])
      return half
    }
    #expect(quotient?.elements == .int64([4, -3]))
    for operation in ["ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin"] {
      let result = try await folded {
        $0.add(operation, [$0.integers([3, 5, 2])], ["keepdims": .int(0)])
      }
      #expect(result?.elementType == .int64)
    }
    let range = try await folded {
      $0.add("Range", [$0.integer(10), $0.integer(-5), $0.integer(-4)])
    }
    #expect(range?.elements == .int64([10, 6, 2, -2]))
    let filled = try await folded {
      $0.add(
        "ConstantOfShape", [$0.integers([2, 3])], ["value": .tensor(Tensor(.int64([7])))])
    }
    #expect(filled?.elements == .int64([7, 7, 7, 7, 7, 7]))
    let chosen = try await folded { net in
      let condition = net.add("Equal", [net.integers([-1, 4]), net.integers([-1, -1])])
      let either = net.add("Or", [condition, net.add("Not", [condition])])
      let both = net.add("And", [condition, either])
      return net.add("Where", [both, net.integers([8, 8]), net.integers([-1, 4])])
    }
    #expect(chosen?.elements == .int64([8, 4]))
  }

  @Test func scaledShapesFoldExactly() async throws {
    // As exporters write interpolation and windows: floor(float(size) / 2 * 3).
    let result = try await folded { net in
      let size = net.add("Cast", [net.integers([7, 33_554_431])], ["to": .int(11)])
      let two = net.constant(Tensor(.float64([2])))
      let three = net.constant(Tensor(.float64([3])))
      let scaled = net.add("Mul", [net.add("Div", [size, two]), three])
      return net.add("Cast", [net.add("Floor", [scaled])], ["to": .int(7)])
    }
    #expect(result?.elements == .int64([10, 50_331_646]))
    for operation in ["Ceil", "Sqrt", "Neg", "Abs", "Round", "Reciprocal"] {
      _ = try await folded {
        $0.add(operation, [$0.constant(Tensor(.float64([6.25, 2.25, 12.25])))])
      }
    }
  }

  @Test func floatingPointNodesOfConstantsAreRunByTheEngine() async throws {
    let result = try await folded { net in
      let x = net.constant(
        Tensor(filling: [1, 1, 3, 3], with: .float64((0..<9).map { Double($0) })))
      let w = net.constant(Tensor(filling: [1, 1, 2, 2], with: .float64([1, 2, 3, 4])))
      return net.add("Flatten", [net.add("Conv", [x, w])])
    }
    #expect(result?.count == 4)
  }

  // MARK: Examples

  @Test func aFlattenedShapeReadFromTheInputKeepsTheExamples() async throws {
    var net = Net()
    let x = net.input([3, 4, 2])
    let pooled = net.add("MaxPool", [x], ["kernel_shape": .ints([2, 1])])
    let batch = net.add(
      "Gather", [net.add("Shape", [pooled]), net.integer(0)], ["axis": .int(0)])
    let target = net.add(
      "Concat", [net.add("Unsqueeze", [batch, net.integers([0])]), net.integers([-1])],
      ["axis": .int(0)])
    net.output(net.add("Reshape", [pooled, target]))
    try await check(net.graph, examples(of: net.graph, count: 5, seed: 1))
  }

  @Test func aFixedBatchOfOneIsRunForMany() async throws {
    var net = Net()
    var random = Seeded(2)
    net.graph.inputs = [Port("x", shape: [1, 2, 4, 4])]
    let flat = net.add("Reshape", ["x", net.integers([1, -1])])
    let hidden = net.add("Gemm", [flat, net.constant(random.tensor([32, 6]))])
    net.output(net.add("Reshape", [hidden, net.integers([1, 2, 3])]))
    let inputs = ["x": random.grid([9, 2, 4, 4])]
    try await check(net.graph, inputs, joint: false)
  }

  @Test func sequencesFirstAndMergedAxes() async throws {
    var net = Net()
    var random = Seeded(3)
    net.graph.inputs = [Port("x", shape: [5, "N", 3])]
    let weight = net.constant(random.tensor([3, 4]))
    net.output(net.add("Tanh", [net.add("MatMul", ["x", weight])]))
    try await check(net.graph, ["x": random.grid([5, 7, 3])], axis: 1, outputAxis: 1)

    var merged = Net()
    let x = merged.input([5, 3])
    let rows = merged.add("Reshape", [x, merged.integers([-1, 3])])
    let y = merged.add("Gemm", [rows, merged.constant(random.tensor([3, 4]))])
    let shape = merged.add(
      "Concat", [merged.add("Shape", [x], ["end": .int(2)]), merged.integers([4])],
      ["axis": .int(0)])
    merged.output(merged.add("Reshape", [y, shape]))
    try await check(merged.graph, ["x0": random.grid([7, 5, 3])])
  }

  @Test func theMixingNodeIsNamed() async throws {
    func mixing(_ build: (inout Net, String) -> String) throws -> Model.Batching {
      var net = Net()
      let x = net.input([4])
      net.output(build(&net, x))
      return try Plan(try Model(net.graph)).batching
    }
    #expect(
      try mixing { $0.add("Softmax", [$1], ["axis": .int(0)]) } == .oneByOne(node: "Softmax0"))
    // The number of examples used as a number.
    let counted = try mixing { net, x in
      let batch = net.add("Cast", [net.add("Shape", [x], ["end": .int(1)])], ["to": .int(1)])
      return net.add("Div", [x, batch])
    }
    #expect(counted == .oneByOne(node: "Div2"))
    #expect(
      try mixing { net, x in
        net.add("Gather", [x, net.integer(0)], ["axis": .int(0)])
      } == .oneByOne(node: "Gather0"))
    #expect(
      try mixing { net, x in net.add("Concat", [x, x], ["axis": .int(0)]) }
        == .oneByOne(node: "Concat0"))
    #expect(
      try mixing { net, x in net.add("ReduceMean", [x]) } == .oneByOne(node: "ReduceMean0"))
    #expect(try mixing { $0.add("Relu", [$1]) } == .together(axes: ["x0": 0]))
  }

  @Test func modelsThatMixRunOneByOne() async throws {
    var net = Net()
    let x = net.input([4])
    net.output(net.add("Softmax", [x], ["axis": .int(0)]))
    try await check(
      net.graph, examples(of: net.graph, count: 3, seed: 1), together: false, joint: false)
  }
}
