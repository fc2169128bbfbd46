// Movement, gathering and the arithmetic of shapes against the reference.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@Suite struct MovementTests {
  /// Several nodes over one computed value, which channels-last layers have brought into another order.
  private func checkAll(
    _ sizes: [Int], opset: Int = 21, location: SourceLocation = #_sourceLocation,
    _ build: (inout Net, String) -> Void
  ) async throws {
    for ordered in [true, false] {
      var net = Net(opset: opset)
      var x = net.input(sizes)
      if !ordered && sizes.count == 3 {
        x = net.add("MaxPool", [x], ["kernel_shape": .ints([1, 1])])
      }
      build(&net, x)
      for count in [1, 2, 17] {
        try await check(
          net.graph, examples(of: net.graph, count: count, seed: count), tolerance: 1e-6,
          location: location)
      }
    }
  }

  @Test func shapesAndOrders() async throws {
    try await checkAll([4, 3, 2]) { net, x in
      for shape in [
        [0, -1], [-1, 24], [0, 2, 12], [0, 3, 4, 2], [0, 24, 1], [-1, 2, 2, 3, 2],
      ] {
        net.output(net.add("Reshape", [x, net.integers(shape)]))
      }
      net.output(net.add("Flatten", [x]), net.add("Flatten", [x], ["axis": .int(0)]))
      for order in [[0, 3, 1, 2], [0, 2, 1, 3], [0, 1, 3, 2]] {
        let turned = net.add("Transpose", [x], ["perm": .ints(order)])
        net.output(turned, net.add("Flatten", [turned]))
        net.output(net.add("Flatten", [net.add("Transpose", [turned], ["perm": .ints(order)])]))
      }
      let wide = net.add("Unsqueeze", [x, net.integers([1, -1])])
      net.output(wide, net.add("Squeeze", [wide, net.integers([5])]), net.add("Identity", [x]))
      net.output(net.add("Squeeze", [wide, net.integers([1, -1])]))
    }
    try await checkAll([1, 3], opset: 11) { net, x in
      let wide = net.add("Unsqueeze", [x], ["axes": .ints([2])])
      net.output(wide, net.add("Squeeze", [wide], ["axes": .ints([1, 2])]))
    }
  }

  @Test func slices() async throws {
    try await checkAll([5, 6, 4]) { net, x in
      for (start, end, step) in [
        (1, 4, 1), (0, Int.max, 2), (-1, Int.min, -1), (4, 0, -2), (-3, -1, 1), (2, 3, 7),
        (100, -100, -3),
      ] {
        for axis in [1, 2, -1] {
          let part = net.add(
            "Slice",
            [x] + [[start], [end], [axis], [step]].map { net.integers($0) })
          net.output(part, net.add("Flatten", [part]))
        }
      }
      let flat = net.add("Flatten", [x])
      net.output(
        net.add("Slice", [flat] + [[7], [101], [1], [3]].map { net.integers($0) }),
        net.add("Slice", [flat] + [[24], [96], [1]].map { net.integers($0) }))
      // Everything of the examples.
      net.output(net.add("Slice", [x, net.integers([0, 1]), net.integers([Int.max, 3])]))
    }
    try await checkAll([5, 6], opset: 9) { net, x in
      net.output(
        net.add(
          "Slice", [x],
          ["starts": .ints([1, -2]), "ends": .ints([4, 99]), "axes": .ints([1, 2])]))
    }
  }

  @Test func splits() async throws {
    try await checkAll([6, 5, 2]) { net, x in
      for name in net.add("Split", [x], ["axis": .int(1), "num_outputs": .int(3)], outputs: 3) {
        net.output(name)
      }
      for name in net.add("Split", [x], ["axis": .int(-2), "num_outputs": .int(2)], outputs: 2) {
        net.output(net.add("Relu", [name]))
      }
      let sizes = net.integers([1, 4, 1])
      for name in net.add("Split", [x, sizes], ["axis": .int(1)], outputs: 3) { net.output(name) }
    }
    try await checkAll([6], opset: 12) { net, x in
      for name in net.add(
        "Split", [x], ["axis": .int(1), "split": .ints([2, 4])], outputs: 2)
      { net.output(name) }
    }
  }

  @Test func repeats() async throws {
    try await checkAll([3, 1, 2]) { net, x in
      let wide = net.add("Expand", [x, net.integers([1, 1, 4, 1])])
      net.output(wide, net.add("Flatten", [wide]), net.add("Add", [wide, x]))
      let tiled = net.add("Tile", [x, net.integers([1, 2, 3, 2])])
      net.output(tiled, net.add("Flatten", [tiled]), net.add("Softmax", [tiled]))
    }
  }

  @Test func concatenation() async throws {
    var random = Seeded(1)
    let token = random.tensor([1, 2, 3, 2])
    try await checkAll([4, 3, 2]) { net, x in
      let other = net.add("Relu", [x])
      let constant = net.constant(token)
      for axis in [1, -1] {
        net.output(net.add("Concat", [x, other, x], ["axis": .int(axis)]))
      }
      let wide = net.add(
        "Expand",
        [
          constant,
          net.add(
            "Concat",
            [
              net.add("Shape", [x], ["end": .int(1)]), net.integers([2, 3, 2]),
            ], ["axis": .int(0)]),
        ])
      net.output(net.add("Concat", [wide, x], ["axis": .int(1)]))
      net.output(
        net.add(
          "Concat", [net.add("Flatten", [x]), net.add("Flatten", [other])], ["axis": .int(1)])
      )
    }
  }

  @Test(arguments: ["constant", "reflect", "edge", "wrap"])
  func padding(mode: String) async throws {
    try await checkAll([4, 5, 3]) { net, x in
      for pads in [
        [0, 1, 2, 0, 0, 0, 1, 2], [0, 0, -1, 1, 0, 2, -2, 0], [0, 0, 7, 0, 0, 0, 9, 0],
      ] {
        net.output(
          net.add(
            "Pad", [x, net.integers(pads), net.constant(Tensor(scalar: 0.75))],
            ["mode": .string(mode)]))
      }
      net.output(
        net.add(
          "Pad", [x, net.integers([1, 2, 0, 1]), "", net.integers([-1, 2])],
          ["mode": .string(mode)]))
    }
    try await checkAll([4], opset: 10) { net, x in
      net.output(
        net.add(
          "Pad", [x],
          ["mode": .string(mode), "pads": .ints([0, 1, 0, 2]), "value": .float(-1)]))
    }
  }

  @Test func gatheringComputedData() async throws {
    try await checkAll([5, 4, 3]) { net, x in
      for axis in [1, 2, -1] {
        for indices in [[2, 0, 0, 1], [-1], [0, 1, 2], [2, 1, 0]] {
          net.output(net.add("Gather", [x, net.integers(indices)], ["axis": .int(axis)]))
        }
        net.output(net.add("Gather", [x, net.integer(-2)], ["axis": .int(axis)]))
      }
      let square = net.constant(Tensor(filling: [2, 2], with: .int64([0, 3, 1, -1])))
      net.output(net.add("Gather", [x, square], ["axis": .int(2)]))
    }
  }

  @Test(arguments: [0, 1, 2])
  func embeddings(axis: Int) async throws {
    var random = Seeded(axis)
    var net = Net()
    let tokens = net.input([4], .int64)
    let table = net.constant(random.tensor([6, 6, 6]))
    let rows = net.add("Gather", [table, tokens], ["axis": .int(axis)])
    let turned = net.add("Transpose", [tokens])
    net.output(net.add("Relu", [rows]), net.add("Neg", [rows]))
    if axis == 0 {
      let sequence = net.add("Gather", [table, net.add("Cast", [turned], ["to": .int(7)])])
      net.output(net.add("Transpose", [sequence], ["perm": .ints([1, 0, 2, 3])]))
    }
    for count in [1, 5, 40] {
      var whole = Grid([count, 4]) { _ in 0 }
      whole.values = whole.values.map { _ in Double(Int.random(in: -6...5, using: &random)) }
      if axis == 0 {
        try await check(net.graph, [tokens: whole], tolerance: 0)
      } else {
        // The examples are no longer the first axis: each alone says it all.
        try await check(net.graph, [tokens: whole], joint: false, tolerance: 0)
      }
    }
  }

  @Test func anIndexOutsideOfTheTableIsAnError() async throws {
    var net = Net()
    let tokens = net.input([4], .int64)
    let part = net.add("Slice", [tokens] + [[1], [3], [1]].map { net.integers($0) })
    let table = net.constant(Tensor(filling: [5, 1], with: .float32([0, 1, 2, 3, 4])))
    net.output(net.add("Gather", [table, part]))
    let plan = try Plan(try Model(net.graph))
    func run(_ values: [Int64]) async throws -> Tensor? {
      let rows = Tensor(filling: [values.count / 4, 4], with: .int64(values))
      return try await plan.run([tokens: rows]).values.first
    }
    // Elements that no row is chosen by may be anything.
    let fine = try await run([99, 4, -5, 99, 0, 0, 1, 0])
    #expect(fine?.floats == [4, 0, 0, 1])
    let high = await failure { _ = try await run([0, 0, 0, 0, 0, 5, 0, 0]) }
    #expect(high.node == "Gather1" && high.found == "5" && high.code == .invalidData)
    #expect(high.message.contains("example 1"))
    let low = await failure { _ = try await run([0, 0, -6, 0]) }
    #expect(low.found == "-6")
  }

  @Test func castsAndDropout() async throws {
    var net = Net()
    let x = net.input([9])
    let scaled = net.add("Mul", [x, net.constant(Tensor(scalar: 5))])
    for code in [1, 11, 6, 7] { net.output(net.add("Cast", [scaled], ["to": .int(code)])) }
    net.output(net.add("Dropout", [scaled]))
    let still = net.constant(Tensor(scalar: 0))
    let on = net.constant(Tensor(filling: [], with: .bool([true])))
    let both = net.add("Dropout", [scaled, still, on], outputs: 2)
    net.output(both[0])
    try await check(net.graph, examples(of: net.graph, count: 5, seed: 3))
    net.output(both[1])
    let plan = try Plan(try Model(net.graph))
    let results = try await plan.run([
      "x0": Tensor(filling: [2, 9], with: .float32(.init(repeating: 1, count: 18)))
    ])
    let mask = Tensor(filling: [2, 9], with: .bool([Bool](repeating: true, count: 18)))
    #expect(results[both[1]] == mask)

    var wrong = Net()
    let ratio = wrong.constant(Tensor(scalar: 0.5))
    let trains = wrong.constant(Tensor(filling: [], with: .bool([true])))
    wrong.output(wrong.add("Dropout", [wrong.input([3]), ratio, trains]))
    let error = await failure { _ = try Plan(try Model(wrong.graph)) }
    #expect(error.code == .unsupported && error.message.contains("training"))
    var truth = Net()
    truth.output(truth.add("Cast", [truth.input([3])], ["to": .int(9)]))
    let refusal = await failure { _ = try Plan(try Model(truth.graph)) }
    #expect(refusal.code == .unsupported && refusal.node == "Cast0")
  }
}
