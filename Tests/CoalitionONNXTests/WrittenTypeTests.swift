// Element types of written models: what meets in one node has one type.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import Testing

@Suite struct WrittenTypeTests {
  private func castMessage(_ input: String, _ output: String, to type: Int64) -> Message {
    nodeMessage(
      "Cast", [input], [output], attributes: [Message().text(1, "to").int(3, type).int(20, 2)])
  }

  /// Walks the graph that is written for a file: types by the numbers of the format, which are those of the ports and
  /// weights, what a cast names, and else that of all inputs together.
  private func types(
    _ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> [String: Int] {
    let graph = try ONNX.decode(ONNX.encode(ONNX.decode(bytes)))
    let numbers: [ElementType: Int] = [
      .float32: 1, .uint8: 2, .int32: 6, .int64: 7, .bool: 9, .float64: 11,
    ]
    var types = graph.constants.compactMapValues { numbers[$0.elementType] }
    for port in graph.inputs { types[port.name] = numbers[port.elementType] }
    for node in graph.nodes {
      if node.operation == "Cast", case .int(let type)? = node.attributes["to"] {
        types[node.outputs[0]] = type
        continue
      }
      let met = Set(node.inputs.map { types[$0] })
      #expect(met.count == 1, "\(node.label): \(node.inputs)", sourceLocation: sourceLocation)
      types[node.outputs[0]] = met.first ?? nil
    }
    for port in graph.outputs {
      #expect(
        types[port.name] == numbers[port.elementType], "\(port.name)",
        sourceLocation: sourceLocation)
    }
    return types
  }

  @Test("A model of mixed precision is written in single precision throughout")
  func mixedPrecision() throws {
    for half in [10, 16] as [Int64] {
      let weight = tensorHeader("w", type: half, dims: [1, 1, 1]).data(9, [0, 0x3C])
      let graph = graphMessage(
        nodes: [
          castMessage("x", "half", to: half), nodeMessage("Conv", ["half", "w"], ["map"]),
          castMessage("map", "wide", to: 1), castMessage("wide", "y", to: half),
        ], initializers: [weight], inputs: [valueMessage("x", shape: shapeMessage([1, 1, 4]))],
        outputs: [valueMessage("y", type: half)])
      #expect(
        try types(modelBytes(graph)) == ["x": 1, "w": 1, "half": 1, "map": 1, "wide": 1, "y": 1])
    }
  }

  @Test("Casts to integers that are held in wider ones name these, unless they wrap")
  func integers() throws {
    func bytes(
      from source: Int64, to narrow: Int64, after last: Message, output: Int64
    ) -> [UInt8] {
      modelBytes(
        graphMessage(
          nodes: [castMessage("x", "narrow", to: narrow), last],
          initializers: [tensorHeader("w", type: narrow, dims: [1]).int(narrow >= 12 ? 11 : 5, 1)],
          inputs: [valueMessage("x", type: source)], outputs: [valueMessage("y", type: output)]))
    }
    let sum = nodeMessage("Add", ["narrow", "w"], ["y"])
    for (narrow, wide) in [(3, 6), (4, 6), (5, 6), (12, 7)] as [(Int64, Int)] {
      let isByte = narrow == 3
      #expect(
        try types(bytes(from: 9, to: narrow, after: sum, output: narrow))["narrow"] == wide)
      if !isByte {
        #expect(
          try types(bytes(from: 2, to: narrow, after: sum, output: narrow))["narrow"] == wide)
      }
      // From wider numbers only the low bits remain: that is kept where nothing else is near, or refused.
      let again = castMessage("narrow", "y", to: 1)
      #expect(
        try types(bytes(from: 6, to: narrow, after: again, output: 1))["narrow"] == Int(narrow))
      for source in isByte ? [2, 6, 1] : [6, 1] as [Int64] {
        let graph = try ONNX.decode(bytes(from: source, to: narrow, after: sum, output: narrow))
        let error = #expect(throws: CoalitionError.self) { try ONNX.encode(graph) }
        #expect(error?.code == .unsupported && error?.node == "narrow (Cast)")
      }
    }
    // 64 bits without a sign are held in 64 bits with one: nothing wraps.
    let long = bytes(from: 6, to: 13, after: castMessage("narrow", "y", to: 1), output: 1)
    #expect(try types(long)["narrow"] == 7)
  }
}
