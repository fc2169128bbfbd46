// Interactions of two players against their definitions; sampled ones in the mean, and where they are exact.

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Testing

@Suite struct InteractionTests {
  /// The Shapley interaction index: the mean over orders in which the pair moves as one of its second difference.
  private static func shapleyIndex(_ game: DefinedGame) -> [Double] {
    let players = game.playerCount
    let table = game.tables[0][0]
    var matrix = [Double](repeating: 0, count: players * players)
    for i in 0..<players {
      for j in 0..<players where i != j {
        // The Shapley value of the merged pair, less those of each without the other.
        func value(joined: Int, without: Int) -> Double {
          let rest = (0..<players).filter { (joined | without) >> $0 & 1 == 0 }
          let merged = DefinedGame(playerCount: rest.count + 1) { bits in
            var set = bits & 1 == 1 ? joined : 0
            for (place, player) in rest.enumerated() where bits >> (place + 1) & 1 == 1 {
              set |= 1 << player
            }
            return table[set]
          }
          return DefinedValues(game: merged).shapley[0]
        }
        matrix[i * players + j] =
          value(joined: 1 << i | 1 << j, without: 0) - value(joined: 1 << i, without: 1 << j)
          - value(joined: 1 << j, without: 1 << i)
      }
    }
    return matrix
  }

  /// The best fit of order 2 in the kernel's weights that meets nobody and everybody: main effects and interactions.
  private static func faithful(_ game: DefinedGame) -> (main: [Double], matrix: [Double]) {
    let players = game.playerCount
    let table = game.tables[0][0]
    let terms = (0..<1 << players).filter { $0.nonzeroBitCount <= 2 }
    func features(_ set: Int) -> [Double] { terms.map { set & $0 == $0 ? 1 : 0 } }
    let inner = Array(1..<table.count - 1)
    let weights = inner.map { set -> Double in
      let size = set.nonzeroBitCount
      let binomial = (0..<size).reduce(1.0) { $0 * Double(players - $1) / Double($1 + 1) }
      return 1 / (binomial * Double(size * (players - size)))
    }
    let fit = constrainedFit(
      inner.map(features), inner.map { table[$0] }, weights: weights,
      equations: [0, table.count - 1].map { (features($0), table[$0]) })
    var main = [Double](repeating: 0, count: players)
    var matrix = [Double](repeating: 0, count: players * players)
    for (term, value) in zip(terms, fit) {
      let members = (0..<players).filter { term >> $0 & 1 == 1 }
      if members.count == 1 { main[members[0]] = value }
      if members.count == 2 {
        matrix[members[0] * players + members[1]] = value
        matrix[members[1] * players + members[0]] = value
      }
    }
    return (main, matrix)
  }

