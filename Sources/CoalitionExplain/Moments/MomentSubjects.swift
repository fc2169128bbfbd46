// What random coalitions of players do to the values at which affine maps of the inputs end (fronts).
//
// A subject is an example with one row of its baseline. With c_g the contribution of player g to a front (W applied to
// the change x - b of g's elements alone; papers: the first layer) a front's value for coalition S is
//     base + sum of c_g over g in S,     base: the front at the baseline, with everything that is always present
// so that its moments need three rows, base, sum of c_g and sum of c_g^2, and c_i of a player that is set apart.

import CoalitionBase
import CoalitionNet

/// Subjects whose rows are held together.
struct MomentSubjects: Sendable {
  let plan: MomentPlan
  let memory: MomentMemory
  let playerSet: PlayerSet
  /// Per subject its example.
  let exampleOf: [Int]
  /// Per source of the plan: x - b of every subject's elements, one after the other; 0 where no player owns one.
  private(set) var changes: [[Double]] = []
  /// Per source: the elements' players, of each example or of all alike.
  let maps: [PlayerMap]
  let held: [String: Tensor]
  /// Per front [subjects, count].
  private(set) var base: [Tensor] = []
  private(set) var sum: [Tensor] = []
  private(set) var squares: [Tensor] = []
  let squaredContributions: SquaredContributions
  /// By classes, per example (or of all alike): a number for every player; players of one number reach no position together.
  private(set) var classes: [[Int32]] = []

  var count: Int { exampleOf.count }
  var playerCount: Int { playerSet.playerCount }

  /// - Parameters:
  ///   - examples: of the game, each with every row of its baseline.
  init(
    _ game: MaskedGame, _ plan: MomentPlan, examples: Range<Int>, _ memory: MomentMemory,
    _ run: RunOptions
  ) async throws(CoalitionError) {
    self.plan = plan
    self.memory = memory
    playerSet = game.players
    let rows = game.subject
    exampleOf = examples.flatMap { [Int](repeating: $0, count: rows.baselines) }
    maps = game.maps(of: plan)
    squaredContributions = SquaredContributions(game, plan)
    var held: [String: Tensor] = [:]
    var bases: [String: Tensor] = [:]
    for (index, input) in plan.inputs.enumerated() {
      guard let source = plan.sources.firstIndex(where: { $0.name == input.name }),
        let baseline = rows.baselineRows[index]
      else {
        held[input.name] = rows.inputs[index]
        continue
      }
      let width = input.count
      let x = try rows.inputs[index].rows(Array(examples)).doubles
      let b = baseline.doubles
      var base: [Double] = []
      var change: [Double] = []
      base.reserveCapacity(exampleOf.count * width)
      change.reserveCapacity(exampleOf.count * width)
      for (subject, example) in exampleOf.enumerated() {
        let own = (example - examples.lowerBound) * width
        let row = subject % rows.baselines * width
        for (element, player) in zip(0..., maps[source].ids(ofExample: example)) {
          let present = x[own + element]
          let absent = player < 0 ? present : b[row + element]
          base.append(absent)
          change.append(present - absent)
        }
      }
      bases[input.name] = try Tensor(
        shape: [exampleOf.count, width], elements: .float64(base))
      changes.append(change)
    }
    self.held = held
    base = try await plan.fronts(.values, of: bases, count: count, held: heldRows(1), run)
    sum = try await fronts(.changes, of: changes, run)
    switch squaredContributions {
    case .elements:
      squares = try await fronts(
        .squares, of: changes.map { $0.map { $0 * $0 } }, run)
    case .own(let own):
      squares = [
        try await plan.squares(
          of: own, try changeRows(Array(0..<count)), count: count, held: heldRows(1), run)
      ]
    case .classes:
      let divisions = maps.compactMap(\.exampleCount).first ?? 1
      let wanted = divisions > 1 ? Set(examples) : [0]
      classes = (0..<divisions).map { example in
        wanted.contains(example)
          ? plan.apartClasses(plan.ids(maps, ofExample: example), playerCount: playerCount) : []
      }
      squares = try await squaresOfClasses(run)
    }
  }

