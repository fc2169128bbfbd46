// The training mode: a program that computes the losses of a batch and the gradients of all parameters.
//
// The forward pass keeps what the way back needs, which is that of the reverse mode (Reversal.swift) with parameters as
// its ends. Lanes are examples. Whatever is summed over examples is written in rows, of examples, of segments or of
// tiles, which are added up in their order (csrc/training/update.c).

import CoalitionBase

/// A training program before its buffers have places.
struct TrainingDraft: Sendable {
  var draft: Draft
  var notes: TrainingNotes
  /// Input slots: those of the graph, the seed, the keys of the examples.
  var inputs: Int
  var seedSlot: Int { inputs }
}

enum TrainingMode {
  /// Of the output slots, the first has the payoff of each example.
  static let payoffSlot = 0

  /// - Parameters:
  ///   - analysis: of the graph in which parameters have their numbers.
  ///   - payoff: one number per example, whose mean is to become large.
  static func draft(
    _ analysis: Analysis, _ numbers: ParameterNumbers, payoff: String
  ) throws(CoalitionError) -> TrainingDraft {
    let inputs = analysis.graph.inputs.count
    var lowering = Lowering(analysis.values)
    lowering.training = TrainingNotes(numbers, keySlot: inputs + 1)
    _ = lowering.training?.slot(.examples(1))
    try ForwardMode.feed(ForwardMode.usedInputs(analysis), &lowering)
    let firstForward = lowering.draft.steps.count
    try ForwardMode.lower(analysis, &lowering, fusing: .rectifiers)
    let forward = Array(lowering.draft.steps[firstForward...])
    let labels = Array(lowering.draft.labels[firstForward...])
    let target = try lowering.view(of: payoff)
    try lowering.output(payoff, target, slot: payoffSlot)

    let trained = forward.filter { $0.reads.contains(where: lowering.isParameter) }
    let starts = trained.flatMap(\.allWrites).compactMap(\.buffer)
    let wanted = ReverseMode.dependants(of: Set(starts), forward)
    guard target.operand.buffer.map(wanted.contains) ?? false else {
      throw CoalitionError(.unsupported, "the model has no parameters that its scores depend on")
    }
    lowering.label = payoff
    let seed = try lowering.input(
      payoff, shape: target.shape, order: target.memoryOrder, slot: inputs)
    var reversal = Reversal(
      lowering, rules: ReverseRules(), wanted: wanted, firstReferenceSlot: inputs + 2)
    try reversal.start(seed, at: target)
    for index in forward.indices.reversed() {
      try reversal.reverse(forward[index], label: labels[index])
    }
    guard let notes = reversal.lowering.training else {
      throw CoalitionError(.internalFault, "a training program has no notes")
    }
    return TrainingDraft(draft: reversal.lowering.draft, notes: notes, inputs: inputs)
  }
}
