// The moment mode: programs that take random coalitions of players through a model as means, variances and factors.
//
// With c_g the contribution of player g to a front (the affine map W of the sources' change x - b, of g's elements
// alone), the moments of the front are sums over players that other programs make:
//     values   rows of the inputs       ->  the fronts' values, b of which give the base
//     changes  rows v of the sources    ->  W v: sums and single contributions, directions of the factor
//     squares  rows v^2                 ->  (W o W) v^2, the sum of squared contributions of single elements
// and their transposes take signals at fronts back to the sources. `moments` propagates from the fronts to the target,
// `gradient` sends signals from there back to the fronts, summed over examples.

import CLanes
import CoalitionBase

/// The slots of moment programs: of the inputs of the graph, then of every front, then of what examples have of their
/// own.
struct MomentSlots: Sendable {
  let inputs: Int
  let fronts: Int

  // Inputs of `moments` and `gradient`.
  func base(_ front: Int) -> Int { inputs + 5 * front }
  func sum(_ front: Int) -> Int { base(front) + 1 }
  func squares(_ front: Int) -> Int { base(front) + 2 }
  func own(_ front: Int) -> Int { base(front) + 3 }
  func basis(_ front: Int) -> Int { base(front) + 4 }
  var scalars: Int { inputs + 5 * fronts }
  /// Of `gradient`: the factors that signals of rests and of factors get.
  var slopes: Int { scalars + 1 }
  func seed(_ index: Int) -> Int { slopes + 1 + index }
  func count(seeds: Int) -> Int { seed(seeds) }

  /// Input of the transposed programs: signals at a front.
  func signal(_ front: Int) -> Int { inputs + front }

  // Outputs of `gradient`.
  func result(seed: Int, front: Int, part: Int) -> Int { (seed * fronts + front) * 3 + part }
}

struct MomentMode {
  let template: MomentTemplate
  let slots: MomentSlots

  init(
    _ analysis: Analysis, target: String, sources: [String]
  ) throws(CoalitionError) {
    template = try MomentTemplate(analysis, target: target, sources: sources)
    slots = MomentSlots(inputs: analysis.graph.inputs.count, fronts: template.fronts.count)
  }

  /// The template's buffers and constants without its steps.
  private var empty: Lowering {
    var lowering = template.lowering
    lowering.draft.steps = []
    lowering.draft.labels = []
    return lowering
  }

  // MARK: In front of the fronts

  func valuesDraft() throws(CoalitionError) -> Draft {
    var lowering = empty
    for (step, label) in template.steps(for: template.fronts.map(\.buffer)) {
      lowering.emit(step, label: label)
    }
    for (slot, front) in template.fronts.enumerated() {
      try lowering.output(front.label, whole(front), slot: slot)
    }
    return lowering.draft.withoutDeadSteps()
  }

  private func whole(_ front: Front) -> View {
    View(Operand(space: .buffer(front.buffer)), shape: [front.count])
  }

  /// The steps that carry rows of the sources to the fronts, or to another value in front of them.
  func carried(
    _ kind: Carrier.Kind, to buffer: Int? = nil
  ) throws(CoalitionError) -> (lowering: Lowering, carrier: Carrier) {
    var lowering = empty
    var carrier = Carrier(kind)
    for source in template.sources {
      if let buffer = source.view.operand.buffer {
        carrier.set(buffer, to: Operand(space: .buffer(buffer)))
      }
    }
    let ends = buffer.map { [$0] } ?? template.fronts.map(\.buffer)
    for (step, label) in template.steps(for: ends) {
      lowering.label = label
      if step is InputStep || !(step.writes.map(template.varies) ?? false) {
        lowering.emit(step)
      } else if let affine = step as? any AffineStep {
        // A fixed part of a value that varies: a change of it is none.
        try carrier.pass(affine, &lowering)
      } else if let step = step as? any ReversibleStep {
        lowering.emit(step)
        try carrier.clear(step, &lowering)
      }
    }
    lowering.label = nil
    return (lowering, carrier)
  }

  func forwardDraft(_ kind: Carrier.Kind) throws(CoalitionError) -> Draft {
    var (lowering, carrier) = try carried(kind)
    for (slot, front) in template.fronts.enumerated() {
      try lowering.output(front.label, try place(front, carrier, lowering), slot: slot)
    }
    return lowering.draft.withoutDeadSteps()
  }

  private func place(
    _ front: Front, _ carrier: Carrier, _ lowering: Lowering
  ) throws(CoalitionError) -> View {
    guard let view = carrier.view(whole(front), lowering) else {
      throw CoalitionError(.internalFault, "a front has no place", node: front.label)
    }
    return View(view.operand, shape: [front.count])
  }

