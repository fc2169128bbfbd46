// Graph -> ModelProto. Equal graphs give equal bytes: what a graph holds in dictionaries is
// written in the order of names.

import CoalitionBase
import CoalitionNet

struct ModelEncoder {
  let graph: Graph

  /// Protobuf's own limit on a message.
  private static let largest = Int(Int32.max)

  func bytes() throws(CoalitionError) -> [UInt8] {
    try Version.checkOpsets(graph.opsets)
    var counter = WireWriter.counting()
    try model(&counter)
    guard counter.count <= Self.largest else {
      throw CoalitionError(
        .limitExceeded, "the model does not fit an ONNX file of one piece",
        expected: "at most \(Self.largest) bytes", found: "\(counter.count)")
    }
    var writer = WireWriter(capacity: counter.count)
    try model(&writer)
    return writer.bytes
  }

  private func model(_ writer: inout WireWriter) throws(CoalitionError) {
    writer.integer(Schema.Model.irVersion, Version.ir(opset: graph.opsets[""] ?? 0))
    writer.string(Schema.Model.producerName, "coalition")
    try writer.message(Schema.Model.graph, body)
    for (domain, version) in graph.opsets.sorted(by: { $0.key < $1.key }) {
      try writer.message(Schema.Model.opsetImport) { writer in
        writer.string(Schema.OperatorSet.domain, domain)
        writer.integer(Schema.OperatorSet.version, version)
      }
    }
  }

  private func body(_ writer: inout WireWriter) throws(CoalitionError) {
    let ports = graph.inputs + graph.outputs
    guard graph.constants[""] == nil, !ports.contains(where: { $0.name.isEmpty }) else {
      throw CoalitionError(.invalidData, "an input, output or constant of the graph has no name")
    }
    for node in graph.nodes {
      do throws(CoalitionError) {
        try writer.message(Schema.Graph.node) { writer throws(CoalitionError) in
          try Self.write(node, &writer)
        }
      } catch { throw error.at(node.label) }
    }
    writer.string(Schema.Graph.name, graph.name)
    for (name, tensor) in graph.constants.sorted(by: { $0.key < $1.key }) {
      try writer.message(Schema.Graph.initializer) { writer in
        Self.write(tensor, name: name, &writer)
      }
    }
    for port in graph.inputs { try Self.write(port, Schema.Graph.input, &writer) }
    for port in graph.outputs { try Self.write(port, Schema.Graph.output, &writer) }
  }

  private static func write(_ node: Node, _ writer: inout WireWriter) throws(CoalitionError) {
    guard !node.operation.isEmpty, node.attributes[""] == nil else {
      throw CoalitionError(.invalidData, "an operator or attribute has no name")
    }
    for input in node.inputs { writer.string(Schema.Node.input, input) }
    for output in node.outputs { writer.string(Schema.Node.output, output) }
    if !node.name.isEmpty { writer.string(Schema.Node.name, node.name) }
    writer.string(Schema.Node.operation, node.operation)
    for (name, value) in node.attributes.sorted(by: { $0.key < $1.key }) {
      try writer.message(Schema.Node.attribute) { writer throws(CoalitionError) in
        writer.string(Schema.Attribute.name, name)
        try write(value, name: name, &writer)
      }
    }
    if !node.domain.isEmpty { writer.string(Schema.Node.domain, node.domain) }
  }

  private static func write(
    _ value: Attribute, name: String, _ writer: inout WireWriter
  ) throws(CoalitionError) {
    let kind: AttributeKind
    switch value {
    case .float(let value):
      writer.float(Schema.Attribute.float, value)
      kind = .float
    case .int(let value):
      writer.integer(Schema.Attribute.int, value)
      kind = .int
    case .string(let text):
      writer.string(Schema.Attribute.string, text)
      kind = .string
    case .tensor(let tensor):
      try writer.message(Schema.Attribute.tensor) { writer in
        write(tensor, name: "", &writer)
      }
      kind = .tensor
    case .floats(let values):
      for value in values { writer.float(Schema.Attribute.floats, value) }
      kind = .floats
    case .ints(let values):
      for value in values { writer.integer(Schema.Attribute.ints, value) }
      kind = .ints
    case .strings(let texts):
      for text in texts { writer.string(Schema.Attribute.strings, text) }
      kind = .strings
    case .unsupported(let kind):
      throw CoalitionError(
        .unsupported, "attribute '\(name)' cannot be written: it holds a value of kind \(kind)")
    }
    writer.integer(Schema.Attribute.kind, kind.rawValue)
  }

  private static func write(_ tensor: Tensor, name: String, _ writer: inout WireWriter) {
    for size in tensor.shape { writer.integer(Schema.Tensor.dims, size) }
    writer.integer(Schema.Tensor.dataType, tensor.elementType.dataType.rawValue)
    if !name.isEmpty { writer.string(Schema.Tensor.name, name) }
    switch tensor.elements {
    case .float32(let values): writer.data(Schema.Tensor.rawData, values)
    case .float64(let values): writer.data(Schema.Tensor.rawData, values)
    case .int32(let values): writer.data(Schema.Tensor.rawData, values)
    case .int64(let values): writer.data(Schema.Tensor.rawData, values)
    case .uint8(let values): writer.data(Schema.Tensor.rawData, values)
    case .bool(let values): writer.data(Schema.Tensor.rawData, values.map { $0 ? 1 as UInt8 : 0 })
    }
  }

  private static func write(
    _ port: Port, _ field: Int, _ writer: inout WireWriter
  ) throws(CoalitionError) {
    for case .fixed(let size) in port.shape ?? [] where size < 0 {
      throw CoalitionError(
        .invalidData, "the value has a negative size", node: port.name, found: "\(size)")
    }
    try writer.message(field) { writer throws(CoalitionError) in
      writer.string(Schema.ValueInfo.name, port.name)
      if port.leavesTypeOpen && port.shape == nil { return }
      try writer.message(Schema.ValueInfo.type) { writer throws(CoalitionError) in
        try writer.message(Schema.ValueType.tensor) { writer throws(CoalitionError) in
          if !port.leavesTypeOpen {
            writer.integer(Schema.TensorType.elementType, port.elementType.dataType.rawValue)
          }
          guard let shape = port.shape else { return }
          try writer.message(Schema.TensorType.shape) { writer throws(CoalitionError) in
            for dimension in shape { try write(dimension, &writer) }
          }
        }
      }
    }
  }

  private static func write(
    _ dimension: Dimension, _ writer: inout WireWriter
  ) throws(CoalitionError) {
    try writer.message(Schema.Shape.dimension) { writer in
      switch dimension {
      case .fixed(let size): writer.integer(Schema.Dimension.value, size)
      case .symbolic(let name):
        if !name.isEmpty { writer.string(Schema.Dimension.parameter, name) }
      }
    }
  }
}
