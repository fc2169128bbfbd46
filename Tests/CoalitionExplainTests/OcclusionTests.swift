// Occlusion and RISE against values worked by hand.

import CoalitionBase
import CoalitionNet
import Testing

@testable import CoalitionExplain

@Suite(.serialized) struct OcclusionTests {
  private func occlusion(
    _ plan: Plan, _ x: [Double], baseline: [Double]? = nil
  ) async throws -> [Double] {
    let shape = plan.inputs[0].shape
    let players = try PlayerSet(inputs: [("x", shape)])
    let game = try MaskedGame(
      plan, players: players, inputs: ["x": try Nets.doubles([1] + shape, x)],
      baselines: try baseline.map { ["x": try Nets.doubles(shape, $0)] } ?? [:], targets: [[0]])
    return try await game.occlusion().values[0][0]
  }

  private func windows(
    _ plan: Plan, _ x: [Double], _ windows: OcclusionWindows
  ) async throws -> (attributions: [Double], warnings: [String]) {
    let shape = plan.inputs[0].shape
    let found = try await windows.occlude(
      plan, input: "x", inputs: ["x": try Nets.doubles([1] + shape, x)], targets: [[0]])
    return (found.attributions.doubles, found.warnings)
  }

  @Test("Model A: (1, -1), windows of two (0.5, 0.5), steps of two (value, NaN)")
  func modelA() async throws {
    let plan = try Nets.modelA()
    #expect(try await occlusion(plan, [3, 1]) == [1, -1])
    #expect(try await occlusion(plan, [-10, -5]) == [0, 0])
    let pair = try await windows(plan, [3, 1], .init(window: [2], form: .released))
    #expect(pair.attributions == [0.5, 0.5] && pair.warnings.isEmpty)
    for form in OcclusionWindows.Form.allCases {
      let gaps = try await windows(plan, [3, 1], .init(window: [1], stride: [2], form: form))
      #expect(gaps.attributions[0] == 1 && gaps.attributions[1].isNaN)
      #expect(gaps.warnings.count == 1)
    }
  }

  @Test("Model B: both inputs are occluded, the scores of all outputs together")
  func modelB() async throws {
    let plan = try Nets.modelB()
    let players = try PlayerSet(inputs: plan.inputs.map { ($0.name, $0.shape) })
    let game = try MaskedGame(
      plan, players: players,
      inputs: [
        "x1": try Nets.doubles([1, 2], [-10, -5]), "x2": try Nets.doubles([1, 2], [3, 1]),
      ], targets: [[0, 1, 2, 3]])
    let values = try await game.occlusion().values[0]
    let sums = (0..<4).map { player in values.reduce(0) { $0 + $1[player] } }
    #expect(sums == [0, 0, 6, 2])
    let maps = try players.maps(of: [sums])
    #expect(maps["x1"]?.doubles == [0, 0] && maps["x2"]?.doubles == [6, 2])
  }

  @Test("A linear model: w_i (x_i - b_i); windows give the mean over their elements")
  func linear() async throws {
    let plan = try Nets.linear([2, -1, 0.5, 4], bias: 7)
    #expect(try await occlusion(plan, [1, 2, 4, -1]) == [2, -2, 2, -4])
    #expect(try await occlusion(plan, [1, 2, 4, -1], baseline: [1, 1, 0, 1]) == [0, -1, 2, -8])
    // Windows of three: falls 2 and -4; the middle elements lie in both.
    let released = try await windows(plan, [1, 2, 4, -1], .init(window: [3], form: .released))
    let (a, b) = (2.0 / 3, -4.0 / 3)
    for (found, wanted) in zip(released.attributions, [a, (a + b) / 2, (a + b) / 2, b]) {
      #expect(abs(found - wanted) < 1e-15)
    }
    // Cut ones as well: {2, 3} falls -2 over 2 elements, {3} falls -4.
    let marginal = try await windows(plan, [1, 2, 4, -1], .init(window: [3]))
    let wanted = [a, (a + b) / 2, (a + b - 1) / 3, (b - 1 - 4) / 3]
    for (found, wanted) in zip(marginal.attributions, wanted) {
      #expect(abs(found - wanted) < 1e-15)
    }
  }

  @Test("Features that stand in for each other have no marginal contribution")
  func saturation() async throws {
    #expect(try await occlusion(try Nets.maximum(), [5, 5]) == [0, 0])
    #expect(try await occlusion(try Nets.maximum(), [5, 3]) == [2, 0])
  }

