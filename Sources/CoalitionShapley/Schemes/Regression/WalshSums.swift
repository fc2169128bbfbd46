// Sums of Walsh functions over rows of signs: for each set V of some players, sum over rows of c_row * z_V(row), where
// z_V is the product of t_i over V, t_i = +1 for players of the row's coalition and -1 for the others.
//
// Products of such functions are such functions, z_T z_U = z_V for V the players in one of T and U alone, so these sums
// are the matrices and right sides of regressions on players and interactions. Sets of one order are kept in the
// colexicographic order, in which {v1 < v2 < ... < vm} has rank C(v1, 1) + C(v2, 2) + ... + C(vm, m). Eight rows
// are added at a time, by one fixed tree.

/// The sets of some orders, and sums over them.
package struct WalshSums: Sendable {
  package let playerCount: Int
  /// The orders of the sets, as they follow each other.
  package let orders: [Int]
  /// Sums of all orders.
  package let count: Int
  /// Where each order begins, at the index of the order.
  private let offsets: [Int]
  /// C(v, m) at [m][v].
  private let binomials: [[Int]]

  package init(playerCount: Int, orders: [Int]) {
    self.playerCount = playerCount
    self.orders = orders
    let last = orders.max() ?? 0
    var binomials = [[Int](repeating: 1, count: playerCount + 1)]
    for order in stride(from: 1, through: last, by: 1) {
      var row = [0]
      for player in 0..<playerCount { row.append(row[player] + binomials[order - 1][player]) }
      binomials.append(row)
    }
    self.binomials = binomials
    var offsets = [Int](repeating: 0, count: last + 1)
    var count = 0
    for order in orders {
      offsets[order] = count
      count += binomials[order][playerCount]
    }
    self.offsets = offsets
    self.count = count
  }

  /// The place of a set given as bits; its order is one of `orders`.
  package func place(of bits: UInt64) -> Int {
    var place = offsets[bits.nonzeroBitCount]
    var rest = bits
    var order = 1
    while rest != 0 {
      place += binomials[order][rest.trailingZeroBitCount]
      rest &= rest - 1
      order += 1
    }
    return place
  }

  /// The place of the set of two players, `low` < `high`.
  func place(_ low: Int, _ high: Int) -> Int { offsets[2] + binomials[2][high] + low }

  /// The place of the empty set, or of the first set of another order.
  func start(order: Int) -> Int { offsets[order] }

  // MARK: Adding

  /// The sums over rows, with a coefficient per row.
  package func sums(_ rows: PairRows, coefficients: [Double]) -> [Double] {
    var sums = [Double](repeating: 0, count: count)
    var signs = [SIMD8<Double>](repeating: .zero, count: playerCount)
    for first in stride(from: 0, to: rows.count, by: Self.lanes) {
      var coefficient = SIMD8<Double>.zero
      for player in 0..<playerCount { signs[player] = SIMD8(repeating: -1) }
      for lane in 0..<min(Self.lanes, rows.count - first) {
        coefficient[lane] = coefficients[first + lane]
        rows.forEachPlayer(first + lane) { signs[$0][lane] = 1 }
      }
      for order in orders {
        if order == 0 {
          sums[offsets[0]] += coefficient.sum()
        } else {
          add(order, below: playerCount, coefficient, at: offsets[order], signs, to: &sums)
        }
      }
    }
    return sums
  }

  private static let lanes = 8

  /// Adds the products of `order` of the players 0 ..< `bound`.
  private func add(
    _ order: Int, below bound: Int, _ coefficient: SIMD8<Double>, at place: Int,
    _ signs: [SIMD8<Double>], to sums: inout [Double]
  ) {
    guard order > 1 else {
      for player in 0..<bound { sums[place + player] += (coefficient * signs[player]).sum() }
      return
    }
    // The largest player of the set first.
    for player in stride(from: order - 1, to: bound, by: 1) {
      add(
        order - 1, below: player, coefficient * signs[player],
        at: place + binomials[order][player], signs, to: &sums)
    }
  }
}
