// A moment pass: the state while the steps of a forward pass are gone through with random values.
//
// A value is, position by position, a normal variable
//     z = mean + sum_a factor_a xi_a + sqrt(rest) eta
// with xi common to all positions and eta independent. Means lie in the buffers of the forward pass; rests and factors are
// carried beside them. Affine steps are exact in what they are given, but for rests, which stay independent. Functions of
// one number and maxima take the moments of normal variables (csrc/ops/moments.c, csrc/ops/clark.c); products and softmax
// are in MomentProducts.swift. docs/Methods.md derives them.

import CLanes
import CoalitionBase

struct MomentPass {
  var lowering: Lowering
  private(set) var rests = Carrier(.variances)
  /// nil at rank 0.
  private(set) var factors: Carrier?
  private var varying: Set<Int>

  /// - Parameters:
  ///   - rank: factors per value.
  ///   - varying: buffers that depend on random coalitions.
  init(_ lowering: Lowering, rank: Int, varying: Set<Int>) {
    self.lowering = lowering
    self.varying = varying
    if rank > 0 { factors = Carrier(.changes, count: rank) }
  }

  var rank: Int { factors?.count ?? 0 }
  func varies(_ operand: Operand) -> Bool { operand.buffer.map(varying.contains) ?? false }

  /// Makes room for the moments of a buffer, and lets them be random.
  mutating func admit(_ operand: Operand) throws(CoalitionError) {
    guard let buffer = operand.buffer else { return }
    varying.insert(buffer)
    try rests.place(of: operand, &lowering)
    try factors?.place(of: operand, &lowering)
  }

  // MARK: Moments of values

  func rest(_ view: View) -> View? {
    rests.view(view, lowering).map { View($0.operand, axes: Array($0.axes.dropFirst())) }
  }

  /// Behind an axis of `rank`.
  func factor(_ view: View) -> View? { factors?.view(view, lowering) }

  /// The moments of `positions` positions from an operand on, without gaps.
  mutating func dense(
    _ operand: Operand, positions: Int
  ) throws(CoalitionError) -> MomentPlaces {
    guard let rest = try rests.dense(operand, positions: positions, &lowering) else {
      throw CoalitionError(
        .internalFault, "a random value has no moments", node: lowering.currentLabel)
    }
    return MomentPlaces(
      mean: operand, rest: rest,
      factors: try factors?.dense(operand, positions: positions, &lowering))
  }

  /// The places of the moments of a whole new value.
  mutating func places(of output: Operand) throws(CoalitionError) -> MomentPlaces {
    try admit(output)
    let whole = View(output, shape: [lowering.draft.buffers[output.buffer ?? 0]])
    guard let rest = rest(whole) else {
      throw CoalitionError(
        .internalFault, "a random value has no place", node: lowering.currentLabel)
    }
    return MomentPlaces(mean: output, rest: rest.operand, factors: factor(whole)?.operand)
  }

  /// A new buffer whose moments will be written.
  mutating func buffer(_ positions: Int) throws(CoalitionError) -> Operand {
    let operand = lowering.buffer(positions)
    try admit(operand)
    return operand
  }

  // MARK: Going through steps

  /// Adds the steps that do to moments what `step` does to values.
  mutating func pass(_ step: any Step, label: String) throws(CoalitionError) {
    lowering.label = label
    defer { lowering.label = nil }
    do throws(CoalitionError) {
      try pass(step)
    } catch {
      throw error.at(label)
    }
  }

  mutating func pass(_ step: any Step) throws(CoalitionError) {
    guard step.reads.contains(where: varies) else {
      lowering.emit(step)
      // A fixed part of a random value.
      if let output = step.writes, varies(output), let step = step as? any ReversibleStep {
        try rests.clear(step, &lowering)
        try factors?.clear(step, &lowering)
      }
      return
    }
    if let affine = step as? any AffineStep, affine.isAffine(varies) {
      lowering.emit(affine)
      try rests.pass(affine, &lowering)
      try factors?.pass(affine, &lowering)
      if let buffer = affine.writes?.buffer { varying.insert(buffer) }
      return
    }
    guard let random = step as? any RandomStep else {
      throw CoalitionError(
        .unsupported, "moments do not go through this step: \(step.summary)",
        node: lowering.currentLabel)
    }
    try random.propagate(&self)
  }
}

/// A step with a rule for random inputs that is not affine.
protocol RandomStep: Step {
  func propagate(_ pass: inout MomentPass) throws(CoalitionError)
}

extension PointwiseStep: RandomStep {
  func propagate(_ pass: inout MomentPass) throws(CoalitionError) {
    let source = try pass.dense(input, positions: count)
    let target = try pass.places(of: output)
    pass.lowering.emit(
      MomentsStep(
        function: function, input: source, output: target, count: count, rank: pass.rank))
  }
}

extension PoolStep: RandomStep {
  func propagate(_ pass: inout MomentPass) throws(CoalitionError) {
    guard kind == .maximum else {
      throw CoalitionError(.unsupported, "the places of random maxima have no moments")
    }
    let source = try pass.dense(input, positions: maps.inputCount)
    let target = try pass.places(of: output)
    pass.lowering.emit(ClarkStep(maps: maps, input: source, output: target, rank: pass.rank))
  }
}
