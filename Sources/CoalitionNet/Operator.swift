// What an operator family supplies.
//
// A family is one file in Operators/ (its twin in csrc/ops does the arithmetic) and one row of `Catalogue`. A value
// of the family's type is one node's meaning: attributes read and checked. Modes are written against its
// kind and against the steps that it lowers to.

package import CoalitionBase

/// The closed kinds of operator that modes are written against (docs/Architecture.md, "Operators x modes").
package enum OperatorKind: String, Sendable {
  /// y = W x + b for a W that is never built: dense, convolution, average pool, sums, batch norm.
  case affine
  /// One function of one number, element by element.
  case pointwise
  /// Each output copies one of the inputs: max pool, maximum.
  case select
  /// Differentiable functions of several numbers: products, softmax.
  case product
  /// Elements change places: reshape, transpose, concat, slice, pad, gather.
  case movement
  /// Arithmetic on shapes, folded away before a program is made.
  case shape
}

/// One node's meaning.
package protocol Operator: Sendable {
  /// The ONNX operators that the family reads.
  static var operations: [String] { get }
  /// Reads a node's attributes; values are not known yet.
  init(reading node: NodeReader) throws(CoalitionError)

  var kind: OperatorKind { get }

  /// Shapes, element types and example axes of the outputs, from those of the inputs (nil: left out).
  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo]

  /// The outputs for inputs that are all constants, for operators that work on any element type. nil: the
  /// family has no host form, and the engine computes the node as a program of its own.
  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]?

  /// Adds the steps that compute the node in the forward direction.
  func lower(_ lowering: inout Lowering) throws(CoalitionError)

  /// Multiply-adds for one example.
  func multiplyAdds(_ inputs: Inputs, outputs: [ValueInfo]) -> Int

  /// Says which positions along the axes of inputs and outputs can only be removed together (Modes/Axes).
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError)
  /// Makes what the node has written down of sizes fit axes that have become shorter.
  func shrink(_ node: inout ShrunkNode) throws(CoalitionError)
}

extension Operator {
  package func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? { nil }
  package func multiplyAdds(_ inputs: Inputs, outputs: [ValueInfo]) -> Int { 0 }
}

// MARK: - Values

/// What is known of a value before a program is made.
package struct ValueInfo: Sendable, Equatable {
  /// For one example: the example axis, if there is one, has size 1.
  package var shape: [Int]
  package var elementType: ElementType
  package var example: ExampleAxis
  package var constant: Constant?

  package init(
    shape: [Int], elementType: ElementType = .float32, example: ExampleAxis = .none,
    constant: Constant? = nil
  ) {
    self.shape = shape
    self.elementType = elementType
    self.example = example
    self.constant = constant
  }

  package var count: Int { shape.reduce(1, *) }

  /// The number of elements, checked: shapes come from files, and the engine's loops count in 32 bits.
  static func checkedCount(_ shape: [Int]) throws(CoalitionError) -> Int {
    guard let count = Tensor.count(of: shape), count <= Int(Int32.max),
      shape.allSatisfy({ $0 <= Int(Int32.max) })
    else {
      throw CoalitionError(
        .limitExceeded, "a tensor has too many elements", expected: "at most \(Int32.max)",
        found: "shape \(shape)")
    }
    return count
  }
}

/// Where a value keeps its examples.
package enum ExampleAxis: Sendable, Equatable {
  /// The value is the same for all examples.
  case none
  /// In an axis; `outer` and `inner` elements of one example lie before and after it within the same axis (1 and 1
  /// but where a reshape has merged the axis with others).
  case at(Int, outer: Int = 1, inner: Int = 1)
  /// A node mixes examples: the model runs them one by one.
  case mixed

  /// The axis, when it holds nothing but examples.
  package var axis: Int? { if case .at(let axis, 1, 1) = self { axis } else { nil } }
  /// The axis, whatever else it holds.
  package var anyAxis: Int? { if case .at(let axis, _, _) = self { axis } else { nil } }

  /// The same place after an axis permutation or renumbering: mixed when the axis has none.
  func moved(_ place: (Int) -> Int?) -> ExampleAxis {
    guard case .at(let axis, let outer, let inner) = self else { return self }
    return place(axis).map { .at($0, outer: outer, inner: inner) } ?? .mixed
  }

  /// The common place of several values whose axes already correspond; values without examples go with any.
  static func common(_ places: [ExampleAxis]) -> ExampleAxis {
    places.reduce(.none) { left, right in
      switch (left, right) {
      case (.none, let other), (let other, .none): other
      case (.mixed, _), (_, .mixed): .mixed
      default: left == right ? left : .mixed
      }
    }
  }
}

