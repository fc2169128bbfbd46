// What is refused, and what the message says.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

@Suite struct ErrorTests {
  private func refusal(
    opset: Int = 17, location: SourceLocation = #_sourceLocation, _ build: (inout Net) -> String
  ) async -> CoalitionError {
    var net = Net(opset: opset)
    net.output(build(&net))
    let graph = net.graph
    return await failure({ _ = try Plan(try Model(graph)) }, location: location)
  }

  @Test func anUnknownOperatorIsNamed() async {
    let error = await refusal { $0.add("Einsum", [$0.input([3])]) }
    #expect(error.code == .unsupported && error.node == "Einsum0")
    #expect(error.message.contains("Einsum (opset 17)"))
    var net = Net()
    net.output(net.add("Relu", [net.input([3])]))
    net.graph.nodes[0].domain = "com.microsoft"
    let graph = net.graph
    let foreign = await failure { _ = try Model(graph) }
    #expect(foreign.message.contains("com.microsoft.Relu"))
  }

  @Test func shapesThatDoNotFit() async {
    var random = Seeded(1)
    let weight = random.tensor([2, 3, 3, 3, 3])
    let deep = await refusal { $0.add("Conv", [$0.input([3, 5, 5, 5]), $0.constant(weight)]) }
    #expect(deep.code == .unsupported && deep.node == "Conv0" && deep.found == nil)
    #expect(deep.message.contains("3 spatial axes"))
    let matrix = random.tensor([4, 2])
    let product = await refusal { $0.add("MatMul", [$0.input([3]), $0.constant(matrix)]) }
    #expect(product.code == .shapeMismatch && product.node == "MatMul0")
    let shape = await refusal { $0.add("Reshape", [$0.input([6]), $0.integers([0, 4])]) }
    #expect(shape.code == .shapeMismatch && shape.node == "Reshape0")
    let sum = await refusal { $0.add("Add", [$0.input([6]), $0.constant(random.tensor([4]))]) }
    #expect(sum.code == .shapeMismatch)
    let parts = await refusal {
      $0.add("Split", [$0.input([6]), $0.integers([1, 2])], ["axis": .int(1)], outputs: 2)[0]
    }
    #expect(parts.code == .shapeMismatch)
    let axis = await refusal { $0.add("Softmax", [$0.input([6])], ["axis": .int(5)]) }
    #expect(axis.code == .invalidData && axis.node == "Softmax0")
  }

  @Test func emptyAndHugeTensors() async {
    let empty = await refusal { net in
      net.add("Slice", [net.input([6]), net.integers([3]), net.integers([3]), net.integers([1])])
    }
    #expect(empty.code == .unsupported && empty.message.contains("without elements"))
    let huge = await refusal { net in
      net.add("Expand", [net.input([1]), net.integers([1, 1 << 40])])
    }
    #expect(huge.code == .limitExceeded)
    let filled = await refusal { net in
      net.add(
        "Add", [net.input([1]), net.add("ConstantOfShape", [net.integers([1 << 33, 1 << 33])])])
    }
    #expect(filled.code == .limitExceeded && filled.node == "ConstantOfShape0")
    let range = await refusal { net in
      net.add(
        "Gather",
        [net.input([1]), net.add("Range", [net.integer(0), net.integer(.max), net.integer(1)])])
    }
    #expect(range.code == .limitExceeded)
  }

  @Test func whatMustBeConstant() async {
    let target = await refusal { net in
      net.add("Reshape", [net.input([6]), net.add("Cast", [net.input([2])], ["to": .int(7)])])
    }
    #expect(target.code == .unsupported && target.message.contains("computed while the model runs"))
    let comparison = await refusal { net in
      let x = net.input([6])
      return net.add("Greater", [x, x])
    }
    #expect(comparison.code == .unsupported && comparison.node == "Greater0")
    let products = await refusal { net in
      net.add("MatMul", [net.input([2, 2]), net.input([2, 2])])
    }
    #expect(products.code == .unsupported && products.node == "MatMul0")
  }

  @Test func inputsOfARun() async throws {
    var net = Net()
    let x = net.input([2, 3])
    net.output(net.add("Relu", [x]))
    let plan = try Plan(try Model(net.graph))
    func tensor(_ shape: [Int], _ value: Float = 1) -> Tensor {
      Tensor(filling: shape, with: .float32(.init(repeating: value, count: shape.reduce(1, *))))
    }
    let name = await failure { _ = try await plan.run([x: tensor([1, 2, 3]), "y": tensor([1])]) }
    #expect(name.code == .usage && name.node == "y" && name.expected == "x0")
    let missing = await failure { _ = try await plan.run([:]) }
    #expect(missing.code == .usage && missing.node == "x0")
    let shape = await failure { _ = try await plan.run([x: tensor([4, 3, 2])]) }
    #expect(shape.code == .shapeMismatch && shape.expected == "[N, 2, 3]")
    #expect(shape.found == "[4, 3, 2]")
    let number = await failure { _ = try await plan.run([x: tensor([2, 2, 3], .nan)]) }
    #expect(number.code == .notFinite && number.node == "x0")
    let none = await failure { _ = try await plan.run([x: tensor([0, 2, 3])]) }
    #expect(none.code == .shapeMismatch)
    var small = RunOptions()
    small.memoryLimit = 100
    let limit = await failure { [small] in _ = try await plan.run([x: tensor([2, 2, 3])], small) }
    #expect(limit.code == .memoryLimit && limit.expected == "at most 100 bytes")
    var lanes = RunOptions()
    lanes.lanes = 24
    let odd = await failure { [lanes] in _ = try await plan.run([x: tensor([2, 2, 3])], lanes) }
    #expect(odd.code == .usage)
    var threads = RunOptions()
    threads.threads = 0
    let nobody = await failure { [threads] in
      _ = try await plan.run([x: tensor([2, 2, 3])], threads)
    }
    #expect(nobody.code == .usage)
    // One example may come without an axis for it.
    let single = try await plan.run([x: tensor([2, 3], -1)])
    #expect(single.values.first?.shape == [1, 2, 3])
  }

  @Test func anOutputThatIsNamedTwiceIsComputedOnce() async throws {
    var net = Net()
    let x = net.input([2])
    let small = net.add("Relu", [x])
    let large = net.add(
      "Expand", [net.add("Reshape", [x, net.integers([0, 2, 1])]), net.integers([1, 2, 1000])])
    net.output(small, small, large)
    let plan = try Plan(try Model(net.graph))
    #expect(plan.outputs.map(\.name) == [small, large])
    let results = try await plan.run([x: Tensor(filling: [1, 2], with: .float32([-1, 3]))])
    #expect(results[small]?.floats == [0, 3])
    #expect(
      results[large]?.floats == [Float](repeating: -1, count: 1000)
        + [Float](repeating: 3, count: 1000))
  }
}
