// Gradients of parameters against central differences of the loss, for every operator that has some.

import CoalitionBase
import TestSupport
import Testing

@testable import CoalitionNet

/// A network with a payoff: a fixed random combination of its outputs.
private struct TrainedNet {
  let model: Model
  let rows: [String: TrainingRows]
  let examples: Int

  static let payoff = "payoff"

  init(_ net: ReverseNet, examples: Int) throws {
    try self.init(net.graph, range: net.range, examples: examples)
  }

  init(_ graph: Graph, range: ClosedRange<Double>, examples: Int, tokens: Int = 1) throws {
    var graph = graph
    let forward = try Plan(try Model(graph))
    let output = try #require(forward.outputs.first)
    var random = Seeded(11)
    graph.constants["payoff/weights"] = random.grid([1, output.count], -1...1).tensor(.float64)
    graph.nodes += [
      Node(
        "Flatten", inputs: [output.name], outputs: ["payoff/flat"], attributes: ["axis": .int(1)]),
      Node("Mul", inputs: ["payoff/flat", "payoff/weights"], outputs: ["payoff/terms"]),
      Node(
        "ReduceSum", inputs: ["payoff/terms", "payoff/axes"], outputs: [Self.payoff],
        attributes: ["keepdims": .int(1)]),
    ]
    graph.constants["payoff/axes"] = Tensor(.int64([1]))
    graph.outputs = [Port(Self.payoff, shape: nil)]
    model = try Model(graph)
    self.examples = examples
    var rows: [String: TrainingRows] = [:]
    for input in forward.inputs {
      if input.elementType == .int64 {
        let indices = (0..<examples * input.count).map { Int64($0 * 7 % tokens) }
        rows[input.name] = TrainingRows(
          Tensor(filling: [examples] + input.shape, with: .int64(indices)))
      } else {
        rows[input.name] = TrainingRows(
          random.grid([examples] + input.shape, range).tensor(.float64))
      }
    }
    self.rows = rows
  }

  /// A session with one step of steepest descent at rate 1, and what it changed.
  func step(
    _ graph: Graph? = nil, _ precision: Precision = .double, threads: Int = 1,
    _ set: InstructionSet? = nil
  ) async throws -> (loss: Double, before: [String: Tensor], after: [String: Tensor]) {
    var options = PlanOptions()
    options.precision = precision
    var run = RunOptions()
    run.threads = threads
    run.instructionSet = set
    let rule = UpdateRule(.sgd, rate: 1)
    let session = try TrainingSession(
      try model.rebuilt(graph ?? model.graph), payoff: Self.payoff, rows: rows, batch: examples,
      rule: rule, options, run)
    let before = session.constants()
    let loss = try await session.train(
      on: [(0..<examples).map { Int32($0) }], rule: rule, seed: 5, round: 1)[0]
    return (loss, before, session.constants())
  }

  /// Compares what a step changes with differences of the loss.
  /// - Parameter samples: of each parameter's elements, about.
  func check(_ name: String, tolerance: Double = 2e-6, samples: Int = 12) async throws {
    let prepared = model.graph.preparedForTraining()
    let (_, before, after) = try await step()
    let numbers = try ParameterNumbers(
      try model.analysed { $0.preparedForTraining() }.analysis)
    for parameter in numbers.parameters {
      let old = try #require(before[parameter.name]).doubles
      let new = try #require(after[parameter.name]).doubles
      let found = zip(old, new).map { $0 - $1 }
      let scale = found.reduce(1e-2) { max($0, abs($1)) }
      let delta = 1e-5
      for element in stride(from: 0, to: old.count, by: max(1, old.count / samples)) {
        var losses: [Double] = []
        for sign in [1.0, -1] {
          var graph = prepared
          var moved = old
          moved[element] += sign * delta
          let shape = try #require(graph.constants[parameter.name]).shape
          graph.constants[parameter.name] = Tensor(filling: shape, with: .float64(moved))
          losses.append(try await step(graph).loss)
        }
        let expected = (losses[0] - losses[1]) / (2 * delta)
        #expect(
          abs(found[element] - expected) <= tolerance * scale,
          "\(name) \(parameter.name)[\(element)]: \(found[element]), \(expected) by differences")
      }
    }
  }
}

@Suite struct ParameterGradientTests {
  /// Whether a network has parameters, and an output that counts examples along its first axis.
  private static func isTrainable(_ net: ReverseNet) -> Bool {
    guard
      let analysis = try? Model(net.graph).analysed(passes: { $0.preparedForTraining() }).analysis,
      let output = analysis.graph.outputs.first, let value = analysis.values[output.name],
      let numbers = try? ParameterNumbers(analysis)
    else { return false }
    return !numbers.parameters.isEmpty && value.example.axis == 0
  }

  static let nets = ReverseNet.all.filter(isTrainable)

  @Test(arguments: nets)
  func gradientsAreCentralDifferences(net: ReverseNet) async throws {
    try await TrainedNet(net, examples: 5).check(net.name)
  }

