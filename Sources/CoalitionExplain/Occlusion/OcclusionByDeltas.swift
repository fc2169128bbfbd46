// Occlusion by deltas: one pass with everything present, and behind it what changes without each player.
//
// The lanes of a tile are one example over and over. Players that lie near each other take a turn together, each lane
// without its own one, so that the region of all lanes is that of a patch of players: of a convolutional network a
// small part of its maps, and one turn is as many evaluations as there are lanes. Where that region is most of the
// network, as behind a dense layer, there is nothing to gain, and every player takes a full pass. Counted arithmetic
// decides, so which way it goes depends on the game alone, not on the number of examples.

import CoalitionBase
import CoalitionNet

extension MaskedGame {
  /// Whether deltas serve occlusion.
  enum Removal: Sendable {
    case unknown
    /// Full passes are cheaper, or deltas do not exist.
    case never
    case plan(RemovalPlan)
  }

  /// Players that are removed together, and the program that does so.
  struct RemovalPlan: Sendable {
    let toggles: TogglePlan
    /// Per turn of the program, its players: fewer than lanes at the edges.
    let groups: [[Int]]
  }

  /// Bytes of the steps of all turns: those of a large image take full passes.
  private static let programLimit = 1 << 28

  /// The plan that removes players where that costs less than full passes: nil where it does not.
  func removalPlan() throws(CoalitionError) -> RemovalPlan? {
    switch removals.withLock({ $0 }) {
    case .plan(let plan): return plan
    case .never: return nil
    case .unknown: break
    }
    var result = Removal.never
    do throws(CoalitionError) {
      let lanes = Self.blockLimit
      let groups = players.neighbours(by: lanes)
      // Lanes without a player of their own repeat the first one; nobody reads them.
      let turns = groups.map { group in
        group + [Int](repeating: group[0], count: lanes - group.count)
      }
      let plan = try TogglePlan(
        masked, playerCount: players.playerCount, turns: turns, elements: elements,
        memoryLimit: Self.programLimit)
      let (base, perTurn) = plan.arithmetic
      let deltas = perTurn.reduce(Double(base)) { $0 + Double($1) } * Double(lanes)
      // Full passes may run by minimal filtering, which does a sum in half its time or less; deltas do not.
      if 2 * deltas < Double(base) * Double(players.playerCount) {
        result = .plan(RemovalPlan(toggles: plan, groups: groups))
      }
    } catch  where error.code == .unsupported || error.code == .memoryLimit {
      // Players that differ by example, or too many of them for one program.
    }
    removals.withLock { $0 = result }
    if case .plan(let plan) = result { return plan }
    return nil
  }

  /// Doubles of the results of one call.
  private static let resultLimit = 4 << 20

  /// How far the score falls without each player: [example][target][player].
  func falls(
    by plan: RemovalPlan, _ options: RunOptions
  ) async throws(CoalitionError) -> [[[Double]]] {
    let lanes = Self.blockLimit
    let baselines = subject.baselines
    let tiles = exampleCount * baselines
    // Few tiles are cut by turns, so that all threads have work: each part begins with a pass of its own.
    let threads = try Plan.threads(options.threads)
    let shares = plan.toggles.shares(tiles: tiles, threads: threads, most: .max)
    let toggled = plan.toggles.subject(plan.toggles.subject(subject), dealtInto: shares)
    var options = options
    if shares > 1 { options.lanes = lanes }
    var full = Coalitions(playerCount: players.playerCount)
    full.appendFull()

    let rowCount = plan.groups.count * plan.toggles.elements.count
    let perCall = max(Self.resultLimit / (rowCount * lanes * shares * baselines), 1)
    var falls: [[[Double]]] = []
    for first in stride(from: 0, to: exampleCount, by: perCall) {
      let examples = first..<min(first + perCall, exampleCount)
      var variants = MaskedPlan.Variants()
      var parts: [Int32] = []
      for example in examples {
        for baseline in 0..<baselines {
          for share in 0..<shares {
            for _ in 0..<lanes {
              variants.append(example: example, baseline: baseline, mask: 0)
              parts.append(Int32(share))
            }
          }
        }
      }
      // Every lane is a segment.
      let sums = try await plan.toggles.marginalSums(
        toggled, variants, segments: (0..<variants.count).map(Int32.init), words: full.words,
        shares: parts, segmentCount: variants.count, options)
      let perExample = baselines * shares * lanes * rowCount
      for example in examples {
        let own = (example - first) * perExample
        falls.append(self.falls(sums[own..<own + perExample], plan, shares: shares, example))
      }
    }
    return falls
  }

