// The reverse mode: a program that computes a target and sends a signal from it back to the inputs.

import CLanes
import CoalitionBase

/// What a reverse program is to compute.
package struct ReverseRequest: Sendable, Hashable {
  /// Where an input's values come from.
  package enum Feeding: Sendable {
    /// Rows of the input.
    case rows
    /// baseline + alpha (input - baseline): rows of both, and one alpha per example.
    case path
  }

  /// What is done with the signal that reaches an input.
  package enum Product: Sendable {
    case signal
    case magnitude
    case timesInput
    /// The input's change: from its reference, or along its path.
    case timesChange
  }

  package var target: String
  /// The inputs that signals go to: nil for all of floating-point numbers. Others keep the example's values at
  /// every baseline.
  package var sources: [String]?
  package var rules: ReverseRules
  package var product: Product
  package var feeding: Feeding
  /// How many signals start from the target, each with rows of its own.
  package var seeds: Int
  /// Whether results are summed over examples with weights, in double precision.
  package var isSummed: Bool
  package var keepsLedger: Bool

  package init(
    target: String, sources: [String]? = nil, rules: ReverseRules, product: Product,
    feeding: Feeding = .rows, seeds: Int = 1, isSummed: Bool = false, keepsLedger: Bool = false
  ) {
    self.target = target
    self.sources = sources
    self.rules = rules
    self.product = product
    self.feeding = feeding
    self.seeds = seeds
    self.isSummed = isSummed
    self.keepsLedger = keepsLedger
  }
}

/// The slots of a reverse program.
///
/// Inputs: the rows of all inputs of the graph; the seeds; for paths places for the baselines of all inputs, of which
/// those of sources are read, and the alphas; the reference values. Outputs: per seed the results of all sources, and the residuals; the target's values last.
struct ReverseSlots: Sendable {
  var inputs: Int
  var seeds: Int
  var isPath: Bool
  /// Per source: its place among the graph's inputs.
  var sources: [Int]
  /// Whether inputs are read that are no sources.
  var holdsInputs: Bool
  var hasLedger: Bool

  func seed(_ index: Int) -> Int { inputs + index }
  func baseline(_ input: Int) -> Int { inputs + seeds + input }
  var alpha: Int { inputs + seeds + inputs }
  var firstReference: Int { inputs + seeds + (isPath ? inputs + 1 : 0) }

  private var perSeed: Int { sources.count + (hasLedger ? 1 : 0) }
  func result(seed: Int, source: Int) -> Int { seed * perSeed + source }
  func ledger(seed: Int) -> Int { seed * perSeed + sources.count }
  var target: Int { seeds * perSeed }
}

/// A reverse program before its buffers have places, and the one that makes its reference values.
struct ReverseDraft: Sendable {
  var draft: Draft
  /// The steps of the forward pass, which come first.
  var forwardStepCount: Int
  var slots: ReverseSlots
  /// Nodes of the ledger, in the order of the residuals.
  var ledgerNodes: [String] = []
  /// The forward pass with the needed values as outputs: rows per slot.
  var reference: Draft?
  var referenceCounts: [Int] = []
}

enum ReverseMode {
  static func draft(
    _ analysis: Analysis, _ request: ReverseRequest
  ) throws(CoalitionError) -> ReverseDraft {
    let inputs = ForwardMode.usedInputs(analysis)
    // Indices and other whole numbers have no slopes.
    let sources = inputs.filter { _, input in
      guard let type = analysis.values[input.name]?.elementType else { return false }
      return [.float32, .float64].contains(type) && request.sources?.contains(input.name) ?? true
    }
    let slots = ReverseSlots(
      inputs: analysis.graph.inputs.count, seeds: request.seeds, isPath: request.feeding == .path,
      sources: sources.map(\.slot), holdsInputs: sources.count < inputs.count,
      hasLedger: request.keepsLedger)
    var lowering = Lowering(analysis.values, named: Set(analysis.graph.constants.keys))

    var changes: [String: View] = [:]
    try ForwardMode.feed(inputs, &lowering) {
      end, input, slot, lowering throws(CoalitionError) in
      guard request.feeding == .path && slots.sources.contains(slot) else { return end }
      let baseline = try lowering.input(
        input.name, shape: input.shape, order: input.order, slot: slots.baseline(slot))
      let alpha = try lowering.input(input.name, shape: [1], order: [0], slot: slots.alpha)
      let path = try lowering.interpolated(
        from: baseline, to: end, by: View(alpha.operand, shape: []))
      changes[input.name] = path.change
      return path.view
    }
    let firstForward = lowering.draft.steps.count
    try ForwardMode.lower(
      analysis, &lowering, fusing: request.rules.allowsFusedRectifiers ? .rectifiers : .nothing)
    let forward = Array(lowering.draft.steps[firstForward...])
    let labels = Array(lowering.draft.labels[firstForward...])
    let target = try targetView(request.target, analysis, &lowering)

    let forwardStepCount = lowering.draft.steps.count
    var sourceViews: [View] = []
    for source in sources { sourceViews.append(try lowering.view(of: source.input.name)) }
    let wanted = dependants(of: Set(sourceViews.compactMap(\.operand.buffer)), forward)
    guard target.operand.buffer.map(wanted.contains) ?? false else {
      throw CoalitionError(
        .unsupported,
        "no signal can go from this value to a floating-point input: start from a value behind the indices",
        node: request.target)
    }

    let soleAffine =
      request.rules.slope == .revealCancel ? Reversal.soleAffine(forward) : [:]
    var referenced: [Int] = []
    var nodes: [String] = []
    for seed in 0..<request.seeds {
      var reversal = Reversal(
        lowering, rules: request.rules, wanted: wanted, referenced: referenced,
        firstReferenceSlot: slots.firstReference, soleAffine: soleAffine,
        ledger: request.keepsLedger ? Ledger() : nil)
      reversal.lowering.label = request.target
      var start = try reversal.lowering.input(
        request.target, shape: target.shape, order: target.memoryOrder, slot: slots.seed(seed))
      // What is shared out is the score itself.
      if case .relevance = request.rules.signal {
        start = try reversal.lowering.combined(.multiply, start, target, shape: target.shape)
      }
      try reversal.start(start, at: target)
      for index in forward.indices.reversed() {
        try reversal.reverse(forward[index], label: labels[index])
      }
      for (index, source) in sources.enumerated() {
        let result = try product(
          request, at: sourceViews[index], change: changes[source.input.name], &reversal)
        try reversal.lowering.output(
          source.input.name, result, slot: slots.result(seed: seed, source: index),
          isSummed: request.isSummed)
      }
      // A graph of views alone has no steps that could lose anything.
      if let ledger = reversal.ledger, !ledger.nodes.isEmpty {
        nodes = ledger.nodes
        let residuals = try ledger.vector(&reversal.lowering)
        try reversal.lowering.output("ledger", residuals, slot: slots.ledger(seed: seed))
      }
      lowering = reversal.lowering
      lowering.label = nil
      referenced = reversal.referenced
    }
    if !request.isSummed {
      try lowering.output(request.target, target, slot: slots.target)
    }
    var result = ReverseDraft(
      draft: lowering.draft, forwardStepCount: forwardStepCount, slots: slots, ledgerNodes: nodes)
    if !referenced.isEmpty {
      (result.reference, result.referenceCounts) = try referenceDraft(
        analysis, inputs, referenced, target: request.target)
    }
    return result
  }

