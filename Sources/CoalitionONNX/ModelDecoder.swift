// ModelProto -> Graph. Operators are not interpreted: a node keeps its name, attributes and values.
//
// Read: operator sets, nodes, initializers, inputs, outputs. Refused as unsupported: training
// information, sparse initializers, nodes that call the model's own functions. Attributes that hold
// graphs, sparse tensors or types become `Attribute.unsupported`, so that the graph can be
// inspected. Skipped: documentation, metadata, inferred shapes, quantization annotations.
//
// Messages nest five deep at most (model, graph, node, attribute, tensor), since graphs inside of
// attributes are not entered: recursion is bounded by the code.

import CoalitionBase
import CoalitionNet

struct ModelDecoder {
  let folder: String?
  var budget: MemoryBudget

  /// The graph in the file's order of nodes.
  mutating func model(_ message: WireReader) throws(CoalitionError) -> Graph {
    var irVersion: Int?
    var graph: Graph?
    var opsets: [String: Int] = [:]
    var functions: Set<FunctionName> = []
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case Schema.Model.irVersion: irVersion = try field.integer()
      case Schema.Model.opsetImport:
        try budget.charge(64 + field.payload.count)
        let (domain, version) = try Self.operatorSet(try field.message())
        guard opsets.updateValue(version, forKey: domain) ?? version == version else {
          throw CoalitionError(
            .invalidData, "the model uses two versions of the operator set '\(domain)'")
        }
      case Schema.Model.graph:
        guard graph == nil else { throw CoalitionError(.invalidData, "the model has two graphs") }
        graph = try self.graph(try field.message())
      case Schema.Model.functions:
        try budget.charge(64 + field.payload.count)
        functions.insert(try Self.functionName(try field.message()))
      case Schema.Model.trainingInfo:
        throw CoalitionError(.unsupported, "the model carries training information")
      default: break
      }
    }
    guard var graph, let irVersion else {
      throw CoalitionError(
        .invalidData, "not an ONNX model: no \(graph == nil ? "graph" : "version") in it")
    }
    guard irVersion <= Version.newestIR else {
      throw CoalitionError(
        .unsupported, "the file's version is not supported: export the model for an older one",
        expected: "IR version \(Version.newestIR) at most", found: "IR version \(irVersion)")
    }
    try Version.checkOpsets(opsets)
    graph.opsets = opsets
    for node in graph.nodes
    where functions.contains(FunctionName(domain: node.domain, name: node.operation)) {
      throw CoalitionError(
        .unsupported, "calls the model's own function '\(node.operation)': export with it inlined",
        node: node.label)
    }
    return graph
  }

  private static func operatorSet(
    _ message: WireReader
  ) throws(CoalitionError) -> (domain: String, version: Int) {
    var reader = message
    var domain = ""
    var version = 0
    while let field = try reader.next() {
      switch field.number {
      case Schema.OperatorSet.domain: domain = Version.domain(try field.string())
      case Schema.OperatorSet.version: version = try field.integer()
      default: break
      }
    }
    return (domain, version)
  }

  private struct FunctionName: Hashable { var domain = "", name = "" }

  private static func functionName(_ message: WireReader) throws(CoalitionError) -> FunctionName {
    var reader = message
    var function = FunctionName()
    while let field = try reader.next() {
      switch field.number {
      case Schema.Function.domain: function.domain = Version.domain(try field.string())
      case Schema.Function.name: function.name = try field.string()
      default: break
      }
    }
    return function
  }
}

// MARK: - Graph