  /// Of one example [target][player], from [baseline][share][lane][turn][element].
  private func falls(
    _ sums: ArraySlice<Double>, _ plan: RemovalPlan, shares: Int, _ example: Int
  ) -> [[Double]] {
    let elements = plan.toggles.elements
    let places = targets[example].compactMap { elements.firstIndex(of: $0) }
    var result = [[Double]](
      repeating: [Double](repeating: 0, count: players.playerCount), count: places.count)
    for (turn, group) in plan.groups.enumerated() {
      for (lane, player) in group.enumerated() {
        for (target, place) in places.enumerated() {
          var sum = 0.0
          for baseline in 0..<subject.baselines {
            let row = (baseline * shares + turn % shares) * Self.blockLimit + lane
            sum +=
              sums[
                sums.startIndex + (row * plan.groups.count + turn) * elements.count + place]
          }
          result[target][player] =
            subject.baselines == 1 ? sum : sum / Double(subject.baselines)
        }
      }
    }
    guard isDifference else { return result }
    return [zip(result[0], result[1]).map { $0 - $1 }]
  }
}

extension PlayerSet {
  /// All players, in groups of at most `limit` that lie near each other in the first input that has them.
  func neighbours(by limit: Int) -> [[Int]] {
    var points = [[Int]?](repeating: nil, count: playerCount)
    for (input, map) in maps.enumerated() {
      for (element, id) in map.ids.prefix(map.elementCount).enumerated()
      where id >= 0 && points[Int(id)] == nil {
        // The first element is the corner of a patch.
        var point: [Int] = []
        var rest = element
        for size in map.shape.reversed() {
          point.append(rest % size)
          rest /= size
        }
        points[Int(id)] = [input] + point.reversed()
      }
    }
    let axes = points.lazy.compactMap { $0?.count }.max() ?? 0
    let placed = points.map { point in
      (point ?? []) + [Int](repeating: 0, count: axes - (point?.count ?? 0))
    }
    return Self.divided(
      Array(0..<playerCount),
      along: (0..<axes).filter { axis in
        placed.contains { $0[axis] != placed[0][axis] }
      }, placed, by: limit)
  }

  /// Cut along the first axis into slabs of whole coordinates, which are cut along the others.
  private static func divided(
    _ players: [Int], along axes: [Int], _ points: [[Int]], by limit: Int
  ) -> [[Int]] {
    guard let axis = axes.first else { return chunks(players, of: limit) }
    let sorted = players.sorted { (points[$0][axis], $0) < (points[$1][axis], $1) }
    guard axes.count > 1 else { return chunks(sorted, of: limit) }
    let groups = (players.count + limit - 1) / limit
    // As many slabs as each of them will be cut into.
    var slabs = 1
    while axes.reduce(1, { product, _ in product * (slabs + 1) }) <= groups { slabs += 1 }
    let target = (groups + slabs - 1) / slabs * limit
    var result: [[Int]] = []
    var slab: [Int] = []
    var start = 0
    while start < sorted.count {
      let coordinate = points[sorted[start]][axis]
      let end = sorted[start...].firstIndex { points[$0][axis] != coordinate } ?? sorted.count
      if !slab.isEmpty && slab.count + end - start > target {
        result += divided(slab, along: Array(axes.dropFirst()), points, by: limit)
        slab = []
      }
      slab += sorted[start..<end]
      start = end
    }
    return result + divided(slab, along: Array(axes.dropFirst()), points, by: limit)
  }

  private static func chunks(_ players: [Int], of limit: Int) -> [[Int]] {
    stride(from: 0, to: players.count, by: limit).map {
      Array(players[$0..<min($0 + limit, players.count)])
    }
  }
}
