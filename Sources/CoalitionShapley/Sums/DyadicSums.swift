// Sums that do not depend on who added what, and when.
//
// The rows of numbers of positions 0, 1, 2, ... are added by one binary tree over positions, in double. What has been
// added is kept as the tree's complete subtrees: a logarithmic number of them, whatever the number of positions. Parts
// of the positions, added apart and merged, have the very subtrees that one pass has, so their total is the same
// to the last bit.

/// Sums of equally long rows of numbers over positions.
package struct DyadicSums: Sendable, Hashable {
  /// The sum over positions index << level ..< (index + 1) << level.
  package struct Node: Sendable, Hashable {
    package let level: Int
    package let index: Int
    package let sum: [Double]

    package init(level: Int, index: Int, sum: [Double]) {
      self.level = level
      self.index = index
      self.sum = sum
    }

    var positions: Range<Int> { index << level..<(index + 1) << level }
  }

  /// In the order of their positions, as large as the tree allows.
  package private(set) var nodes: [Node] = []

  package init() {}

  /// From the nodes of another; nil when they overlap.
  package init?(_ nodes: [Node]) {
    for node in nodes.sorted(by: { $0.index << $0.level < $1.index << $1.level }) {
      if let last = self.nodes.last, last.positions.upperBound > node.positions.lowerBound {
        return nil
      }
      append(node)
    }
  }

  package var isEmpty: Bool { nodes.isEmpty }

  /// Whether positions 0 ..< count are all there, and no others.
  package func covers(_ count: Int) -> Bool {
    var next = 0
    for node in nodes {
      guard node.positions.lowerBound == next else { return false }
      next = node.positions.upperBound
    }
    return next == count
  }

  /// Adds the next position; positions come in order.
  package mutating func append(_ sum: [Double], at position: Int) {
    append(Node(level: 0, index: position, sum: sum))
  }

  private mutating func append(_ node: Node) {
    var node = node
    while let last = nodes.last, last.level == node.level, node.index & 1 == 1,
      last.index == node.index - 1
    {
      nodes.removeLast()
      node = Node(
        level: node.level + 1, index: node.index >> 1, sum: Self.added(last.sum, node.sum))
    }
    nodes.append(node)
  }

  /// The sum over all positions: nil when there are none.
  package var total: [Double]? {
    guard var total = nodes.last?.sum else { return nil }
    for node in nodes.dropLast().reversed() { total = Self.added(node.sum, total) }
    return total
  }

  private static func added(_ left: [Double], _ right: [Double]) -> [Double] {
    var sum = left
    for index in sum.indices { sum[index] += right[index] }
    return sum
  }
}
