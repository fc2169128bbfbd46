// Increasing functions in front of max pools are taken behind them: both orders of a graph have the same moments.

import CoalitionBase
import TestSupport
import Testing

@testable import CoalitionNet

@Suite struct IncreasingFunctionTests {
  struct Shape: Sendable, CustomStringConvertible {
    var operation: String
    var attributes: [String: Attribute] = [:]
    var description: String { "\(operation) \(attributes.keys.sorted())" }

    static let increasing = [
      Shape(operation: "Relu"), Shape(operation: "Sigmoid"), Shape(operation: "Tanh"),
      Shape(operation: "Softplus"), Shape(operation: "Softsign"), Shape(operation: "Erf"),
      Shape(operation: "Selu"), Shape(operation: "Exp"),
      Shape(operation: "LeakyRelu", attributes: ["alpha": .float(0.3)]),
      Shape(operation: "Elu", attributes: ["alpha": .float(0.7)]),
      Shape(operation: "Celu", attributes: ["alpha": .float(1.3)]),
      Shape(operation: "HardSigmoid", attributes: ["alpha": .float(0.3)]),
      Shape(operation: "Clip"),
    ]
    static let others = [
      Shape(operation: "Abs"), Shape(operation: "Gelu"), Shape(operation: "Neg"),
      Shape(operation: "LeakyRelu", attributes: ["alpha": .float(-0.3)]),
      Shape(operation: "Elu", attributes: ["alpha": .float(-0.7)]),
      Shape(operation: "HardSigmoid", attributes: ["alpha": .float(-0.3)]),
      Shape(operation: "Selu", attributes: ["gamma": .float(-0.7)]),
    ]

    /// Of x, with bounds for Clip.
    func node(_ net: inout DeltaLayers, _ x: String) -> String {
      let bounds =
        operation == "Clip"
        ? [-0.4, 0.6].map { net.net.constant(Tensor(filling: [], with: .float64([$0]))) } : []
      return net.net.add(operation, [x] + bounds, attributes)
    }
  }

