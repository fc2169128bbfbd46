// Sets of players and the random numbers that draw them.

import Testing

@testable import CoalitionBase

@Suite struct CoalitionsTests {
  @Test("Philox4x32-10 gives the known answers of its authors")
  func knownAnswers() {
    #expect(
      CounterRandom.philox(counter: (0, 0, 0, 0), key: (0, 0))
        == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    #expect(
      CounterRandom.philox(
        counter: (0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff),
        key: (0xffff_ffff, 0xffff_ffff))
        == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    #expect(
      CounterRandom.philox(
        counter: (0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
        key: (0xa409_3822, 0x299f_31d0))
        == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test("Streams of different seeds, purposes and samples differ; the same one repeats")
  func streams() {
    func first(_ seed: UInt64, _ purpose: UInt32, _ index: UInt64) -> [UInt64] {
      var random = CounterRandom(seed: seed, purpose: .init(rawValue: purpose), index: index)
      return (0..<5).map { _ in random.next() }
    }
    let streams = [
      first(0, 0, 0), first(1, 0, 0), first(1 << 32, 0, 0), first(0, 1, 0), first(0, 0, 1),
      first(0, 0, 1 << 32),
    ]
    #expect(Set(streams.flatMap { $0 }).count == 30)
    #expect(first(1, 0, 0) == streams[1])
  }

  @Test("Uniform, bounded and normal numbers have the moments that they should have")
  func moments() {
    var random = CounterRandom(seed: 3, purpose: .init(rawValue: 9), index: 0)
    let count = 200_000
    let uniform = (0..<count).map { _ in random.uniform() }
    #expect(uniform.allSatisfy { $0 >= 0 && $0 < 1 })
    // Standard error of the mean: 0.29 / sqrt(200000) = 0.00065.
    #expect(abs(uniform.reduce(0, +) / Double(count) - 0.5) < 0.003)
    let normal = (0..<count).map { _ in random.normal() }
    #expect(abs(normal.reduce(0, +) / Double(count)) < 0.01)
    #expect(abs(normal.reduce(0) { $0 + $1 * $1 } / Double(count) - 1) < 0.02)
    var hits = [Int](repeating: 0, count: 7)
    for _ in 0..<70_000 { hits[random.below(7)] += 1 }
    // Six standard deviations of a binomial count of mean 10000.
    #expect(hits.allSatisfy { abs($0 - 10_000) < 560 })
  }

  @Test("Bits past the last player stay empty", arguments: [1, 31, 32, 33, 64, 100])
  func bits(players: Int) {
    var list = Coalitions(playerCount: players)
    list.appendFull()
    list.append([0, players - 1])
    #expect(list.size(of: 0) == players)
    #expect(list.players(of: 1) == Array(Set([0, players - 1])).sorted())
    let turned = list.complemented()
    #expect(turned.size(of: 0) == 0)
    #expect(turned.size(of: 1) == players - list.size(of: 1))
    #expect(turned.complemented() == list)
  }

  @Test("Random coalitions of a size are all equally likely, small and large ones")
  func randomCoalitions() {
    for size in [0, 1, 2, 3, 5] {
      var list = Coalitions(playerCount: 5)
      let draws = 20_000
      for draw in 0..<draws {
        var random = CounterRandom(seed: 5, purpose: .init(rawValue: 1), index: UInt64(draw))
        list.appendRandom(size: size, using: &random)
      }
      #expect((0..<draws).allSatisfy { list.size(of: $0) == size })
      let hits = list.words.reduce(into: [UInt32: Int]()) { $0[$1, default: 0] += 1 }
      let choices = [1, 5, 10, 10, 5, 1][size]
      #expect(hits.count == choices)
      let mean = Double(draws) / Double(choices)
      #expect(hits.values.allSatisfy { abs(Double($0) - mean) < 6 * mean.squareRoot() + 1 })
    }
  }
}
