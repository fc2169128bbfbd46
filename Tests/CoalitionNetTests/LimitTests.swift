// Numbers from a file at the edge of what integers hold: refused by name, never trapped on.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@Suite struct LimitTests {
  /// The error of planning one node.
  private func refusal(
    location: SourceLocation = #_sourceLocation, _ build: (inout Net) -> String
  ) async -> CoalitionError {
    var net = Net(opset: 17)
    net.output(build(&net))
    let graph = net.graph
    return await failure({ _ = try Plan(try Model(graph)) }, location: location)
  }

  /// The only output of a graph whose values are all constants.
  private func constant(_ build: (inout Net) -> String) async throws -> Tensor {
    var net = Net(opset: 17)
    let name = build(&net)
    net.output(name)
    let zero = net.input([1])
    net.output(net.add("Relu", [zero]))
    let plan = try Plan(try Model(net.graph))
    let results = try await plan.run([zero: Tensor(filling: [1, 1], with: .float32([0]))])
    return try #require(results[name])
  }

  @Test func windowsThatReachTooFar() async {
    let pads = [Int(Int32.max), Int(Int32.max)]
    let far = 1 << 24
    let cases: [[String: Attribute]] = [
      ["kernel_shape": .ints([3]), "pads": .ints(pads)],
      ["kernel_shape": .ints([3]), "pads": .ints([0, Int(Int32.max) - 4])],
      ["kernel_shape": .ints([3]), "pads": .ints(pads), "strides": .ints([far])],
      ["kernel_shape": .ints([far]), "dilations": .ints([far]), "auto_pad": .string("SAME_UPPER")],
      ["kernel_shape": .ints([far]), "dilations": .ints([far]), "auto_pad": .string("SAME_LOWER")],
      [
        "kernel_shape": .ints([1 << 8]), "dilations": .ints([1 << 23]),
        "pads": .ints([1 << 30, 1 << 30]), "ceil_mode": .int(1),
      ],
    ]
    for attributes in cases {
      let pool = await refusal { $0.add("MaxPool", [$0.input([1, 8])], attributes) }
      #expect(pool.code == .limitExceeded && pool.node == "MaxPool0", "\(attributes): \(pool)")
    }
    for attributes in cases.prefix(3) {
      let weight = Tensor(filling: [1, 1, 3], with: .float32([1, 1, 1]))
      let conv = await refusal {
        $0.add("Conv", [$0.input([1, 8]), $0.constant(weight)], attributes)
      }
      #expect(conv.code == .limitExceeded && conv.node == "Conv0", "\(attributes): \(conv)")
    }
    let taps = await refusal {
      $0.add(
        "AveragePool", [$0.input([1, 8, 8])],
        [
          "kernel_shape": .ints([1 << 16, 1 << 16]), "auto_pad": .string("SAME_UPPER"),
          "count_include_pad": .int(1),
        ])
    }
    #expect(taps.code == .limitExceeded && taps.found == "kernel [65536, 65536]")
  }

  @Test func groupsBeyondTheChannels() async {
    let weight = Tensor(filling: [0, 4, 1], with: .float32([]))
    for groups in [1 << 62, Int.max, Int.min] {
      let error = await refusal {
        $0.add("Conv", [$0.input([4, 8]), $0.constant(weight)], ["group": .int(groups)])
      }
      #expect(error.code == .shapeMismatch && error.node == "Conv0")
    }
  }

  @Test func aScalarHasNoAxes() async throws {
    for axis in [0, -1] {
      let known = await refusal { net in
        let scalar = net.constant(Tensor(scalar: 2))
        let sum = net.add("ReduceMax", [scalar], ["axes": .ints([axis])])
        return net.add("Add", [net.input([1]), sum])
      }
      #expect(known.code == .invalidData && known.node == "ReduceMax0")
      let computed = await refusal {
        $0.add("ReduceMax", [$0.input([], axis: nil)], ["axes": .ints([axis])])
      }
      #expect(computed.code == .invalidData && computed.node == "ReduceMax0")
    }
    let all = try await constant { $0.add("ReduceMax", [$0.constant(Tensor(scalar: 2))]) }
    #expect(all == Tensor(scalar: 2))
    let soft = try await constant { $0.add("Softmax", [$0.constant(Tensor(scalar: 2))]) }
    #expect(soft == Tensor(scalar: 1))
  }

  @Test func rangesAtTheEnds() async throws {
    let far = await refusal { net in
      net.add(
        "Gather",
        [net.input([1]), net.add("Range", [net.integer(0), net.integer(.min), net.integer(-1)])])
    }
    #expect(far.code == .limitExceeded && far.node == "Range0")
    func float(_ number: Float, _ net: inout Net) -> String { net.constant(Tensor(scalar: number)) }
    let none = try await constant { net in
      net.add("Range", [float(0, &net), float(-1e30, &net), float(1, &net)])
    }
    #expect(none.shape == [0])
    let many = await refusal { net in
      let range = net.add("Range", [float(0, &net), float(1e30, &net), float(1, &net)])
      return net.add("Add", [net.input([1]), range])
    }
    #expect(many.code == .limitExceeded && many.node == "Range0")
    let down = try await constant { net in
      net.add("Range", [net.integer(.min + 4), net.integer(.min), net.integer(-3)])
    }
    #expect(down == Tensor(.int64([.min + 4, .min + 1])))
  }

  @Test func signsOfTheSmallestNumber() async throws {
    for operation in ["Abs", "Neg"] {
      let wide = try await constant {
        $0.add(operation, [$0.constant(Tensor(.int64([.min, -3, 0])))])
      }
      #expect(wide == Tensor(.int64([.min, 3, 0])))
      let narrow = try await constant {
        $0.add(operation, [$0.constant(Tensor(.int32([.min, -3, 0])))])
      }
      #expect(narrow == Tensor(.int32([.min, 3, 0])))
    }
  }

  @Test func foldedConstantsStayWithinTheLimit() async throws {
    var net = Net(opset: 17)
    let filled = net.add("ConstantOfShape", [net.integers([1 << 20])])
    let sum = net.add("ReduceSum", [net.add("Exp", [filled])])
    net.output(net.add("Add", [net.input([1]), sum]))
    var options = PlanOptions()
    options.memoryLimit = 8 << 20
    let model = try Model(net.graph)
    let error = await failure { [options] in _ = try Plan(model, options) }
    #expect(error.code == .memoryLimit && error.node == "ConstantOfShape0", "\(error)")
    #expect(error.expected == "at most 8388608 bytes")
    // Enough for the first, not for what is made of it.
    options.memoryLimit = 14 << 20
    let next = await failure { [options] in _ = try Plan(model, options) }
    #expect(next.code == .memoryLimit && next.node == "Exp1", "\(next)")
    options.memoryLimit = 64 << 20
    _ = try Plan(model, options)
  }

  @Test func bordersWithoutEnd() async {
    for mode in ["edge", "reflect", "wrap"] {
      let known = await refusal { net in
        let pads = net.integers([1 << 29, 1 << 29])
        let table = net.constant(Tensor(.float32([1, 2, 3])))
        let padded = net.add("Pad", [table, pads], ["mode": .string(mode)])
        return net.add("Add", [net.input([1]), padded])
      }
      #expect(known.code == .memoryLimit && known.node == "Pad0", "\(mode): \(known)")
    }
    for mode in ["reflect", "wrap"] {
      let computed = await refusal { net in
        let pads = net.integers([0, 1 << 20, 0, 1 << 20])
        return net.add("Pad", [net.input([3]), pads], ["mode": .string(mode)])
      }
      #expect(computed.code == .limitExceeded && computed.node == "Pad0", "\(mode): \(computed)")
    }
  }

  @Test func wholeNumbersKeepTheirType() async throws {
    var net = Net()
    let x = net.input([2], .int64)
    let sum = net.add("Add", [x, net.integers([1, 2])])
    net.output(sum)
    let plan = try Plan(try Model(net.graph))
    let results = try await plan.run([x: Tensor(filling: [1, 2], with: .int64([1 << 24, -5]))])
    #expect(results[sum] == Tensor(filling: [1, 2], with: .int64([1 << 24, -3])))
    let large = await failure {
      _ = try await plan.run([x: Tensor(filling: [1, 2], with: .int64([0, (1 << 24) + 1]))])
    }
    #expect(large.code == .unsupported && large.node == x && large.found == "\((1 << 24) + 1)")
  }

  @Test func narrowWholeNumbers() async throws {
    for type in [2, 3, 5] {
      let error = await refusal { $0.add("Cast", [$0.input([2])], ["to": .int(type)]) }
      #expect(error.code == .unsupported && error.node == "Cast0")
    }
    let sum = try await constant {
      $0.add("Add", [$0.constant(Tensor(.uint8([250]))), $0.constant(Tensor(.uint8([10])))])
    }
    #expect(sum == Tensor(.uint8([4])))
  }

  @Test("Arithmetic that would take hours is not done while a model is read")
  func foldedArithmetic() async throws {
    // 2^22 outputs of 2^19 taps each, asked for by a few bytes.
    var net = Net(opset: 17)
    let values = net.add("ConstantOfShape", [net.integers([1, 1, 1 << 22])])
    let weight = net.add("ConstantOfShape", [net.integers([1, 1, 1 << 19])])
    let map = net.add("Conv", [values, weight], ["auto_pad": .string("SAME_UPPER")])
    net.output(net.add("Add", [net.input([1]), net.add("ReduceSum", [map])]))
    let graph = net.graph
    let error = await failure { _ = try Plan(try Model(graph)) }
    #expect(error.code == .limitExceeded && error.node == "Conv2", "\(error)")
    #expect(error.expected == "at most \(1 << 36) operations")
    #expect(try ModelSummary(graph).problems.map(\.node) == ["Conv2"])
  }

  @Test("Work beyond what integers hold is counted as the largest of them")
  func countlessWork() throws {
    var net = Net(opset: 17)
    var map = net.input([1, 46_340, 46_340])
    let weight = net.constant(
      Tensor(
        filling: [1, 1, 1024, 1024], with: .float32([Float](repeating: 0, count: 1 << 20))))
    for _ in 0..<4500 {
      map = net.add("Conv", [map, weight], ["auto_pad": .string("SAME_UPPER")])
    }
    net.output(map)
    let plan = try Plan(try Model(net.graph))
    #expect(plan.operationsPerExample == .max)
    #expect(try plan.listing(lanes: 16).operations == .max)
    let work = try ModelSummary(net.graph).multiplyAdds
    #expect(work == .max)
  }
}
