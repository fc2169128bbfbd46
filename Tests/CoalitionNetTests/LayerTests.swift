// Every layer against the reference, in both precisions.

import CoalitionBase
@testable import CoalitionNet
import TestSupport
import Testing

@Suite struct LayerTests {
  /// One node over an input, with constants behind it.
  private func checkOne(
    _ operation: String, _ sizes: [Int], _ constants: [Tensor] = [],
    _ attributes: [String: Attribute] = [:], opset: Int = 21, range: ClosedRange<Double> = -3...3,
    tolerance: Double = 2e-6, location: SourceLocation = #_sourceLocation
  ) async throws {
    var net = Net(opset: opset)
    let x = net.input(sizes)
    let parameters = constants.map { net.constant($0) }
    net.output(net.add(operation, [x] + parameters, attributes))
    for count in [1, 3, 17] {
      try await check(
        net.graph, examples(of: net.graph, count: count, seed: count, range: range),
        tolerance: tolerance, location: location)
    }
  }

  private static let functions = [
    "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",
    "Softplus", "Softsign", "Gelu", "Swish", "Mish", "Erf", "Exp", "Abs", "Neg",
  ]

  @Test func everyFunctionOfOneNumberIsTested() {
    // Those of positive numbers, and the clip, have a test of their own below.
    #expect(Set(Pointwise.operations) == Set(Self.functions + ["Log", "Sqrt", "Clip"]))
  }

  @Test(arguments: functions)
  func functionsOfOneNumber(operation: String) async throws {
    try await checkOne(operation, [3, 5])
    if ["LeakyRelu", "Elu", "Celu", "HardSigmoid", "Swish"].contains(operation) {
      try await checkOne(operation, [7], [], ["alpha": .float(0.375)])
    }
  }

  @Test func functionsOfPositiveNumbersAndClip() async throws {
    try await checkOne("Log", [9], range: 0.01...4)
    try await checkOne("Sqrt", [9], range: 0...4)
    try await checkOne("Gelu", [9], [], ["approximate": .string("tanh")])
    try await checkOne("Clip", [9], [], ["min": .float(-0.5), "max": .float(2)], opset: 6)
    try await checkOne("Clip", [9], [Tensor(scalar: -0.5), Tensor(scalar: 2)])
    // Crossed bounds: everything becomes the upper one.
    try await checkOne("Clip", [9], [Tensor(scalar: 2), Tensor(scalar: -0.5)])
  }

  @Test(arguments: [1, 2, 3])
  func convolutions(rank: Int) async throws {
    var random = Seeded(rank)
    let spatial = rank == 1 ? [9] : rank == 2 ? [7, 6] : [11, 13]
    for (channels, outputs, groups) in [(1, 4, 1), (3, 17, 1), (4, 4, 4), (4, 6, 2), (6, 12, 6)] {
      for (kernel, stride, dilation, pad) in [
        (1, 1, 1, 0), (3, 1, 1, 1), (3, 2, 1, 0), (2, 2, 2, 1), (5, 1, 1, 2),
      ] {
        let axes = min(rank, 2)
        let weight = random.tensor(
          [outputs, channels / groups] + [Int](repeating: kernel, count: axes))
        try await checkOne(
          "Conv", [channels] + spatial.prefix(axes), [weight, random.tensor([outputs])],
          [
            "group": .int(groups), "strides": .ints([Int](repeating: stride, count: axes)),
            "dilations": .ints([Int](repeating: dilation, count: axes)),
            "pads": .ints((0..<2 * axes).map { $0 == 0 && rank == 3 ? 0 : pad }),
          ])
      }
    }
  }

  @Test(arguments: ["SAME_UPPER", "SAME_LOWER", "VALID"])
  func automaticPadding(mode: String) async throws {
    var random = Seeded(5)
    try await checkOne(
      "Conv", [2, 8, 7], [random.tensor([3, 2, 4, 3])],
      ["auto_pad": .string(mode), "strides": .ints([2, 3])])
    try await checkOne(
      "MaxPool", [2, 8, 7], [],
      ["auto_pad": .string(mode), "kernel_shape": .ints([3, 2]), "strides": .ints([2, 2])])
  }

  @Test(arguments: ["MaxPool", "AveragePool"])
  func pooling(operation: String) async throws {
    for (kernel, stride, pads, ceil) in [
      ([2, 2], [2, 2], [0, 0, 0, 0], 0), ([3, 3], [2, 2], [1, 1, 1, 1], 0),
      ([3, 2], [2, 3], [1, 0, 0, 1], 1), ([3, 3], [2, 2], [0, 0, 0, 0], 1),
    ] {
      var attributes: [String: Attribute] = [
        "kernel_shape": .ints(kernel), "strides": .ints(stride), "pads": .ints(pads),
        "ceil_mode": .int(ceil),
      ]
      try await checkOne(operation, [3, 7, 8], [], attributes)
      attributes["dilations"] = .ints([2, 1])
      try await checkOne(operation, [3, 9, 8], [], attributes)
      if operation == "AveragePool" {
        attributes["count_include_pad"] = .int(1)
        try await checkOne(operation, [3, 9, 8], [], attributes)
      }
    }
    try await checkOne(operation, [3, 9], [], ["kernel_shape": .ints([3])])
    try await checkOne("Global" + operation, [5, 4, 3])
  }

