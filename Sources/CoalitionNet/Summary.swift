// What a graph holds and what can be done with it, for `coalition inspect`.
//
// A summary never fails because of what a graph holds: nodes that no family knows, or that break a rule, are listed
// with their errors, and so are the shapes that follow from the others. Only a graph without an order
// (cycles, values that nobody makes) throws. No weights are packed and nothing runs but constant folding.

public import CoalitionBase

/// The contents of a graph, node by node.
public struct ModelSummary: Sendable {
  public struct NodeSummary: Sendable {
    public let label: String
    /// The operator's name, with its domain unless it is the standard one.
    public let operation: String
    /// Version of the operator set that the node belongs to.
    public let opset: Int
    /// The first output for one example: nil when it cannot be told.
    public let outputShape: [Int]?
    /// Numbers that training would change, unless an earlier node uses them.
    public let parameters: Int
    /// For one example.
    public let multiplyAdds: Int
    /// Why the model cannot run because of this node.
    public internal(set) var problem: CoalitionError?
  }

  /// How well a mode of computation treats an operator.
  public enum Support: String, Sendable {
    case exact, approximate, unsupported
  }

  /// One way to use a model, by operator.
  public struct Mode: Sendable {
    public let name: String
    public let support: [String: Support]
  }

  public let inputs: [Port]
  public let outputs: [Port]
  /// In execution order, without those that no output needs.
  public private(set) var nodes: [NodeSummary]
  /// nil when a problem hides it.
  public let batching: Model.Batching?
  /// What keeps shapes from being known that is no node's fault, such as an input of open size.
  public let shapeProblem: CoalitionError?
  /// What keeps a model with known shapes from being planned and is no single node's fault.
  private var planProblem: CoalitionError?
  /// Bytes of all constants of the graph.
  public let constantByteCount: Int

  public var parameters: Int { nodes.reduce(0) { $0 + $1.parameters } }
  public var multiplyAdds: Int { nodes.map(\.multiplyAdds).saturatingSum }
  public var problems: [CoalitionError] {
    nodes.compactMap(\.problem) + (planProblem.map { [$0] } ?? [])
  }

  /// Nodes by operator, most frequent first.
  public var operationCounts: [(operation: String, count: Int)] {
    Dictionary(grouping: nodes, by: \.operation)
      .map { ($0.key, $0.value.count) }
      .sorted { ($1.1, $0.0) < ($0.1, $1.0) }
  }

  /// The modes that exist, each with its support of the graph's operators.
  public var modes: [Mode] {
    var forward: [String: Support] = [:]
    for node in nodes where forward[node.operation] != .unsupported {
      forward[node.operation] = node.problem == nil ? .exact : .unsupported
    }
    return [Mode(name: "forward", support: forward)]
  }

  /// - Parameters:
  ///   - inputShapes: sizes for axes that the graph leaves open, per input.
  ///   - memoryLimit: bytes that folded constants may take together.
  public init(
    _ graph: Graph, inputShapes: [String: [Int]] = [:],
    memoryLimit: Int = PlanOptions.defaultMemoryLimit
  ) throws(CoalitionError) {
    let graph = try graph.sorted().withoutDeadNodes()
    var finder = ProblemFinder(graph)
    let analysed = finder.analysed(inputShapes, memoryLimit: memoryLimit)

    inputs = graph.inputs
    outputs = graph.outputs
    batching = finder.problems.isEmpty ? analysed?.batching : nil
    shapeProblem = finder.shapeProblem
    constantByteCount = graph.constants.values.reduce(0) {
      $0 + $1.count * $1.elementType.byteCount
    }

    let work = analysed.map { Self.work($0.analysis) } ?? [:]
    var parameters = ParameterCounts(graph, analysed?.analysis)
    nodes = graph.nodes.enumerated().map { index, node in
      let output = node.outputs.first { !$0.isEmpty } ?? ""
      return NodeSummary(
        label: node.label, operation: node.qualifiedOperation,
        opset: graph.opsets[node.domain] ?? graph.opsets[""] ?? 0,
        outputShape: analysed?.analysis.values[output]?.shape,
        parameters: parameters.count(of: node),
        multiplyAdds: work[output] ?? 0, problem: finder.problems[index])
    }
  }

  /// The summary with what was wrong when the model was planned, at the node that the error names.
  package func adding(_ problem: CoalitionError) -> ModelSummary {
    var copy = self
    if let index = nodes.firstIndex(where: { $0.label == problem.node }) {
      copy.nodes[index].problem = problem
    } else {
      copy.planProblem = problem
    }
    return copy
  }

