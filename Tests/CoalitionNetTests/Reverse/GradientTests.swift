// Gradients against central differences of the forward pass, for every operator that a signal goes back through.

import CoalitionBase
import TestSupport
import Testing

@testable import CoalitionNet

/// Plans of one net with examples and signals, in double precision unless asked otherwise.
struct ReverseRun {
  let forward: Plan
  let model: Model
  let target: Plan.Value
  let options: PlanOptions
  var random: Seeded

  init(_ graph: Graph, _ precision: Precision = .double, seed: Int = 3) throws {
    model = try Model(graph)
    var options = PlanOptions()
    options.precision = precision
    self.options = options
    forward = try Plan(model, options)
    target = try #require(forward.outputs.first)
    random = Seeded(seed)
  }

  mutating func rows(_ count: Int, _ range: ClosedRange<Double>) -> [String: Tensor] {
    var rows: [String: Tensor] = [:]
    for input in forward.inputs {
      rows[input.name] = random.grid([count] + input.shape, range).tensor(.float64)
    }
    return rows
  }

  mutating func weights(_ count: Int) -> Tensor {
    random.grid([count, target.count], -1...1).tensor(.float64)
  }

  func plan(
    _ rules: ReverseRules = ReverseRules(), _ product: ReverseRequest.Product = .signal,
    ledger: Bool = false, seeds: Int = 1, target: String? = nil
  ) throws -> ReversePlan {
    var request = ReverseRequest(
      target: target ?? self.target.name, rules: rules, product: product, seeds: seeds)
    request.keepsLedger = ledger
    return try ReversePlan(model, request, options)
  }

  /// sum of weights * target, per example.
  func scores(_ rows: [String: Tensor], _ weights: Tensor) async throws -> [Double] {
    let values = try #require(try await forward.run(rows)[target.name]).doubles
    let w = weights.doubles
    return (0..<values.count / target.count).map { row in
      (0..<target.count).reduce(0) {
        $0 + w[row * target.count + $1] * values[row * target.count + $1]
      }
    }
  }
}

extension Tensor {
  /// Each row so many times.
  func repeatingRows(_ times: Int) -> Tensor {
    let width = count / max(shape[0], 1)
    let values = doubles
    let repeated = (0..<shape[0]).flatMap { row in
      (0..<times).flatMap { _ in values[row * width..<(row + 1) * width] }
    }
    return Tensor(filling: [shape[0] * times] + shape.dropFirst(), with: .float64(repeated))
  }
}