  @Test func productsWithAConstantMatrix() async throws {
    var random = Seeded(3)
    for (ta, tb) in [(0, 0), (0, 1)] {
      let weight = random.tensor(tb == 1 ? [5, 7] : [7, 5])
      for bias in [[5], [1], [1, 5], []] {
        try await checkOne(
          "Gemm", [7], [weight, random.tensor(bias)],
          ["transA": .int(ta), "transB": .int(tb), "alpha": .float(0.5), "beta": .float(-2)])
      }
      try await checkOne("Gemm", [7], [weight], ["transB": .int(tb)])
    }
    try await checkOne("MatMul", [7], [random.tensor([7, 5])])
    try await checkOne("MatMul", [4, 7], [random.tensor([7, 5])])
    try await checkOne("MatMul", [4, 7], [random.tensor([7])])
    try await checkOne("MatMul", [2, 4, 7], [random.tensor([2, 7, 3])])
    try await checkOne("MatMul", [2, 4, 7], [random.tensor([1, 2, 7, 3])])
  }

  @Test("A stack of square matrices on either side")
  func oneStackOnBothSides() async throws {
    var random = Seeded(5)
    var net = Net()
    let (x, y) = (net.input([2, 3, 4]), net.input([2, 4, 3]))
    let stack = net.constant(random.tensor([2, 4, 4]))
    net.output(net.add("MatMul", [x, stack]))
    net.output(net.add("MatMul", [stack, y]))
    try await check(net.graph, examples(of: net.graph, count: 5, seed: 2))
  }

  @Test func aConstantMatrixOnTheLeft() async throws {
    var random = Seeded(4)
    var net = Net()
    let x = net.input([7, 3])
    let y = net.input([5])
    // [4, 7] [N, 7, 3], and examples in columns: [6, 5] [5, N].
    net.output(net.add("MatMul", [net.constant(random.tensor([4, 7])), x]))
    net.output(net.add("MatMul", [net.constant(random.tensor([7])), x]))
    let columns = net.add("Transpose", [y])
    net.output(
      net.add("Transpose", [net.add("MatMul", [net.constant(random.tensor([6, 5])), columns])]))
    net.output(
      net.add(
        "Transpose",
        [
          net.add(
            "Gemm",
            [
              net.constant(random.tensor([6, 5])), y, net.constant(random.tensor([6, 1])),
            ], ["transB": .int(1), "beta": .float(0.5)])
        ]))
    try await check(net.graph, examples(of: net.graph, count: 5, seed: 1))
  }

  @Test func sumsAndProductsWithBroadcasting() async throws {
    var random = Seeded(9)
    for operation in ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean"] {
      var net = Net()
      let x = net.input([3, 4, 2])
      let y = net.input([1, 4, 1])
      net.output(net.add(operation, [x, y]))
      net.output(net.add(operation, [y, x]))
      net.output(net.add(operation, [x, x]))
      for shape in [[4, 2], [1, 3, 1, 1], [2], [], [3, 1, 1]] {
        let constant = net.constant(random.tensor(shape, 0.5...2))
        net.output(net.add(operation, [x, constant]))
        net.output(net.add(operation, [constant, y]))
      }
      if ["Sum", "Mean", "Max", "Min"].contains(operation) {
        net.output(net.add(operation, [x, y, x]))
        net.output(net.add(operation, [x]))
      }
      // The permutation gives both operands different orders in memory.
      let turned = net.add("Transpose", [x], ["perm": .ints([0, 2, 1, 3])])
      net.output(
        net.add(operation, [turned, net.add("Reshape", [x, net.integers([0, 4, 3, 2])])]))
      for count in [1, 3, 18] {
        try await check(net.graph, examples(of: net.graph, count: count, seed: 2, range: 0.5...2))
      }
    }
    try await checkOne("PRelu", [3, 4], [random.tensor([3, 1])])
    try await checkOne("PRelu", [3, 4], [random.tensor([1])])
  }

  @Test func aValueAddedToItsTranspose() async throws {
    var net = Net()
    let x = net.add("Relu", [net.input([5, 5])])
    net.output(net.add("Add", [x, net.add("Transpose", [x], ["perm": .ints([0, 2, 1])])]))
    net.output(net.add("Sub", [net.add("Transpose", [x], ["perm": .ints([0, 2, 1])]), x]))
    try await check(net.graph, examples(of: net.graph, count: 4, seed: 8))
    // The last reader may not overwrite what it still reads elsewhere.
    net.graph.outputs.removeLast()
    net.graph.nodes.removeLast(2)
    try await check(net.graph, examples(of: net.graph, count: 4, seed: 8))
  }

  @Test func batchNormalization() async throws {
    var random = Seeded(11)
    let parameters = [
      random.tensor([3]), random.tensor([3]), random.tensor([3]), random.tensor([3], 0.1...2),
    ]
    try await checkOne("BatchNormalization", [3, 4, 5], parameters, ["epsilon": .float(1e-3)])
    try await checkOne("BatchNormalization", [3], parameters)
  }

  @Test(arguments: ["Softmax", "LogSoftmax"])
  func softmax(operation: String) async throws {
    try await checkOne(operation, [7], range: -20...20)
    try await checkOne(operation, [3, 5, 4], [], ["axis": .int(1)])
    try await checkOne(operation, [3, 5, 4], [], ["axis": .int(2)])
    try await checkOne(operation, [3, 5, 4])
    try await checkOne(operation, [3, 5, 4], opset: 12)
    try await checkOne(operation, [3, 5, 4], [], ["axis": .int(2)], opset: 11)
    try await checkOne(operation, [1], [])
    var net = Net()
    let x = net.input([3, 5, 4])
    let turned = net.add("Transpose", [x], ["perm": .ints([0, 2, 3, 1])])
    net.output(net.add(operation, [turned], ["axis": .int(2)]))
    try await check(net.graph, examples(of: net.graph, count: 5, seed: 1))
  }

  @Test(arguments: ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"])
  func reductions(operation: String) async throws {
    for axes in [[1], [2, 3], [-1], [1, 3], [1, 2, 3]] {
      for keep in [0, 1] {
        try await checkOne(
          operation, [3, 4, 5], [Tensor(.int64(axes.map { Int64($0) }))], ["keepdims": .int(keep)])
        try await checkOne(
          operation, [3, 4, 5], [], ["keepdims": .int(keep), "axes": .ints(axes)], opset: 11)
      }
    }
  }
}