  private static func builtNet(_ build: (inout Net, inout Seeded) -> String) -> Graph {
    var net = Net()
    var random = Seeded(3)
    let result = build(&net, &random)
    net.output(result)
    return net.graph
  }

  @Test func normalisationsOverTheBatch() async throws {
    func parameters(_ channels: Int, _ net: inout Net, _ random: inout Seeded) -> [String] {
      [0.5...2, -1...1, -1...1, 0.25...2].map {
        net.constant(random.grid([channels], $0).tensor(.float32))
      }
    }
    let maps = Self.builtNet { net, random in
      let x = net.input([2, 4, 3])
      let weights = net.constant(random.grid([3, 2, 2, 2], -1...1).tensor(.float32))
      let z = net.add("Conv", [x, weights])
      let y = net.add("BatchNormalization", [z] + parameters(3, &net, &random))
      let last = net.constant(random.grid([2, 3, 2, 1], -1...1).tensor(.float32))
      return net.add("Sigmoid", [net.add("Conv", [net.add("Tanh", [y]), last])])
    }
    let rows = Self.builtNet { net, random in
      let x = net.input([4])
      let first = net.constant(random.grid([4, 5], -1...1).tensor(.float32))
      let z = net.add("MatMul", [x, first])
      let y = net.add("BatchNormalization", [z] + parameters(5, &net, &random))
      let w = net.add(
        "BatchNormalization", [net.add("Softplus", [y])] + parameters(5, &net, &random))
      return net.add("MatMul", [w, net.constant(random.grid([5, 2], -1...1).tensor(.float32))])
    }
    // 21 examples: two tiles, the last one ragged.
    for (name, graph) in [("maps", maps), ("rows", rows)] {
      try await TrainedNet(graph, range: -2...2, examples: 21).check(name, tolerance: 1e-5)
    }
  }

  @Test func slopesTablesAndDropout() async throws {
    let slopes = Self.builtNet { net, random in
      let x = net.input([3, 4])
      let weights = net.constant(random.grid([3, 3, 2], -1...1).tensor(.float32))
      let y = net.add(
        "PRelu",
        [
          net.add("Conv", [x, weights]),
          net.constant(Tensor(filling: [3, 1], with: .float32([0.25, -0.5, 0.75]))),
        ])
      return net.add("PRelu", [y, net.constant(Tensor(.float32([0.3])))])
    }
    try await TrainedNet(slopes, range: -2...2, examples: 18).check("slopes")
    let table = Self.builtNet { net, random in
      let tokens = net.input([3], .int64)
      let rows = net.constant(random.grid([5, 4], -1...1).tensor(.float32))
      let flat = net.add("Flatten", [net.add("Gather", [rows, tokens])], ["axis": .int(1)])
      return net.add(
        "Tanh",
        [net.add("MatMul", [flat, net.constant(random.grid([12, 3], -1...1).tensor(.float32))])])
    }
    try await TrainedNet(table, range: -1...1, examples: 19, tokens: 5).check("table")
    let dropout = Self.builtNet { net, random in
      let x = net.input([6])
      let weights = net.constant(random.grid([6, 8], -1...1).tensor(.float32))
      let hidden = net.add("Tanh", [net.add("MatMul", [x, weights])])
      let dropped = net.add(
        "Dropout", [hidden, net.constant(Tensor(filling: [], with: .float32([0.4])))])
      return net.add(
        "MatMul", [dropped, net.constant(random.grid([8, 2], -1...1).tensor(.float32))])
    }
    try await TrainedNet(dropout, range: -1...1, examples: 20).check("dropout")
  }

  /// More outputs, positions and examples than one unit of work holds: sums go on from band to band and tile to tile.
  @Test(arguments: [17, 260])
  func largeLayers(examples: Int) async throws {
    let graph = Self.builtNet { net, random in
      let x = net.input([3, 20, 13])
      let first = net.constant(random.grid([70, 3, 3, 3], -0.3...0.3).tensor(.float32))
      let bias = net.constant(random.grid([70], -1...1).tensor(.float32))
      let maps = net.add(
        "Tanh",
        [
          net.add(
            "Conv", [x, first, bias],
            ["pads": .ints([1, 0, 2, 1]), "strides": .ints([1, 2]), "dilations": .ints([2, 1])])
        ])
      let grouped = net.constant(random.grid([20, 7, 2, 2], -0.3...0.3).tensor(.float32))
      let flat = net.add(
        "Flatten", [net.add("Conv", [maps, grouped], ["group": .int(10)])], ["axis": .int(1)])
      let last = net.constant(random.grid([20 * 18 * 5, 130], -0.05...0.05).tensor(.float32))
      return net.add("Sigmoid", [net.add("MatMul", [flat, last])])
    }
    try await TrainedNet(graph, range: -1...1, examples: examples).check(
      "large layers", tolerance: 1e-5, samples: 3)
  }

