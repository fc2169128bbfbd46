// A model: a graph, and where it keeps its examples.

public import CoalitionBase

/// A graph that is ready to be planned. Immutable and safe to share.
public final class Model: Sendable {
  public let graph: Graph
  /// Blocks of packed weights that the plans of this model share.
  let store = ConstantStore()
  private let requestedAxes: [String: Int]
  private let isOneByOne: Bool

  /// - Parameters:
  ///   - graph: nodes may be in any order.
  ///   - constants: values for inputs that are to be treated as constants.
  ///   - exampleAxes: per input, the axis that counts examples; by default the first one that no node mixes.
  ///   - oneByOne: treat each input as belonging to one example, whatever its axes are called.
  /// - Throws: `invalidData` for a graph with cycles or values that nobody makes; `unsupported` for an operator that
  ///   no family knows.
  public init(
    _ graph: Graph, constants: [String: Tensor] = [:], exampleAxes: [String: Int] = [:],
    oneByOne: Bool = false
  ) throws(CoalitionError) {
    var graph = graph
    for name in constants.keys.sorted() {
      guard graph.inputs.contains(where: { $0.name == name }) else {
        throw CoalitionError(
          .usage, "no input of the model has this name", node: name,
          expected: graph.inputs.map(\.name).joined(separator: ", "))
      }
      graph.inputs.removeAll { $0.name == name }
      graph.constants[name] = constants[name]
    }
    self.graph = try graph.sorted().withoutDeadNodes()
    for node in self.graph.nodes { _ = try Catalogue.read(node, opsets: self.graph.opsets) }
    requestedAxes = exampleAxes
    isOneByOne = oneByOne
  }

  /// How the model takes several examples.
  public enum Batching: Sendable, Equatable {
    /// Many at once, along these axes of the inputs.
    case together(axes: [String: Int])
    /// One after the other; `node` is where examples would mix, nil when that was asked for or an input has no axis
    /// for them.
    case oneByOne(node: String?)
  }

  /// The shapes of one example of every input.
  ///
  /// - Parameter shapes: sizes to use for axes that the model leaves open, per input, with or without the axis of
  ///   examples.
  /// - Throws: `usage` for an open size that is not given, `shapeMismatch` for one that contradicts the model.
  package func analysed(
    _ shapes: [String: [Int]] = [:], memoryLimit: Int = PlanOptions.defaultMemoryLimit,
    passes: (Graph) -> Graph = { $0 }
  ) throws(CoalitionError) -> (analysis: Analysis, batching: Batching) {
    let graph = passes(graph)
    var mixing: String?
    if !isOneByOne {
      for candidate in candidates() {
        var inputs: [String: (shape: [Int], axis: Int?)] = [:]
        for port in graph.inputs {
          let axis = candidate[port.name]
          inputs[port.name] = (try shape(port, given: shapes[port.name], exampleAxis: axis), axis)
        }
        let analysis = try Analysis(graph, inputs: inputs, memoryLimit: memoryLimit)
        if analysis.mixingNode == nil { return (analysis, .together(axes: candidate)) }
        if mixing == nil { mixing = analysis.mixingNode }
      }
    }
    var inputs: [String: (shape: [Int], axis: Int?)] = [:]
    for port in graph.inputs {
      inputs[port.name] = (try shape(port, given: shapes[port.name], exampleAxis: nil), nil)
    }
    return (
      try Analysis(graph, inputs: inputs, memoryLimit: memoryLimit), .oneByOne(node: mixing)
    )
  }

  /// Axes to try, in order of preference: what was asked for, or the first axis of all inputs, or the second.
  ///
  /// An open size or a size of 1 can stand for any number of examples. A second axis of size 1 only does so behind a
  /// first axis that cannot: [T, 1, F] for a known T, but not [N, 1, F].
  private func candidates() -> [[String: Int]] {
    if !requestedAxes.isEmpty { return [requestedAxes] }
    return [0, 1].compactMap { axis in
      var axes: [String: Int] = [:]
      for port in graph.inputs {
        guard let shape = port.shape, axis < shape.count else { return nil }
        switch shape[axis] {
        case .symbolic: break
        case .fixed(1) where axis == 0: break
        case .fixed(1):
          guard case .fixed(2...) = shape[0] else { return nil }
        case .fixed: return nil
        }
        axes[port.name] = axis
      }
      return axes
    }
  }

  /// The shape of one example, with size 1 along the axis of examples.
  private func shape(
    _ port: Port, given: [Int]?, exampleAxis: Int?
  ) throws(CoalitionError) -> [Int] {
    guard let declared = port.shape else {
      guard let given else {
        throw CoalitionError(
          .usage, "the model does not say the shape of this input: give it", node: port.name)
      }
      return given
    }
    var given = given
    if let sizes = given, sizes.count == declared.count - 1 {
      // Examples that run one by one keep an axis of size 1: the first one that can be theirs.
      let axis =
        exampleAxis
        ?? declared.prefix(2).firstIndex { if case .fixed(2...) = $0 { false } else { true } } ?? 0
      if axis <= sizes.count { given = Array(sizes[..<axis]) + [1] + Array(sizes[axis...]) }
    }
    if let given, given.count != declared.count {
      throw CoalitionError(
        .shapeMismatch, "the input has another number of axes", node: port.name,
        expected: port.shapeDescription, found: "\(given)")
    }
    var result: [Int] = []
    for (axis, dimension) in declared.enumerated() {
      if axis == exampleAxis {
        result.append(1)
        continue
      }
      switch (dimension, given?[axis]) {
      case (.fixed(let size), nil): result.append(size)
      case (.fixed(let size), let other?):
        guard size == other else {
          throw CoalitionError(
            .shapeMismatch, "the input has another size along axis \(axis)", node: port.name,
            expected: port.shapeDescription, found: "\(given ?? [])")
        }
        result.append(size)
      case (.symbolic, let size?): result.append(size)
      case (.symbolic(let name), nil):
        // The first axis stands for examples even where they cannot be run together.
        guard axis == 0 else {
          throw CoalitionError(
            .usage, "the size of axis \(axis) ('\(name)') is open: give the shape of the input",
            node: port.name, expected: port.shapeDescription)
        }
        result.append(1)
      }
    }
    return result
  }
}

extension Port {
  /// The shape as text: `[N, 3, 227, 227]`.
  public var shapeDescription: String {
    shape.map { "[" + $0.map(\.description).joined(separator: ", ") + "]" } ?? "[?]"
  }
}

extension Model {
  /// Another graph with the same inputs, treated as this one is.
  package func rebuilt(_ graph: Graph) throws(CoalitionError) -> Model {
    try Model(graph, exampleAxes: requestedAxes, oneByOne: isOneByOne)
  }
}
