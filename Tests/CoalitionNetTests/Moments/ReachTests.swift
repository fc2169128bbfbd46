// Players who reach no position together: against the contributions of single players.

import CoalitionBase
import TestSupport
import Testing

@testable import CoalitionNet

@Suite struct ReachTests {
  /// Patches of a map [C, H, W], all channels together.
  private static func patches(_ shape: [Int], _ size: Int) -> [Int32] {
    let across = (shape[2] + size - 1) / size
    return (0..<shape.reduce(1, *)).map { element in
      let (y, x) = (element / shape[2] % shape[1], element % shape[2])
      return Int32(y / size * across + x / size)
    }
  }

  /// The positions of all fronts that each player reaches, with random numbers.
  private static func reached(
    _ plan: MomentPlan, _ ids: [Int32], playerCount: Int
  ) async throws -> [Set<Int>] {
    var random = Seeded(3)
    var rows: [Double] = []
    for player in 0..<playerCount {
      rows += ids.map { $0 == player ? Double.random(in: 0.5...1, using: &random) : 0 }
    }
    let tensor = Tensor(
      filling: [playerCount] + plan.sources[0].shape, with: .float64(rows))
    let fronts = try await plan.fronts(
      .changes, of: [plan.sources[0].name: tensor], count: playerCount, held: .init(), RunOptions())
    var sets = [Set<Int>](repeating: [], count: playerCount)
    for (front, tensor) in fronts.enumerated() {
      let count = plan.frontCounts[front]
      for (place, value) in tensor.doubles.enumerated() where value != 0 {
        sets[place / count].insert(front << 32 + place % count)
      }
    }
    return sets
  }

  @Test(
    "Players of one class reach no position together; players far apart share a class",
    arguments: [
      ("convolutions and max pools", [2, 8, 8], 1, 9),
      ("convolutions and max pools", [2, 8, 8], 2, 4),
      ("strided, grouped, average pools", [4, 9, 7], 1, 9),
      ("strided, grouped, average pools", [4, 9, 7], 3, 4), ("residual", [2, 6, 6], 1, 9),
    ])
  func convolutions(_ name: String, shape: [Int], size: Int, most: Int) async throws {
    let net = try #require(MomentNet.all.first { $0.name == name })
    let plan = try MomentPlan(Model(net.graph), target: net.graph.outputs[0].name, rank: 0)
    let ids = Self.patches(shape, size)
    let players = Int(ids.max() ?? 0) + 1
    let classes = plan.apartClasses([plan.sources[0].name: ids], playerCount: players)
    #expect(Set(classes).count <= most && Set(classes).count > 1, "\(classes)")
    let reached = try await Self.reached(plan, ids, playerCount: players)
    for first in 0..<players {
      for second in 0..<first where classes[first] == classes[second] {
        #expect(reached[first].isDisjoint(with: reached[second]), "\(first) and \(second)")
      }
    }
  }

  @Test("Behind a dense layer every player has a class of its own")
  func dense() throws {
    let net = MomentNet.all[0]
    let plan = try MomentPlan(Model(net.graph), target: net.graph.outputs[0].name, rank: 0)
    let name = plan.sources[0].name
    #expect(plan.apartClasses([name: [0, 1, 1, -1, 2, 0]], playerCount: 3) == [0, 1, 2])
    #expect(plan.apartClasses([name: [0, 0, 0, 0, 0, -1]], playerCount: 1) == [0])
  }

  @Test(
    "A model without an affine first layer has one class; moved and averaged elements are followed")
  func movement() throws {
    var layers = DeltaLayers(seed: 4)
    let x = layers.net.input([2, 4, 4])
    let turned = layers.net.add("Transpose", [x], ["perm": .ints([0, 3, 2, 1])])
    let mean = layers.net.add(
      "AveragePool", [turned], ["kernel_shape": .ints([2, 1]), "strides": .ints([2, 1])])
    layers.net.output(layers.net.add("Relu", [layers.net.add("Neg", [mean])]))
    let plan = try MomentPlan(
      Model(layers.net.graph), target: layers.net.graph.outputs[0].name, rank: 0)
    let name = plan.sources[0].name
    // The pool joins rows 0 and 1 of x, and 2 and 3, channel by channel.
    let rows = (0..<32).map { Int32($0 / 4 % 4) }
    #expect(plan.apartClasses([name: rows], playerCount: 4) == [0, 1, 0, 1])
    let columns = (0..<32).map { Int32($0 % 4) }
    #expect(plan.apartClasses([name: columns], playerCount: 4) == [0, 0, 0, 0])
  }
}
