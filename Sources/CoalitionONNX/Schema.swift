// The numbers of the ONNX schema (onnx.proto, proto2): which field of which message is what,
// element types, kinds of attributes, versions. Fields that carry documentation or metadata are
// left out: the reader skips what it does not know.

import CoalitionBase

/// Field numbers by message.
enum Schema {
  enum Model {
    static let irVersion = 1, producerName = 2, graph = 7, opsetImport = 8
    static let trainingInfo = 20, functions = 25
  }
  enum OperatorSet { static let domain = 1, version = 2 }
  enum Function { static let name = 1, domain = 10 }
  enum Graph {
    static let node = 1, name = 2, initializer = 5, input = 11, output = 12, sparseInitializer = 15
  }
  enum Node {
    static let input = 1, output = 2, name = 3, operation = 4, attribute = 5, domain = 7
  }
  enum Attribute {
    static let name = 1, float = 2, int = 3, string = 4, tensor = 5, graph = 6, floats = 7, ints = 8
    static let strings = 9, tensors = 10, graphs = 11, typeProto = 14, typeProtos = 15, kind = 20
    static let reference = 21, sparseTensor = 22, sparseTensors = 23
  }
  enum Tensor {
    static let dims = 1, dataType = 2, segment = 3, floatData = 4, int32Data = 5, stringData = 6
    static let int64Data = 7, name = 8, rawData = 9, doubleData = 10, uint64Data = 11
    static let externalData = 13, dataLocation = 14
  }
  enum Entry { static let key = 1, value = 2 }
  enum ValueInfo { static let name = 1, type = 2 }
  enum ValueType {
    static let tensor = 1, sequence = 4, map = 5, opaque = 7, sparseTensor = 8, optional = 9
  }
  enum TensorType { static let elementType = 1, shape = 2 }
  enum Shape { static let dimension = 1 }
  enum Dimension { static let value = 1, parameter = 2 }
}

// MARK: - Element types

/// ONNX's element types, under the numbers and names of its schema.
enum DataType: Int {
  case float = 1
  case uint8, int8, uint16, int16, int32, int64, string, bool, float16, double, uint32, uint64
  case complex64, complex128, bfloat16
  case float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz
  case uint4, int4, float4e2m1, float8e8m0, uint2, int2, float6e2m3, float6e3m2

  /// The type that values are held in: narrow integers and 16-bit floats are widened. nil where
  /// there is no support.
  var held: ElementType? {
    switch self {
    case .float, .float16, .bfloat16: .float32
    case .double: .float64
    case .int8, .int16, .uint16, .int32: .int32
    case .uint32, .int64, .uint64: .int64
    case .uint8: .uint8
    case .bool: .bool
    default: nil
    }
  }

  /// Bytes of an element in a file. Only asked of types with a `held`.
  var byteCount: Int {
    switch self {
    case .double, .int64, .uint64: 8
    case .float, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    default: 1
    }
  }

  /// What `number` stands for, or `unsupported`/`invalidData` with `subject` as grammatical
  /// subject.
  static func held(
    number: Int, subject: String
  ) throws(CoalitionError) -> (type: DataType, held: ElementType) {
    guard number != 0 else {
      throw CoalitionError(.invalidData, "\(subject) has no element type")
    }
    guard let type = DataType(rawValue: number) else {
      throw CoalitionError(.unsupported, "\(subject) has the unknown element type \(number)")
    }
    guard let held = type.held else {
      throw CoalitionError(.unsupported, "\(subject) has elements of type \(type)")
    }
    return (type, held)
  }
}

extension ElementType {
  /// The type that elements are written as.
  var dataType: DataType {
    switch self {
    case .float32: .float
    case .float64: .double
    case .int32: .int32
    case .int64: .int64
    case .uint8: .uint8
    case .bool: .bool
    }
  }
}

// MARK: - Attributes

/// The kinds of attributes, under the numbers of the schema.
enum AttributeKind: Int {
  case float = 1
  case int, string, tensor, graph, floats, ints, strings, tensors, graphs
  case sparseTensor, sparseTensors, typeProto, typeProtos

  /// The kind that a value in this field of the attribute belongs to.
  init?(field: Int) {
    switch field {
    case Schema.Attribute.float: self = .float
    case Schema.Attribute.int: self = .int
    case Schema.Attribute.string: self = .string
    case Schema.Attribute.tensor: self = .tensor
    case Schema.Attribute.graph: self = .graph
    case Schema.Attribute.floats: self = .floats
    case Schema.Attribute.ints: self = .ints
    case Schema.Attribute.strings: self = .strings
    case Schema.Attribute.tensors: self = .tensors
    case Schema.Attribute.graphs: self = .graphs
    case Schema.Attribute.typeProto: self = .typeProto
    case Schema.Attribute.typeProtos: self = .typeProtos
    case Schema.Attribute.sparseTensor: self = .sparseTensor
    case Schema.Attribute.sparseTensors: self = .sparseTensors
    default: return nil
    }
  }
}

// MARK: - Versions

enum Version {
  /// Standard operator sets that are read and written: 7 (ONNX 1.2) brought today's broadcasting.
  static let opsets = 7...28
  static let newestIR = 14

  /// The file format version that a writer declares: the first that came with the operator set, 8
  /// at least.
  static func ir(opset: Int) -> Int {
    switch opset {
    case ...18: 8
    case ...20: 9
    case ...22: 10
    case 23: 11
    case 24: 12
    case ...27: 13
    default: 14
    }
  }

  /// "" and "ai.onnx" are two names of the standard domain.
  static func domain(_ name: String) -> String { name == "ai.onnx" ? "" : name }

  static func checkOpsets(_ opsets: [String: Int]) throws(CoalitionError) {
    guard let standard = opsets[""] else {
      throw CoalitionError(
        .invalidData, "the model does not say which version of the standard operator set it uses")
    }
    guard Self.opsets.contains(standard) else {
      throw CoalitionError(
        .unsupported,
        "the model uses a version of the operator set that is not supported: convert the model",
        expected: "opset \(Self.opsets.lowerBound) to \(Self.opsets.upperBound)",
        found: "opset \(standard)")
    }
  }
}
