// A plan: a model made ready to run forward, for given input shapes.

public import CoalitionBase
import Synchronization

/// How a plan is made.
public struct PlanOptions: Sendable, Hashable {
  public var precision = Precision.single
  /// Values to compute; empty: the outputs of the model.
  public var outputs: [String] = []
  /// Sizes for axes that the model leaves open, per input (one example).
  public var inputShapes: [String: [Int]] = [:]
  /// Bytes that constants which follow from the model (folded ones) may take together while the plan is made.
  public var memoryLimit = Self.defaultMemoryLimit

  /// Convolutions are direct sums, even where minimal filtering is cheaper: to measure the one against the other.
  package var convolvesDirectly = false

  public static let defaultMemoryLimit = 4 << 30

  public init() {}
}

/// How a plan is run.
public struct RunOptions: Sendable {
  /// nil: OMP_NUM_THREADS, or all processors.
  public var threads: Int?
  /// nil: LANES_ISA, or the widest one available.
  public var instructionSet: InstructionSet?
  /// Bytes that a run may use for its arenas and arrays.
  public var memoryLimit = Int.max
  /// Examples in a tile: 1, or a multiple of 16 up to 64; nil: chosen by the number of examples and the arena's size.
  public var lanes: Int?
  /// Told how far the run has come.
  public var progress: RunProgress?

  public init() {}
}

/// A model made ready to run. Immutable and safe to share; programs for different numbers of lanes are made when they
/// are first needed.
public final class Plan: Sendable {
  public let model: Model
  public let options: PlanOptions
  public let batching: Model.Batching
  public let inputs: [Value]
  public let outputs: [Value]

  let analysis: Analysis
  let routine: Routine
  private let slots: [String: Int]
  private let indexChecks: [IndexCheck]
  /// Moment programs that have been asked for (Runtime/MomentPlan.swift).
  let moments = Mutex<[MomentPlan.Request: MomentPlan]>([:])

  /// An input or output of the plan.
  public struct Value: Sendable, Equatable {
    public let name: String
    public let elementType: ElementType
    /// The shape of one example, without an axis of examples.
    public let shape: [Int]
    /// Whether the value is the same for all examples; it then has an axis of examples only where the model gives
    /// it one.
    public let isConstant: Bool
    /// Whether a result holds one of it per example.
    package let hasExamples: Bool

    public var count: Int { shape.reduce(1, *) }
  }

  /// - Throws: `CoalitionError` for what the model, the shapes or the operators do not allow.
  public init(_ model: Model, _ options: PlanOptions = PlanOptions()) throws(CoalitionError) {
    self.model = model
    self.options = options
    let wanted = Self.wantedOutputs(model, options)
    (analysis, batching) = try Self.analysed(model, options)
    let draft: Draft
    (draft, slots) = try ForwardMode.draft(
      analysis, outputs: wanted, convolvesDirectly: options.convolvesDirectly)
    routine = Routine(draft, options.precision, model.store)
    indexChecks = try IndexCheck.all(analysis)
    inputs = Self.values(analysis.graph.inputs.map(\.name), analysis)
    outputs = Self.values(wanted, analysis)
  }

  /// The names of the outputs, each once: one that is named twice has one slot.
  static func wantedOutputs(_ model: Model, _ options: PlanOptions) -> [String] {
    var seen = Set<String>()
    return (options.outputs.isEmpty ? model.graph.outputs.map(\.name) : options.outputs)
      .filter { seen.insert($0).inserted }
  }

  /// The model's graph with the wanted outputs, made ready for lowering, and what is known of its values.
  static func analysed(
    _ model: Model, _ options: PlanOptions
  ) throws(CoalitionError) -> (analysis: Analysis, batching: Model.Batching) {
    let wanted = Self.wantedOutputs(model, options)
    let ports = try wanted.map { name throws(CoalitionError) in try port(name, model.graph) }
    return try model.analysed(
      options.inputShapes, memoryLimit: options.memoryLimit
    ) { graph in
      var graph = graph
      graph.outputs = ports
      return graph.withoutDeadNodes().liftingConstants().foldingBatchNormalization()
    }
  }

  static func values(_ names: [String], _ analysis: Analysis) -> [Value] {
    names.compactMap { name in analysis.values[name].map { value(name, $0) } }
  }

  private static func port(_ name: String, _ graph: Graph) throws(CoalitionError) -> Port {
    if let port = graph.outputs.first(where: { $0.name == name }) { return port }
    guard graph.nodes.contains(where: { $0.outputs.contains(name) }) else {
      throw CoalitionError(
        .usage, "no value of the model has this name", node: name,
        expected: graph.outputs.map(\.name).joined(separator: ", "))
    }
    return Port(name, shape: nil)
  }

  /// A value of the graph as an input of another one, with an open size along its axis of examples.
  /// - Throws: `unsupported` when the value has no axis of its own for examples.
  package func port(_ name: String) throws(CoalitionError) -> (port: Port, axis: Int?) {
    guard let info = analysis.values[name] else {
      throw CoalitionError(.usage, "no value of the model has this name", node: name)
    }
    guard info.example == .none || info.example == .mixed || info.example.axis != nil else {
      throw CoalitionError(
        .unsupported, "the examples of this value share an axis with other elements", node: name)
    }
    let shape = info.shape.enumerated().map { axis, size in
      axis == info.example.axis ? Dimension.symbolic("N") : .fixed(size)
    }
    return (Port(name, info.elementType, shape: shape), info.example.axis)
  }

  private static func value(_ name: String, _ info: ValueInfo) -> Value {
    var shape = info.shape
    if let axis = info.example.axis, shape[axis] == 1 { shape.remove(at: axis) }
    return Value(
      name: name, elementType: info.elementType, shape: shape, isConstant: info.constant != nil,
      hasExamples: info.constant == nil || info.example.anyAxis != nil)
  }

