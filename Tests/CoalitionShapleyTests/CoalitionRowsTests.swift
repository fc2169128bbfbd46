// Coalitions that are added many at a time are those that are added a player at a time.

import CoalitionBase
import Testing

@Suite struct CoalitionRowsTests {
  @Test(arguments: [1, 2, 31, 32, 33, 64, 100])
  func `Prefixes grow along the order`(players: Int) {
    var random = CounterRandom(seed: 1, purpose: .init(rawValue: 1003), index: 0)
    var order = Array(0..<players)
    random.shuffle(&order)
    #expect(order.sorted() == Array(0..<players))
    var fast = Coalitions(playerCount: players)
    fast.appendPrefixes(of: order[...])
    var slow = Coalitions(playerCount: players)
    for length in 1..<max(players, 1) { slow.append(order.prefix(length)) }
    #expect(fast == slow)
  }

  @Test(arguments: [(2, 1), (7, 3), (33, 32), (40, 5), (64, 31), (100, 50)])
  func `Windows follow the circle`(players: Int, size: Int) {
    var random = CounterRandom(seed: 2, purpose: .init(rawValue: 1003), index: 0)
    var circle = Array(0..<players)
    random.shuffle(&circle)
    for windows in [1, players / 2, players - 1, players] {
      var fast = Coalitions(playerCount: players)
      fast.appendWindows(of: circle, size: size, windows: windows)
      var slow = Coalitions(playerCount: players)
      for window in 0..<windows {
        let start = window * players / windows
        slow.append((start..<start + size).map { circle[$0 % players] })
      }
      #expect(fast == slow)
    }
  }

  @Test(arguments: [1, 31, 32, 33, 64, 100])
  func `Complements, differences and random coalitions keep the unused bits empty`(players: Int) {
    var random = CounterRandom(seed: 3, purpose: .init(rawValue: 1003), index: 0)
    var list = Coalitions(playerCount: players)
    list.appendRandom(using: &random)
    list.appendRandom(probability: 0.7, using: &random)
    list.appendComplement(of: 0)
    var other = Coalitions(playerCount: players)
    other.appendSymmetricDifference(of: list, rows: [0, 2, 1])
    other.appendSymmetricDifference(of: list, rows: [])
    for player in 0..<players {
      #expect(list[2, player] == !list[0, player])
      #expect(other[0, player] == !list[1, player])
    }
    #expect(other.size(of: 1) == 0)
    #expect(list.size(of: 0) + list.size(of: 2) == players)
    var sums = [Double](repeating: 1, count: players + 1)
    list.add(2.5, toPlayersOf: 1, in: &sums[1...])
    #expect(sums[0] == 1)
    #expect((0..<players).allSatisfy { sums[$0 + 1] == (list[1, $0] ? 3.5 : 1) })
  }

  @Test func `Players are present with their probability, independently`() {
    var list = Coalitions(playerCount: 35)
    for draw in 0..<4000 {
      var random = CounterRandom(seed: 4, purpose: .init(rawValue: 1003), index: UInt64(draw))
      list.appendRandom(probability: 0.3, using: &random)
    }
    // Six standard deviations of binomial counts.
    for player in [0, 31, 32, 34] {
      let hits = (0..<4000).count { list[$0, player] }
      #expect(abs(Double(hits) - 1200) < 6 * 29)
    }
    let both = (0..<4000).count { list[$0, 3] && list[$0, 33] }
    #expect(abs(Double(both) - 360) < 6 * 18.1)
  }
}
