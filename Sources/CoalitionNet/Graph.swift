// The graph of a model: nodes in ONNX's vocabulary, named values between them, constants beside them.
//
// A graph is data. It keeps what the file said (operator name, attributes, opset), so that writing it gives
// the same model again; what a node *means* is found out by the operator families (Operators/), which read the
// record once, and by `Analysis`, which infers shapes.

public import CoalitionBase

/// A model as a list of nodes.
public struct Graph: Sendable, Equatable {
  public var name: String
  /// In execution order: a node comes after the nodes that make its inputs (`sorted()` brings them there).
  public var nodes: [Node]
  /// What the caller feeds. Names of constants never stand here.
  public var inputs: [Port]
  public var outputs: [Port]
  /// Weights and other constants by value name.
  public var constants: [String: Tensor]
  /// Version of the operator set by domain; "" is the standard one.
  public var opsets: [String: Int]

  public init(
    name: String = "model", nodes: [Node] = [], inputs: [Port] = [], outputs: [Port] = [],
    constants: [String: Tensor] = [:], opsets: [String: Int] = ["": 21]
  ) {
    self.name = name
    self.nodes = nodes
    self.inputs = inputs
    self.outputs = outputs
    self.constants = constants
    self.opsets = opsets
  }
}

/// An input or output of a graph.
public struct Port: Sendable, Equatable {
  public var name: String
  public var elementType: ElementType
  /// nil when the file does not say even the number of axes.
  public var shape: [Dimension]?
  /// Whether the file does not say the type of an output: it follows from the graph, and `elementType` says nothing.
  package var leavesTypeOpen = false

  public init(_ name: String, _ elementType: ElementType = .float32, shape: [Dimension]?) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
  }
}

/// The size of an axis: known, or a name that stands for any size.
public enum Dimension: Sendable, Hashable, CustomStringConvertible {
  case fixed(Int)
  case symbolic(String)

  public var description: String {
    switch self {
    case .fixed(let size): "\(size)"
    case .symbolic(let name): name.isEmpty ? "?" : name
    }
  }
}

extension Dimension: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
  public init(integerLiteral value: Int) { self = .fixed(value) }
  public init(stringLiteral value: String) { self = .symbolic(value) }
}

/// One operation.
public struct Node: Sendable, Equatable {
  /// May be empty: `label` always names the node.
  public var name: String
  /// The operator's name, as in ONNX: "Conv", "Relu", ...
  public var operation: String
  /// "" for the standard operator set.
  public var domain: String
  /// Value names; "" stands for an optional input that is left out.
  public var inputs: [String]
  /// Value names; "" stands for an output that nobody wants.
  public var outputs: [String]
  public var attributes: [String: Attribute]

  public init(
    _ operation: String, name: String = "", domain: String = "", inputs: [String],
    outputs: [String], attributes: [String: Attribute] = [:]
  ) {
    self.name = name
    self.operation = operation
    self.domain = domain
    self.inputs = inputs
    self.outputs = outputs
    self.attributes = attributes
  }

  /// The name for messages: the node's own, or its first output and operator.
  public var label: String {
    if !name.isEmpty { return name }
    return "\(outputs.first { !$0.isEmpty } ?? "?") (\(operation))"
  }

  /// The name of input `index`: nil when it is left out.
  public func input(_ index: Int) -> String? {
    index < inputs.count && !inputs[index].isEmpty ? inputs[index] : nil
  }
}

/// The value of a node's attribute.
public enum Attribute: Sendable, Equatable {
  case int(Int)
  case float(Float)
  case string(String)
  case ints([Int])
  case floats([Float])
  case strings([String])
  case tensor(Tensor)
  /// A kind that no supported operator takes (graphs, sparse tensors, types), by its name.
  case unsupported(String)
}

// MARK: - Order

extension Graph {
  /// Checks that every value is made once and before it is used, reorders the nodes where a file did not keep to
  /// that, and throws `invalidData` for a cycle, a value that nobody makes, or one that is made twice.
  public func sorted() throws(CoalitionError) -> Graph {
    var maker: [String: Int] = [:]
    var known = Set(constants.keys)
    for port in inputs {
      guard known.insert(port.name).inserted else {
        throw CoalitionError(
          .invalidData, "two inputs or constants have this name", node: port.name)
      }
    }
    for (index, node) in nodes.enumerated() {
      for output in node.outputs where !output.isEmpty {
        guard !known.contains(output), maker.updateValue(index, forKey: output) == nil else {
          throw CoalitionError(
            .invalidData, "the value '\(output)' is made more than once", node: node.label)
        }
      }
    }
    for port in outputs where !known.contains(port.name) && maker[port.name] == nil {
      throw CoalitionError(.invalidData, "no node makes this output", node: port.name)
    }

    // Depth first over producers, with an explicit stack: a chain may be longer than the call stack.
    enum Visit { case open, done }
    var state = [Visit?](repeating: nil, count: nodes.count)
    var order: [Int] = []
    order.reserveCapacity(nodes.count)
    for start in nodes.indices where state[start] == nil {
      var stack = [(node: start, next: 0)]
      state[start] = .open
      while let (index, next) = stack.last {
        let node = nodes[index]
        guard next < node.inputs.count else {
          state[index] = .done
          order.append(index)
          stack.removeLast()
          continue
        }
        stack[stack.count - 1].next += 1
        let value = node.inputs[next]
        if value.isEmpty || known.contains(value) { continue }
        guard let producer = maker[value] else {
          throw CoalitionError(
            .invalidData, "no node, input or constant makes the value '\(value)'", node: node.label)
        }
        switch state[producer] {
        case .done: continue
        case .open:
          throw CoalitionError(
            .invalidData, "the graph has a cycle through the value '\(value)'", node: node.label)
        case nil:
          state[producer] = .open
          stack.append((producer, 0))
        }
      }
    }
    var copy = self
    copy.nodes = order.map { nodes[$0] }
    return copy
  }
}