  /// The target in the arena; what is said of its elements as rows holds for its buffer.
  private static func targetView(
    _ name: String, _ analysis: Analysis, _ lowering: inout Lowering
  ) throws(CoalitionError) -> View {
    guard analysis.values[name]?.constant == nil else {
      throw CoalitionError(.unsupported, "the value is the same for all inputs", node: name)
    }
    return try lowering.view(of: name)
  }

  private static func product(
    _ request: ReverseRequest, at source: View, change: View?, _ reversal: inout Reversal
  ) throws(CoalitionError) -> View {
    let shape = source.shape
    guard let signal = reversal.signal(source) else {
      let zero = View(reversal.lowering.constant(Tensor(.float64([0]))), shape: [])
      return try reversal.lowering.copied(zero.broadcast(to: shape))
    }
    switch request.product {
    case .signal: return signal
    case .magnitude:
      return try reversal.lowering.applied(Function(LN_FUNCTION_absolute), to: signal)
    case .timesInput:
      return try reversal.lowering.combined(.multiply, signal, source, shape: shape)
    case .timesChange:
      var difference = change
      if difference == nil {
        difference = try reversal.lowering.combined(
          .subtract, source, try reversal.reference(source), shape: shape)
      }
      return try reversal.lowering.combined(
        .multiply, signal, difference ?? source, shape: shape)
    }
  }

  /// The buffers that depend on `sources`.
  static func dependants(of sources: Set<Int>, _ steps: [any Step]) -> Set<Int> {
    var result = sources
    for step in steps where step is any ReversibleStep {
      if step.reads.contains(where: { $0.buffer.map(result.contains) ?? false }) {
        result.formUnion(step.allWrites.compactMap(\.buffer))
      }
    }
    return result
  }

  /// The same forward pass, buffer for buffer, which writes the buffers `wanted`.
  ///
  /// Without minimal filtering: a constant baseline makes constant maps, whose maxima are no matter of rounding where all
  /// places add the same numbers in the same order.
  private static func referenceDraft(
    _ analysis: Analysis, _ inputs: [(slot: Int, input: ForwardMode.UsedInput)], _ wanted: [Int],
    target: String
  ) throws(CoalitionError) -> (Draft, [Int]) {
    var lowering = Lowering(analysis.values, named: Set(analysis.graph.constants.keys))
    lowering.convolvesDirectly = true
    try ForwardMode.feed(inputs, &lowering)
    try ForwardMode.lower(analysis, &lowering, fusing: .nothing)
    var counts: [Int] = []
    for (slot, buffer) in wanted.enumerated() {
      let count = lowering.draft.buffers[buffer]
      try lowering.output(
        "reference", View(Operand(space: .buffer(buffer)), shape: [count]), slot: slot)
      counts.append(count)
    }
    let view = try targetView(target, analysis, &lowering)
    try lowering.output(target, view, slot: wanted.count)
    return (lowering.draft, counts + [view.count])
  }
}

extension Reversal {
  /// Puts the first signal at the target.
  mutating func start(_ signal: View, at target: View) throws(CoalitionError) {
    var silent = ledger
    swap(&silent, &ledger)
    try send(signal, to: target)
    swap(&silent, &ledger)
  }
}
