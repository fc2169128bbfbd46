// The same bytes whatever the batch, the threads, the lanes and the instruction set.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@Suite struct ReproducibilityTests {
  /// Convolution, pooling, a residual sum, concatenation and dense layers; strides and sizes that fill no vector.
  static func net(_ seed: Int) -> Graph {
    var random = Seeded(seed)
    var net = Net()
    let channels = Int.random(in: 1...3, using: &random)
    let x = net.input([channels, 9, 7])
    func convolution(_ value: String, _ inputs: Int, _ outputs: Int, _ kernel: Int) -> String {
      net.add(
        "Conv",
        [
          value, net.constant(random.tensor([outputs, inputs, kernel, kernel])),
          net.constant(random.tensor([outputs])),
        ], ["pads": .ints([Int](repeating: kernel / 2, count: 4))])
    }
    let functions = ["Relu", "Tanh", "Gelu", "Sigmoid"]
    let width = Int.random(in: 3...9, using: &random)
    var value = net.add(
      functions.randomElement(using: &random) ?? "Relu", [convolution(x, channels, width, 3)])
    let block = convolution(net.add("Relu", [convolution(value, width, width, 3)]), width, width, 1)
    value = net.add("Relu", [net.add("Add", [block, value])])
    let pooled = net.add(
      Bool.random(using: &random) ? "MaxPool" : "AveragePool", [value],
      ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
    let fused = net.add(
      "MaxPool", [net.add("Relu", [convolution(value, width, 4, 3)])],
      ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
    let both = net.add("Concat", [pooled, fused], ["axis": .int(1)])
    let flat = net.add("Flatten", [both])
    let features = (width + 4) * 4 * 3
    let hidden = net.add(
      "Relu",
      [
        net.add(
          "Gemm",
          [
            flat, net.constant(random.tensor([11, features], -0.2...0.2)),
            net.constant(random.tensor([11])),
          ], ["transB": .int(1)])
      ])
    let scores = net.add(
      "Add",
      [
        net.add("MatMul", [hidden, net.constant(random.tensor([11, 5]))]),
        net.constant(random.tensor([5])),
      ])
    net.output(scores, net.add("Softmax", [scores]), both)
    return net.graph
  }

  /// Rows over time: a table, a sequence of dense steps, a mean over time.
  static func sequenceNet(_ seed: Int) -> Graph {
    var random = Seeded(seed)
    var net = Net()
    let x = net.input([6, 5])
    let hidden = net.add(
      "Tanh",
      [
        net.add(
          "Add",
          [
            net.add("MatMul", [x, net.constant(random.tensor([5, 7]))]),
            net.constant(random.tensor([7])),
          ])
      ])
    let turned = net.add("Transpose", [hidden], ["perm": .ints([0, 2, 1])])
    let smooth = net.add(
      "Conv", [turned, net.constant(random.tensor([4, 7, 3]))], ["pads": .ints([1, 1])])
    let mean = net.add("ReduceMean", [smooth], ["axes": .ints([2]), "keepdims": .int(0)])
    let last = net.add("Gather", [smooth, net.integer(-1)], ["axis": .int(2)])
    net.output(net.add("LogSoftmax", [net.add("Concat", [mean, last], ["axis": .int(1)])]))
    net.graph.opsets[""] = 17
    return net.graph
  }

  @Test(arguments: 0..<6)
  func randomNetsAgreeWithTheReference(seed: Int) async throws {
    let graph = seed % 3 == 2 ? Self.sequenceNet(seed) : Self.net(seed)
    for count in [1, 7, 20] {
      try await check(graph, examples(of: graph, count: count, seed: seed), tolerance: 5e-6)
    }
  }

  @Test(arguments: [Precision.single, .double], [0, 2])
  func sameBytes(precision: Precision, seed: Int) async throws {
    let graph = seed == 2 ? Self.sequenceNet(seed) : Self.net(seed)
    var options = PlanOptions()
    options.precision = precision
    let plan = try Plan(try Model(graph), options)
    let most = 65
    var all = examples(of: graph, count: most, seed: 1)
    // Lanes with zeros of both signs in different places.
    for (name, grid) in all {
      all[name]?.values = grid.values.enumerated().map { index, value in
        index % 7 == 3 ? 0 : index % 11 == 5 ? -0.0 : value
      }
    }
    let inputs = all.mapValues { $0.tensor(precision == .single ? .float32 : .float64) }
    var plain = RunOptions()
    plain.threads = 1
    plain.lanes = 16
    let expected = try await plan.run(inputs, plain)

    func compare(_ count: Int, _ options: RunOptions, _ label: String) async throws {
      let results = try await plan.run(inputs.mapValues { rows($0, 0..<count) }, options)
      for (name, tensor) in expected {
        #expect(
          identical(results[name], rows(tensor, 0..<count)), "\(name): \(count) examples, \(label)")
      }
    }
    for count in [1, 7, 64, 65] {
      for lanes in [1, 16, 32, 48, 64] {
        for threads in [1, 2, 3, 8] {
          var options = RunOptions()
          options.threads = threads
          options.lanes = lanes
          try await compare(count, options, "\(lanes) lanes, \(threads) threads")
        }
        for set in InstructionSet.available {
          var options = RunOptions()
          options.threads = 2
          options.lanes = lanes
          options.instructionSet = set
          try await compare(count, options, "\(lanes) lanes, \(set.rawValue)")
        }
      }
      try await compare(count, RunOptions(), "as chosen")
    }
    for example in [0, 6, 63, 64] {
      let alone = try await plan.run(inputs.mapValues { rows($0, example..<(example + 1)) })
      for (name, tensor) in expected {
        #expect(identical(alone[name], rows(tensor, example..<(example + 1))), "\(name) alone")
      }
    }
  }

  @Test func theComparisonSeesAnotherOrderOfAddition() {
    // A sum split by threads, as an unordered reduction would do it.
    var random = Seeded(1)
    let numbers = random.tensor([4096]).floats
    func sum(parts: Int) -> Tensor {
      let size = numbers.count / parts
      let sums = (0..<parts).map { numbers[($0 * size)..<(($0 + 1) * size)].reduce(0, +) }
      return Tensor(scalar: sums.reduce(0, +))
    }
    #expect(identical(sum(parts: 1), sum(parts: 1)))
    #expect(!identical(sum(parts: 1), sum(parts: 8)))
    #expect(!identical(Tensor(scalar: 0), Tensor(scalar: -0.0)))
  }
}
