// Masked passes against plain passes of inputs that are masked here.

import CoalitionBase
import CoalitionNet
import Testing

@testable import CoalitionExplain

@Suite(.serialized) struct MaskedGameTests {
  /// What a game should give: a plain run of inputs masked on the host, averaged over baselines.
  private func expected(
    _ plan: Plan, _ players: PlayerSet, inputs: [String: Tensor], baselines: [String: Tensor],
    baselineCount: Int, _ coalitions: Coalitions, targets: [[Int]]
  ) async throws -> [Double] {
    var rows: [String: [Double]] = [:]
    var count = 0
    for example in targets.indices {
      for coalition in 0..<coalitions.count {
        for baseline in 0..<baselineCount {
          for (name, map) in zip(players.names, players.maps) {
            let width = map.elementCount
            let x = inputs[name]?.doubles ?? []
            let b = baselines[name]?.doubles ?? [Double](repeating: 0, count: width)
            let row = b.count == width ? 0 : baseline
            for (element, id) in zip(0..., map.ids(ofExample: example)) {
              let isPresent = id < 0 || coalitions[coalition, Int(id)]
              rows[name, default: []].append(
                isPresent ? x[example * width + element] : b[row * width + element])
            }
          }
          count += 1
        }
      }
    }
    var tensors: [String: Tensor] = [:]
    for (name, map) in zip(players.names, players.maps) {
      tensors[name] = try Tensor(
        shape: [count] + map.shape, elements: .float64(rows[name] ?? []))
    }
    let outputs = try await plan.run(tensors)
    let output = try #require(outputs[plan.outputs[0].name]).doubles
    let width = plan.outputs[0].count
    var values: [Double] = []
    for start in stride(from: 0, to: count, by: baselineCount) {
      for target in targets[start / baselineCount / coalitions.count] {
        let sum = (start..<start + baselineCount).reduce(0.0) { $0 + output[$1 * width + target] }
        values.append(baselineCount == 1 ? sum : sum / Double(baselineCount))
      }
    }
    return values
  }

  private func randomCoalitions(_ players: Int, _ count: Int) -> Coalitions {
    var list = Coalitions(playerCount: players)
    list.appendEmpty()
    list.appendFull()
    for index in 2..<count {
      var random = CounterRandom(seed: 2, purpose: .init(rawValue: 1002), index: UInt64(index))
      list.appendRandom(size: random.below(players + 1), using: &random)
    }
    return list
  }

  @Test("Players whose elements are those of every baseline are known")
  func nullPlayers() throws {
    let plan = try Nets.convolutional()
    // Columns are players. Example 0 has zeros in columns 2 and 3, and -0, which is not the same, in column 4.
    var numbers = try Nets.rows([2, 2, 6, 7], seed: 1).doubles
    for row in 0..<12 {
      for column in [2, 3, 4] { numbers[row * 7 + column] = column == 4 ? -0.0 : 0 }
    }
    let x = try Tensor(shape: [2, 2, 6, 7], elements: .float64(numbers))
    let columns = (0..<84).map { Int32($0 % 7) }
    func nulls(_ ids: [Int32], _ shape: [Int], _ baseline: Tensor?) throws -> [[Int]] {
      let players = try PlayerSet(
        ["x": .map(try Tensor(shape: shape, elements: .int32(ids)))], inputs: [("x", [2, 6, 7])],
        examples: 2)
      let game = try MaskedGame(
        plan, players: players, inputs: ["x": x], baselines: baseline.map { ["x": $0] } ?? [:],
        targets: [[0], [0]])
      return (0..<2).map { game.nullPlayers(ofExample: $0) }
    }
    #expect(try nulls(columns, [2, 6, 7], nil) == [[2, 3], []])
    // The second example's own numbers are its baseline, or one of two.
    let own = try Tensor(shape: [1, 2, 6, 7], elements: .float64(Array(numbers[84...])))
    #expect(try nulls(columns, [2, 6, 7], own) == [[], [0, 1, 2, 3, 4, 5, 6]])
    let zeros = [Double](repeating: 0, count: 84)
    let both = try Tensor(
      shape: [2, 2, 6, 7], elements: .float64(Array(numbers[84...]) + zeros))
    #expect(try nulls(columns, [2, 6, 7], both) == [[], []])
    // Maps that differ by example, with elements that are nobody's.
    let shifted = (0..<84).map { Int32(($0 + 1) % 7) - 1 }
    let low = columns.map { max($0 - 1, -1) }
    #expect(try nulls(low + shifted, [2, 2, 6, 7], nil) == [[1, 2], []])
  }

