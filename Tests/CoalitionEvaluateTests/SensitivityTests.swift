// Sensitivity-n on games whose answer is known, its subsets, and intervals over examples.

import CoalitionBase
import Testing

@testable import CoalitionEvaluate

@Suite struct SensitivityTests {
  @Test("Sizes are spaced in equal ratios from 1 to 80 % of the players")
  func sizes() {
    #expect(SensitivitySubsets.logarithmicSizes(playerCount: 1) == [1])
    #expect(SensitivitySubsets.logarithmicSizes(playerCount: 10) == [1, 2, 3, 4, 5, 6, 7, 8])
    let many = SensitivitySubsets.logarithmicSizes(playerCount: 784)
    #expect(many.first == 1 && many.last == 627)
    // 627^(k / 15) for k = 0, 1, 2, 3, 4: 1, 1.54, 2.36, 3.63, 5.57.
    #expect(Array(many.prefix(5)) == [1, 2, 4, 6, 9])
    #expect(many == many.sorted() && Set(many).count == many.count)
  }

  @Test("An additive game has correlation 1 for every n below P, and none at P")
  func additive() throws {
    let attributions = [0.5, -1.25, 3, 0.125, 2, -0.75]
    let subsets = try SensitivitySubsets(playerCount: 6, sizes: Array(1...6), count: 40, seed: 4)
    let drops = (0..<subsets.removed.count).map { row in
      subsets.removed.players(of: row).reduce(0) { $0 + attributions[$1] }
    }
    let exact = subsets.correlations(attributions: attributions, drops: drops)
    #expect(exact.dropLast().allSatisfy { abs($0 - 1) < 1e-12 })
    #expect(exact[5].isNaN)
    let opposite = subsets.correlations(attributions: attributions.map { -3 * $0 }, drops: drops)
    #expect(opposite.dropLast().allSatisfy { abs($0 + 1) < 1e-12 })
    let constant = subsets.correlations(
      attributions: [Double](repeating: 0.1, count: 6), drops: drops)
    #expect(constant.allSatisfy { $0.isNaN })
  }

  @Test("Subsets depend on seed, size and number alone, and have their size")
  func subsets() throws {
    let few = try SensitivitySubsets(playerCount: 50, sizes: [3, 20], count: 5, seed: 9)
    let many = try SensitivitySubsets(playerCount: 50, sizes: [20, 3, 3], count: 8, seed: 9)
    for subset in 0..<5 {
      #expect(few.removed.players(of: subset) == many.removed.players(of: subset))
      #expect(few.removed.players(of: 5 + subset) == many.removed.players(of: 8 + subset))
      #expect(few.removed.size(of: 5 + subset) == 20)
    }
    let other = try SensitivitySubsets(playerCount: 50, sizes: [3, 20], count: 5, seed: 10)
    #expect(other != few)
    #expect(throws: CoalitionError.self) { try SensitivitySubsets(playerCount: 5, sizes: [6]) }
    #expect(throws: CoalitionError.self) { try SensitivitySubsets(playerCount: 5, sizes: [0]) }
    #expect(throws: CoalitionError.self) { try SensitivitySubsets(playerCount: 5, count: 1) }
  }

  @Test("Means leave out what is not defined; methods are compared example by example")
  func means() throws {
    let perExample = [
      [[0.5, .nan], [0.7, .nan], [.nan, 0.25]], [[0.25, 0.5], [0.5, 0.5], [0.5, 0.5]],
    ]
    let result = try SensitivityResult(
      sizes: [1, 2], perExample: perExample, bootstrap: Bootstrap(resamples: 200))
    #expect(abs(result.means[0][0].mean - 0.6) < 1e-15)
    #expect(result.means[0][0].count == 2)
    #expect(result.means[0][1].mean == 0.25)
    #expect(result.means[0][1].low.isNaN)
    let difference = try result.difference(0, 1)
    // 0.25 and 0.2.
    #expect(abs(difference[0].mean - 0.225) < 1e-15)
    #expect(difference[0].count == 2)
    #expect(difference[0].low >= 0.2 - 1e-12 && difference[0].high <= 0.25 + 1e-12)
    #expect(throws: CoalitionError.self) { try result.difference(0, 2) }
  }

  @Test("Intervals repeat with their seed and cover the mean as often as they say")
  func bootstrap() throws {
    var covered = 0
    let trials = 300
    for trial in 0..<trials {
      var random = CounterRandom(seed: 1, purpose: .init(rawValue: 77), index: UInt64(trial))
      let numbers = (0..<40).map { _ in random.normal() + 3 }
      let estimate = try Bootstrap(resamples: 400, seed: UInt64(trial)).mean(numbers)
      if estimate.low <= 3 && 3 <= estimate.high { covered += 1 }
      if trial == 0 {
        let again = try Bootstrap(resamples: 400, seed: 0).mean(numbers)
        #expect(again == estimate)
        #expect(try Bootstrap(resamples: 400, seed: 1).mean(numbers) != estimate)
      }
    }
    // 95 % nominal; the percentile form covers a little less at 40 examples.
    #expect(covered > 265 && covered < 298, "\(covered) of \(trials)")
    #expect(Bootstrap.percentile([1, 2, 4], 0.25) == 1.5)
    #expect(Bootstrap.percentile([1, 2, 4], 1) == 4)
    #expect(throws: CoalitionError.self) { try Bootstrap(confidence: 1).mean([1, 2]) }
  }
}
