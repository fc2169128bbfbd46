// A moment plan: a model made ready to take random coalitions through it as means, variances and factors.
//
// What players are, which coalitions are drawn and what becomes of their moments is decided above this
// (CoalitionShapley); here are the programs (Modes/Moments) and their rows.

package import CoalitionBase
import Synchronization

/// The moment programs of a model at one rank. Immutable and safe to share; programs are made when they are first
/// needed.
///
/// The memory limit of its runs is that of arenas alone: packed constants of all programs, rows and results lie beside each other in
/// runs of several calls, and who makes these counts them (CoalitionExplain, MomentMemory).
package final class MomentPlan: Sendable {
  package let model: Model
  package let precision: Precision
  /// Factors per value: 0 for independent values.
  package let rank: Int
  /// All inputs of the model, in the order of its graph.
  package let inputs: [Plan.Value]
  /// Those that players come and go in.
  package let sources: [Plan.Value]
  package let target: Plan.Value
  /// Numbers of every front, the values at which affine maps of the sources end.
  package let frontCounts: [Int]
  /// Whether squared contributions of players that are single elements come from one pass (`squares`).
  package let hasSingleWays: Bool
  /// Operations of convolutions and dense layers for one example: from the fronts to the target by moments, and of the
  /// whole model forward.
  package let arithmetic: (moments: Int, forward: Int)

  /// The nodes at which moments are no exact ones, in execution order.
  package var approximations: [(label: String, kind: MomentApproximation)] {
    mode.template.approximations
  }

  let mode: MomentMode
  private let routines = Mutex<[Kind: Routine]>([:])
  /// Programs run one after the other.
  private let spareArena = SpareArena()

  enum Kind: Hashable {
    case values, changes, squares, transposedChanges, transposedSquares, moments
    case own(OwnChannels, OwnResult)
    case gradient(seeds: Int)
  }

  /// - Parameters:
  ///   - target: a value of the model.
  ///   - sources: inputs; nil: all of floating-point numbers.
  /// - Throws: `unsupported` with the node for steps that moments do not go through.
  package init(
    _ model: Model, target: String, sources: [String]? = nil, rank: Int,
    _ options: PlanOptions = PlanOptions()
  ) throws(CoalitionError) {
    var planOptions = options
    planOptions.outputs = [target]
    let analysis = try Plan.analysed(model, planOptions).analysis
    let inputs = Plan.values(analysis.graph.inputs.map(\.name), analysis)
    let names =
      sources
      ?? inputs.filter { [.float32, .float64].contains($0.elementType) }.map(\.name)
    guard let value = Plan.values([target], analysis).first else {
      throw CoalitionError(.usage, "no value of the model has this name", node: target)
    }
    self.model = model
    precision = options.precision
    self.rank = rank
    self.inputs = inputs
    self.sources = inputs.filter { names.contains($0.name) }
    self.target = value
    mode = try MomentMode(analysis, target: target, sources: self.sources.map(\.name))
    frontCounts = mode.template.fronts.map(\.count)
    hasSingleWays = mode.template.hasSingleWays
    let moments = try mode.momentsDraft(rank: rank)
    arithmetic = (
      Self.affineOperations(moments.steps), Self.affineOperations(mode.template.steps.map(\.step))
    )
    routines.withLock {
      $0[.moments] = Routine(moments, precision, model.store, spareArena: spareArena)
    }
  }

  private static func affineOperations(_ steps: [any Step]) -> Int {
    steps.filter { $0 is ConvolutionStep }.map(\.operations).saturatingSum
  }

  /// Operations of a pass of moments and of the signals back from one score, for one example.
  package func gradientOperations() throws(CoalitionError) -> Int {
    Self.affineOperations(try routine(.gradient(seeds: 1)).draft.steps)
  }

  /// Operations of a row of changes on its way to the fronts, for one example.
  package func frontOperations() throws(CoalitionError) -> Int {
    Self.affineOperations(try routine(.changes).draft.steps)
  }

  func routine(_ kind: Kind) throws(CoalitionError) -> Routine {
    if let known = routines.withLock({ $0[kind] }) { return known }
    let draft =
      switch kind {
      case .values: try mode.valuesDraft()
      case .changes: try mode.forwardDraft(.changes)
      case .squares: try mode.forwardDraft(.variances)
      case .transposedChanges: try mode.transposedDraft(.changes)
      case .transposedSquares: try mode.transposedDraft(.variances)
      case .own(let channels, let result): try mode.ownDraft(channels, result)
      case .moments: try mode.momentsDraft(rank: rank)
      case .gradient(let seeds): try mode.gradientDraft(rank: rank, seeds: seeds)
      }
    let routine = Routine(draft, precision, model.store, spareArena: spareArena)
    return routines.withLock { routines in
      if let other = routines[kind] { return other }
      routines[kind] = routine
      return routine
    }
  }

  /// - Throws: `notFinite` in words of moments: what is not finite is made here, the inputs have been looked at.
  func run(
    _ routine: Routine, _ call: ProgramCall, _ options: RunOptions
  ) async throws(CoalitionError) -> [Tensor.Elements] {
    var options = options
    options.memoryLimit =
      [
        options.memoryLimit, routine.constantByteCount, call.byteCount,
      ].saturatingSum
    do throws(CoalitionError) {
      return try await routine.run(call, options)
    } catch  where error.code == .notFinite {
      throw CoalitionError(
        .notFinite,
        "moments overflow or are undefined: contributions, or their squares, are too large for "
          + "\(precision) precision, or a function has no value where random values lie")
    }
  }

  /// What a plan of its model keeps it by.
  struct Request: Hashable {
    let target: String
    let sources: [String]
    let rank: Int
  }

  /// The program that propagates moments, for `coalition plan`.
  package func listing(lanes: Int) throws(CoalitionError) -> Plan.Listing {
    let routine = try routine(.moments)
    return try routine.listing(lanes: lanes, steps: Array(routine.draft.steps.indices))
  }

  /// What a method runs.
  package struct Use: Sendable {
    /// Scores that signals are sent back from together, per program; none: none are.
    package var seeds: [Int]
    /// Whether squared contributions of single elements come from one pass.
    package var ownsElements: Bool
    package var own: OwnChannels?

    package init(seeds: [Int], ownsElements: Bool, own: OwnChannels?) {
      self.seeds = seeds
      self.ownsElements = ownsElements
      self.own = own
    }
  }

  /// What the programs of a use need.
  private func kinds(_ use: Use) -> [Kind] {
    var kinds: [Kind] = [.values, .changes]
    if !use.seeds.isEmpty || rank > 0 { kinds.append(.transposedChanges) }
    if use.ownsElements {
      kinds += use.seeds.isEmpty ? [.squares] : [.squares, .transposedSquares]
    }
    if let own = use.own {
      kinds.append(.own(own, .squares))
      if use.seeds.isEmpty {
        kinds += parts(of: own).map { .own(own, .each($0)) }
      } else {
        kinds.append(.own(own, .squareSums))
      }
    }
    return kinds + (use.seeds.isEmpty ? [.moments] : use.seeds.map { .gradient(seeds: $0) })
  }

  /// Bytes of the packed constants of all programs of a use.
  /// - Parameter isPacking: with those that packing the largest of them takes for a while.
  package func constantByteCount(
    _ use: Use, isPacking: Bool = true
  ) throws(CoalitionError) -> Int {
    var routines: [Routine] = []
    for kind in kinds(use) { routines.append(try routine(kind)) }
    let sources = isPacking ? routines.flatMap(\.draft.constants) : []
    let making = sources.map { $0.makingByteCount(precision) }.max() ?? 0
    return [Routine.constantByteCount(of: routines), making].saturatingSum
  }

  /// Bytes of arenas that are held between runs.
  var spareByteCount: Int { spareArena.byteCount }

  /// Bytes of the arenas of all threads, of the program that has the largest, in runs over so many examples.
  /// - Parameter limit: bytes that they may take; the smallest tile may still need more.
  package func arenaByteCount(
    _ use: Use, examples: Int, threads: Int, within limit: Int
  ) throws(CoalitionError) -> Int {
    var most = 0
    for kind in kinds(use) {
      let routine = try routine(kind)
      let lanes =
        switch kind {
        case .own: 1
        case .gradient:
          gradientLanes(routine, examples: examples, threads: threads, within: limit)
        default:
          routine.chooseLanes(examples: examples, threads: threads, room: limit)
        }
      let (bytes, overflow) = routine.arenaByteCount(lanes: lanes).multipliedReportingOverflow(
        by: threads)
      most = max(most, overflow ? .max : bytes)
    }
    return most
  }

  // MARK: In front of the fronts

  /// A pass in front of the fronts.
  package enum Passage: Sendable {
    /// Rows of the sources to the fronts' values.
    case values
    /// Rows v of the sources to W v.
    case changes
    /// Rows v of the sources to (W o W) v.
    case squares
  }

  /// Rows of inputs that are no sources, and which of them each row of the sources goes with.
  package struct Held: Sendable {
    package var rows: [String: Tensor]
    package var rowOf: [Int32]

    package init(rows: [String: Tensor] = [:], rowOf: [Int32] = []) {
      self.rows = rows
      self.rowOf = rowOf
    }
  }

  /// - Parameter rows: per source [R, shape].
  /// - Returns: per front [R, count].
  package func fronts(
    _ passage: Passage, of rows: [String: Tensor], count: Int, held: Held,
    _ options: RunOptions
  ) async throws(CoalitionError) -> [Tensor] {
    let kind: Kind =
      switch passage {
      case .values: .values
      case .changes: .changes
      case .squares: .squares
      }
    let call = ProgramCall(
      inputs: try inputSlots(rows, held),
      outputs: frontCounts.map { SlotResult(count: $0 * count, precision) }, examples: count)
    let elements = try await run(routine(kind), call, options)
    var tensors: [Tensor] = []
    for (values, size) in zip(elements, frontCounts) {
      tensors.append(try Tensor(shape: [count, size], elements: values))
    }
    return tensors
  }

  /// Signals at the fronts, per front [R, count], back to the sources: W' s, or (W o W)' s for squares.
  /// - Returns: per source [R, shape].
  package func sources(
    _ passage: Passage, of signals: [Tensor], count: Int, held: Held, _ options: RunOptions
  ) async throws(CoalitionError) -> [String: Tensor] {
    var call = ProgramCall(
      inputs: try inputSlots([:], held),
      outputs: sources.map {
        SlotResult(count: $0.count * count, precision)
      }, examples: count)
    call.inputs += signals.map { SlotRows($0, precision) }
    let kind: Kind =
      if case .squares = passage { .transposedSquares } else { .transposedChanges }
    let elements = try await run(routine(kind), call, options)
    var tensors: [String: Tensor] = [:]
    for (values, source) in zip(elements, sources) {
      tensors[source.name] = try Tensor(shape: [count] + source.shape, elements: values)
    }
    return tensors
  }

  func inputSlots(
    _ rows: [String: Tensor], _ held: Held
  ) throws(CoalitionError) -> [SlotRows] {
    inputs.map { input in
      if let tensor = rows[input.name] { return SlotRows(tensor, precision) }
      if let tensor = held.rows[input.name] {
        return SlotRows(tensor, precision, rowOf: held.rowOf)
      }
      return SlotRows(words: [])
    }
  }

  // MARK: Behind the fronts

  /// Random coalitions of which moments are propagated, one per example of a run. Rows are held once: indices say
  /// which row an example takes.
  package struct Work: Sendable {
    package var examples: Int
    /// Per front: values without the players, sums of contributions and of squared ones, [subjects, count].
    package var base: [Tensor] = []
    package var sum: [Tensor] = []
    package var squares: [Tensor] = []
    /// Per front [subjects, rank, count]: sums of contributions along the directions of the factor.
    package var basis: [Tensor] = []
    package var subjectOf: [Int32] = []
    /// Per front: the contributions of a player that is set apart, [players, count]; none when nobody is.
    package var own: [Tensor] = []
    package var ownOf: [Int32] = []
    /// What an example is, rows of 5 + 2 rank: the coefficients p, w, kappa, mu, root, u, v of lanes.h, ln_front.
    package var scalars: [Double] = []
    /// The row of each example; nil: each has its own.
    package var scalarOf: [Int32]?
    package var held = Held()

    package init(examples: Int) { self.examples = examples }
  }

  func slots(_ work: Work, seeds: Int) throws(CoalitionError) -> [SlotRows] {
    var rows = [SlotRows](
      repeating: SlotRows(words: []), count: mode.slots.count(seeds: seeds))
    for (slot, row) in try inputSlots([:], work.held).enumerated() { rows[slot] = row }
    let zero = Tensor(.float32([Float](repeating: 0, count: frontCounts.max() ?? 0)))
    let nobody = [Int32](repeating: 0, count: work.examples)
    for front in frontCounts.indices {
      rows[mode.slots.base(front)] = SlotRows(work.base[front], precision, rowOf: work.subjectOf)
      rows[mode.slots.sum(front)] = SlotRows(work.sum[front], precision, rowOf: work.subjectOf)
      rows[mode.slots.squares(front)] = SlotRows(
        work.squares[front], precision, rowOf: work.subjectOf)
      rows[mode.slots.own(front)] =
        work.own.isEmpty
        ? SlotRows(zero, precision, rowOf: nobody)
        : SlotRows(work.own[front], precision, rowOf: work.ownOf)
      if rank > 0 {
        rows[mode.slots.basis(front)] = SlotRows(
          work.basis[front], precision, rowOf: work.subjectOf)
      }
    }
    rows[mode.slots.scalars] = SlotRows(
      Tensor(.float64(work.scalars)), precision, rowOf: work.scalarOf)
    return rows
  }

  /// The means of the target, [examples, count].
  package func means(
    _ work: Work, _ options: RunOptions
  ) async throws(CoalitionError) -> Tensor {
    let call = ProgramCall(
      inputs: try slots(work, seeds: 0),
      outputs: [SlotResult(count: work.examples * target.count, precision)],
      examples: work.examples)
    let elements = try await run(routine(.moments), call, options)[0]
    return try Tensor(shape: [work.examples, target.count], elements: elements)
  }
}

extension Plan {
  /// The moment programs of the plan's model, made once.
  /// - Throws: as `MomentPlan.init`.
  package func momentPlan(
    target: String, sources: [String], rank: Int
  ) throws(CoalitionError) -> MomentPlan {
    let request = MomentPlan.Request(target: target, sources: sources, rank: rank)
    if let known = moments.withLock({ $0[request] }) { return known }
    let plan = try MomentPlan(model, target: target, sources: sources, rank: rank, options)
    return moments.withLock { plans in
      if let other = plans[request] { return other }
      plans[request] = plan
      return plan
    }
  }
}