  @Test("What is taken behind pools increases, what is not does not", arguments: [false, true])
  func rising(isIncreasing: Bool) throws {
    let grid = (0...400).map { Double($0) / 25 - 8 }
    for shape in isIncreasing ? Shape.increasing : Shape.others {
      var layers = DeltaLayers(seed: 1)
      let x = layers.net.input([grid.count])
      let y = shape.node(&layers, x)
      let values = try #require(
        Reference.run(layers.net.graph, [x: Grid([1, grid.count], grid)])[y]
      ).values
      let rises = zip(values, values.dropFirst()).allSatisfy { $0 <= $1 }
      #expect(rises == isIncreasing, "\(shape)")
    }
  }

  private static let size = [2, 6, 6]

  /// Convolution, function and pool, and a dense layer: the function in front of the pool or behind it.
  private func net(_ shape: Shape, isBehind: Bool) -> MomentNet {
    MomentNet("either order", Self.size) { net, x in
      let front = net.convolution(x, 2, 3, 3, pad: 1)
      let pooled =
        isBehind ? shape.node(&net, net.pool(front)) : net.pool(shape.node(&net, front))
      return (front, net.dense(net.add("Flatten", pooled), 27, 2))
    }
  }

  private func means(_ net: MomentNet, t: Double = 0.4) async throws -> [Double] {
    let players = try MomentPlanTests.Players(net, rank: 2, seed: 4)
    let plan = try MomentPlanTests.plan(players, MomentPlanTests.options())
    var work = try await players.work(plan)
    work.examples = 1
    work.subjectOf = [0]
    work.scalars = [t, 0, t * (1 - t), 0, (t * (1 - t)).squareRoot(), 0, 0, 0, 0]
    return try await plan.means(work, RunOptions()).doubles
  }

  @Test("An increasing function", arguments: Shape.increasing)
  func increasing(_ shape: Shape) async throws {
    let (inFront, behind) = (net(shape, isBehind: false), net(shape, isBehind: true))
    #expect(try await means(inFront) == means(behind))
  }

  @Test("Other functions stay where they are", arguments: Shape.others)
  func others(_ shape: Shape) async throws {
    let (inFront, behind) = (net(shape, isBehind: false), net(shape, isBehind: true))
    #expect(try await means(inFront) != means(behind))
  }

  @Test("Through several pools, and behind another function")
  func chains() async throws {
    func chain(_ isBehind: Bool) -> MomentNet {
      MomentNet("chain", Self.size) { net, x in
        let front = net.convolution(x, 2, 3, 3, pad: 1)
        func functions(_ x: String) -> String { net.add("Tanh", net.add("Relu", x)) }
        func pools(_ x: String) -> String { net.pool(net.pool(x, size: 3, stride: 1, pad: 1)) }
        let last = isBehind ? functions(pools(front)) : pools(functions(front))
        return (front, net.dense(net.add("Flatten", last), 27, 2))
      }
    }
    #expect(try await means(chain(false)) == means(chain(true)))
  }

  @Test("Parts that are put together, where all have the same function", arguments: [false, true])
  func parts(isTransposed: Bool) async throws {
    func joined(_ isBehind: Bool) -> MomentNet {
      MomentNet("joined", Self.size) { net, x in
        let front = net.convolution(x, 2, 3, 3, pad: 1)
        let first = net.add("Relu", front)
        let order: [String: Attribute] = ["perm": .ints([0, 1, 3, 2])]
        let parts = [2, 3].map { width in
          let part = net.convolution(first, 3, width, 1)
          let value = isBehind ? part : net.add("Sigmoid", part)
          return isTransposed ? net.net.add("Transpose", [value], order) : value
        }
        let pooled = net.pool(net.net.add("Concat", parts, ["axis": .int(1)]))
        let last = isBehind ? net.add("Sigmoid", pooled) : pooled
        return (front, net.dense(net.add("Flatten", last), 45, 2))
      }
    }
    // Values that lie in memory otherwise are summed in another order.
    let (inFront, behind) = (try await means(joined(false)), try await means(joined(true)))
    for (a, b) in zip(inFront, behind) { #expect(abs(a - b) <= 1e-13 * max(abs(b), 1)) }
  }

  @Test("A part of the rows")
  func slices() async throws {
    func net(_ isBehind: Bool) -> MomentNet {
      MomentNet("slices", Self.size) { net, x in
        let front = net.convolution(x, 2, 3, 3, pad: 1)
        let bounds = [2, 6, 2].map { net.net.integers([$0]) }
        let cut = net.net.add("Slice", [isBehind ? front : net.add("Relu", front)] + bounds)
        let pooled = net.pool(cut)
        let last = isBehind ? net.add("Relu", pooled) : pooled
        return (front, net.dense(net.add("Flatten", last), 18, 2))
      }
    }
    #expect(try await means(net(false)) == means(net(true)))
  }

  @Test("Pools with windows that have no tap keep their place")
  func emptyWindows() throws {
    let window = PlacedWindow(
      size: 2, kernel: 2, stride: 1, dilation: 3, padBegin: 1, padEnd: 1, outputSize: 1)
    #expect(window.hasEmptyWindows)
    #expect(
      !PlacedWindow(
        size: 5, kernel: 3, stride: 2, dilation: 1, padBegin: 1, padEnd: 1, outputSize: 3
      ).hasEmptyWindows)
  }

  @Test("Somebody else who reads the function still does")
  func shared() async throws {
    func sum(_ isBehind: Bool) -> MomentNet {
      MomentNet("shared", Self.size) { net, x in
        let front = net.convolution(x, 2, 3, 3, pad: 1)
        let function = net.add("Relu", front)
        let pooled = isBehind ? net.add("Relu", net.pool(front)) : net.pool(function)
        let ends = [(function, 108), (pooled, 27)].map { value, count in
          net.dense(net.add("Flatten", value), count, 2)
        }
        return (front, net.net.add("Add", ends))
      }
    }
    #expect(try await means(sum(false)) == means(sum(true)))
  }
}