  @Test(
    "Coalitions of a convolutional network have the bytes of plain passes over masked inputs",
    arguments: [
      Players.element, .patch(height: 2, width: 3), .channel, .axis(-1), .tokens,
    ])
  func plainPasses(division: Players) async throws {
    let plan = try Nets.convolutional()
    let x = try Nets.rows([3, 2, 6, 7], seed: 1)
    let players = try PlayerSet(others: division, inputs: [("x", [2, 6, 7])])
    let targets = [[0, 2], [1, 1], [2, 0]]
    let coalitions = randomCoalitions(players.playerCount, 40)
    for rows in [[], [1], [3]] {
      let baselines = try rows.isEmpty ? [:] : ["x": Nets.rows(rows + [2, 6, 7], seed: 9)]
      let game = try MaskedGame(
        plan, players: players, inputs: ["x": x], baselines: baselines, targets: targets)
      let wanted = try await expected(
        plan, players, inputs: ["x": x], baselines: baselines, baselineCount: rows.first ?? 1,
        coalitions, targets: targets)
      for (threads, lanes) in [(1, nil), (2, 1), (2, 16), (3, 64)] as [(Int, Int?)] {
        var options = RunOptions()
        options.threads = threads
        options.lanes = lanes
        #expect(try await game.values(coalitions, options) == wanted)
      }
    }
  }

  @Test("Examples may have players of their own, and coalitions of their own")
  func perExample() async throws {
    let plan = try Nets.convolutional(.double)
    let x = try Nets.rows([2, 2, 6, 7], seed: 3)
    var ids = (0..<84).map { Int32($0 % 5) }
    // Three players, and three elements that are always present.
    for element in 0..<84 { ids.append(element < 3 ? -1 : Int32(element / 30)) }
    let map = try Tensor(shape: [2, 2, 6, 7], elements: .int32(ids))
    let players = try PlayerSet(["x": .map(map)], inputs: [("x", [2, 6, 7])], examples: 2)
    let targets = [[1], [0]]
    let coalitions = randomCoalitions(players.playerCount, 12)
    let game = try MaskedGame(plan, players: players, inputs: ["x": x], targets: targets)
    let wanted = try await expected(
      plan, players, inputs: ["x": x], baselines: [:], baselineCount: 1, coalitions,
      targets: targets)
    #expect(try await game.values(coalitions) == wanted)
    let parts = try await game.values(coalitions, rows: [3..<7, 10..<12])
    #expect(parts == Array(wanted[3..<7]) + Array(wanted[22..<24]))
    #expect(try await game.values(coalitions, rows: [0..<0, 5..<6]) == [wanted[17]])
  }

  @Test("Several inputs are one game")
  func severalInputs() async throws {
    let plan = try Nets.modelB()
    let x1 = try Nets.doubles([1, 2], [4, -5]), x2 = try Nets.doubles([1, 2], [3, 1])
    let players = try PlayerSet(inputs: plan.inputs.map { ($0.name, $0.shape) })
    let game = try MaskedGame(
      plan, players: players, inputs: ["x1": x1, "x2": x2],
      baselines: ["x2": try Nets.doubles([2], [1, 2])], targets: [[0, 1, 2, 3]])
    var coalitions = Coalitions(playerCount: 4)
    coalitions.append([0, 3])
    coalitions.append([1, 2])
    #expect(try await game.values(coalitions) == [12, 0, 2, 2, 0, 0, 6, 4])
  }

  @Test("Games that do not fit are refused")
  func refusals() async throws {
    let plan = try Nets.modelA()
    let x = try Nets.doubles([1, 2], [3, 1])
    let players = try PlayerSet(inputs: [("x", [2])])
    #expect(throws: CoalitionError.self) {
      try MaskedGame(plan, players: players, inputs: ["x": x], targets: [[1]])
    }
    #expect(throws: CoalitionError.self) {
      try MaskedGame(plan, players: players, inputs: ["x": x], targets: [[0], [0]])
    }
    #expect(throws: CoalitionError.self) {
      try MaskedGame(
        plan, players: players, inputs: ["x": x], baselines: ["x": x, "z": x], targets: [[0]])
    }
    #expect(throws: CoalitionError.self) {
      try MaskedGame(
        plan, players: players, inputs: ["x": x],
        baselines: ["x": try Nets.doubles([2], [.nan, 0])], targets: [[0]])
    }
    let wide = try PlayerSet(inputs: [("x", [3])])
    #expect(throws: CoalitionError.self) {
      try MaskedGame(plan, players: wide, inputs: ["x": x], targets: [[0]])
    }
    let bad = #expect(throws: CoalitionError.self) {
      try MaskedGame(
        plan, players: players, inputs: ["x": try Nets.doubles([1, 2], [.infinity, 0])],
        targets: [[0]])
    }
    #expect(bad?.code == .notFinite && bad?.node == "x")
    let game = try MaskedGame(plan, players: players, inputs: ["x": x], targets: [[0]])
    await #expect(throws: CoalitionError.self) {
      try await game.values(Coalitions(playerCount: 3, count: 1))
    }
  }
}
