// Affine maps of the inputs: changes, squares and their transposes against single elements.

import CoalitionBase
import TestSupport
import Testing

@testable import CoalitionNet

/// An affine map before a rectifier.
struct AffineNet: Sendable, CustomStringConvertible {
  var name: String
  var graph: Graph
  /// Whether no player that is one element reaches a place on two ways.
  var hasSingleWays: Bool
  var description: String { name }

  init(
    _ name: String, _ sizes: [Int]..., single: Bool = true,
    build: (inout DeltaLayers, [String]) -> String
  ) {
    var layers = DeltaLayers(seed: name.utf8.count)
    let inputs = sizes.map { layers.net.input($0) }
    let front = build(&layers, inputs)
    layers.net.output(layers.add("Relu", front))
    (self.name, graph, hasSingleWays) = (name, layers.net.graph, single)
  }

  static let all = [
    AffineNet("dense", [7]) { net, x in net.dense(x[0], 7, 5) },
    AffineNet("strided, padded, grouped", [4, 7, 6]) { net, x in
      net.convolution(x[0], 4, 6, 3, stride: 2, pad: 1, groups: 2)
    },
    AffineNet("dilated", [2, 8, 8]) { net, x in net.convolution(x[0], 2, 3, 3, dilation: 2) },
    AffineNet("two convolutions", [1, 7, 7], single: false) { net, x in
      net.convolution(net.convolution(x[0], 1, 3, 3, pad: 1), 3, 2, 3)
    },
    AffineNet("average over padding", [2, 5, 5]) { net, x in
      net.net.add(
        "AveragePool", [x[0]],
        [
          "kernel_shape": .ints([3, 2]), "strides": .ints([2, 1]), "pads": .ints([1, 1, 1, 0]),
          "count_include_pad": .int(1),
        ])
    },
    AffineNet("average within the map", [2, 5, 5]) { net, x in
      net.net.add(
        "AveragePool", [x[0]],
        ["kernel_shape": .ints([3, 2]), "strides": .ints([2, 1]), "pads": .ints([1, 1, 1, 0])])
    },
    AffineNet("normalised, then a convolution", [2, 5, 5]) { net, x in
      let shift = net.net.constant(net.random.tensor([2, 1, 1]))
      let scale = net.net.constant(net.random.tensor([2, 1, 1]))
      let centred = net.net.add("Sub", [x[0], shift])
      return net.convolution(net.net.add("Mul", [centred, scale]), 2, 3, 3)
    },
    AffineNet("negated and turned", [3, 4]) { net, x in
      let turned = net.net.add(
        "Transpose", [net.add("Neg", x[0])], ["perm": .ints([0, 2, 1])])
      return net.product(turned, 3, 5)
    },
    AffineNet("twice the same", [6]) { net, x in
      net.dense(net.net.add("Add", [x[0], x[0]]), 6, 4)
    },
    AffineNet("a sum and what it came from", [6], single: false) { net, x in
      net.net.add("Sub", [net.dense(x[0], 6, 6), x[0]])
    },
    AffineNet("joined inputs", [4], [3], single: false) { net, x in
      net.dense(net.net.add("Concat", x, ["axis": .int(1)]), 7, 4)
    },
    AffineNet("convolutions joined", [2, 5, 5]) { net, x in
      let parts = [net.convolution(x[0], 2, 3, 3, pad: 1), net.convolution(x[0], 2, 2, 1)]
      return net.net.add("Concat", parts, ["axis": .int(1)])
    },
    AffineNet("an input joined to itself", [4], single: false) { net, x in
      net.dense(net.net.add("Concat", [x[0], x[0]], ["axis": .int(1)]), 8, 5)
    },
    AffineNet("division", [5]) { net, x in
      net.net.add("Div", [net.dense(x[0], 5, 3), net.net.constant(net.random.tensor([3]))])
    },
  ]
}

@Suite struct CarrierTests {
  private let run = RunOptions()

  private func plan(_ net: AffineNet) throws -> MomentPlan {
    var options = PlanOptions()
    options.precision = .double
    return try MomentPlan(
      Model(net.graph), target: net.graph.outputs[0].name, rank: 0, options)
  }

