// Owen values without error (Owen, Values of games with a priori unions, 1977).
//
//     phi_i = sum over H of other groups than i's, T of i's group without i:
//             w(|H|; groups) w(|T|; members of the group) (v(H and T with i) - v(H and T)),   w = 1 / (n C(n - 1, s)).
//
// Only coalitions count in which at most one group is there in part. They are numbered: first the 2^m unions of whole
// groups, then for each group of two players or more, for each union H of the others, the parts T of it, neither
// empty nor whole. So 64 players in 8 groups of 8 take 260,352 coalitions. A block is 1,024 of them that follow each
// other.

package import CoalitionBase

/// Samples are the coalitions that count, in the order of their numbers.
package struct ExactOwenScheme: CoalitionScheme {
  package let playerCount: Int
  private let groups: PlayerGroups
  /// Coalitions with a part of a group, by group.
  private let partial: [PartialGroup]
  private let coalitionCount: Int
  private let groupWeights: SizeWeights

  package static let maxCoalitions = 1 << ExactScheme.maxPlayers

  private struct PartialGroup {
    let group: Int
    let members: [Int]
    let weights: SizeWeights
    /// The number of its first coalition.
    let first: Int

    /// Parts that are neither empty nor whole.
    var parts: Int { 1 << members.count - 2 }
  }

  /// A coalition: whole groups by bits, and a part of another one.
  private struct Place {
    var whole: Int
    var part: Int
    var partial: PartialGroup?
  }

  package init(playerCount: Int, groups: PlayerGroups) throws(CoalitionError) {
    self.playerCount = playerCount
    self.groups = groups
    let count = groups.members.count
    let largest = groups.members.map(\.count).max() ?? 1
    var coalitions = 1.0
    for _ in 0..<count { coalitions *= 2 }
    for members in groups.members where count <= 31 && members.count <= 31 {
      coalitions += Double(1 << (count - 1)) * Double(1 << members.count - 2)
    }
    guard count <= 31, largest <= 31, coalitions <= Double(Self.maxCoalitions) else {
      throw CoalitionError(
        .limitExceeded,
        "the groups have too many coalitions to take them all; choose the estimator permutation",
        expected: "at most \(Self.maxCoalitions) coalitions",
        found: "\(count) groups, the largest of \(largest) players")
    }
    var partial: [PartialGroup] = []
    var first = 1 << count
    for (group, members) in groups.members.enumerated() where members.count > 1 {
      let own = PartialGroup(
        group: group, members: members, weights: .shapley(players: members.count), first: first)
      partial.append(own)
      first += own.parts << (count - 1)
    }
    self.partial = partial
    coalitionCount = first
    groupWeights = .shapley(players: count)
  }

  package var blockSamples: Int { min(coalitionCount, 1024) }
  package var sampleLimit: Int? { coalitionCount }
  package var sumCount: Int { playerCount }
  package func evaluations(samples: Int) -> Int { samples }

  private func place(_ number: Int) -> Place {
    guard let own = partial.last(where: { $0.first <= number }) else {
      return Place(whole: number, part: 0, partial: nil)
    }
    let (others, part) = (number - own.first).quotientAndRemainder(dividingBy: own.parts)
    // The bits of the other groups, with a 0 put in for this one.
    let below = others & (1 << own.group - 1)
    return Place(whole: (others - below) << 1 | below, part: part + 1, partial: own)
  }

  /// Returns the number of the block's first coalition.
  package func draw(_ block: SampleBlock, into coalitions: inout Coalitions) -> Int {
    let first = block.index * blockSamples
    for number in first..<first + block.samples {
      let place = place(number)
      let row = coalitions.appendEmpty()
      for (group, members) in groups.members.enumerated() where place.whole >> group & 1 == 1 {
        for player in members { coalitions[row, player] = true }
      }
      guard let own = place.partial else { continue }
      for (index, player) in own.members.enumerated() where place.part >> index & 1 == 1 {
        coalitions[row, player] = true
      }
    }
    return first
  }

  package func add(
    _ draw: Int, values: [Double], ends: GameEnds, to sums: inout ArraySlice<Double>
  ) {
    let base = sums.startIndex
    // What whole groups gain; their members share it equally, for each is as often the last of them as the first.
    var gains = [Double](repeating: 0, count: groups.members.count)
    for (index, value) in values.enumerated() {
      let place = place(draw + index)
      let gain = value - ends.empty
      let size = place.whole.nonzeroBitCount
      guard let own = place.partial else {
        let inside = groupWeights.inside(size) * gain
        let outside = groupWeights.outside(size) * gain
        for group in gains.indices {
          gains[group] += place.whole >> group & 1 == 1 ? inside : -outside
        }
        continue
      }
      let weight = groupWeights.joining[size] * gain
      let inside = own.weights.inside(place.part.nonzeroBitCount) * weight
      let outside = own.weights.outside(place.part.nonzeroBitCount) * weight
      for (index, player) in own.members.enumerated() {
        sums[base + player] += place.part >> index & 1 == 1 ? inside : -outside
      }
    }
    for (members, gain) in zip(groups.members, gains) {
      for player in members { sums[base + player] += gain / Double(members.count) }
    }
  }

  package func values(_ sums: [Double], samples: Int, ends: GameEnds) -> [Double] {
    samples == coalitionCount ? sums : Array(repeating: .nan, count: playerCount)
  }
}
