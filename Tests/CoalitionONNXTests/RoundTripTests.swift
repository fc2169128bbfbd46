// What is written can be read: by this reader, and with the same bytes every time.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import Glibc
import Testing

/// A file beside this one. Both were made by the Python package onnx 1.23.2.
private func fixture(_ name: String) throws -> Graph {
  let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
  return try ONNX.read(contentsOf: "/\(folder)/Fixtures/\(name)")
}

private let everything: Graph = {
  let attributes: [String: Attribute] = [
    "i": .int(.min), "f": .float(0.1), "s": .string("größe"), "is": .ints([0, -1, .max]),
    "fs": .floats([.infinity, -0.0]), "ss": .strings(["", "a"]), "empty": .ints([]),
    "none": .floats([]), "nobody": .strings([]), "zero": .int(0),
    "t": .tensor(Tensor(.int64([3, -4]))), "scalar": .tensor(Tensor(scalar: 2)),
  ]
  let constants: [String: Tensor] = [
    "float": Tensor(.float32([1, .pi, -.infinity, 0x1p-149])), "double": Tensor(.float64([0.1])),
    "int": Tensor(.int32([.min, .max])), "long": Tensor(.int64([.min, .max])),
    "byte": Tensor(.uint8([0, 255])), "flag": Tensor(.bool([true, false])),
    "nothing": Tensor(.float32([])), "one": Tensor(scalar: 1),
  ]
  return Graph(
    name: "everything",
    nodes: [
      Node(
        "Foo", domain: "com.example", inputs: ["x", "", "float"], outputs: ["", "a"],
        attributes: attributes),
      Node("Bar", name: "last", inputs: constants.keys.sorted() + ["a"], outputs: ["y", "z"]),
    ],
    inputs: [Port("x", .int64, shape: ["batch", 3, ""]), Port("unused", .bool, shape: nil)],
    outputs: [Port("y", .float64, shape: []), Port("z", shape: [0])], constants: constants,
    opsets: ["": 20, "com.example": 1])
}()

@Suite struct RoundTripTests {
  @Test("Everything that a graph can hold survives")
  func everythingSurvives() throws {
    #expect(try ONNX.decode(ONNX.encode(everything)) == everything)
    let empty = Graph()
    #expect(try ONNX.decode(ONNX.encode(empty)) == empty)
  }

  @Test("NaN keeps its bits")
  func notANumber() throws {
    let bits: [UInt32] = [0x7FC0_0000, 0xFFC1_2345, 0x7F80_0001]
    let graph = Graph(constants: ["w": Tensor(.float32(bits.map { Float(bitPattern: $0) }))])
    let back = try ONNX.decode(ONNX.encode(graph)).constants["w"]
    #expect(back?.floats.map(\.bitPattern) == bits)
  }

  @Test("Equal graphs give equal bytes, however their dictionaries were built")
  func sameBytes() throws {
    let bytes = try ONNX.encode(everything)
    for order in 0..<8 {
      var other = everything
      other.constants = [:]
      let names = everything.constants.keys.sorted()
      for name in names[order...] + names[..<order] {
        other.constants[name] = everything.constants[name]
      }
      #expect(try ONNX.encode(other) == bytes)
    }
  }

  @Test("The bytes of a small model are these")
  func goldenBytes() throws {
    let graph = Graph(
      name: "g",
      nodes: [Node("Add", inputs: ["x", "w"], outputs: ["y"], attributes: ["axis": .int(1)])],
      inputs: [Port("x", shape: ["n", 1])], outputs: [Port("y", shape: nil)],
      constants: ["w": Tensor(.float32([1]))], opsets: ["": 17])
    let node = Message().text(1, "x").text(1, "w").text(2, "y").text(4, "Add")
      .message(5, Message().text(1, "axis").int(3, 1).int(20, 2))
    let weight = Message().int(1, 1).int(2, 1).text(8, "w").data(9, [0, 0, 0x80, 0x3F])
    let shape = Message().message(1, Message().text(2, "n")).message(1, Message().int(1, 1))
    let body = Message().message(1, node).text(2, "g").message(5, weight)
      .message(11, valueMessage("x", shape: shape)).message(12, valueMessage("y"))
    let model = Message().int(1, 8).text(2, "coalition").message(7, body)
      .message(8, Message().text(1, "").int(2, 17))
    #expect(try ONNX.encode(graph) == model.bytes)
  }