  private func rows(_ plan: MomentPlan, _ random: inout Seeded, count: Int = 1) -> [String: Tensor]
  {
    var rows: [String: Tensor] = [:]
    for source in plan.sources {
      rows[source.name] = Tensor(
        filling: [count] + source.shape, with: .float64(random.numbers(count * source.count)))
    }
    return rows
  }

  private func sum(_ a: [String: Tensor], _ b: [String: Tensor]) throws -> [String: Tensor] {
    var result = a
    for (name, tensor) in a {
      let other = try #require(b[name]).doubles
      result[name] = Tensor(
        filling: tensor.shape, with: .float64(zip(tensor.doubles, other).map { $0 + $1 }))
    }
    return result
  }

  @Test("Changes are differences of values", arguments: AffineNet.all)
  func changes(_ net: AffineNet) async throws {
    let plan = try plan(net)
    var random = Seeded(1)
    let (x, v) = (rows(plan, &random), rows(plan, &random))
    let before = try await plan.fronts(.values, of: x, count: 1, held: .init(), run)
    let after = try await plan.fronts(.values, of: sum(x, v), count: 1, held: .init(), run)
    let found = try await plan.fronts(.changes, of: v, count: 1, held: .init(), run)
    #expect(found.count == plan.frontCounts.count)
    for front in found.indices {
      for (place, change) in found[front].doubles.enumerated() {
        let expected = after[front].doubles[place] - before[front].doubles[place]
        #expect(abs(change - expected) < 1e-12, "\(place): \(change), \(expected)")
      }
    }
  }

  @Test("Squares are sums of the squares of single elements", arguments: AffineNet.all)
  func squares(_ net: AffineNet) async throws {
    let plan = try plan(net)
    #expect(plan.hasSingleWays == net.hasSingleWays)
    guard net.hasSingleWays else { return }
    var random = Seeded(2)
    let v = rows(plan, &random)
    var expected = plan.frontCounts.map { [Double](repeating: 0, count: $0) }
    for source in plan.sources {
      for element in 0..<source.count {
        var only = v.mapValues {
          Tensor(filling: $0.shape, with: .float64($0.doubles.map { _ in 0 }))
        }
        var row = [Double](repeating: 0, count: source.count)
        row[element] = try #require(v[source.name]).doubles[element]
        only[source.name] = Tensor(filling: [1] + source.shape, with: .float64(row))
        let c = try await plan.fronts(.changes, of: only, count: 1, held: .init(), run)
        for front in c.indices {
          for (place, value) in c[front].doubles.enumerated() {
            expected[front][place] += value * value
          }
        }
      }
    }
    let squared = v.mapValues {
      Tensor(filling: $0.shape, with: .float64($0.doubles.map { $0 * $0 }))
    }
    let found = try await plan.fronts(.squares, of: squared, count: 1, held: .init(), run)
    for front in found.indices {
      for (place, value) in found[front].doubles.enumerated() {
        #expect(abs(value - expected[front][place]) < 1e-12)
      }
    }
  }

  @Test("Transposes give the same products", arguments: AffineNet.all)
  func transposes(_ net: AffineNet) async throws {
    let plan = try plan(net)
    var random = Seeded(3)
    let v = rows(plan, &random, count: 2)
    let signals = plan.frontCounts.map {
      Tensor(filling: [2, $0], with: .float64(random.numbers(2 * $0)))
    }
    for passage in [MomentPlan.Passage.changes, .squares] {
      let forward = try await plan.fronts(passage, of: v, count: 2, held: .init(), run)
      let back = try await plan.sources(passage, of: signals, count: 2, held: .init(), run)
      func dot(_ a: Tensor, _ b: Tensor) -> Double {
        zip(a.doubles, b.doubles).reduce(0) { $0 + $1.0 * $1.1 }
      }
      let left = zip(forward, signals).reduce(0) { $0 + dot($1.0, $1.1) }
      var right = 0.0
      for (name, tensor) in v { right += dot(tensor, try #require(back[name])) }
      #expect(abs(left - right) < 1e-11 * max(1, abs(left)), "\(left), \(right)")
    }
  }
}
