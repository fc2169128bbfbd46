// Builds protobuf messages byte by byte, well-formed or not. Deliberately not the module's own
// writer: fixtures are an independent statement of the format, with field numbers from onnx.proto.

/// A message under construction: every method returns it with a field more.
struct Message {
  var bytes: [UInt8] = []

  static func varint(_ value: UInt64) -> [UInt8] {
    var rest = value
    var bytes: [UInt8] = []
    while rest > 127 {
      bytes.append(UInt8(rest % 128) + 128)
      rest /= 128
    }
    return bytes + [UInt8(rest)]
  }

  /// The bytes of an unsigned number, low ones first.
  static func littleEndian<Number: FixedWidthInteger & UnsignedInteger>(_ value: Number) -> [UInt8]
  {
    (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  func raw(_ more: [UInt8]) -> Message { Message(bytes: bytes + more) }

  func key(_ field: UInt64, _ wireType: UInt64) -> Message {
    raw(Self.varint(field * 8 + wireType))
  }

  func int(_ field: UInt64, _ value: Int64) -> Message {
    key(field, 0).raw(Self.varint(UInt64(bitPattern: value)))
  }

  func float(_ field: UInt64, _ value: Float) -> Message {
    key(field, 5).raw(Self.littleEndian(value.bitPattern))
  }

  func double(_ field: UInt64, _ value: Double) -> Message {
    key(field, 1).raw(Self.littleEndian(value.bitPattern))
  }

  func data(_ field: UInt64, _ content: [UInt8]) -> Message {
    key(field, 2).raw(Self.varint(UInt64(content.count))).raw(content)
  }

  func text(_ field: UInt64, _ text: String) -> Message { data(field, Array(text.utf8)) }
  func message(_ field: UInt64, _ message: Message) -> Message { data(field, message.bytes) }
  func messages(_ field: UInt64, _ messages: [Message]) -> Message {
    messages.reduce(self) { $0.message(field, $1) }
  }
  func packed(_ field: UInt64, _ values: [UInt64]) -> Message {
    data(field, values.flatMap(Self.varint))
  }
}

// MARK: - ONNX

/// A TensorProto up to its data.
func tensorHeader(_ name: String, type: Int64, dims: [Int64]) -> Message {
  dims.reduce(Message()) { $0.int(1, $1) }.int(2, type).text(8, name)
}

/// A NodeProto.
func nodeMessage(
  _ operation: String, _ inputs: [String], _ outputs: [String], attributes: [Message] = []
) -> Message {
  let values = inputs.reduce(Message()) { $0.text(1, $1) }
  return outputs.reduce(values) { $0.text(2, $1) }.text(4, operation).messages(5, attributes)
}

/// A ValueInfoProto of a tensor; `shape` is a TensorShapeProto.
func valueMessage(_ name: String, type: Int64 = 1, shape: Message? = nil) -> Message {
  let element = Message().int(1, type)
  return Message().text(1, name)
    .message(2, Message().message(1, shape.map { element.message(2, $0) } ?? element))
}

/// A TensorShapeProto of known sizes.
func shapeMessage(_ sizes: [Int64]) -> Message {
  Message().messages(1, sizes.map { Message().int(1, $0) })
}

/// A GraphProto.
func graphMessage(
  nodes: [Message] = [nodeMessage("Relu", ["x"], ["y"])], initializers: [Message] = [],
  inputs: [Message] = [valueMessage("x", shape: shapeMessage([2]))],
  outputs: [Message] = [valueMessage("y")]
) -> Message {
  Message().messages(1, nodes).text(2, "small").messages(5, initializers).messages(11, inputs)
    .messages(12, outputs)
}

/// A ModelProto without its graph.
func modelHeader(ir: Int64 = 8, opset: Int64 = 17, domain: String? = "") -> Message {
  let set = domain.map { Message().text(1, $0) } ?? Message()
  return Message().int(1, ir).message(8, set.int(2, opset))
}

/// The bytes of a model file.
func modelBytes(_ graph: Message = graphMessage()) -> [UInt8] {
  modelHeader().message(7, graph).bytes
}

/// A model that adds the tensor to its input.
func modelBytes(initializer: Message, name: String = "w") -> [UInt8] {
  modelBytes(
    graphMessage(nodes: [nodeMessage("Add", ["x", name], ["y"])], initializers: [initializer]))
}