  @Test("A model of the reference implementation is read and survives")
  func referenceModel() throws {
    let graph = try fixture("reference.onnx")
    #expect(graph.name == "fixture")
    #expect(graph.opsets == ["": 21, "ai.onnx.ml": 4])
    #expect(graph.nodes.map(\.operation) == ["Conv", "LeakyRelu", "Constant", "Reshape"])
    #expect(
      graph.nodes[0].attributes == [
        "pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 2]), "group": .int(1),
        "auto_pad": .string("NOTSET"),
      ])
    #expect(graph.nodes[1].attributes == ["alpha": .float(0.25)])
    #expect(graph.nodes[2].attributes == ["value": .tensor(Tensor(.int64([0, -1])))])
    #expect(graph.inputs == [Port("x", shape: ["N", 1, 4, 4])])
    #expect(graph.outputs == [Port("y", shape: ["N", ""])])
    let weight: [Float] = [0, 1, -2, 0.5, 0x1p-24, 65504, .infinity, -.infinity, 0.25]
    #expect(
      graph.constants == [
        "w": try Tensor(shape: [1, 1, 3, 3], elements: .float32(weight)),
        "b": Tensor(.float32([0.125])),
      ])
    #expect(try ONNX.decode(ONNX.encode(graph)) == graph)
  }

  @Test("Elements and attributes of all kinds, as the reference implementation stores them")
  func referenceTypes() throws {
    let graph = try fixture("types.onnx")
    let held: [String: Tensor.Elements] = [
      "float": .float32([0, 1]), "double": .float64([0, 1]), "int8": .int32([0, 1]),
      "int16": .int32([0, 1]), "int32": .int32([0, 1]), "int64": .int64([0, 1]),
      "uint8": .uint8([0, 1]), "uint16": .int32([0, 1]), "uint32": .int64([0, 1]),
      "uint64": .int64([0, 1]), "bool": .bool([false, true]), "float16": .float32([0, 1]),
      "bfloat16": .float32([0, 1]),
    ]
    #expect(graph.constants.count == 2 * held.count)
    for (type, elements) in held {
      let expected = try Tensor(shape: [2, 1], elements: elements)
      #expect(graph.constants["\(type)-typed"] == expected, "\(type)")
      #expect(graph.constants["\(type)-raw"] == expected, "\(type)")
    }
    #expect(
      graph.nodes[0].attributes == [
        "ints": .ints([1, 2, 3]), "floats": .floats([1]), "strings": .strings(["s", "t"]),
        "string": .string("s"), "float": .float(1.5), "int": .int(7),
        "tensor": .tensor(Tensor(.int64([1, 2]))), "graph": .unsupported("graph"),
      ])
  }

  @Test("The format's version follows the operator set")
  func formatVersion() throws {
    let versions = [
      7: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12, 25: 13, 27: 13, 28: 14,
    ]
    for (opset, version) in versions {
      #expect(try ONNX.encode(Graph(opsets: ["": opset])).prefix(2) == [0x08, UInt8(version)])
    }
    for opsets in [["": 6], ["": 29], [:], ["com.example": 1]] {
      #expect(throws: CoalitionError.self) { try ONNX.encode(Graph(opsets: opsets)) }
    }
  }

  @Test("Graphs that no reader would take are not written")
  func refusals() {
    func code(_ graph: Graph) -> CoalitionError.Code? {
      #expect(throws: CoalitionError.self) { try ONNX.encode(graph) }?.code
    }
    let branch = Node(
      "If", name: "if", inputs: [], outputs: [], attributes: ["b": .unsupported("graph")])
    let error = #expect(throws: CoalitionError.self) { try ONNX.encode(Graph(nodes: [branch])) }
    #expect(error?.code == .unsupported)
    #expect(error?.node == "if")
    #expect(code(Graph(inputs: [Port("x", shape: [-1])])) == .invalidData)
    #expect(code(Graph(outputs: [Port("y", shape: nil)])) == .invalidData)
    #expect(code(Graph(nodes: [Node("", inputs: [], outputs: ["y"])])) == .invalidData)
    #expect(code(Graph(inputs: [Port("", shape: nil)])) == .invalidData)
    #expect(code(Graph(constants: ["": Tensor(scalar: 1)])) == .invalidData)
  }

  @Test("Nodes are written in execution order")
  func order() throws {
    let late = Node("Relu", inputs: ["a"], outputs: ["y"])
    let early = Node("Abs", inputs: ["x"], outputs: ["a"])
    let graph = Graph(nodes: [late, early], inputs: [Port("x", shape: nil)])
    #expect(try ONNX.decode(ONNX.encode(graph)).nodes == [early, late])
  }

  @Test("A model past 2 GiB is refused before it is built")
  func tooLarge() {
    // One array of 32 MiB that 64 constants share: 2 GiB and a little in a file.
    let shared = Tensor(.uint8([UInt8](repeating: 1, count: 1 << 25)))
    let constants = (0..<64).map { ("w\($0)", shared) }
    let error = #expect(throws: CoalitionError.self) {
      try ONNX.encode(Graph(constants: .init(uniqueKeysWithValues: constants)))
    }
    #expect(error?.code == .limitExceeded)
  }

  @Test("A file is written whole, and what cannot be written leaves none")
  func files() throws {
    let path = "/tmp/coalition-onnx-\(getpid()).onnx"
    defer { unlink(path) }
    try ONNX.write(everything, to: path)
    #expect(try Files.read(path) == ONNX.encode(everything))
    #expect(try ONNX.read(contentsOf: path) == everything)
    let error = #expect(throws: CoalitionError.self) {
      try ONNX.write(everything, to: "/nonexistent/m.onnx")
    }
    #expect(error?.code == .cannotCreate)
  }
}