  @Test("Windows without overlap are patches, channels together")
  func patches() async throws {
    let plan = try Nets.convolutional(.double)
    let x = try Nets.rows([2, 2, 6, 7], seed: 5)
    let players = try PlayerSet(
      others: .patch(height: 3, width: 2), inputs: [("x", [2, 6, 7])])
    let targets = [[2], [0]]
    let game = try MaskedGame(plan, players: players, inputs: ["x": x], targets: targets)
    let values = try await game.occlusion().values.map { $0[0] }
    let found = try await OcclusionWindows(window: [3, 2], stride: [3, 2]).occlude(
      plan, input: "x", inputs: ["x": x], targets: targets)
    #expect(found.result.values.map { $0[0] } == values)
    let map = try #require(try players.maps(of: values)["x"])
    for (a, b) in zip(found.attributions.doubles, map.doubles) { #expect(abs(a - b) < 1e-15) }
    let sums = try players.sums(of: ["x": map], examples: 2)
    for (a, b) in zip(sums.joined(), values.joined()) { #expect(abs(a - b) < 1e-14) }
  }

  @Test(
    "By deltas players lose what passes without them lose, for all examples, targets and baselines")
  func deltas() async throws {
    let (height, width) = (18, 20)
    for (precision, limit) in [(Precision.single, 1e-5), (.double, 1e-12)] {
      let plan = try Nets.convolutional(precision, height: height, width: width)
      var x = try Nets.rows([3, 2, height, width], seed: 5).floats
      // Players that equal the baseline, and one that does in one channel.
      for place in 40..<300 { x[place] = 0 }
      let rows = try Tensor(shape: [3, 2, height, width], elements: .float32(x))
      for division in [Players.element, .patch(height: 1, width: 1)] {
        let players = try PlayerSet(others: division, inputs: [("x", [2, height, width])])
        for baseline in [[:], ["x": try Nets.rows([2, 2, height, width], seed: 9)]] {
          for isDifference in [false, true] {
            let game = try MaskedGame(
              plan, players: players, inputs: ["x": rows], baselines: baseline,
              targets: [[0, 2], [1, 0], [2, 1]], isDifference: isDifference)
            #expect(try game.removalPlan() != nil)
            let found = try await game.occlusion()
            let expected = try await game.occlusionByPasses()
            #expect(found.outputs == expected.outputs)
            let scale = expected.outputs.joined().map(abs).max() ?? 1
            for (a, b) in zip(found.values.joined(), expected.values.joined()) {
              #expect(a.count == b.count)
              #expect(zip(a, b).allSatisfy { abs($0 - $1) <= limit * max(scale, 1) })
            }
            if baseline.isEmpty, case .patch = division {
              // Elements 40 ... 299 of channel 0; channel 1 of the first example is there.
              #expect(found.values[0][0].contains { $0 != 0 })
            }
            // Neither the number of threads and lanes nor the examples beside one change a byte.
            for (threads, lanes) in [(1, 16), (2, nil), (3, 64)] as [(Int, Int?)] {
              var options = RunOptions()
              (options.threads, options.lanes) = (threads, lanes)
              #expect(try await game.occlusion(options).values == found.values)
            }
            let alone = try MaskedGame(
              plan, players: players, inputs: ["x": try rows.rows([1])], baselines: baseline,
              targets: [[1, 0]], isDifference: isDifference)
            #expect(try await alone.occlusion().values == [found.values[1]])
          }
        }
      }
    }
  }

  @Test("Players are removed by passes where deltas save nothing or do not exist")
  func passes() async throws {
    let dense = try Nets.linear([Double](repeating: 1, count: 40))
    let players = try PlayerSet(inputs: [("x", [40])])
    let game = try MaskedGame(
      dense, players: players, inputs: ["x": try Nets.rows([1, 40], seed: 1)], targets: [[0]])
    _ = try await game.occlusion()
    let plan = try Nets.convolutional(height: 18, width: 20)
    let map = try Tensor(
      shape: [2, 2, 18, 20], elements: .int32((0..<1440).map { Int32($0 * 7 % 90) }))
    let own = try MaskedGame(
      plan,
      players: try PlayerSet(["x": .map(map)], inputs: [("x", [2, 18, 20])], examples: 2),
      inputs: ["x": try Nets.rows([2, 2, 18, 20], seed: 3)], targets: [[0], [1]])
    #expect(try own.removalPlan() == nil)
    #expect(try await own.occlusion().values == own.occlusionByPasses().values)
  }

  @Test("Neighbours are patches of whole rows, every player once")
  func neighbours() throws {
    let square = try PlayerSet(inputs: [("x", [1, 28, 28])])
    let groups = square.neighbours(by: 16)
    #expect(groups.count == 49)
    #expect(
      groups[8]
        == (4..<8).flatMap { y in (4..<8).map { y * 28 + $0 } }.sorted {
          ($0 % 28, $0) < ($1 % 28, $1)
        })
    let scattered = try Tensor(
      shape: [5, 30, 30], elements: .int32((0..<4500).map { Int32($0 * 11 % 1000) }))
    for players in [
      try PlayerSet(inputs: [("x", [3, 30, 30]), ("t", [7])]),
      try PlayerSet(others: .patch(height: 3, width: 5), inputs: [("x", [3, 30, 31])]),
      try PlayerSet(["x": .map(scattered)], inputs: [("x", [5, 30, 30])]),
      try PlayerSet(inputs: [("x", [1])]),
    ] {
      let groups = players.neighbours(by: 16)
      #expect(groups.allSatisfy { (1...16).contains($0.count) })
      #expect(groups.joined().sorted() == Array(0..<players.playerCount))
    }
  }

  @Test("Windows that do not fit are refused")
  func refusals() {
    func code(_ windows: OcclusionWindows, _ shape: [Int]) -> CoalitionError.Code? {
      do {
        _ = try windows.positions(shape)
        return nil
      } catch { return error.code }
    }
    #expect(code(.init(window: [2, 2]), [4]) == .usage)
    #expect(code(.init(window: []), [4]) == .usage)
    #expect(code(.init(window: [0]), [4]) == .usage)
    #expect(code(.init(window: [2], stride: [0]), [4]) == .usage)
    #expect(code(.init(window: [2], stride: [1, 1]), [4]) == .usage)
    #expect(code(.init(window: [5], form: .released), [4]) == .usage)
    #expect(code(.init(window: [.max], stride: [.max]), [4]) == nil)
  }

  // MARK: RISE

  @Test("Masks of RISE are enlarged grids, cut out at an offset")
  func masks() {
    let rise = RISE(cells: 2, seed: 4)
    var seen = Set<[Float]>()
    for index in 0..<200 {
      let mask = rise.mask(index, [4])
      seen.insert(mask.map { ($0 * 300).rounded() / 300 })
      #expect(mask == rise.mask(index, [4]))
    }
    // Two cells of two positions, enlarged to six: shares of the second cell 0 0 1/3 2/3, or from the offset of one
    // position 0 1/3 2/3 1.
    let third = Float(100) / 300, two = Float(200) / 300
    #expect(
      seen == [
        [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, third, two], [1, 1, two, third],
        [0, third, two, 1], [1, two, third, 0],
      ])
    let sum = (0..<2000).reduce(0.0) { sum, index in
      sum + Double(RISE(cells: 3, probability: 0.3, seed: 1).mask(index, [5, 6]).reduce(0, +)) / 30
    }
    #expect(abs(sum / 2000 - 0.3) < 0.02)
  }