extension ModelDecoder {
  private mutating func graph(_ message: WireReader) throws(CoalitionError) -> Graph {
    var graph = Graph()
    var inputs: [Port] = []
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case Schema.Graph.name:
        let name = try field.string()
        if !name.isEmpty { graph.name = name }
      case Schema.Graph.node:
        try budget.charge(MemoryLayout<Node>.stride)
        graph.nodes.append(try node(try field.message(), index: graph.nodes.count))
      case Schema.Graph.initializer:
        let (name, tensor) = try initializer(try field.message())
        try budget.charge(MemoryLayout<Tensor>.stride + 64)
        guard graph.constants.updateValue(tensor, forKey: name) == nil else {
          throw CoalitionError(.invalidData, "two initializers have this name", node: name)
        }
      case Schema.Graph.sparseInitializer:
        throw CoalitionError(.unsupported, "the model has sparse initializers")
      case Schema.Graph.input: inputs.append(try port(try field.message(), isInput: true))
      case Schema.Graph.output:
        graph.outputs.append(try port(try field.message(), isInput: false))
      default: break
      }
    }
    // Before IR version 4 initializers had to be listed as inputs, too.
    graph.inputs = inputs.filter { graph.constants[$0.name] == nil }
    return graph
  }

  private mutating func initializer(
    _ message: WireReader
  ) throws(CoalitionError) -> (String, Tensor) {
    let record = try TensorRecord(message, budget: &budget)
    guard !record.name.isEmpty else {
      throw CoalitionError(.invalidData, "an initializer has no name")
    }
    do throws(CoalitionError) {
      return (record.name, try record.tensor(folder: folder, budget: &budget))
    } catch { throw error.at(record.name) }
  }
}

// MARK: - Inputs and outputs

extension ModelDecoder {
  /// An input has a type; that of an output follows from the graph where the file leaves it out.
  private mutating func port(
    _ message: WireReader, isInput: Bool
  ) throws(CoalitionError) -> Port {
    try budget.charge(MemoryLayout<Port>.stride)
    var name = ""
    do throws(CoalitionError) {
      var elementType: ElementType?
      var shape: [Dimension]?
      var reader = message
      while let field = try reader.next() {
        switch field.number {
        case Schema.ValueInfo.name: name = try text(field)
        case Schema.ValueInfo.type: (elementType, shape) = try type(try field.message())
        default: break
        }
      }
      guard !name.isEmpty else {
        throw CoalitionError(.invalidData, "an input or output of the graph has no name")
      }
      guard elementType != nil || !isInput else {
        throw CoalitionError(.invalidData, "the value has no type")
      }
      var port = Port(name, elementType ?? .float32, shape: shape)
      port.leavesTypeOpen = elementType == nil
      return port
    } catch { throw name.isEmpty ? error : error.at(name) }
  }

  private mutating func type(
    _ message: WireReader
  ) throws(CoalitionError) -> (ElementType?, [Dimension]?) {
    var result: (ElementType?, [Dimension]?) = (nil, nil)
    var reader = message
    while let field = try reader.next() {
      let other: String
      switch field.number {
      case Schema.ValueType.tensor:
        result = try tensorType(try field.message())
        continue
      case Schema.ValueType.sequence: other = "a sequence"
      case Schema.ValueType.map: other = "a map"
      case Schema.ValueType.optional: other = "an optional"
      case Schema.ValueType.sparseTensor: other = "a sparse tensor"
      case Schema.ValueType.opaque: other = "an opaque value"
      default: continue
      }
      throw CoalitionError(.unsupported, "the value is \(other), not a tensor")
    }
    return result
  }

  private mutating func tensorType(
    _ message: WireReader
  ) throws(CoalitionError) -> (ElementType?, [Dimension]?) {
    var number = 0
    var shape: [Dimension]?
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case Schema.TensorType.elementType: number = try field.integer()
      case Schema.TensorType.shape: shape = try self.shape(try field.message())
      default: break
      }
    }
    // Numbers that are left out are 0.
    guard number != 0 else { return (nil, shape) }
    return (try DataType.held(number: number, subject: "the value").held, shape)
  }

  private mutating func shape(_ message: WireReader) throws(CoalitionError) -> [Dimension] {
    var dimensions: [Dimension] = []
    var sizes: [Int] = []
    var reader = message
    while let field = try reader.next() {
      guard field.number == Schema.Shape.dimension else { continue }
      try budget.charge(MemoryLayout<Dimension>.stride)
      var dimension = Dimension.symbolic("")
      var inner = try field.message()
      while let part = try inner.next() {
        switch part.number {
        case Schema.Dimension.value: dimension = .fixed(try part.integer())
        case Schema.Dimension.parameter: dimension = .symbolic(try text(part))
        default: break
        }
      }
      dimensions.append(dimension)
      if case .fixed(let size) = dimension { sizes.append(size) }
    }
    guard Tensor.count(of: sizes) != nil else {
      throw CoalitionError(
        .invalidData, "the value has a negative or too large size", found: "\(dimensions)")
    }
    return dimensions
  }
}