  private static func close(_ a: [Double], _ b: [Double], _ bound: Double = 1e-10) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= bound }
  }

  private static func estimate(
    _ scheme: any InteractionScheme, _ game: DefinedGame, samples: Int
  ) async throws -> (values: [Double], matrix: [Double]) {
    let ends = try await game.ends()
    let blocks = scheme.blocks(samples)
    let sums = try await scheme.sums(
      of: blocks, in: game, examples: [0], ends: ends, RunOptions())
    var total = [Double](repeating: 0, count: scheme.sumCount)
    for block in blocks.indices {
      for index in total.indices { total[index] += sums[block * total.count + index] }
    }
    return (
      scheme.values(total, samples: samples, ends: ends[0][0]),
      scheme.interactions(total, samples: samples, ends: ends[0][0])
    )
  }

  private static func game(_ players: Int, seed: UInt64) -> DefinedGame {
    let table = DefinedGame.random(players: max(players, 3), seed: seed).tables[0][0]
    return DefinedGame(playerCount: players) { table[$0] }
  }

  @Test(arguments: [1, 2, 3, 4, 6], InteractionIndex.allCases)
  func `All coalitions give the index by its definition`(
    players: Int, index: InteractionIndex
  ) async throws {
    let game = Self.game(players, seed: 71)
    let scheme = try ExactInteractions(playerCount: players, index: index)
    let limit = try #require(scheme.sampleLimit)
    let (values, matrix) = try await Self.estimate(scheme, game, samples: limit)
    let shapley = DefinedValues(game: game).shapley
    #expect(Self.close(values, shapley))
    let main = index.mainEffects(values: values, interactions: matrix)
    switch index {
    case .sii:
      #expect(Self.close(matrix, Self.shapleyIndex(game)))
      #expect(main == values)
    case .kSII:
      #expect(Self.close(matrix, Self.shapleyIndex(game)))
      // Bord and von Luxburg: each pair's interaction goes to its players by halves, with a minus.
      let expected = (0..<players).map { player in
        shapley[player]
          - (0..<players).reduce(0) { $0 + matrix[player * players + $1] } / 2
      }
      #expect(Self.close(main, expected))
    case .faithSII where players > 1:
      let (singles, pairs) = Self.faithful(game)
      #expect(Self.close(matrix, pairs))
      #expect(Self.close(main, singles))
    case .faithSII: #expect(matrix == [0] && Self.close(main, values))
    }
    if index != .sii {
      let total = main.reduce(0, +) + matrix.reduce(0, +) / 2
      #expect(abs(total - (try await game.ends()[0][0].difference)) < 1e-10)
    }
    let part = try await Self.estimate(scheme, game, samples: limit - 1)
    #expect(players == 1 || part.matrix.contains(where: { $0.isNaN }))
  }

  @Test func `All coalitions of 12 players, over several blocks`() async throws {
    // v(S) = (number of players)^2 and a pair of its own: second differences are 2 and 2 + 5.
    let game = DefinedGame(playerCount: 12) {
      Double($0.nonzeroBitCount * $0.nonzeroBitCount) + ($0 & 0x804 == 0x804 ? 5 : 0)
    }
    for index in InteractionIndex.allCases {
      let scheme = try ExactInteractions(playerCount: 12, index: index)
      #expect(scheme.blockSamples < 1 << 12)
      let (values, matrix) = try await Self.estimate(scheme, game, samples: 1 << 12)
      for i in 0..<12 {
        #expect(abs(values[i] - (i == 2 || i == 11 ? 14.5 : 12)) < 1e-10)
        for j in 0..<12 {
          let expected = i == j ? 0.0 : [i, j].sorted() == [2, 11] ? 7 : 2
          #expect(abs(matrix[12 * i + j] - expected) < 1e-10)
        }
      }
    }
  }

  @Test(arguments: [3, 40])
  func `Sampled Shapley interactions are unbiased`(samples: Int) async throws {
    let game = DefinedGame.random(players: 7, seed: 72)
    let exact = Self.shapleyIndex(game)
    var sums = [Double](repeating: 0, count: 49)
    var squares = sums
    let seeds = 3000
    for seed in 0..<seeds {
      let scheme = SampledInteractions(
        playerCount: 7, index: .sii, seed: UInt64(seed))
      let matrix = try await Self.estimate(scheme, game, samples: samples).matrix
      for place in 0..<49 {
        let error = matrix[place] - exact[place]
        sums[place] += error
        squares[place] += error * error
      }
    }
    let count = Double(seeds)
    for place in 0..<49 where place % 8 != 0 {
      let mean = sums[place] / count
      let error = ((squares[place] / count - mean * mean) / count).squareRoot()
      #expect(abs(mean) < 4.5 * error, "\(place)")
      #expect(error < 0.2)
    }
    #expect((0..<7).allSatisfy { sums[8 * $0] == 0 })
  }

  @Test(arguments: [2, 3, 4])
  func `A block of all pairs is exact for all indices`(players: Int) async throws {
    let game = Self.game(players, seed: 73)
    let all = 1 << (players - 1) - 1
    let shapley = DefinedValues(game: game).shapley
    var schemes: [any InteractionScheme] = try InteractionIndex.allCases.map {
      try interactionScheme(for: $0, playerCount: players, seed: 2)
    }
    schemes.append(SampledInteractions(playerCount: players, index: .sii, seed: 2))
    for scheme in schemes {
      let index = scheme.index
      #expect(scheme.blockSamples == all)
      let (values, matrix) = try await Self.estimate(scheme, game, samples: all)
      #expect(Self.close(values, shapley))
      let expected = index == .faithSII ? Self.faithful(game).matrix : Self.shapleyIndex(game)
      #expect(Self.close(matrix, expected), "\(index)")
    }
  }

  @Test func `Faithful interactions of games of order 3 are exact, of others consistent`()
    async throws
  {
    // The even part of a game of order 3 is of order 2.
    let game = RegressionSchemeTests.game(players: 8, order: 3, seed: 74)
    let scheme = try interactionScheme(for: .faithSII, playerCount: 8, seed: 3)
    let exact = Self.faithful(game)
    let (_, matrix) = try await Self.estimate(scheme, game, samples: 64)
    #expect(Self.close(matrix, exact.matrix, 1e-8))
    let (_, few) = try await Self.estimate(scheme, game, samples: 20)
    #expect(few.contains(where: { $0.isNaN }) && few[0] == 0)

    let rough = DefinedGame.random(players: 8, seed: 75)
    let target = Self.faithful(rough).matrix
    var errors: [Double] = []
    for samples in [120, 16 * 120] {
      var sum = 0.0
      for seed in 0..<20 {
        let scheme = try interactionScheme(for: .faithSII, playerCount: 8, seed: UInt64(seed))
        let found = try await Self.estimate(scheme, rough, samples: samples).matrix
        sum += zip(found, target).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      }
      errors.append(sum.squareRoot())
    }
    #expect(errors[1] < errors[0] / 3.3, "\(errors)")
  }

  @Test func `Shapley interactions adjusted by the fit have much smaller errors, and fall`()
    async throws
  {
    let game = RegressionSchemeTests.game(players: 8, order: 4, seed: 76)
    let exact = Self.shapleyIndex(game)
    func error(_ samples: Int, isAdjusted: Bool) async throws -> Double {
      var sum = 0.0
      for seed in 0..<20 {
        let scheme: any InteractionScheme =
          isAdjusted
          ? try AdjustedInteractions(playerCount: 8, index: .kSII, seed: UInt64(seed))
          : SampledInteractions(playerCount: 8, index: .kSII, seed: UInt64(seed))
        let found = try await Self.estimate(scheme, game, samples: samples).matrix
        sum += zip(found, exact).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      }
      return sum.squareRoot()
    }
    let few = try await error(160, isAdjusted: true)
    #expect(try await error(16 * 160, isAdjusted: true) < few / 3.3)
    let plain = try await error(160, isAdjusted: false)
    #expect(few < plain / 3, "\(few) \(plain)")
    // The even part of a game of order 3 is of order 2: the fit leaves nothing to the weights.
    let smooth = RegressionSchemeTests.game(players: 8, order: 3, seed: 77)
    let scheme = try interactionScheme(for: .sii, playerCount: 8, seed: 3)
    let (_, matrix) = try await Self.estimate(scheme, smooth, samples: 64)
    #expect(Self.close(matrix, Self.shapleyIndex(smooth), 1e-8))
    // Samples that do not suffice for the fit of 28 pairs leave all to the weights.
    let weights = SampledInteractions(playerCount: 8, index: .sii, seed: 3)
    let early = try await Self.estimate(scheme, game, samples: 20).matrix
    let alone = try await Self.estimate(weights, game, samples: 20).matrix
    #expect(Self.close(early, alone, 1e-12) && !early.contains(where: \.isNaN))
  }

  @Test(arguments: InteractionIndex.allCases)
  func `Errors of interactions are true`(index: InteractionIndex) async throws {
    let game = DefinedGame.random(players: 7, seed: 81)
    let exact = index == .faithSII ? Self.faithful(game).matrix : Self.shapleyIndex(game)
    var covered = 0
    var trials = 0
    for seed in 0..<150 {
      var options = ShapleyOptions()
      (options.estimator, options.interactions) = (.leverage, index)
      (options.evaluations, options.seed) = (3000, UInt64(seed))
      let estimate = try await Shapley(game, options).result()
      let quantile = StudentT.quantile975(estimate.replicates[0] - 1)
      for (place, error) in estimate.interactionErrors.enumerated() {
        if place % 8 == 0 {
          #expect(error == 0)
          continue
        }
        trials += 1
        if abs(estimate.interactions[place] - exact[place]) <= quantile * error { covered += 1 }
      }
    }
    let share = Double(covered) / Double(trials)
    #expect((0.93...0.975).contains(share), "\(share)")
  }

  @Test func `Runs sample interactions adjusted by the fit`() async throws {
    // The even part of a game of order 3 is fitted exactly.
    let game = RegressionSchemeTests.game(players: 8, order: 3, seed: 78)
    for index in [InteractionIndex.sii, .kSII] {
      var options = ShapleyOptions()
      (options.estimator, options.interactions, options.samples) = (.leverage, index, 160)
      let estimate = try await Shapley(game, options).result()
      #expect(Self.close(estimate.interactions, Self.shapleyIndex(game), 1e-8))
    }
  }

  @Test func `Too many players for the regression of pairs are refused`() throws {
    #expect(try interactionScheme(for: .faithSII, playerCount: 63, seed: 1).sumCount > 0)
    #expect(throws: CoalitionError.self) {
      try interactionScheme(for: .faithSII, playerCount: 64, seed: 1)
    }
    #expect(try interactionScheme(for: .kSII, playerCount: 200, seed: 1).sumCount > 0)
  }
}
