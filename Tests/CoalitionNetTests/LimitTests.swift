// Numbers from a file at the edge of what integers hold: refused by name, never trapped on.

import CoalitionBase
import TestSupport
import Testing

@testable import CoalitionNet

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

  @Test func hugeAxesOfConstantsWithoutElements() async {
    let huge = Tensor(filling: [.max, 0], with: .float32([]))
    let kernel = Tensor(filling: [.max, 0, 3], with: .float32([]))
    let uses: [(String, (inout Net, String) -> String)] = [
      (
        "Slice",
        { net, table in
          net.add("Slice", [table, net.integers([1]), net.integers([.max])])
        }
      ),
      ("Split", { net, table in net.add("Split", [table], ["axis": .int(0)], outputs: 2)[0] }),
      ("Pad", { net, table in net.add("Pad", [table, net.integers([1, 0, 1, 0])]) }),
      ("Conv", { net, _ in net.add("Conv", [net.input([1, 8]), net.constant(kernel)]) }),
    ]
    for (operation, use) in uses {
      let error = await refusal { net in
        // Of the two constants the one that the node reads.
        let table = operation == "Conv" ? "" : net.constant(huge)
        return use(&net, table)
      }
      #expect(error.code == .limitExceeded && error.node == "c0", "\(operation): \(error)")
    }
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

  @Test func whatTwoExamplesWouldGiveStaysWithinTheLimit() throws {
    var net = Net(opset: 17)
    let x = net.input([1])
    var sizes = [net.add("Shape", [x], ["end": .int(1)])]
    // 1 for one example; 2^1, 2^2, 2^4, 2^8, 2^16 for two.
    for index in 0..<4 { sizes.append(net.add("Mul", [sizes[index], sizes[index]])) }
    let size = net.add("Mul", [sizes[4], sizes[2]])
    var filled: [String] = []
    for _ in 0..<10 { filled.append(net.add("ConstantOfShape", [size])) }
    for name in filled { net.output(name) }
    let limit = 16 << 20
    let analysis = try Analysis(
      net.graph, inputs: [x: (shape: [1, 1], axis: 0)], memoryLimit: limit)
    let probes = filled.compactMap { analysis.values[$0]?.constant?.probe }
    // 4 MiB each: the first finds room, the others cannot be told.
    #expect(probes.map(\.count) == [1 << 20] + [Int](repeating: 0, count: 9))
    #expect(filled.allSatisfy { analysis.values[$0]?.constant?.value.shape == [1] })
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

  @Test func aBorderOfNoNumberOrOfTwo() async {
    for values in [[], [1, 2]] as [[Float]] {
      for isKnown in [true, false] {
        let error = await refusal { net in
          let x = isKnown ? net.constant(Tensor(.float32([3]))) : net.input([])
          let pads = net.integers(isKnown ? [1, 1] : [0, 0])
          let value = net.constant(Tensor(.float32(values)))
          return net.add("Add", [net.input([1]), net.add("Pad", [x, pads, value])])
        }
        #expect(error.code == .invalidData && error.node == "Pad0", "\(error)")
      }
    }
  }

  @Test func stacksAndPicksOfManySteps() async throws {
    let stack = await refusal { net in
      let matrices = net.constant(Tensor(filling: [2, 1, 1, 1], with: .float32([1, 2])))
      return net.add("MatMul", [net.input([2, 2049, 1, 1]), matrices])
    }
    #expect(stack.code == .limitExceeded && stack.node == "MatMul0", "\(stack)")
    #expect(stack.expected == "at most 4096")
    let picks = await refusal { net in
      let places = net.integers((0..<9000).map { $0 * $0 % 10_007 })
      return net.add("Gather", [net.input([10_007]), places], ["axis": .int(1)])
    }
    #expect(picks.code == .limitExceeded && picks.node == "Gather0", "\(picks)")
  }

  @Test func lanesThatNoProgramHas() async throws {
    var random = Seeded(4)
    var net = Net()
    let x = net.input([16, 8, 8])
    let weight = net.constant(random.tensor([16, 16, 3, 3]))
    net.output(net.add("Conv", [x, weight], ["pads": .ints([1, 1, 1, 1])]))
    let plan = try Plan(try Model(net.graph))
    let rows = random.tensor([2, 16, 8, 8])
    for lanes in [0, -16, 24, 65, Int.min] {
      var options = RunOptions()
      options.lanes = lanes
      let run = await failure { [options] in _ = try await plan.run([x: rows], options) }
      #expect(run.code == .usage && run.found == "\(lanes)")
      let memory = await failure { _ = try plan.memory(examples: 2, lanes: lanes) }
      #expect(memory == run)
      let call = ProgramCall(
        inputs: [SlotRows(rows, .single)], outputs: [SlotResult(count: 2 * 1024, .single)],
        examples: 2)
      let routine = await failure { [options] in _ = try await plan.routine.run(call, options) }
      #expect(routine == run)
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

  @Test func arithmeticOnBytesThatWouldWrap() async throws {
    for operation in ["Add", "Sub", "Mul", "Sum"] {
      let error = await refusal {
        $0.add(operation, [$0.input([2], .uint8), $0.constant(Tensor(.uint8([3, 5])))])
      }
      #expect(error.code == .unsupported && error.node == "\(operation)0", "\(error)")
      #expect(error.message.contains("would wrap"))
    }
    let negative = await refusal { $0.add("Neg", [$0.input([2], .uint8)]) }
    #expect(negative.code == .unsupported && negative.node == "Neg0")
    // Nothing wraps in the wider type, and nothing can wrap in a maximum.
    var net = Net()
    let x = net.input([2], .uint8)
    let five = net.constant(Tensor(.uint8([5, 5])))
    let wide = net.add("Cast", [x], ["to": .int(6)])
    let difference = net.add("Sub", [wide, net.constant(Tensor(.int32([5, 5])))])
    let largest = net.add("Max", [x, five])
    net.output(difference, largest)
    let results = try await Plan(try Model(net.graph)).run([
      x: Tensor(filling: [1, 2], with: .uint8([3, 200]))
    ])
    #expect(results[difference] == Tensor(filling: [1, 2], with: .int32([-2, 195])))
    #expect(results[largest] == Tensor(filling: [1, 2], with: .uint8([5, 200])))
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