/// Operators that mix the examples of a batch: they run one input at a time.
@Suite struct BatchOperatorTests {
  private let x = Grid([2, 2, 1, 3], [1, 2, 3, -1, 0, 4, 5, 6, 10, 2, 2, 8])

  private func run(_ net: Net, _ name: String) async throws -> [String: Tensor] {
    let plan = try Plan(try Model(net.graph, oneByOne: true))
    return try await plan.run([name: x.tensor().reshaped(to: [1] + x.shape)])
  }

  @Test func batchNormalizationInTrainingFormUsesTheBatch() async throws {
    var net = Net(opset: 15)
    net.graph.inputs.append(Port("x", shape: [2, 2, 1, 3]))
    let parameters = [[2.0, 0.5], [1, -1], [0.25, 0.5], [4, 2]].map {
      net.constant(Tensor(.float32($0.map { Float($0) })))
    }
    let outputs = net.add(
      "BatchNormalization", ["x"] + parameters,
      ["training_mode": .int(1), "momentum": .float(0.75), "epsilon": .float(0.125)], outputs: 3)
    for name in outputs { net.output(name) }
    let results = try await run(net, "x")
    for channel in 0..<2 {
      let values = (0..<2).flatMap { n in (0..<3).map { x[[n, channel, 0, $0]] } }
      let mean = values.reduce(0, +) / 6
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 6
      let (scale, shift) = ([2.0, 0.5][channel], [1.0, -1][channel])
      let y = try #require(results[outputs[0]]).doubles
      for n in 0..<2 {
        for i in 0..<3 {
          let expected =
            scale * (x[[n, channel, 0, i]] - mean) / (variance + 0.125).squareRoot() + shift
          #expect(abs(y[(n * 2 + channel) * 3 + i] - expected) < 1e-5)
        }
      }
      let newMean = try #require(results[outputs[1]]).doubles[channel]
      let newVariance = try #require(results[outputs[2]]).doubles[channel]
      #expect(abs(newMean - (0.75 * [0.25, 0.5][channel] + 0.25 * mean)) < 1e-5)
      #expect(abs(newVariance - (0.75 * [4.0, 2][channel] + 0.25 * variance)) < 1e-5)
    }
  }

  @Test func batchNormalizationInTrainingFormKeepsExamplesApart() throws {
    var net = Net(opset: 15)
    let x = net.input([2, 3])
    let parameters = (0..<4).map { _ in net.constant(Tensor(.float32([1, 1]))) }
    net.output(net.add("BatchNormalization", [x] + parameters, ["training_mode": .int(1)]))
    let plan = try Plan(try Model(net.graph))
    #expect(plan.batching == .oneByOne(node: "BatchNormalization0"))
  }

  @Test(arguments: [0, 1])
  func maxPoolTellsWhereTheMaximaAre(order: Int) async throws {
    var net = Net()
    net.graph.inputs.append(Port("x", shape: [2, 2, 1, 3]))
    let outputs = net.add(
      "MaxPool", ["x"], ["kernel_shape": .ints([1, 2]), "storage_order": .int(order)], outputs: 2)
    for name in outputs { net.output(name) }
    let results = try await run(net, "x")
    #expect(results[outputs[0]]?.floats == [2, 3, 0, 4, 6, 10, 2, 8])
    #expect(results[outputs[1]]?.floats == [1, 2, 4, 5, 7, 8, 9, 11])
  }
}
