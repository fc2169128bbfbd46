// The rules of DeepLIFT share every change out: sums over the inputs, and the ledger of every node.

import CoalitionBase
import Testing

@testable import CoalitionNet

@Suite struct CompletenessTests {
  /// Sums of attributions, changes of the score and residuals per example; every example has a baseline of its own.
  private struct Sums {
    var found: [Double]
    var expected: [Double]
    var nodes: [String]
    var residuals: [[Double]]
    /// What residuals are small against.
    var scale: Double
  }

  private func sums(
    _ net: ReverseNet, _ slope: SlopeRule = .secant, examples: Int = 5,
    prepare: (inout [String: Tensor], [String: Tensor]) -> Void = { _, _ in }
  ) async throws -> Sums {
    var run = try ReverseRun(net.graph, seed: 11)
    var inputs = run.rows(examples, net.range)
    let baselines = run.rows(examples, net.range)
    prepare(&inputs, baselines)
    let weights = run.weights(examples)
    let plan = try run.plan(ReverseRules(slope: slope), .timesChange, ledger: true)
    var work = ReversePlan.Work(examples: examples)
    work.inputs = inputs
    work.seeds = [weights]
    work.baselines = baselines
    work.baselineOf = (0..<Int32(examples)).map { $0 }
    let outcome = try await plan.run(work)
    var found = [Double](repeating: 0, count: examples)
    var scale = 1.0
    for tensor in outcome.results[0] {
      let values = tensor.doubles
      let size = values.count / examples
      for example in 0..<examples {
        let row = values[example * size..<(example + 1) * size]
        found[example] += row.reduce(0, +)
        scale = max(scale, row.reduce(0) { $0 + abs($1) })
      }
    }
    let x = try await run.scores(inputs, weights)
    let b = try await run.scores(baselines, weights)
    let residuals = outcome.residuals[0].doubles
    let nodes = plan.ledgerNodes
    return Sums(
      found: found, expected: zip(x, b).map { $0 - $1 }, nodes: nodes,
      residuals: (0..<examples).map {
        Array(residuals[$0 * nodes.count..<($0 + 1) * nodes.count])
      }, scale: scale)
  }

  private func expectComplete(_ sums: Sums, _ net: ReverseNet, _ label: String = "") {
    for (found, expected) in zip(sums.found, sums.expected) {
      #expect(
        abs(found - expected) <= 1e-9 * sums.scale, "\(net) \(label): \(found), not \(expected)")
    }
    for residuals in sums.residuals {
      for (node, residual) in zip(sums.nodes, residuals) {
        #expect(abs(residual) <= 1e-9 * sums.scale, "\(net) \(label): \(node) leaks \(residual)")
      }
    }
  }

  @Test(arguments: ReverseNet.all.filter(\.isComplete))
  func everyChangeIsSharedOut(net: ReverseNet) async throws {
    expectComplete(try await sums(net), net)
    // The ledger counts what a function and the layer before it do together as two steps.
    var sums = try await sums(net, .revealCancel)
    sums.residuals = []
    expectComplete(sums, net, "RevealCancel")
  }

  @Test(arguments: ReverseNet.all.filter(\.isComplete))
  func alsoWhereInputsAreTheBaselineOrNearlySo(net: ReverseNet) async throws {
    let same = try await sums(net) { inputs, baselines in inputs = baselines }
    expectComplete(same, net, "x = b")
    #expect(same.found.allSatisfy { $0 == 0 }, "\(net)")
    for distance in [1e-3, 1e-6, 1e-9, 1e-14] {
      let near = try await sums(net) { inputs, baselines in
        inputs = baselines.mapValues { tensor in
          let moved = tensor.doubles.enumerated().map { index, value in
            index % 3 == 0 ? value : value + distance * Double(index % 5 - 2)
          }
          return Tensor(filling: tensor.shape, with: .float64(moved))
        }
      }
      expectComplete(near, net, "\(distance) away")
    }
  }

  @Test(arguments: ReverseNet.all.filter { $0.name.contains("Max") || $0.name.contains("Min") })
  func tiesLoseNothing(net: ReverseNet) async throws {
    let tied = try await sums(net) { inputs, baselines in
      for (name, tensor) in inputs {
        inputs[name] = Tensor(
          filling: tensor.shape, with: .float64(tensor.doubles.map { $0.rounded() / 2 }))
      }
    }
    expectComplete(tied, net, "ties")
  }

  /// A softmax has no rule that shares a change out: the ledger says so, and of no other node.
  @Test func theLedgerFindsTheNodeThatLeaks() async throws {
    let net = ReverseNet("a softmax between layers", [5], isComplete: false) { net, x, random in
      let weights = net.constant(random.tensor([5, 4], -3...3))
      let share = net.add("Softmax", [net.add("Relu", [net.add("MatMul", [x[0], weights])])])
      return net.add("Tanh", [net.add("MatMul", [share, net.constant(random.tensor([4, 3]))])])
    }
    let sums = try await sums(net)
    for (example, residuals) in sums.residuals.enumerated() {
      let missing = sums.expected[example] - sums.found[example]
      #expect(abs(missing) > 1e-3)
      for (node, residual) in zip(sums.nodes, residuals) {
        if node.hasPrefix("Softmax") {
          #expect(abs(residual - missing) <= 1e-9 * sums.scale)
        } else {
          #expect(abs(residual) <= 1e-9 * sums.scale, "\(node)")
        }
      }
    }
    #expect(sums.nodes.filter { $0.hasPrefix("Softmax") }.count == 1)
  }
}