  /// Multiply-adds of each analysed node, by its first output.
  private static func work(_ analysis: Analysis) -> [String: Int] {
    var work: [String: Int] = [:]
    for (node, operation) in zip(analysis.graph.nodes, analysis.operators) {
      let outputs = node.outputs.compactMap { analysis.values[$0] }
      guard outputs.contains(where: { $0.constant == nil }),
        let name = node.outputs.first(where: { !$0.isEmpty })
      else { continue }
      let inputs = Inputs(
        node: node, values: node.inputs.map { $0.isEmpty ? nil : analysis.values[$0] })
      work[name] = operation.multiplyAdds(inputs, outputs: outputs)
    }
    return work
  }
}

/// Parameters by the node that uses them first.
private struct ParameterCounts {
  private let graph: Graph
  /// By the first output of analysed nodes.
  private var counts: [String: Int] = [:]
  private var counted = Set<String>()

  init(_ graph: Graph, _ analysis: Analysis?) {
    self.graph = graph.liftingConstants()
    guard let analysis else { return }
    for node in analysis.graph.nodes { counts[Self.name(node)] = 0 }
    for parameter in LearnedConstants(analysis).parameters {
      counts[Self.name(analysis.graph.nodes[parameter.node]), default: 0] += parameter.count
      counted.insert(parameter.name)
    }
  }

  private static func name(_ node: Node) -> String { node.outputs.first { !$0.isEmpty } ?? "" }

  /// Of a node that is not analysed, as nobody knows it or it breaks a rule: all floating-point constants that it reads, unless
  /// it is known which of them are learned.
  mutating func count(of node: Node) -> Int {
    if let known = counts[Self.name(node)] { return known }
    var count = 0
    for (place, name) in node.inputs.enumerated()
    where node.learnedPlaces?.contains(place) ?? !Self.withoutAny.contains(node.operation) {
      guard let tensor = graph.constants[name], tensor.isFloatingPoint,
        counted.insert(name).inserted
      else { continue }
      count += tensor.count
    }
    return count
  }

  /// Operators whose constants are settings.
  private static let withoutAny: Set = ["Clip", "Constant", "Dropout", "Pad", "Resize", "Upsample"]
}

/// Finds the nodes of a graph that cannot be used, by leaving them and what depends on them out until the rest
/// can be analysed.
private struct ProblemFinder {
  /// Each node that does not fit its inputs costs an analysis of all others.
  private static let attempts = 100

  let graph: Graph
  /// By index of the node.
  private(set) var problems: [Int: CoalitionError] = [:]
  private(set) var shapeProblem: CoalitionError?

  init(_ graph: Graph) {
    self.graph = graph
    for (index, node) in graph.nodes.enumerated() {
      do throws(CoalitionError) {
        _ = try Catalogue.read(node, opsets: graph.opsets)
      } catch {
        problems[index] = error.at(node.label)
      }
    }
  }

  /// The analysis of the largest part without problems: nil when shapes are not known at all.
  mutating func analysed(
    _ shapes: [String: [Int]], memoryLimit: Int
  ) -> (analysis: Analysis, batching: Model.Batching)? {
    for _ in 0..<Self.attempts {
      do throws(CoalitionError) {
        return try Model(rest).analysed(shapes, memoryLimit: memoryLimit) {
          $0.liftingConstants()
        }
      } catch {
        // Labels of nodes are not unique: the first one that has no problem yet is the one.
        let index = graph.nodes.indices.first {
          problems[$0] == nil && graph.nodes[$0].label == error.node
        }
        guard let index else {
          shapeProblem = error
          return nil
        }
        problems[index] = error
      }
    }
    shapeProblem = CoalitionError(
      .unsupported, "\(Self.attempts) nodes do not fit their inputs, and more may")
    return nil
  }

  /// The graph without the nodes that have problems and those that need them; all that is made is an output.
  private var rest: Graph {
    guard !problems.isEmpty else { return graph }
    var missing = Set<String>()
    var rest = graph
    rest.nodes = []
    for (index, node) in graph.nodes.enumerated() {
      if problems[index] != nil || node.inputs.contains(where: missing.contains) {
        missing.formUnion(node.outputs.filter { !$0.isEmpty })
      } else {
        rest.nodes.append(node)
      }
    }
    rest.outputs = rest.nodes.flatMap(\.outputs).filter { !$0.isEmpty }.map { Port($0, shape: nil) }
    return rest
  }
}

extension Node {
  fileprivate var qualifiedOperation: String {
    domain.isEmpty || domain == "ai.onnx" ? operation : "\(domain).\(operation)"
  }
}

extension Tensor {
  fileprivate var isFloatingPoint: Bool {
    elementType == .float32 || elementType == .float64
  }
}
