// What the reader makes of a model's structure: versions, values, nodes, attributes.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import Testing

/// The error that decoding must throw.
func refusal(
  _ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation
) -> CoalitionError? {
  #expect(throws: CoalitionError.self, sourceLocation: sourceLocation) {
    try ONNX.decode(bytes, name: "m.onnx")
  }
}

@Suite struct ModelTests {
  @Test("A small model gives its nodes, values and operator set")
  func smallModel() throws {
    let graph = try ONNX.decode(modelBytes())
    #expect(
      graph
        == Graph(
          name: "small", nodes: [Node("Relu", inputs: ["x"], outputs: ["y"])],
          inputs: [Port("x", shape: [2])], outputs: [Port("y", shape: nil)], opsets: ["": 17]))
  }

  @Test("The standard domain has two names")
  func standardDomain() throws {
    let relu = nodeMessage("Relu", ["x"], ["y"]).text(7, "ai.onnx")
    let bytes = modelHeader(domain: "ai.onnx").message(7, graphMessage(nodes: [relu])).bytes
    let graph = try ONNX.decode(bytes)
    #expect(graph.opsets == ["": 17])
    #expect(graph.nodes[0].domain == "")
    #expect(
      try ONNX.decode(modelHeader(domain: nil).message(7, graphMessage()).bytes).opsets == ["": 17])
    let clash = modelHeader(opset: 17).message(8, Message().text(1, "ai.onnx").int(2, 18))
    #expect(refusal(clash.message(7, graphMessage()).bytes)?.code == .invalidData)
  }

  @Test(
    "Operator sets 7 to 28 are read, others are unsupported",
    arguments: [-1, 0, 6, 7, 28, 29] as [Int64])
  func opsets(version: Int64) throws {
    let bytes = modelHeader(opset: version).message(7, graphMessage()).bytes
    if (7...28).contains(version) {
      #expect(try ONNX.decode(bytes).opsets[""] == Int(version))
    } else {
      let error = refusal(bytes)
      #expect(error?.code == .unsupported)
      #expect(error?.found == "opset \(version)")
    }
  }

  @Test("A model without a standard operator set, without a graph or of a newer format is refused")
  func missingParts() {
    let foreign = modelHeader(domain: "com.example").message(7, graphMessage()).bytes
    #expect(refusal(foreign)?.code == .invalidData)
    #expect(
      refusal(modelHeader().bytes)?.description == "m.onnx: not an ONNX model: no graph in it")
    #expect(refusal(modelHeader(ir: 15).message(7, graphMessage()).bytes)?.code == .unsupported)
  }

  @Test("Unknown fields of every wire type are skipped in every message")
  func unknownFields() throws {
    let extra = Message().int(900, -1).double(901, 1).data(902, [1, 2, 3]).float(903, 2)
    func with(_ message: Message) -> Message { extra.raw(message.bytes).raw(extra.bytes) }
    let attribute = with(Message().text(1, "axis").int(3, 1).int(20, 2))
    let tensor = with(tensorHeader("w", type: 1, dims: [1]).float(4, 3))
    let shape = with(Message().message(1, with(Message().int(1, 2))))
    let type = with(Message().message(1, with(Message().int(1, 1).message(2, shape))))
    let input = with(Message().text(1, "x").message(2, type))
    let node = with(nodeMessage("Add", ["x", "w"], ["y"], attributes: [attribute]))
    let graph = with(
      graphMessage(nodes: [node], initializers: [tensor], inputs: [input]))
    let bytes = with(modelHeader().message(7, graph)).bytes
    let decoded = try ONNX.decode(bytes)
    #expect(decoded.inputs == [Port("x", shape: [2])])
    #expect(decoded.nodes[0].attributes == ["axis": .int(1)])
    #expect(decoded.constants == ["w": Tensor(.float32([3]))])
  }

  @Test("An input that is also an initializer is a constant")
  func oldInitializers() throws {
    let weight = tensorHeader("w", type: 1, dims: [2]).float(4, 1).float(4, 2)
    let bytes = modelBytes(
      graphMessage(
        nodes: [nodeMessage("Add", ["x", "w"], ["y"])], initializers: [weight],
        inputs: [valueMessage("x"), valueMessage("w", shape: shapeMessage([2]))]))
    let graph = try ONNX.decode(bytes)
    #expect(graph.inputs.map(\.name) == ["x"])
    #expect(graph.constants == ["w": Tensor(.float32([1, 2]))])
  }

  @Test("Axes are known, named or open; the rank may be open, too")
  func dimensions() throws {
    let shape = Message().message(1, Message().text(2, "batch")).message(1, Message().int(1, 3))
      .message(1, Message())
    let inputs = [
      valueMessage("x", shape: shape), valueMessage("s", shape: Message()), valueMessage("r"),
    ]
    let graph = try ONNX.decode(modelBytes(graphMessage(inputs: inputs)))
    #expect(graph.inputs.map(\.shape) == [["batch", 3, ""], [], nil])
  }

  @Test("Inputs of narrow types are widened")
  func inputTypes() throws {
    let held: [(Int64, ElementType)] = [
      (1, .float32), (2, .uint8), (3, .int32), (4, .int32), (5, .int32), (6, .int32), (7, .int64),
      (9, .bool), (10, .float32), (11, .float64), (12, .int64), (13, .int64), (16, .float32),
    ]
    for (type, element) in held {
      let bytes = modelBytes(graphMessage(inputs: [valueMessage("x", type: type)]))
      #expect(try ONNX.decode(bytes).inputs[0].elementType == element, "type \(type)")
    }
    for type in [8, 14, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 1000] as [Int64] {
      let error = refusal(modelBytes(graphMessage(inputs: [valueMessage("x", type: type)])))
      #expect(error?.code == .unsupported, "type \(type)")
      #expect(error?.node == "m.onnx: x")
    }
  }

  @Test("The type of an output may be left to the graph, that of an input not")
  func openTypes() async throws {
    let cast = nodeMessage(
      "Cast", ["x"], ["y"], attributes: [Message().text(1, "to").int(3, 7).int(20, 2)])
    let shape = shapeMessage([2])
    let untyped = [
      Message().text(1, "y"),
      Message().text(1, "y").message(2, Message().message(1, Message().message(2, shape))),
    ]
    for (index, output) in untyped.enumerated() {
      let graph = try ONNX.decode(modelBytes(graphMessage(nodes: [cast], outputs: [output])))
      #expect(graph.outputs.map(\.leavesTypeOpen) == [true])
      #expect(graph.outputs[0].shape == (index == 0 ? nil : [2]))
      #expect(try ONNX.decode(ONNX.encode(graph)) == graph)
      let results = try await Plan(try Model(graph)).run(["x": Tensor(.float32([1.5, -2]))])
      #expect(results["y"]?.elements == .int64([1, -2]))
      let error = refusal(modelBytes(graphMessage(inputs: [output])))
      #expect(error?.code == .invalidData && error?.node == "m.onnx: y")
    }
  }

  @Test(
    "Values that are no tensors are unsupported, by name", arguments: [4, 5, 7, 8, 9] as [UInt64])
  func otherValues(field: UInt64) {
    let value = Message().text(1, "sequence").message(2, Message().message(field, Message()))
    let error = refusal(modelBytes(graphMessage(inputs: [value])))
    #expect(error?.code == .unsupported)
    #expect(error?.node == "m.onnx: sequence")
  }

  @Test(
    "Impossible sizes of a value are refused",
    arguments: [[-1], [1 << 32, 1 << 32], [.min], [0, .max, 2]] as [[Int64]])
  func badSizes(sizes: [Int64]) {
    let error = refusal(
      modelBytes(graphMessage(inputs: [valueMessage("x", shape: shapeMessage(sizes))])))
    #expect(error?.code == .invalidData)
    #expect(error?.node == "m.onnx: x")
  }

  @Test("Nodes come out in execution order; a cycle is refused")
  func order() throws {
    let backwards = [
      nodeMessage("Relu", ["b"], ["y"]), nodeMessage("Abs", ["a"], ["b"]),
      nodeMessage("Neg", ["x"], ["a"]),
    ]
    let graph = try ONNX.decode(modelBytes(graphMessage(nodes: backwards)))
    #expect(graph.nodes.map(\.operation) == ["Neg", "Abs", "Relu"])
    let cycle = [nodeMessage("Add", ["x", "y"], ["a"]), nodeMessage("Abs", ["a"], ["y"])]
    let error = refusal(modelBytes(graphMessage(nodes: cycle)))
    #expect(error?.code == .invalidData)
    #expect(error?.message.contains("cycle") == true)
    #expect(error?.node?.hasPrefix("m.onnx: ") == true)
  }

  @Test("Local functions are refused only where a node calls them")
  func functions() throws {
    let function = Message().text(1, "Twice").text(10, "local")
    let header = modelHeader().message(25, function)
    #expect(throws: Never.self) { try ONNX.decode(header.message(7, graphMessage()).bytes) }
    let call = nodeMessage("Twice", ["x"], ["y"]).text(3, "caller").text(7, "local")
    let error = refusal(header.message(7, graphMessage(nodes: [call])).bytes)
    #expect(error?.code == .unsupported)
    #expect(error?.node == "m.onnx: caller")
  }

  @Test("Training information and sparse initializers are unsupported")
  func unsupportedParts() {
    let training = modelHeader().message(7, graphMessage()).message(20, Message()).bytes
    #expect(refusal(training)?.code == .unsupported)
    #expect(refusal(modelBytes(graphMessage().message(15, Message())))?.code == .unsupported)
  }

  @Test("Names are given once, and nodes name an operator")
  func names() {
    let weight = tensorHeader("w", type: 1, dims: [1]).float(4, 1)
    #expect(refusal(modelBytes(graphMessage(initializers: [weight, weight])))?.node == "m.onnx: w")
    let nameless = tensorHeader("", type: 1, dims: [1]).float(4, 1)
    #expect(refusal(modelBytes(graphMessage(initializers: [nameless])))?.code == .invalidData)
    let noOperator = Message().text(1, "x").text(2, "y")
    #expect(
      refusal(modelBytes(graphMessage(nodes: [noOperator])))?.message
        == "the node names no operator")
    let notText = Message().data(1, [0xFF, 0xFE]).text(4, "Relu").text(2, "y")
    #expect(refusal(modelBytes(graphMessage(nodes: [notText])))?.code == .invalidData)
  }
}

