// The forward pass that a moment program follows, and where random values begin in it.
//
// Values that do not depend on the sources are *fixed*. From the sources on, values are *affine* in them until a step
// that is not; those that such a step reads are *fronts*. Their moments under random coalitions are known exactly from
// the contributions of the players (papers: the first layer), and what follows them is *random*: moments are propagated
// from step to step.

import CLanes
import CoalitionBase

/// A value at which affine maps of the sources end.
struct Front: Sendable {
  /// In the forward pass.
  let buffer: Int
  let count: Int
  /// For listings and errors.
  let label: String
}

/// What moments behind a step are made from.
package enum MomentApproximation: Sendable {
  /// Normal variables with the moments of what the step reads.
  case normal
  /// The tangent of a function at the mean.
  case tangent
  /// That of the reciprocal of a random divisor.
  case reciprocalTangent
  /// The softmax of the mean, and its derivative there.
  case softmaxOfMean
}

/// The steps of a forward pass, and how each buffer depends on the sources.
struct MomentTemplate {
  let lowering: Lowering
  let sources: [(slot: Int, view: View)]
  /// Steps with their labels, inputs included, that the target depends on.
  private(set) var steps: [(step: any Step, label: String)]
  /// Buffers that depend on a source.
  private(set) var varying: Set<Int>
  /// Buffers of which some step makes no affine map of the sources.
  private(set) var random: Set<Int> = []
  private(set) var fronts: [Front] = []
  let target: View

  /// - Parameter names: the sources: inputs of floating-point numbers.
  /// - Throws: `unsupported` for a target that does not depend on them.
  init(
    _ analysis: Analysis, target: String, sources names: [String]
  ) throws(CoalitionError) {
    var lowering = Lowering(analysis.values, named: Set(analysis.graph.constants.keys))
    let inputs = ForwardMode.usedInputs(analysis)
    try ForwardMode.feed(inputs, &lowering)
    try ForwardMode.lower(analysis, &lowering, fusing: .nothing)
    var sources: [(slot: Int, view: View)] = []
    for (slot, input) in inputs where names.contains(input.name) {
      sources.append((slot, try lowering.view(of: input.name)))
    }
    guard analysis.values[target]?.constant == nil else {
      throw CoalitionError(.unsupported, "the value is the same for all inputs", node: target)
    }
    self.target = try lowering.view(of: target)
    self.sources = sources
    steps = IncreasingFunctions.behindMaxima(
      GatedFunctions.joined(
        Array(zip(lowering.draft.steps, lowering.draft.labels)), &lowering), &lowering)
    varying = Set(sources.compactMap(\.view.operand.buffer))
    self.lowering = lowering
    // Gates that have become functions, and functions that are taken behind maxima, are read no more.
    steps = self.steps(for: [self.target.operand.buffer].compactMap { $0 })
    classify()
    guard let place = self.target.operand.buffer, varying.contains(place) else {
      throw CoalitionError(
        .unsupported, "the value does not depend on what is explained", node: target)
    }
    findFronts(place)
  }

  func varies(_ operand: Operand) -> Bool { operand.buffer.map(varying.contains) ?? false }

  /// Buffers may be written in parts: a later part can make an earlier reader random.
  private mutating func classify() {
    var before = (-1, -1)
    while before != (varying.count, random.count) {
      before = (varying.count, random.count)
      for (step, _) in steps {
        guard let output = step.writes?.buffer, step.reads.contains(where: varies) else { continue }
        varying.insert(output)
        let isAffine = (step as? any AffineStep)?.isAffine(varies) ?? false
        let readsRandom = step.reads.contains { $0.buffer.map(random.contains) ?? false }
        if !isAffine || readsRandom { random.insert(output) }
      }
    }
  }

