// Which groups of units go, by their scores: the lowest ones, as many as wanted.

public import CoalitionBase

/// Whether units compete within their layer or across layers.
public enum RemovalScope: String, Sendable, Hashable, CaseIterable {
  /// Layers that are joined, as by additions, compete as one.
  case layer
  case global
}

/// Groups in the order of their scores, and choices among them that leave every layer something.
public struct UnitRanking: Sendable {
  public let coupling: UnitCoupling
  /// Groups that may be removed, lowest scores first; of equal scores the first group.
  public let candidates: [Int]
  /// Per candidate group the mean of its units' scores.
  public let scores: [Int: Double]
  /// Per candidate group the mean of its units' errors, as if they were off together; NaN where they are not known.
  let errors: [Int: Double]
  /// Behind the errors, the fewest of all layers.
  public var degreesOfFreedom = Int.max
  /// After rounding, the number of units of every layer that loses some is a multiple of this one.
  public var multiple = 1
  /// Per layer the first layer that it is joined to.
  private let parts: [Int]

  /// - Parameters:
  ///   - scores: by layer, of those that were scored.
  ///   - errors: of the scores, for `confident`.
  ///   - excluded: layers whose units stay, and what hangs together with them.
  /// - Throws: `shapeMismatch` and `notFinite` for scores that rank nothing.
  public init(
    _ coupling: UnitCoupling, scores: [Int: [Double]], errors: [Int: [Double]] = [:],
    excluded: Set<Int> = []
  ) throws(CoalitionError) {
    for (layer, values) in scores.sorted(by: { $0.key < $1.key }) {
      let name = coupling.layers[layer].name
      guard values.count == coupling.layers[layer].unitCount else {
        throw CoalitionError(
          .shapeMismatch, "there must be one score per unit", node: name,
          expected: "\(coupling.layers[layer].unitCount)", found: "\(values.count)")
      }
      if let unit = values.firstIndex(where: { !$0.isFinite }) {
        throw CoalitionError(
          .notFinite, "the score of unit \(unit) is not finite", node: name,
          found: "\(values[unit])")
      }
    }
    self.coupling = coupling
    var means: [Int: Double] = [:]
    var spreads: [Int: Double] = [:]
    for (index, group) in coupling.groups.enumerated() where group.obstacle == nil {
      if group.units.contains(where: { excluded.contains($0.layer) }) { continue }
      let units = group.units.filter { scores[$0.layer] != nil }
      if units.isEmpty { continue }
      func mean(_ numbers: [Int: [Double]]) -> Double {
        let sum = units.reduce(0) { sum, unit in
          let own = numbers[unit.layer]
          return sum + (own?.count ?? 0 > unit.unit ? own?[unit.unit] ?? .nan : .nan)
        }
        return sum / Double(units.count)
      }
      means[index] = mean(scores)
      spreads[index] = mean(errors)
    }
    self.scores = means
    self.errors = spreads
    candidates = means.keys.sorted { (means[$0] ?? 0, $0) < (means[$1] ?? 0, $1) }
    var parts = Array(coupling.layers.indices)
    for group in coupling.groups {
      let joined = Set(group.units.map { parts[$0.layer] })
      guard joined.count > 1, let first = joined.min() else { continue }
      for layer in parts.indices where joined.contains(parts[layer]) { parts[layer] = first }
    }
    self.parts = parts
  }

  /// The first layer of those that a group's layers are joined to.
  public func part(of group: Int) -> Int {
    coupling.groups[group].units.first.map { parts[$0.layer] } ?? 0
  }

  // MARK: Choosing

  /// The lowest groups, so that a share of them is kept: of n groups floor(n (1 - keep)) go.
  /// - Parameters:
  ///   - progress: the share of the way, for removal in several rounds.
  ///   - before: groups that earlier rounds have removed, by part.
  public func keeping(
    _ keep: Double, scope: RemovalScope, progress: Double = 1, before: [Int: Int] = [:]
  ) -> Set<Int> {
    func count(_ own: [Int], _ gone: Int) -> Int {
      let all = Double(own.count + gone)
      return max(0, Int((all * (1 - keep) * progress + 1e-9).rounded(.down)) - gone)
    }
    switch scope {
    case .global:
      return allowed(candidates, limit: count(candidates, before.values.reduce(0, +)))
    case .layer:
      var chosen: Set<Int> = []
      for part in Set(candidates.map(part)).sorted() {
        let own = candidates.filter { self.part(of: $0) == part }
        chosen.formUnion(own.prefix(count(own, before[part] ?? 0)))
      }
      return allowed(candidates.filter(chosen.contains), limit: chosen.count)
    }
  }

  /// All groups with scores below 0.
  public func negative() -> Set<Int> {
    let own = candidates.filter { scores[$0] ?? 0 < 0 }
    return allowed(own, limit: own.count)
  }

  /// Candidates in the order in which a budget takes them: by score, or by rank within their layer.
  public func order(_ scope: RemovalScope) -> [Int] {
    guard scope == .layer else { return candidates }
    var seen: [Int: Int] = [:]
    let totals = Dictionary(grouping: candidates, by: part).mapValues(\.count)
    let ranks = candidates.map { group -> (rank: Double, group: Int) in
      let part = part(of: group)
      seen[part, default: 0] += 1
      return (Double(seen[part] ?? 0) / Double(totals[part] ?? 1), group)
    }
    return ranks.enumerated().sorted { ($0.1.rank, $0.0) < ($1.1.rank, $1.0) }.map(\.element.group)
  }

  /// Groups in order, up to a limit, without those that would take a layer's last unit; then fewer, until the numbers of
  /// units that are left are multiples.
  public func allowed(_ order: some Sequence<Int>, limit: Int) -> Set<Int> {
    var left = coupling.layers.map(\.unitCount)
    var chosen: [Int] = []
    for group in order where chosen.count < limit {
      let lost = lost(group)
      guard lost.allSatisfy({ left[$0] > $1 }) else { continue }
      for (layer, count) in lost { left[layer] -= count }
      chosen.append(group)
    }
    round(&chosen, &left)
    let result = Set(chosen)
    if coupling.canRemove(result) { return result }
    // Some other axis would lose everything, such as a part of a Split.
    var smaller: Set<Int> = []
    for group in chosen where coupling.canRemove(smaller.union([group])) { smaller.insert(group) }
    return smaller
  }

  private func lost(_ group: Int) -> [Int: Int] {
    Dictionary(grouping: coupling.groups[group].units, by: \.layer).mapValues(\.count)
  }

  private func round(_ chosen: inout [Int], _ left: inout [Int]) {
    guard multiple > 1 else { return }
    for part in Set(chosen.map(part)).sorted() {
      let layers = coupling.layers.indices.filter { parts[$0] == part }
      func fits() -> Bool {
        layers.allSatisfy {
          left[$0] == coupling.layers[$0].unitCount || left[$0] % multiple == 0
        }
      }
      while !fits(), let last = chosen.lastIndex(where: { self.part(of: $0) == part }) {
        for (layer, count) in lost(chosen[last]) { left[layer] += count }
        chosen.remove(at: last)
      }
    }
  }
}