  @Test("RISE is the mean of masks weighted by scores")
  func rise() async throws {
    let weights = (0..<12).map { Double($0) - 4 }
    let plan = try Nets.linear(weights, bias: 0.5, shape: [2, 2, 3])
    let x = try Nets.rows([2, 2, 2, 3], seed: 8)
    let baseline = try Nets.rows([2, 2, 3], seed: 2)
    let rise = RISE(masks: 50, cells: 2, seed: 6)
    let found = try await rise.explain(
      plan, input: "x", inputs: ["x": x], baselines: ["x": baseline], targets: [[0], [0]])
    let numbers = x.doubles, other = baseline.doubles
    for example in 0..<2 {
      var wanted = [Double](repeating: 0, count: 6)
      for index in 0..<50 {
        let mask = rise.mask(index, [2, 3]).map { Double($0) }
        var score = 0.5
        for element in 0..<12 {
          let m = mask[element % 6]
          score +=
            weights[element] * (numbers[example * 12 + element] * m + other[element] * (1 - m))
        }
        for position in 0..<6 { wanted[position] += score * mask[position] / (50 * 0.5) }
      }
      for element in 0..<12 {
        let value = found.attributions.doubles[example * 12 + element]
        #expect(abs(value - wanted[element % 6]) < 1e-6)
      }
    }
    #expect(found.attributions.shape == [2, 1, 2, 2, 3])
    #expect(found.standardErrors.doubles.allSatisfy { $0 > 0 })
    var single = RunOptions()
    single.threads = 1
    let again = try await rise.explain(
      plan, input: "x", inputs: ["x": x], baselines: ["x": baseline], targets: [[0], [0]], single)
    #expect(again.attributions == found.attributions)
    let whole = try await RISE(masks: 2, cells: 2, probability: 1).explain(
      plan, input: "x", inputs: ["x": x], targets: [[0], [0]])
    #expect(whole.standardErrors.doubles.allSatisfy { $0 == 0 })
  }
}