  /// A quarter is kept, four times as large, and which one differs from place to place.
  @Test func dropoutKeepsTheMean() async throws {
    let graph = Self.builtNet { net, _ in
      let ones = Tensor(filling: [400], with: .float32([Float](repeating: 1, count: 400)))
      let moved = net.add("PRelu", [net.add("Neg", [net.input([400])]), net.constant(ones)])
      return net.add(
        "Dropout", [moved, net.constant(Tensor(filling: [], with: .float32([0.75])))])
    }
    // With all x = 1/2, the gradient of slope i is its payoff weight times 4 / 2 times the share of examples that keep it.
    let net = try TrainedNet(graph, range: 0.5...0.5, examples: 64)
    let (_, before, after) = try await net.step()
    let name = try #require(before.keys.first { $0 != "payoff/weights" })
    let weights = try #require(net.model.graph.constants["payoff/weights"]).doubles
    let kept = try zip(
      zip(#require(before[name]).doubles, #require(after[name]).doubles), weights
    ).filter { $1 != 0 }.map { abs(($0.0 - $0.1) / $1) / 2 * 64 }
    #expect(kept.allSatisfy { abs($0 - $0.rounded()) < 1e-9 })
    let mean = kept.reduce(0, +) / Double(kept.count)
    #expect(abs(mean - 16) < 1, "\(mean)")
    #expect(Set(kept.map { $0.rounded() }).count > 5)
  }

  @Test func weightsThatCannotBeFollowedAreRefused() async throws {
    func code(_ build: (inout Net, inout Seeded) -> String) async throws -> CoalitionError.Code? {
      let net = try TrainedNet(Self.builtNet(build), range: -1...1, examples: 4)
      do {
        _ = try await net.step()
        return nil
      } catch let error as CoalitionError {
        return error.code
      }
    }
    func weights(_ net: inout Net, _ random: inout Seeded) -> String {
      net.constant(random.grid([3, 4], -1...1).tensor(.float32))
    }
    #expect(
      try await code { net, random in
        let turned = net.add("Transpose", [weights(&net, &random)])
        return net.add("Gemm", [net.input([4]), turned], ["alpha": .float(0.5)])
      } == .unsupported)
    #expect(
      try await code { net, random in
        let cast = net.add("Cast", [weights(&net, &random)], ["to": .int(1)])
        return net.add("Gemm", [net.input([4]), cast], ["transB": .int(1)])
      } == .unsupported)
    #expect(
      try await code { net, random in
        let half = net.constant(Tensor(filling: [], with: .float32([0.5])))
        let product = net.add("Mul", [weights(&net, &random), half])
        return net.add("Gemm", [net.input([4]), product], ["transB": .int(1)])
      } == .unsupported)
    // One initialiser for shift and mean: the statistics are not their own.
    #expect(
      try await code { net, random in
        let one = net.constant(Tensor(filling: [3], with: .float32([1, 1, 1])))
        let zero = net.constant(Tensor(filling: [3], with: .float32([0, 0, 0])))
        let variance = net.constant(Tensor(filling: [3], with: .float32([1, 1, 1])))
        let y = net.add("Gemm", [net.input([4]), weights(&net, &random)], ["transB": .int(1)])
        return net.add("BatchNormalization", [y, one, zero, zero, variance])
      } == .unsupported)
  }

  @Test func aBiasOfOneNumberIsTrained() async throws {
    let graph = Self.builtNet { net, random in
      let product = net.add(
        "MatMul", [net.input([4]), net.constant(random.grid([4, 1], -1...1).tensor(.float32))])
      return net.add("Add", [product, net.constant(Tensor(.float32([0.5])))])
    }
    let net = try TrainedNet(graph, range: -1...1, examples: 18)
    try await net.check("bias of one number")
    #expect(try await net.step().before.count == 2)
  }

  @Test(arguments: [5, 40, 130])
  func bytesDependOnNeitherThreadsNorInstructionSet(examples: Int) async throws {
    let names = [
      "residual", "conv 3x3 padded", "conv depthwise", "conv 17", "dense Gemm transposed",
    ]
    for net in Self.nets where names.contains(where: net.name.hasPrefix) {
      let trained = try TrainedNet(net, examples: examples)
      for precision in Precision.allCases {
        let one = try await trained.step(nil, precision)
        for set in InstructionSet.available {
          for threads in 1...3 {
            let other = try await trained.step(nil, precision, threads: threads, set)
            #expect(
              one.loss == other.loss && one.after == other.after,
              "\(net), \(precision), \(threads) threads, \(set)")
          }
        }
      }
    }
  }

  @Test func modelsWithoutParametersAreRefused() async throws {
    let graph = Self.builtNet { net, _ in net.add("Tanh", [net.input([3])]) }
    let net = try TrainedNet(graph, range: -1...1, examples: 2)
    await #expect(throws: CoalitionError.self) { _ = try await net.step() }
  }
}
