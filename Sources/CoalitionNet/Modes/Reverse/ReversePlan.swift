// A reverse plan: a model made ready to send signals back from a target to its inputs.

package import CoalitionBase

/// A reverse program of a model with the program that makes its reference values. Immutable and safe to share.
package final class ReversePlan: Sendable {
  package let request: ReverseRequest
  package let precision: Precision
  /// All inputs of the model, in the order of its graph.
  package let inputs: [Plan.Value]
  /// The inputs that signals go to.
  package let sources: [Plan.Value]
  package let target: Plan.Value
  /// The nodes of the ledger.
  package let ledgerNodes: [String]
  /// The steps of the forward pass, with which the program begins.
  package let forwardStepCount: Int
  let routine: Routine
  private let slots: ReverseSlots
  private let reference: Routine?
  private let referenceCounts: [Int]

  package init(
    _ model: Model, _ request: ReverseRequest, _ options: PlanOptions = PlanOptions()
  ) throws(CoalitionError) {
    var planOptions = options
    planOptions.outputs = [request.target]
    let analysis = try Plan.analysed(model, planOptions).analysis
    let draft = try ReverseMode.draft(analysis, request)
    self.request = request
    precision = options.precision
    inputs = Plan.values(analysis.graph.inputs.map(\.name), analysis)
    sources = draft.slots.sources.map { [inputs] in inputs[$0] }
    guard let target = Plan.values([request.target], analysis).first else {
      throw CoalitionError(.usage, "no value of the model has this name", node: request.target)
    }
    self.target = target
    ledgerNodes = draft.ledgerNodes
    forwardStepCount = draft.forwardStepCount
    slots = draft.slots
    routine = Routine(draft.draft, options.precision, model.store)
    reference = draft.reference.map { Routine($0, options.precision, model.store) }
    referenceCounts = draft.referenceCounts
  }

  /// Bytes of packed weights and of the arenas of all threads in a run over so many examples and variants of them that
  /// has so many bytes for them; more where even the smallest tile needs more.
  package func programByteCount(examples: Int, threads: Int, within limit: Int) -> Int {
    [routine, reference].compactMap { $0 }.reduce(0) { bytes, routine in
      bytes
        + routine.programByteCount(
          examples: examples, threads: threads, within: max(limit - bytes, 0), least: leastLanes)
    }
  }

  /// Lanes that a run of `examples` examples takes by default.
  package func chooseLanes(examples: Int, threads: Int, within limit: Int = .max) -> Int {
    let room = max(limit - routine.constantByteCount, 0)
    return max(
      routine.chooseLanes(examples: examples, threads: threads, room: room), leastLanes)
  }

  /// Sums need a tile that holds their longest segment.
  private var leastLanes: Int { request.isSummed ? 16 : 1 }

  /// What a run works on. Rows are [R, one example's shape]; the indices say which row each example takes (nil: its
  /// own).
  package struct Work: Sendable {
    package var examples: Int
    package var inputs: [String: Tensor] = [:]
    package var rowOf: [Int32]?
    /// The same for sources whose rows are others.
    package var rowOfInput: [String: [Int32]] = [:]
    /// Per seed: rows over the target's elements.
    package var seeds: [Tensor] = []
    package var seedOf: [Int32]?
    /// Of all sources; needed for paths and reference values.
    package var baselines: [String: Tensor] = [:]
    package var baselineOf: [Int32]?
    /// Where on its path each example stands.
    package var alphas: [Double] = []
    /// Of a summed request: the group that each example belongs to, which never decreases, and its weight.
    package var groupOf: [Int] = []
    package var weights: [Double] = []
    /// Examples that are summed in one go: 16 or a half, quarter, ... of it. A group has the same sum wherever it stands
    /// when it begins at a multiple of it.
    package var segmentLength = 16

    package init(examples: Int) { self.examples = examples }
  }

  package struct Outcome: Sendable {
    /// Per seed and source: rows of the examples, or of the groups when they are summed.
    package var results: [[Tensor]]
    /// The target's values, when results are not summed.
    package var target: Tensor?
    /// Per seed: a row of residuals per example.
    package var residuals: [Tensor] = []
    /// The target's values at the baselines, when there are reference values and they are the same for all examples.
    package var baselineTarget: Tensor?
  }

  package func run(
    _ work: Work, _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> Outcome {
    var options = options
    if request.isSummed, (options.lanes ?? 1) == 1 {
      let threads = try Plan.threads(options.threads)
      options.lanes = chooseLanes(
        examples: work.examples, threads: threads, within: options.memoryLimit)
    }
    let elements: [Tensor.Elements]
    let segments: Segments?
    let baselineTarget: Tensor?
    do throws(CoalitionError) {
      let call: ProgramCall
      (call, segments, baselineTarget) = try await self.call(work, options)
      elements = try await routine.run(call, options)
    } catch  where error.code == .notFinite {
      throw notFinite(in: work)
    }

    var outcome = Outcome(results: [], baselineTarget: baselineTarget)
    for seed in 0..<request.seeds {
      var results: [Tensor] = []
      for (index, source) in sources.enumerated() {
        let values = elements[slots.result(seed: seed, source: index)]
        if let segments {
          results.append(try segments.sums(values, shape: source.shape))
        } else {
          results.append(try Tensor(shape: [work.examples] + source.shape, elements: values))
        }
      }
      outcome.results.append(results)
      if slots.hasLedger {
        outcome.residuals.append(
          try Tensor(
            shape: [work.examples, ledgerNodes.count], elements: elements[slots.ledger(seed: seed)])
        )
      }
    }
    if !request.isSummed {
      outcome.target = try Tensor(
        shape: [work.examples] + target.shape, elements: elements[slots.target])
    }
    return outcome
  }

  /// The error that names the first number of a run that is not finite.
  private func notFinite(in work: Work) -> CoalitionError {
    for (tensors, role) in [(work.inputs, "input"), (work.baselines, "baseline")] {
      for input in inputs {
        if let place = tensors[input.name]?.firstNonFinite {
          return CoalitionError(
            .notFinite, "the \(role) is not finite at element \(place)", node: input.name)
        }
      }
    }
    return CoalitionError(
      .notFinite,
      "the model's values at the baseline are not finite: its weights, or inputs in \(precision) precision, are too large",
      node: request.target)
  }

  /// Rows in the precision of the program, for several runs: a run takes these as they are.
  package func converted(_ rows: [String: Tensor]) -> [String: Tensor] {
    rows.mapValues { $0.converted(to: precision == .single ? .float32 : .float64) }
  }

  /// The rows of a run, those of the reference values included, and how its results are summed.
  func call(
    _ work: Work, _ options: RunOptions
  ) async throws(CoalitionError) -> (ProgramCall, Segments?, baselineTarget: Tensor?) {
    let segments = request.isSummed ? Segments(work.groupOf, length: work.segmentLength) : nil
    var rows: [SlotRows] = []
    for input in inputs {
      rows.append(
        try slot(input.name, work.inputs, work.rowOfInput[input.name] ?? work.rowOf))
    }
    for seed in work.seeds { rows.append(SlotRows(seed, precision, rowOf: work.seedOf)) }
    if slots.isPath {
      for (index, input) in inputs.enumerated() {
        rows.append(
          slots.sources.contains(index)
            ? try slot(input.name, work.baselines, work.baselineOf) : SlotRows(words: []))
      }
      rows.append(SlotRows(Tensor(.float64(work.alphas)), precision))
    }
    var baselineTarget: Tensor?
    if let reference {
      let passes = slots.holdsInputs ? ReferencePasses(work) : nil
      let values = try await referenceValues(reference, work, passes, options)
      for value in values.dropLast() {
        rows.append(SlotRows(value, precision, rowOf: passes?.passOf ?? work.baselineOf))
      }
      if passes == nil, let last = values.last {
        baselineTarget = try last.reshaped(
          to: [last.count / max(target.count, 1)] + target.shape)
      }
    }

    var outputs: [SlotResult] = []
    let perSource = segments?.count ?? work.examples
    for _ in 0..<request.seeds {
      for source in sources {
        outputs.append(
          SlotResult(count: source.count * perSource, request.isSummed ? .double : precision))
      }
      if slots.hasLedger {
        outputs.append(SlotResult(count: ledgerNodes.count * work.examples, precision))
      }
    }
    if !request.isSummed {
      outputs.append(SlotResult(count: target.count * work.examples, precision))
    }
    var call = ProgramCall(inputs: rows, outputs: outputs, examples: work.examples)
    call.segments = segments?.segmentOf
    call.weights = segments == nil ? nil : work.weights
    return (call, segments, baselineTarget)
  }

  private func slot(
    _ name: String, _ tensors: [String: Tensor], _ rowOf: [Int32]?
  ) throws(CoalitionError) -> SlotRows {
    guard let tensor = tensors[name] else {
      throw CoalitionError(.usage, "the input is not given", node: name)
    }
    return SlotRows(tensor, precision, rowOf: rowOf)
  }

  /// Rows of every buffer whose value at the baselines is needed, and of the target.
  /// - Parameter passes: nil for one per baseline.
  private func referenceValues(
    _ reference: Routine, _ work: Work, _ passes: ReferencePasses?, _ options: RunOptions
  ) async throws(CoalitionError) -> [Tensor] {
    var rows: [SlotRows] = []
    var count = passes?.count ?? 1
    for (index, input) in inputs.enumerated() {
      guard slots.sources.contains(index) else {
        rows.append(
          try passes.map { passes throws(CoalitionError) in
            try slot(input.name, work.inputs, passes.rowOf)
          } ?? SlotRows(words: []))
        continue
      }
      rows.append(try slot(input.name, work.baselines, passes?.baselineOf))
      if passes == nil {
        count = (work.baselines[input.name]?.count ?? 0) / max(input.count, 1)
      }
    }
    var options = options
    options.lanes = nil
    let call = ProgramCall(
      inputs: rows, outputs: referenceCounts.map { SlotResult(count: $0 * count, precision) },
      examples: count)
    var tensors: [Tensor] = []
    for (elements, size) in zip(try await reference.run(call, options), referenceCounts) {
      tensors.append(try Tensor(shape: [count, size], elements: elements))
    }
    return tensors
  }

  /// Bytes of reference values that an example has for itself: 0 where all share those of the baselines.
  package var ownReferenceByteCount: Int {
    slots.holdsInputs ? referenceCounts.reduce(0, +) * precision.byteCount : 0
  }
}

/// The forward passes that reference values come from where inputs keep the examples' values: one for each row of
/// the inputs and baseline that occur together.
private struct ReferencePasses {
  /// Per pass.
  private(set) var rowOf: [Int32] = []
  private(set) var baselineOf: [Int32] = []
  /// Per example its pass.
  private(set) var passOf: [Int32] = []

  var count: Int { rowOf.count }

  init(_ work: ReversePlan.Work) {
    struct Pair: Hashable {
      var row: Int32
      var baseline: Int32
    }
    var known: [Pair: Int32] = [:]
    for example in 0..<work.examples {
      let pair = Pair(
        row: work.rowOf?[example] ?? Int32(example),
        baseline: work.baselineOf?[example] ?? Int32(example))
      if known[pair] == nil {
        known[pair] = Int32(count)
        rowOf.append(pair.row)
        baselineOf.append(pair.baseline)
      }
      passOf.append(known[pair] ?? 0)
    }
  }
}

/// How examples are summed into groups: in runs that end with a group, or at a multiple of `length`, which divides the
/// lanes of every tile, so that the sums do not depend on how many there are.
struct Segments {
  /// Per example.
  private(set) var segmentOf: [Int32] = []
  /// Per segment its group.
  private var groups: [Int] = []

  init(_ groupOf: [Int], length: Int) {
    for (example, group) in groupOf.enumerated() {
      if example % length == 0 || groups.last != group { groups.append(group) }
      segmentOf.append(Int32(groups.count - 1))
    }
  }

  var count: Int { groups.count }

  /// The sums of the segments of each group, in their order.
  func sums(_ rows: Tensor.Elements, shape: [Int]) throws(CoalitionError) -> Tensor {
    let size = shape.reduce(1, *)
    var sums = [Double](repeating: 0, count: ((groups.last ?? -1) + 1) * size)
    try add(rows, size: size, to: &sums)
    return try Tensor(shape: [(groups.last ?? -1) + 1] + shape, elements: .float64(sums))
  }

  /// Adds the segments' rows of `size` numbers to their groups' sums, in their order.
  func add(
    _ rows: Tensor.Elements, size: Int, to sums: inout [Double]
  ) throws(CoalitionError) {
    guard case .float64(let rows) = rows else {
      throw CoalitionError(.internalFault, "sums are in double precision")
    }
    for (segment, group) in groups.enumerated() {
      for element in 0..<size { sums[group * size + element] += rows[segment * size + element] }
    }
  }
}