@Suite struct GradientTests {
  @Test(arguments: ReverseNet.all)
  func gradientsAreCentralDifferences(net: ReverseNet) async throws {
    var run = try ReverseRun(net.graph)
    let examples = 3
    let inputs = run.rows(examples, net.range)
    let weights = run.weights(examples)
    let plan = try run.plan()
    var work = ReversePlan.Work(examples: examples)
    work.inputs = inputs
    work.seeds = [weights]
    let outcome = try await plan.run(work)
    let values = try #require(try await run.forward.run(inputs)[run.target.name])
    #expect(outcome.target?.doubles == values.doubles)

    let step = 1e-5
    for (index, source) in plan.sources.enumerated() {
      let found = outcome.results[0][index].doubles
      let size = source.count
      // Per example and element a row with it larger, and one with it smaller.
      let variants = 2 * size
      var rows = inputs.mapValues { $0.repeatingRows(variants) }
      var moved = try #require(rows[source.name]).doubles
      for example in 0..<examples {
        for element in 0..<size {
          let row = (example * size + element) * 2
          moved[row * size + element] += step
          moved[(row + 1) * size + element] -= step
        }
      }
      rows[source.name] = Tensor(
        filling: [examples * variants] + source.shape, with: .float64(moved))
      let scores = try await run.scores(rows, weights.repeatingRows(variants))
      let expected = (0..<examples * size).map {
        (scores[2 * $0] - scores[2 * $0 + 1]) / (2 * step)
      }
      let scale = expected.reduce(1e-2) { max($0, abs($1)) }
      let worst = zip(found, expected).enumerated().max {
        abs($0.element.0 - $0.element.1) < abs($1.element.0 - $1.element.1)
      }
      let place = try #require(worst)
      #expect(
        abs(place.element.0 - place.element.1) <= 1e-6 * scale,
        "\(net) \(source.name)[\(place.offset)]: \(place.element.0), \(place.element.1) by differences"
      )
    }
  }

  @Test(arguments: ReverseNet.all)
  func singlePrecisionFollows(net: ReverseNet) async throws {
    var results: [[[Double]]] = []
    for precision in [Precision.single, .double] {
      var run = try ReverseRun(net.graph, precision)
      var work = ReversePlan.Work(examples: 3)
      work.inputs = run.rows(3, net.range)
      work.seeds = [run.weights(3)]
      results.append(try await run.plan().run(work).results[0].map(\.doubles))
    }
    for (single, double) in zip(results[0], results[1]) {
      let scale = double.reduce(1e-2) { max($0, abs($1)) }
      let worst = zip(single, double).reduce(0) { max($0, abs($1.0 - $1.1)) }
      #expect(worst <= 2e-5 * scale, "\(net): \(worst) of \(scale)")
    }
  }

  @Test func aTargetInTheMiddle() async throws {
    var random = Seeded(4)
    var net = Net()
    let x = net.input([5])
    let weights = random.tensor([5, 4])
    let hidden = net.add("Relu", [net.add("MatMul", [x, net.constant(weights)])])
    net.output(net.add("Exp", [net.add("Softmax", [hidden])]))
    var run = try ReverseRun(net.graph)
    let inputs = run.rows(2, -1...1)
    var work = ReversePlan.Work(examples: 2)
    work.inputs = inputs
    work.seeds = [Tensor(filling: [1, 4], with: .float64([0, 1, 0, 0]))]
    work.seedOf = [0, 0]
    let found = try await run.plan(target: hidden).run(work).results[0][0].doubles
    let w = weights.doubles
    let values = try #require(inputs[x]).doubles
    for example in 0..<2 {
      let z = (0..<5).reduce(0) { $0 + values[example * 5 + $1] * w[$1 * 4 + 1] }
      for i in 0..<5 { #expect(found[example * 5 + i] == (z > 0 ? w[i * 4 + 1] : 0)) }
    }
  }

  @Test func anInputThatTheTargetDoesNotReadGetsZeros() async throws {
    var net = Net()
    let x = net.input([3])
    let y = net.input([2])
    let a = net.add("Exp", [x])
    net.output(a, net.add("Concat", [a, net.add("Exp", [y])], ["axis": .int(1)]))
    var run = try ReverseRun(net.graph)
    var work = ReversePlan.Work(examples: 2)
    work.inputs = run.rows(2, -1...1)
    work.seeds = [run.weights(2)]
    let plan = try run.plan()
    let outcome = try await plan.run(work)
    for (source, result) in zip(plan.sources, outcome.results[0]) where source.name == y {
      #expect(result.doubles.allSatisfy { $0 == 0 })
    }
    #expect(plan.sources.contains { $0.name == x })
  }

  @Test func whereNoSignalCanGoIsAnError() throws {
    var net = Net()
    let tokens = net.input([4], .int64)
    let table = net.constant(Tensor(filling: [3, 2], with: .float32([1, 2, 3, 4, 5, 6])))
    net.output(net.add("Gather", [table, tokens]))
    let model = try Model(net.graph)
    let request = ReverseRequest(target: "v0.0", rules: ReverseRules(), product: .signal)
    #expect {
      _ = try ReversePlan(model, request)
    } throws: { error in
      let error = error as? CoalitionError
      return error?.code == .unsupported && error?.node == "v0.0"
    }
    #expect {
      _ = try ReversePlan(
        model, ReverseRequest(target: "nothing", rules: ReverseRules(), product: .signal))
    } throws: { error in
      let error = error as? CoalitionError
      return error?.code == .usage && error?.node == "nothing"
    }
  }
}