  private mutating func findFronts(_ target: Int) {
    var found = Set<Int>()
    func isAffine(_ buffer: Int) -> Bool { varying.contains(buffer) && !random.contains(buffer) }
    for (step, label) in steps {
      guard let output = step.writes?.buffer, random.contains(output) else { continue }
      for case let buffer? in step.reads.map(\.buffer)
      where isAffine(buffer) && found.insert(buffer).inserted {
        fronts.append(
          Front(buffer: buffer, count: lowering.draft.buffers[buffer], label: label))
      }
    }
    if isAffine(target), found.insert(target).inserted {
      fronts.append(
        Front(buffer: target, count: lowering.draft.buffers[target], label: "target"))
    }
  }

  /// What is taken for the values at steps that are not affine in random ones, in execution order; of several steps with
  /// a label the coarsest.
  var approximations: [(label: String, kind: MomentApproximation)] {
    var found: [(label: String, kind: MomentApproximation)] = []
    for (step, label) in steps {
      guard let output = step.writes?.buffer, random.contains(output),
        !((step as? any AffineStep)?.isAffine(varies) ?? false)
      else { continue }
      let kind = approximation(of: step)
      if let place = found.firstIndex(where: { $0.label == label }) {
        if found[place].kind == .normal { found[place].kind = kind }
      } else {
        found.append((label, kind))
      }
    }
    return found
  }

  private func approximation(of step: any Step) -> MomentApproximation {
    switch step {
    case let step as PointwiseStep where step.function.hasTangentMoments: .tangent
    case let step as BinaryStep where step.function == .divide && varies(step.right):
      .reciprocalTangent
    case let step as SoftmaxStep where !step.isLogarithm: .softmaxOfMean
    default: .normal
    }
  }

  /// The steps that `buffers` depend on, in order.
  /// - Parameter ends: buffers behind which nothing is wanted.
  func steps(
    for buffers: some Sequence<Int>, upTo ends: Set<Int> = []
  ) -> [(step: any Step, label: String)] {
    var wanted = Set(buffers)
    var result: [(step: any Step, label: String)] = []
    for entry in steps.reversed() {
      guard let output = entry.step.writes?.buffer, wanted.contains(output),
        !ends.contains(output)
      else { continue }
      wanted.formUnion(entry.step.reads.compactMap(\.buffer))
      result.append(entry)
    }
    return result.reversed()
  }

  /// Whether every player that is a single element reaches a position of a front on one way at most: then the sum of
  /// the players' squared contributions is a product of squares, C2 = (W o W) (x - b)^2.
  var hasSingleWays: Bool {
    enum Way { case plain, mixed }
    var ways: [Int: Way] = [:]
    for source in sources {
      if let buffer = source.view.operand.buffer { ways[buffer] = .plain }
    }
    let last = Set(fronts.map(\.buffer))
    for (step, _) in steps(for: last) where step.reads.contains(where: varies) {
      guard let output = step.writes?.buffer else { return false }
      let terms = step.reads.compactMap { $0.buffer.flatMap { ways[$0] } }
      switch step {
      case let copy as CopyStep where terms == [.plain] || terms == [.mixed]:
        let repeats = zip(copy.nest.sizes, copy.nest.strides[1]).contains { $0 > 1 && $1 == 0 }
        guard terms == [.mixed] || !repeats else { return false }
        // Parts that are put together may repeat a source.
        ways[output] = ways[output] == nil ? terms[0] : .mixed
      case _ where ways[output] != nil: return false
      case is PointwiseStep where terms.count == 1: ways[output] = terms[0]
      case let binary as BinaryStep where terms.count == 1:
        let own = binary.nest.strides[varies(binary.left) ? 1 : 2]
        let repeats = zip(binary.nest.sizes, own).contains { $0 > 1 && $1 == 0 }
        guard terms == [.mixed] || !repeats else { return false }
        ways[output] = terms[0]
      case is ConvolutionStep where terms == [.plain], is PoolStep where terms == [.plain]:
        ways[output] = .mixed
      default: return false
      }
    }
    return true
  }
}
