// Pairs of complements: sizes as often as their law says, none twice in a block by leverage, sums of Walsh functions.

import CoalitionBase
import CoalitionShapley
import Testing

@Suite struct PairDesignTests {
  private static func design(
    _ players: Int, _ law: PairDesign.Law, seed: UInt64 = 4, unknowns: Int? = nil
  ) -> PairDesign {
    PairDesign(
      playerCount: players, law: law, seed: seed, purpose: .init(rawValue: 1003), unknowns: unknowns
    )
  }

  @Test(arguments: [2, 3, 4, 5, 6, 7, 10, 33, 64])
  func `Coalitions come with their complements, and by leverage no pair twice`(players: Int) {
    let design = Self.design(players, .leverage)
    for samples in Set([1, 2, design.blockPairs / 2, design.blockPairs - 1, design.blockPairs])
    where (1...design.blockPairs).contains(samples) {
      for index in 0..<5 {
        var coalitions = Coalitions(playerCount: players)
        let rows = design.draw(SampleBlock(index: index, samples: samples), into: &coalitions)
        #expect(rows.count == samples && coalitions.count == 2 * samples)
        let sets = (0..<coalitions.count).map { coalitions.players(of: $0) }
        #expect(Set(sets).count == sets.count)
        for row in 0..<samples {
          #expect((sets[2 * row] + sets[2 * row + 1]).sorted() == Array(0..<players))
          #expect(rows.sizes[row] == sets[2 * row].count)
          #expect(2 * rows.sizes[row] <= players && rows.sizes[row] > 0)
        }
      }
    }
  }

  @Test func `A block of all pairs holds all pairs`() {
    // 7 pairs of 4 players.
    let design = Self.design(4, .leverage)
    #expect(design.blockPairs == 7)
    #expect(design.expectedCounts(samples: 7) == [4, 3])
    // Sizes alike as long as there are enough pairs: 7 of 8 players, 8 + 28 + 56 + 35 pairs.
    let eight = Self.design(8, .leverage)
    #expect(eight.expectedCounts(samples: 7) == [2, 2, 2, 1])
    let many = eight.expectedCounts(samples: 43)
    #expect(many[0] == 8)
    for (found, share) in zip(many.dropFirst(), [14.0, 14, 7]) {
      #expect(abs(found - share) < 1e-12)
    }
  }

  @Test(arguments: [PairDesign.Law.kernel, .leverage])
  func `Sizes and players come as often as expected`(law: PairDesign.Law) {
    let design = Self.design(9, law)
    for samples in [5, design.blockPairs] {
      let expected = design.expectedCounts(samples: samples)
      #expect(abs(expected.reduce(0, +) - Double(samples)) < 1e-12)
      var counts = [Double](repeating: 0, count: 4)
      var players = [Double](repeating: 0, count: 9)
      let blocks = 4000
      for index in 0..<blocks {
        var coalitions = Coalitions(playerCount: 9)
        let rows = design.draw(SampleBlock(index: index, samples: samples), into: &coalitions)
        for row in 0..<rows.count {
          counts[rows.sizes[row] - 1] += 1
          for player in rows.halves.players(of: row) { players[player] += 1 }
        }
      }
      for (count, mean) in zip(counts, expected) {
        // A size occurs within one of what is expected in each block.
        #expect(abs(count / Double(blocks) - mean) < 4 * 0.5 / Double(blocks).squareRoot())
      }
      let mean = players.reduce(0, +) / 9
      for count in players { #expect(abs(count - mean) < 5 * mean.squareRoot()) }
    }
  }

  @Test func `Blocks grow with the players, and the third order has larger ones`() {
    for (players, pairs) in [(1, 1), (3, 3), (12, 8), (40, 8), (64, 16), (784, 192)] {
      #expect(Self.design(players, .kernel).blockPairs == pairs)
    }
    for (players, unknowns, pairs) in [(8, 64, 8), (14, 378, 16), (16, 576, 32), (20, 1160, 32)] {
      #expect(Self.design(players, .leverage, unknowns: unknowns).blockPairs == pairs)
    }
  }

  @Test func `Walsh sums are sums of products of signs`() {
    let design = Self.design(9, .kernel)
    var coalitions = Coalitions(playerCount: 9)
    let rows = design.draw(SampleBlock(index: 0, samples: 21), into: &coalitions)
    let coefficients = (0..<21).map { Double($0 * $0 % 7) - 2.25 }
    for orders in [[0, 2, 4, 6], [1, 3], [1], [0, 2]] {
      let walsh = WalshSums(playerCount: 9, orders: orders)
      let sums = walsh.sums(rows, coefficients: coefficients)
      var places: Set<Int> = []
      for set in 0..<512 where orders.contains(set.nonzeroBitCount) {
        var expected = 0.0
        for row in 0..<rows.count {
          let absent = (0..<9).filter { set >> $0 & 1 == 1 && !rows.halves[row, $0] }.count
          expected += absent % 2 == 0 ? coefficients[row] : -coefficients[row]
        }
        let place = walsh.place(of: UInt64(set))
        places.insert(place)
        #expect(abs(sums[place] - expected) < 1e-12)
      }
      #expect(places.count == walsh.count && sums.count == walsh.count)
    }
  }
}