  // MARK: Running

  /// The outputs for all examples.
  /// - Parameter inputs: per input, [N, one example's shape]; the axis of examples may be left out for one.
  /// - Throws: `shapeMismatch`, `notFinite` for inputs that do not fit, `memoryLimit` past the memory limit,
  ///   `cancelled` when the task is.
  /// - Returns: per output, [N, one example's shape], floating-point numbers in the plan's precision and whole numbers
  ///   in their own type (computed as floating-point numbers, without what is left of a fraction).
  public func run(
    _ inputs: [String: Tensor], _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> [String: Tensor] {
    let examples = try check(inputs)
    let threads = try Self.threads(options.threads)
    let lanes =
      options.lanes
      ?? chooseLanes(examples: examples, threads: threads, within: options.memoryLimit)
    let forecast = try memory(examples: examples, lanes: lanes, threads: threads)
    guard forecast.total <= options.memoryLimit else {
      throw CoalitionError(
        .memoryLimit, "the run needs more memory than allowed",
        expected: "at most \(options.memoryLimit) bytes", found: "\(forecast.total)")
    }
    let call = ProgramCall(
      inputs: self.inputs.compactMap { input in
        inputs[input.name].map { SlotRows($0, self.options.precision) }
      },
      outputs: rowOutputs.map { SlotResult(count: $0.count * examples, self.options.precision) },
      examples: examples)
    let results: [Tensor.Elements]
    do throws(CoalitionError) {
      results = try await routine.run(call, options)
    } catch  where error.code == .notFinite {
      throw notFinite(in: inputs)
    }
    return try assembled(results, examples: examples)
  }

  /// The error that names the first number that is not finite.
  private func notFinite(in tensors: [String: Tensor]) -> CoalitionError {
    for input in inputs {
      if let place = tensors[input.name]?.firstNonFinite {
        return CoalitionError(
          .notFinite, "the input is not finite at element \(place)", node: input.name)
      }
    }
    return CoalitionError(
      .notFinite, "a number of an input is too large for \(options.precision) precision")
  }

  /// The outputs that the program writes, in the order of its slots.
  private var rowOutputs: [Value] {
    outputs.filter { slots[$0.name] != nil }.sorted {
      (slots[$0.name] ?? 0) < (slots[$1.name] ?? 0)
    }
  }

  /// Checks names, shapes and numbers of examples of inputs as a run would.
  /// - Returns: how many examples they hold.
  @discardableResult
  package func check(_ tensors: [String: Tensor]) throws(CoalitionError) -> Int {
    for name in tensors.keys.sorted() where !inputs.contains(where: { $0.name == name }) {
      throw CoalitionError(
        .usage, "the model has no such input", node: name,
        expected: inputs.map(\.name).joined(separator: ", "))
    }
    var examples: Int?
    for input in inputs {
      guard let tensor = tensors[input.name] else {
        throw CoalitionError(.usage, "the input is not given", node: input.name)
      }
      let count: Int
      if tensor.rank == input.shape.count + 1 && Array(tensor.shape.dropFirst()) == input.shape {
        count = tensor.shape[0]
      } else if tensor.shape == input.shape {
        count = 1
      } else {
        throw CoalitionError(
          .shapeMismatch, "the input has a wrong shape", node: input.name,
          expected: "[N" + input.shape.map { ", \($0)" }.joined() + "]", found: "\(tensor.shape)")
      }
      guard examples == nil || examples == count else {
        throw CoalitionError(
          .shapeMismatch, "inputs have different numbers of examples", node: input.name,
          expected: "\(examples ?? 0)", found: "\(count)")
      }
      examples = count
      for check in indexChecks where check.input == input.name {
        try check.check(tensor, count: input.count)
      }
      try checkExact(tensor, input)
    }
    guard examples != 0 else {
      throw CoalitionError(.shapeMismatch, "there are no examples")
    }
    return examples ?? 1
  }

  /// Whole numbers are computed as floating-point numbers: those that would be rounded are refused.
  private func checkExact(_ tensor: Tensor, _ input: Value) throws(CoalitionError) {
    guard [.int32, .int64].contains(input.elementType) else { return }
    let limit: UInt64 = options.precision == .single ? 1 << 24 : 1 << 53
    let large: Int?
    switch tensor.elements {
    case .int32(let values): large = values.first { $0.magnitude > limit }.map { Int($0) }
    case .int64(let values): large = values.first { $0.magnitude > limit }.map { Int($0) }
    case .float32, .float64, .uint8, .bool: large = nil
    }
    guard let large else { return }
    throw CoalitionError(
      .unsupported, "a whole number of the input is not exact in \(options.precision) precision",
      node: input.name, expected: "-\(limit) to \(limit)", found: "\(large)")
  }

  private func assembled(
    _ results: [Tensor.Elements], examples: Int
  ) throws(CoalitionError) -> [String: Tensor] {
    var tensors: [String: Tensor] = [:]
    for output in outputs {
      if let slot = slots[output.name] {
        let rows = try Tensor(shape: [examples] + output.shape, elements: results[slot])
        let isWhole = [.int32, .int64, .uint8, .bool].contains(output.elementType)
        tensors[output.name] = isWhole ? rows.converted(to: output.elementType) : rows
      } else if let constant = analysis.values[output.name]?.constant?.value {
        tensors[output.name] =
          output.hasExamples
          ? try constant.reshaped(to: [1] + output.shape)
            .rows([Int](repeating: 0, count: examples))
          : try constant.reshaped(to: output.shape)
      }
    }
    return tensors
  }
}