  /// Signals at the fronts, in slots behind the inputs', back to rows of the sources.
  func transposedDraft(_ kind: Carrier.Kind) throws(CoalitionError) -> Draft {
    let (lowering, carrier) = try carried(kind)
    let steps = Array(zip(lowering.draft.steps, lowering.draft.labels))
    let sources = Set(template.sources.compactMap(\.view.operand.buffer))
    var reversal = Reversal(
      lowering, rules: ReverseRules(),
      wanted: ReverseMode.dependants(of: sources, steps.map(\.0)), firstReferenceSlot: 0)
    for (index, front) in template.fronts.enumerated() {
      let signal = try reversal.lowering.input(
        front.label, shape: [front.count], order: [0], slot: slots.signal(index))
      try reversal.send(signal, to: try place(front, carrier, lowering))
    }
    for (step, label) in steps.reversed() { try reversal.reverse(step, label: label) }
    for (slot, source) in template.sources.enumerated() {
      try reversal.lowering.output(
        "signal", try reversal.signalOrZeros(source.view), slot: slot)
    }
    return reversal.lowering.draft.withoutDeadSteps()
  }

  // MARK: Behind the fronts

  /// The pass from the fronts to the target.
  private func pass(rank: Int) throws(CoalitionError) -> MomentPass {
    var pass = MomentPass(empty, rank: rank, varying: [])
    for (index, front) in template.fronts.enumerated() {
      pass.lowering.emit(
        FrontStep(
          output: try pass.places(of: Operand(space: .buffer(front.buffer))),
          count: front.count, rank: rank, base: slots.base(index), sum: slots.sum(index),
          squares: slots.squares(index), own: slots.own(index), basis: slots.basis(index),
          scalars: slots.scalars),
        label: front.label)
    }
    guard let target = template.target.operand.buffer else { return pass }
    let ends = Set(template.fronts.map(\.buffer))
    let steps = template.steps(for: [target], upTo: ends)
    // A value that is put together of fixed and random parts is random from its first part on.
    for (step, _) in steps {
      if let output = step.writes, output.buffer.map(template.random.contains) ?? false {
        try pass.admit(output)
      }
    }
    for (step, label) in steps { try pass.pass(step, label: label) }
    return pass
  }

  func momentsDraft(rank: Int) throws(CoalitionError) -> Draft {
    var pass = try pass(rank: rank)
    try pass.lowering.output("mean", template.target, slot: 0)
    return pass.lowering.draft.withoutDeadSteps()
  }

  /// Per seed and front, summed over examples: signals of the mean; of the total variance times the first slope; of the
  /// factors at a given total variance times the second one.
  func gradientDraft(rank: Int, seeds: Int) throws(CoalitionError) -> Draft {
    let pass = try pass(rank: rank)
    var lowering = pass.lowering
    let forward = Array(zip(lowering.draft.steps, lowering.draft.labels))
    var sources = Set<Int>()
    for case let (step as FrontStep, _) in forward {
      sources.formUnion(step.output.all.compactMap(\.buffer))
    }
    let wanted = ReverseMode.dependants(of: sources, forward.map(\.0))
    let slopes = try lowering.input("slopes", shape: [2], order: [0], slot: slots.slopes).operand
    for seed in 0..<seeds {
      var reversal = Reversal(
        lowering, rules: ReverseRules(), wanted: wanted, firstReferenceSlot: 0)
      let start = try reversal.lowering.input(
        "seed", shape: template.target.shape, order: template.target.memoryOrder,
        slot: slots.seed(seed))
      try reversal.send(start, to: template.target)
      for (step, label) in forward.reversed() { try reversal.reverse(step, label: label) }
      var front = 0
      for case let (step as FrontStep, label) in forward {
        reversal.lowering.label = label
        try reversal.emitSums(of: step, slopes) { part in
          slots.result(seed: seed, front: front, part: part)
        }
        front += 1
      }
      lowering = reversal.lowering
      lowering.label = nil
    }
    return lowering.draft.withoutDeadSteps()
  }
}

extension Reversal {
  /// The signal at a view, zeros when nothing reached it.
  mutating func signalOrZeros(_ view: View) throws(CoalitionError) -> View {
    if let signal = signal(view) { return signal }
    let zero = View(lowering.constant(Tensor(.float64([0]))), shape: [])
    return try lowering.copied(zero.broadcast(to: view.shape))
  }

  /// rest = total - sum of squared factors: a factor L at a given total gets its own signal less 2 L (that of the
  /// rest).
  fileprivate mutating func emitSums(
    of front: FrontStep, _ slopes: Operand, slot: (Int) -> Int
  ) throws(CoalitionError) {
    let shape = [front.count]
    func slope(_ index: Int) -> View {
      View(Operand(space: slopes.space, offset: slopes.offset + index), shape: [])
    }
    let mean = try signalOrZeros(View(front.output.mean, shape: shape))
    try lowering.output("mean", mean, slot: slot(0), isSummed: true)
    let rest = try signalOrZeros(View(front.output.rest, shape: shape))
    let variance = try lowering.combined(.multiply, rest, slope(0), shape: shape)
    try lowering.output("variance", variance, slot: slot(1), isSummed: true)
    guard let factors = front.output.factors else { return }
    let wide = [front.rank, front.count]
    let values = View(factors, shape: wide)
    let twice = try lowering.combined(.add, values, values, shape: wide)
    let lost = try lowering.combined(.multiply, twice, rest.repeated(front.rank), shape: wide)
    let own = try lowering.combined(.subtract, try signalOrZeros(values), lost, shape: wide)
    let scaled = try lowering.combined(.multiply, own, slope(1), shape: wide)
    try lowering.output("factors", scaled, slot: slot(2), isSummed: true)
  }
}