@Suite struct AttributeTests {
  private func attribute(_ message: Message) throws -> Attribute? {
    let node = nodeMessage(
      "Relu", ["x"], ["y"], attributes: [Message().text(1, "a").raw(message.bytes)])
    return try ONNX.decode(modelBytes(graphMessage(nodes: [node]))).nodes[0].attributes["a"]
  }

  private func refusal(_ message: Message) -> CoalitionError? {
    #expect(throws: CoalitionError.self) { try attribute(message) }
  }

  @Test("All kinds of values, packed or not, with or without the kind")
  func kinds() throws {
    #expect(try attribute(Message().float(2, 1.5).int(20, 1)) == .float(1.5))
    #expect(try attribute(Message().int(3, .min).int(20, 2)) == .int(.min))
    #expect(try attribute(Message().text(4, "SAME").int(20, 3)) == .string("SAME"))
    #expect(try attribute(Message().int(3, 4)) == .int(4))
    #expect(try attribute(Message().int(8, 1).int(8, -2).int(20, 7)) == .ints([1, -2]))
    #expect(
      try attribute(Message().packed(8, [1, 300]).int(8, 2).int(20, 7)) == .ints([1, 300, 2]))
    #expect(try attribute(Message().float(7, 1).float(7, 2).int(20, 6)) == .floats([1, 2]))
    let packed =
      Message.littleEndian(Float(0.5).bitPattern) + Message.littleEndian(Float(-1).bitPattern)
    #expect(try attribute(Message().data(7, packed).int(20, 6)) == .floats([0.5, -1]))
    #expect(try attribute(Message().text(9, "a").text(9, "").int(20, 8)) == .strings(["a", ""]))
    let tensor = tensorHeader("", type: 7, dims: [2]).packed(7, [1, 2])
    #expect(
      try attribute(Message().message(5, tensor).int(20, 4)) == .tensor(Tensor(.int64([1, 2]))))
  }

  @Test("A value that is left out is zero or empty")
  func leftOut() throws {
    #expect(try attribute(Message().int(20, 1)) == .float(0))
    #expect(try attribute(Message().int(20, 2)) == .int(0))
    #expect(try attribute(Message().int(20, 3)) == .string(""))
    #expect(try attribute(Message().int(20, 6)) == .floats([]))
    #expect(try attribute(Message().int(20, 7)) == .ints([]))
    #expect(try attribute(Message().int(20, 8)) == .strings([]))
    #expect(refusal(Message().int(20, 4))?.message == "attribute 'a': it has no value")
    #expect(refusal(Message())?.code == .invalidData)
  }

  @Test("Kinds without a place in a graph are kept by name")
  func unsupportedKinds() throws {
    let kinds: [(field: UInt64, kind: Int64, name: String)] = [
      (6, 5, "graph"), (9 + 1, 9, "tensors"), (11, 10, "graphs"), (22, 11, "sparseTensor"),
      (23, 12, "sparseTensors"), (14, 13, "typeProto"), (15, 14, "typeProtos"),
    ]
    for (field, kind, name) in kinds {
      #expect(
        try attribute(Message().message(field, Message()).int(20, kind)) == .unsupported(name))
    }
    #expect(try attribute(Message().data(4, [0xFF])) == .unsupported("string that is not UTF-8"))
  }

  @Test("Graphs inside of graphs are not entered, however deep")
  func deepGraphs() throws {
    var inner = Message()
    for _ in 0..<2000 {
      let branch = Message().text(1, "then_branch").message(6, inner).int(20, 5)
      inner = Message().message(1, nodeMessage("If", [], [], attributes: [branch]))
    }
    #expect(try attribute(Message().message(6, inner).int(20, 5)) == .unsupported("graph"))
  }

  @Test("Contradictions are refused, with the node and the attribute")
  func contradictions() {
    let two = refusal(Message().int(3, 1).float(2, 1))
    #expect(two?.code == .invalidData)
    #expect(two?.node == "model: y (Relu)")
    #expect(two?.message == "attribute 'a': it has values of two kinds")
    #expect(refusal(Message().int(3, 1).int(20, 1))?.expected == "float")
    #expect(refusal(Message().int(3, 1).int(20, 99))?.code == .invalidData)
    #expect(refusal(Message().int(3, 1).text(21, "outer"))?.code == .invalidData)
    #expect(refusal(Message().float(3, 1))?.code == .invalidData)
    let twice = Message().text(1, "a").int(3, 1)
    let node = nodeMessage("Relu", ["x"], ["y"], attributes: [twice, twice])
    #expect(throws: CoalitionError.self) {
      try ONNX.decode(modelBytes(graphMessage(nodes: [node])))
    }
  }
}
