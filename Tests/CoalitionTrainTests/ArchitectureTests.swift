// Models from descriptions: shapes that come out, and what is refused.

import CoalitionBase
import CoalitionNet
import Testing

@testable import CoalitionTrain

@Suite struct ArchitectureTests {
  @Test(
    "Shapes are those that the graph computes",
    arguments: [
      (
        "input 1x28x28; conv 32 5; relu; maxpool 2; conv 64 5; relu; maxpool 2; flatten; dense 10",
        [10]
      ),
      (
        "input 3x32x30; conv 8 3x5 stride 2 pad same dilation 1; avgpool 3 stride 1 pad 1; globalavgpool",
        [8, 1, 1]
      ),
      (
        "input 4x50; conv 6 11; relu; conv 6 11 stride 3 dilation 2; globalavgpool; flatten; dense 3; sigmoid",
        [3]
      ),
      (
        "input 6x9x9; depthwise 3 pad 1; conv 4 3 groups 2; batchnorm; leakyrelu 0.1; elu; selu",
        [4, 7, 7]
      ),
      ("tokens 12; embedding 50 8; flatten; dense 5; softplus; dropout 0.5; softmax", [5]),
      (
        "tokens 12; embedding 50 8; conv 6 3; relu; maxpool 2; conv 4 3; globalavgpool; flatten",
        [4]
      ),
      ("input 18; dense 128; relu; dense 64; gelu; tanh; prelu; dense 1", [1]),
    ])
  func shapes(text: String, shape: [Int]) throws {
    let graph = try Architecture(text).graph(seed: 1)
    let plan = try Plan(try Model(graph))
    #expect(plan.outputs.map(\.shape) == [shape])
    #expect(graph.outputs.map(\.name) == ["output"])
    #expect(try Architecture(text).graph(seed: 1) == graph)
    #expect(try Architecture(text).graph(seed: 2) != graph)
  }

  @Test("Convolutions go along the tokens, over all numbers of each")
  func tokens() throws {
    let graph = try Architecture("tokens 12; embedding 50 8; conv 6 3; globalavgpool").graph()
    let kernels = graph.nodes.filter { $0.operation == "Conv" }.compactMap { $0.input(1) }
    #expect(kernels.map { graph.constants[$0]?.shape } == [[6, 8, 3]])
    #expect(try Plan(try Model(graph)).outputs.map(\.shape) == [[6, 1]])
  }

  @Test("Weights are not drawn beyond the memory limit")
  func memory() throws {
    let text = try Architecture("input 1000; dense 1000; dense 10")
    #expect(try text.graph(memoryLimit: 4_040_000).nodes.count == 2)
    let refused = #expect(throws: CoalitionError.self) { try text.graph(memoryLimit: 4_039_999) }
    #expect(refused?.code == .memoryLimit)
  }

  @Test("Weights lie within the bound of their layer")
  func weights() throws {
    let graph = try Architecture("input 1x28x28; conv 32 5; flatten; dense 10").graph()
    let kernel = try #require(graph.constants["layer1.weight"]).doubles
    let bound = (6 / Double(25 + 32 * 25)).squareRoot()
    #expect(kernel.allSatisfy { abs($0) <= bound })
    let square = kernel.reduce(0) { $0 + $1 * $1 } / Double(kernel.count)
    #expect(abs(square / (bound * bound / 3) - 1) < 0.1)
    #expect(graph.constants["layer1.bias"]?.doubles.allSatisfy { $0 == 0 } ?? false)
  }

  @Test(
    "What is not written as it should be is refused by name",
    arguments: [
      ("", "begins with its input"), ("dense 10", "begins with its input"),
      ("input 4; densse 10", "no layer of this kind"), ("input 4; dense", "says too little"),
      ("input 4; dense ten", "cannot be used"), ("input 4; dense 3 4", "not written"),
      ("input 1x8x8; conv 4 3 strid 2", "not written"), ("input 0x4; dense 2", "cannot be used"),
      ("input 1x8x8; dense 3", "put flatten before"), ("input 4; conv 3 3", "axes of space"),
      ("input 1x4x4; conv 2 5", "larger than the map"), ("input 4; dropout 1", "cannot be used"),
      ("input 3x8x8; conv 4 3 groups 2", "do not divide"), ("tokens 5; dense 3", "embedding first"),
      ("input 5; embedding 3 4", "right behind tokens"), ("input 5; input 5", "one input"),
      ("input 1x2x3x4; flatten", "at most three axes"),
      ("input 1x8x8; conv 16777216 16777216; flatten", "cannot be used"),
      ("input 4; dropout 0.99999999", "leaves something"),
      ("input 1x8x8; maxpool 2 pad 2; flatten", "nothing but padding"),
    ])
  func refused(text: String, message: String) {
    #expect {
      _ = try Architecture(text).graph()
    } throws: { error in
      guard let error = error as? CoalitionError, error.code == .usage else { return false }
      return error.description.contains(message)
    }
  }

  @Test("Maps that no number counts are refused")
  func overflow() {
    #expect {
      _ = try Architecture("input 1x1x1; conv 65536 1 pad 16000; flatten; dense 2").graph()
    } throws: { ($0 as? CoalitionError)?.code == .limitExceeded }
  }
}