  /// Rows of held inputs for `times` rows of every subject.
  func heldRows(_ times: Int) -> MomentPlan.Held {
    MomentPlan.Held(
      rows: held,
      rowOf: exampleOf.flatMap { [Int32](repeating: Int32($0), count: times) })
  }

  /// The changes of some subjects, per source.
  func changeRows(_ subjects: [Int]) throws(CoalitionError) -> [String: Tensor] {
    var rows: [String: Tensor] = [:]
    for (source, change) in zip(plan.sources, changes) {
      let all = try Tensor(shape: [count, source.count], elements: .float64(change))
      rows[source.name] = subjects.count == count ? all : try all.rows(subjects)
    }
    return rows
  }

  /// A row of the sources for every subject to the fronts.
  private func fronts(
    _ passage: MomentPlan.Passage, of rows: [[Double]], _ run: RunOptions
  ) async throws(CoalitionError) -> [Tensor] {
    var tensors: [String: Tensor] = [:]
    for (source, row) in zip(plan.sources, rows) {
      tensors[source.name] = try Tensor(shape: [count, source.count], elements: .float64(row))
    }
    return try await plan.fronts(passage, of: tensors, count: count, held: heldRows(1), run)
  }

  // MARK: Players

  /// A subject and one of its players.
  struct Member: SubjectPart, Hashable {
    let subject: Int
    let player: Int
  }

  /// The players of a subject that differ from its baseline; the value of others is 0.
  func activePlayers(of subject: Int) -> [Int] {
    var isActive = [Bool](repeating: false, count: playerCount)
    for (source, map) in maps.enumerated() {
      let start = subject * map.elementCount
      for (element, player) in zip(0..., map.ids(ofExample: exampleOf[subject])) where player >= 0 {
        if changes[source][start + element] != 0 { isActive[Int(player)] = true }
      }
    }
    return isActive.indices.filter { isActive[$0] }
  }

  /// Contributions c_g of single players, per front [members, count].
  func contributions(
    _ members: [Member], _ run: RunOptions
  ) async throws(CoalitionError) -> [Tensor] {
    if case .own(let own) = squaredContributions {
      return [try await contributions(members, own, run)]
    }
    return try await contributions(members, { $0.player == $1 }, run)
  }

  /// Sums of contributions of those players of each part who belong to it, per front [parts, count].
  func contributions<Part: SubjectPart>(
    _ parts: [Part], _ includes: (Part, Int) -> Bool, _ run: RunOptions
  ) async throws(CoalitionError) -> [Tensor] {
    var tensors: [String: Tensor] = [:]
    for (index, (source, map)) in zip(plan.sources, maps).enumerated() {
      let width = map.elementCount
      var rows = [Double](repeating: 0, count: parts.count * width)
      for (row, part) in parts.enumerated() {
        let start = part.subject * width
        for (element, player) in zip(0..., map.ids(ofExample: exampleOf[part.subject]))
        where player >= 0 && includes(part, Int(player)) {
          rows[row * width + element] = changes[index][start + element]
        }
      }
      tensors[source.name] = try Tensor(
        shape: [parts.count, width], elements: .float64(rows))
    }
    return try await plan.fronts(
      .changes, of: tensors, count: parts.count, held: heldRows(parts), run)
  }

  func heldRows(_ parts: [some SubjectPart]) -> MomentPlan.Held {
    MomentPlan.Held(rows: held, rowOf: parts.map { Int32(exampleOf[$0.subject]) })
  }

  /// Parts in chunks whose contributions take bounded memory.
  /// - Parameter bytes: what a part takes besides.
  func chunks<Part: SubjectPart>(
    of parts: [Part], besides bytes: Int = 0, atMost limit: Int = .max
  ) -> [ArraySlice<Part>] {
    let each = max(plan.contributionByteCount + bytes, 1)
    let size = max(1, min(limit, memory.chunkByteCount / each))
    return stride(from: 0, to: parts.count, by: size).map {
      parts[$0..<min($0 + size, parts.count)]
    }
  }

  /// All players of all subjects that differ from their baselines.
  var activeMembers: [Member] {
    (0..<count).flatMap { subject in
      activePlayers(of: subject).map { Member(subject: subject, player: $0) }
    }
  }
}

/// Some players of a subject.
protocol SubjectPart: Sendable {
  var subject: Int { get }
}
