// Groups of players, as the Owen value has them: every player in exactly one group.

package import CoalitionBase

/// A partition of the players.
package struct PlayerGroups: Sendable, Hashable {
  /// Players of each group in increasing order; groups in the order of their numbers.
  package let members: [[Int]]

  /// One group of everybody: the Owen value is then the Shapley value.
  package init(playerCount: Int) {
    members = [Array(0..<playerCount)]
  }

  /// - Parameter numbers: the group of each player; numbers may have gaps.
  package init(_ numbers: [Int], playerCount: Int) throws(CoalitionError) {
    guard numbers.count == playerCount else {
      throw CoalitionError(
        .shapeMismatch, "groups are given for another number of players",
        expected: "\(playerCount)", found: "\(numbers.count)")
    }
    var members: [Int: [Int]] = [:]
    for (player, number) in numbers.enumerated() { members[number, default: []].append(player) }
    self.members = members.sorted { $0.key < $1.key }.map(\.value)
  }
}