/// A value that is known when the graph is read.
package struct Constant: Sendable, Equatable {
  package var value: Tensor
  /// What the value would be with two examples in place of one, where that differs: a shape that was read off
  /// a tensor with examples. It tells a reshape where the examples go, and that a value must not be used as data.
  package var probe: Tensor?

  package init(_ value: Tensor, probe: Tensor? = nil) {
    self.value = value
    self.probe = probe == value ? nil : probe
  }

  /// The axis along which two examples would only repeat the value: nil when they would change it in another way.
  var repeatedAxis: Int? {
    guard let probe, probe.rank == value.rank else { return nil }
    let grown = value.shape.indices.filter { value.shape[$0] != probe.shape[$0] }
    guard let axis = grown.first, grown.count == 1, value.shape[axis] == 1, probe.shape[axis] == 2
    else { return nil }
    let repeated = HostView(value).broadcast(to: probe.shape).materialised()
    return repeated == probe ? axis : nil
  }
}

/// The inputs of a node during inference.
package struct Inputs: Sendable {
  package let node: Node
  package let values: [ValueInfo?]
  /// Whether the file leaves the number of examples open, so that ranges and shapes that are written down hold for any
  /// number of them. Otherwise the file is written for one example, and a literal 1 may stand for the examples.
  package let hasOpenBatch: Bool
  /// The number of outputs that the node has.
  package var outputCount: Int { node.outputs.count }

  package init(node: Node, values: [ValueInfo?], hasOpenBatch: Bool = false) {
    self.node = node
    self.values = values
    self.hasOpenBatch = hasOpenBatch
  }

  package subscript(optional index: Int) -> ValueInfo? {
    index < values.count ? values[index] : nil
  }

  /// - Throws: `invalidData` when the input is left out.
  package func required(_ index: Int) throws(CoalitionError) -> ValueInfo {
    guard let value = self[optional: index] else {
      throw CoalitionError(.invalidData, "input \(index) of \(node.operation) is missing")
    }
    return value
  }

  /// The value of an input that must be known before the model runs: nil when it is left out.
  package func constant(_ index: Int, _ role: String) throws(CoalitionError) -> Tensor? {
    guard let info = self[optional: index] else { return nil }
    guard let constant = info.constant else {
      throw CoalitionError(
        .unsupported,
        "the \(role) of \(node.operation) is computed while the model runs; give '\(node.inputs[index])' as a constant"
      )
    }
    return constant.value
  }

  /// The same for whole numbers.
  package func constantIntegers(_ index: Int, _ role: String) throws(CoalitionError) -> [Int]? {
    guard let tensor = try constant(index, role) else { return nil }
    guard let integers = tensor.integers else {
      throw CoalitionError(
        .invalidData, "the \(role) of \(node.operation) must be whole numbers",
        found: "\(tensor.elementType)")
    }
    return integers
  }
}

// MARK: - Reading nodes

/// Typed access to a node's attributes. Defaults are ONNX's.
package struct NodeReader: Sendable {
  package let node: Node
  /// Version of the operator set that the node belongs to.
  package let opset: Int

  package init(_ node: Node, opset: Int) {
    self.node = node
    self.opset = opset
  }

  package var operation: String { node.operation }

  package func int(_ name: String, _ fallback: Int) throws(CoalitionError) -> Int {
    switch node.attributes[name] {
    case nil: return fallback
    case .int(let value): return value
    case let other?: throw wrongKind(name, "an integer", other)
    }
  }

  package func flag(_ name: String, _ fallback: Bool) throws(CoalitionError) -> Bool {
    try int(name, fallback ? 1 : 0) != 0
  }

  package func float(_ name: String, _ fallback: Double) throws(CoalitionError) -> Double {
    switch node.attributes[name] {
    case nil: return fallback
    case .float(let value): return Double(value)
    case let other?: throw wrongKind(name, "a number", other)
    }
  }

  package func string(_ name: String, _ fallback: String) throws(CoalitionError) -> String {
    switch node.attributes[name] {
    case nil: return fallback
    case .string(let value): return value
    case let other?: throw wrongKind(name, "a string", other)
    }
  }

  package func ints(_ name: String) throws(CoalitionError) -> [Int]? {
    switch node.attributes[name] {
    case nil: return nil
    case .ints(let values): return values
    case let other?: throw wrongKind(name, "a list of integers", other)
    }
  }

  /// An error that names operator, opset and attribute.
  package func unsupported(_ what: String) -> CoalitionError {
    CoalitionError(
      .unsupported, "\(node.operation) (opset \(opset)) with \(what) is not supported",
      node: node.label)
  }

  private func wrongKind(_ name: String, _ expected: String, _ found: Attribute) -> CoalitionError {
    CoalitionError(
      .invalidData, "attribute '\(name)' of \(node.operation) has the wrong kind", node: node.label,
      expected: expected, found: "\(found)")
  }
}

/// The index of an axis that may be counted from the end. A scalar has none.
func resolveAxis(_ axis: Int, rank: Int) throws(CoalitionError) -> Int {
  let resolved = axis < 0 ? axis + rank : axis
  guard resolved >= 0 && resolved < rank else {
    throw CoalitionError(
      .invalidData, "an axis lies outside of the tensor",
      expected: rank == 0 ? "none for a scalar" : "-\(rank) to \(rank - 1)", found: "\(axis)")
  }
  return resolved
}
